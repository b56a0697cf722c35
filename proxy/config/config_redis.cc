#include "proxy/config/config_redis.h"

#include <algorithm>
#include <cstdlib>

#include "net/text.h"
#include "proxy/config/address_hint.h"
#include "proxy/config/config_keys.h"
#include "proxy/config/secret_file.h"

namespace baton {
namespace {

constexpr std::string_view redis_port = "6379";
constexpr std::string_view sentinel_port = "26379";
constexpr std::string_view where_expected =
    "`sentinels` and `master`, or `address`, because store = \"redis\"";

constexpr const char* line_ends = "\r\n";

// One line: an editor's line end at the end is no part of a password.
std::string without_line_end(std::string text) {
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return text;
}

// The keys of a `PasswordSource`.
struct PasswordKeys {
    std::string_view file;
    std::string_view environment;
    std::string_view credential;
};

void read_password_file(TomlTable& table, std::string_view key, const std::string& path,
                        std::string& out) {
    SecretFile secret = read_secret_file(path);
    std::string& complaint = secret.complaint;
    const std::string line = without_line_end(secret.text);
    if (complaint.empty() && line.empty()) complaint = "it is empty";
    if (complaint.empty() && line.find_first_of(line_ends) != std::string::npos)
        complaint = "it has more than one line";
    if (!complaint.empty()) return table.refuse(key, "a file with a password", "; " + complaint);
    if (!secret.warning.empty()) table.warn(key, secret.warning);
    out = line;
}

void read_password(TomlTable& table, const PasswordKeys& keys, const PasswordSource& from,
                   std::string& out) {
    const auto& [path, variable, credential] = from;
    if (!path.empty() && !variable.empty())
        return table.refuse(keys.environment, "only one way to pass the password",
                            "; there is another");
    if (!(path.empty() && variable.empty()) && !credential.empty())
        return table.refuse(keys.credential, "only one way to pass the password",
                            "; there is another");
    if (!path.empty()) read_password_file(table, keys.file, path, out);
    if (!variable.empty()) {
        const char* value = std::getenv(variable.c_str());
        out = without_line_end(value == nullptr ? "" : value);
        if (out.empty())
            return table.refuse(keys.environment,
                                "the name of an environment variable that is set");
        if (out.find_first_of(line_ends) != std::string::npos)
            return table.refuse(keys.environment, "an environment variable with a password",
                                "; it has more than one line");
    }
    if (credential.empty()) return;
    const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
    if (folder == nullptr)
        return table.refuse(keys.credential, "a systemd credential",
                            "; CREDENTIALS_DIRECTORY is not set");
    read_password_file(table, keys.credential, std::string{folder} + "/" + credential, out);
}

std::string endpoint_hint(const TomlValue& value, std::string_view port) {
    return address_hint(
        text_of(value),
        {.is_address = [](std::string_view one) { return parse_endpoint(one).has_value(); },
         .host = "127.0.0.1",
         .port = port,
         .names = true});
}

}  // namespace

bool is_word(std::string_view text) {
    return !text.empty() && text.size() <= 128 && is_plain_word(text);
}

bool is_prefix(std::string_view text) { return text.size() <= 64 && is_word(text); }

bool is_user(std::string_view text) {
    return text.size() <= 256 &&
           std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c == 0x7f; });
}

void read_sentinels(TomlTable& table, const Key<RedisConfig>& key, RedisConfig& out) {
    const auto sentinels = table.items(key.name, "an array of hosts with ports");
    if (sentinels.empty()) table.refuse(key.name, "at least one Sentinel");
    for (const TomlTable::Item& item : sentinels) {
        const auto endpoint = parse_endpoint(item.value->text);
        if (!endpoint)
            table.refuse(item, endpoint_expected, endpoint_hint(*item.value, sentinel_port));
        else if (std::find(out.sentinels.begin(), out.sentinels.end(), *endpoint) !=
                 out.sentinels.end())
            table.refuse(item, "each Sentinel only once");
        else
            out.sentinels.push_back(*endpoint);
    }
}

void read_redis_address(TomlTable& table, const Key<RedisConfig>& key, RedisConfig& out) {
    const TomlValue* value = table.find(key.name);
    if (value == nullptr) return;
    const auto endpoint = parse_endpoint(value->text);
    if (!endpoint)
        return table.refuse(key.name, endpoint_expected, endpoint_hint(*value, redis_port));
    out.address = *endpoint;
}

void read_redis(TomlTable table, RedisConfig& out, bool used) {
    read_keys(table, keys::redis, out);
    const bool has_sentinels = table.has("sentinels");
    const bool has_address = table.has("address");
    const bool in_doubt = table.is_in_doubt("sentinels") || table.is_in_doubt("address");
    if (has_sentinels && has_address)
        table.refuse("address", "no `address` together with `sentinels`");
    else if (has_sentinels)
        table.require("master", master_expected);
    else if (in_doubt)
        ;  // `finish` says what was meant.
    else if (table.has("master"))
        table.refuse("master", "nothing without `sentinels`");
    else if (!has_address && used)
        table.require("sentinels", where_expected);
    read_password(table, {"password_file", "password_env", "password_credential"},
                  out.password_from, out.password);
    read_password(
        table, {"sentinel_password_file", "sentinel_password_env", "sentinel_password_credential"},
        out.sentinel_password_from, out.sentinel_password);
    table.finish(keys::redis.later);
}

}  // namespace baton
