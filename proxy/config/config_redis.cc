#include "proxy/config/config_redis.h"

#include <algorithm>
#include <cstdlib>

#include "proxy/config/address_hint.h"
#include "proxy/config/secret_file.h"

namespace baton {
namespace {

constexpr std::string_view endpoint_expected = "a host with a port such as \"redis-1:6379\"";
constexpr std::string_view redis_port = "6379";
constexpr std::string_view sentinel_port = "26379";
constexpr std::string_view master_expected =
    "the master's name in `sentinel monitor`: 1 to 128 letters, digits, \".\", \"_\" or \"-\"";
constexpr std::string_view where_expected =
    "`sentinels` and `master`, or `address`, because store = \"redis\"";

bool is_word(std::string_view text) {
    return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    });
}

// Of keys; what Redis Cluster reads as a tag is left to it.
bool is_prefix(std::string_view text) { return text.size() <= 64 && is_word(text); }

bool is_user(std::string_view text) {
    return text.size() <= 256 &&
           std::none_of(text.begin(), text.end(), [](char c) { return c <= ' ' || c == 0x7f; });
}

bool is_text(std::string_view text) { return !text.empty(); }

constexpr const char* line_ends = "\r\n";

// One line: an editor's line end at the end is no part of a password.
std::string without_line_end(std::string text) {
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return text;
}

// Keys of one password: a path; a variable's name; or a file's name in the directory that systemd
// gives a service (LoadCredential=). At most one of them.
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

void read_password(TomlTable& table, const PasswordKeys& keys, std::string& out) {
    const auto text_of = [&](std::string_view key) {
        std::string text;
        table.text(key, text, "a string that is not empty", is_text);
        return text;
    };
    const std::string path = text_of(keys.file);
    const std::string variable = text_of(keys.environment);
    const std::string credential = text_of(keys.credential);
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

void read_endpoint(TomlTable& table, std::string_view key, Endpoint& out) {
    const TomlValue* value = table.find(key);
    if (value == nullptr) return;
    const auto endpoint = parse_endpoint(value->text);
    if (!endpoint) return table.refuse(key, endpoint_expected, endpoint_hint(*value, redis_port));
    out = *endpoint;
}

}  // namespace

void read_redis(TomlTable table, RedisConfig& out, bool used) {
    const bool has_sentinels = table.has("sentinels");
    const bool has_address = table.has("address");
    const auto sentinels = table.items("sentinels", "an array of hosts with ports");
    if (sentinels.empty()) table.refuse("sentinels", "at least one Sentinel");
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
    const bool in_doubt = table.is_in_doubt("sentinels") || table.is_in_doubt("address");
    table.text("master", out.master, master_expected, is_word);
    read_endpoint(table, "address", out.address);
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
    table.text("username", out.username, "a name without blanks", is_user);
    read_password(table, {"password_file", "password_env", "password_credential"}, out.password);
    table.text("sentinel_username", out.sentinel_username, "a name without blanks", is_user);
    read_password(
        table, {"sentinel_password_file", "sentinel_password_env", "sentinel_password_credential"},
        out.sentinel_password);
    table.number("database", out.database, {0, 1'000'000});
    table.text("prefix", out.prefix, "1 to 64 letters, digits, \".\", \"_\" or \"-\"", is_prefix);
    table.duration("connect_timeout", out.connect_timeout, {10ms, 60s, ""});
    table.duration("command_timeout", out.command_timeout, {10ms, 60s, ""});
    table.boolean("discover", out.discover);
    table.boolean("last_known", out.last_known);
    table.finish({"tls", "kill_wait_replicas"});
}

}  // namespace baton
