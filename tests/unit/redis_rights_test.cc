// What our user at Redis must be allowed to do, and how it is found out.

#include "session/redis/redis_rights.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "session/redis/redis_scripts.h"

namespace baton {
namespace {

RedisReply error(std::string_view text) {
    RedisReply reply;
    reply.type = RedisReply::Type::error;
    reply.text = text;
    return reply;
}

std::string upper(std::string_view text) {
    std::string capitals{text};
    std::ranges::transform(capitals, capitals.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return capitals;
}

TEST_CASE("F:acl each command of a script is a right that is asked for") {
    std::set<std::string> known;
    for (const std::string_view right : redis_rights()) known.insert(upper(right.substr(1)));
    for (const RedisScript script : redis_scripts) {
        const std::string_view text = text_of(script);
        std::size_t found = 0;
        for (std::size_t at = text.find("call('"); at != text.npos; at = text.find("call('", at)) {
            at += 6;
            const std::string name{text.substr(at, text.find('\'', at) - at)};
            CAPTURE(name);
            CHECK(known.contains(name));
            ++found;
        }
        CHECK(found > 0);
    }
}

TEST_CASE("F:acl each right is asked for by its own command") {
    for (const std::string_view right : redis_rights()) {
        CAPTURE(right);
        REQUIRE(right.starts_with('+'));
        const auto words = rights_probe(right, "k");
        std::string name = upper(words[0]);
        if (const auto bar = right.find('|'); bar != right.npos) name += "|" + upper(words[1]);
        CHECK(name == upper(right.substr(1)));
    }
}

TEST_CASE("F:acl what is missing is told by the replies") {
    const std::size_t count = redis_rights().size();
    const auto missing = [&](const std::vector<std::pair<std::size_t, const char*>>& errors,
                             std::string_view prefix = "baton") {
        std::vector<RedisReply> replies(count);
        for (const auto& [place, text] : errors) replies[place] = error(text);
        return missing_rights(replies, prefix);
    };
    const char* const command = "NOPERM this user has no permissions to run the 'x' command";
    const char* const newer = "NOPERM User baton has no permissions to run the 'x' command";
    const char* const keys =
        "NOPERM this user has no permissions to access one of the keys used as arguments";
    const char* const newer_keys = "NOPERM No permissions to access a key";
    CHECK(missing({}).empty());
    CHECK(missing({{0, command}}) == redis_rights()[0]);
    CHECK(missing({{5, newer}}) == redis_rights()[5]);
    CHECK(missing({{count - 1, command}}) == redis_rights()[count - 1]);
    CHECK(missing({{5, command}, {1, command}}) ==
          std::string{redis_rights()[1]} + " " + std::string{redis_rights()[5]});
    CHECK(missing({{5, keys}}) == "~baton:s:*");
    CHECK(missing({{5, newer_keys}, {6, newer_keys}}, "p") == "~p:s:*");
    CHECK(missing({{5, keys}, {1, command}}) == std::string{redis_rights()[1]} + " ~baton:s:*");
    // What is refused for another reason is allowed.
    for (const char* const text :
         {"ERR no such key", "NOSCRIPT No matching script.", "READONLY You can't write",
          "ERR wrong number of arguments for 'hset' command", "OOM command not allowed",
          "NOREPLICAS Not enough good replicas to write."})
        CHECK(missing({{3, text}}).empty());
    CHECK(missing_rights({}, "baton").empty());
    CHECK(
        is_denied(error("ERR The user executing the script can't run this command or subcommand")));
    CHECK(is_denied(error(command)));
    CHECK(!is_denied(error("ERR no such key")));
    CHECK(!is_denied(RedisReply{}));
}

}  // namespace
}  // namespace baton
