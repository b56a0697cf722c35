#include "session/redis/redis_rights.h"

#include <algorithm>
#include <array>

#include "session/redis/redis_command.h"

namespace baton {
namespace {

constexpr std::array<std::string_view, 15> rights = {
    "+info", "+role", "+time", "+script|load", "+evalsha", "+hgetall", "+pttl",     "+hmget",
    "+hset", "+hdel", "+hlen", "+exists",      "+del",     "+rename",  "+pexpireat"};

// No script has this name.
constexpr std::string_view no_script = "0000000000000000000000000000000000000000";

}  // namespace

std::span<const std::string_view> redis_rights() noexcept { return rights; }

std::vector<std::string_view> rights_probe(std::string_view right, std::string_view key) {
    const std::string_view name = right.substr(1);
    if (name == "info") return {"INFO", "server"};
    if (name == "role" || name == "time") return {name};
    if (name == "script|load") return {"SCRIPT", "LOAD", "return 1"};
    if (name == "evalsha") return {"EVALSHA", no_script, "1", key};
    // A value too few: refused for that, once the rights were looked at.
    if (name == "hset") return {name, key, "a", "b", "c"};
    if (name == "hmget" || name == "hdel") return {name, key, "a"};
    if (name == "rename") return {name, key, key};
    if (name == "pexpireat") return {name, key, "1"};
    return {name, key};
}

void append_rights_probes(std::string& out, std::string_view prefix) {
    const std::string key = redis_key(prefix, SessionKey{});  // of no session
    for (const std::string_view right : rights) append_command(out, rights_probe(right, key));
}

bool is_denied(const RedisReply& reply) noexcept {
    return reply.is_error() &&
           (reply.view().starts_with("NOPERM") ||
            reply.view().find("executing the script can't run") != std::string_view::npos);
}

std::string missing_rights(std::span<const RedisReply> replies, std::string_view prefix) {
    std::string missing;
    bool keys = false;
    for (std::size_t i = 0; i < std::min(replies.size(), rights.size()); ++i) {
        if (!is_denied(replies[i])) continue;
        const std::string_view text = replies[i].view();
        // "… to access one of the keys used as arguments", "… to access a key" since 7.2
        if (text.find("command") == text.npos && text.find("key") != text.npos) {
            keys = true;
            continue;
        }
        missing.append(missing.empty() ? "" : " ").append(rights[i]);
    }
    if (keys) missing.append(missing.empty() ? "~" : " ~").append(prefix).append(":s:*");
    return missing;
}

}  // namespace baton
