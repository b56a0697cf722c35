#include "proxy/config/config_load.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "proxy/config/config_check.h"
#include "proxy/config/config_keys.h"
#include "proxy/config/config_redis.h"
#include "proxy/config/config_values.h"
#include "proxy/config/secret_file.h"
#include "proxy/config/toml_table.h"

namespace baton {

namespace {

// A table whose keys all stand for themselves.
template <class Struct>
void read_table(TomlTable table, const Section<Struct>& section, Struct& out) {
    read_keys(table, section, out);
    table.finish(section.later);
}

UpstreamConfig read_upstream(TomlTable table) {
    UpstreamConfig upstream;
    read_keys(table, keys::upstream, upstream);
    if (upstream.scope.empty()) upstream.scope = upstream.name;
    read_table(table.table("keepalive"), keys::upstream_keepalive, upstream.keepalive);
    read_table(table.table("timeouts"), keys::upstream_timeouts, upstream.timeouts);
    read_table(table.table("retry"), keys::upstream_retry, upstream);
    table.finish(keys::upstream.later);
    return upstream;
}

RouteConfig read_route(TomlTable table, const SessionConfig& session) {
    RouteConfig route;
    route.create = session.create;
    route.on_unavailable = session.on_unavailable;
    read_keys(table, keys::route, route);
    if (route.name.empty()) route.name = route.hosts[0] + route.path;
    table.finish(keys::route.later);
    return route;
}

void read_session_api(TomlTable table, SessionApiConfig& out) {
    read_table(table, keys::session_api, out);
    if (out.token_file.empty()) return;
    SecretFile secret = read_secret_file(out.token_file);
    if (secret.complaint.empty()) out.tokens = parse_api_tokens(secret.text, secret.complaint);
    if (!secret.complaint.empty())
        table.refuse("token_file", token_file_expected, "; " + secret.complaint);
    if (!secret.warning.empty()) table.warn("token_file", secret.warning);
}

void read_session(TomlTable table, Config& config) {
    SessionConfig& out = config.session;
    read_keys(table, keys::session, out);
    if (out.idle == 0ms) out.idle = SessionConfig::idle_unlimited;
    if (out.store == SessionStore::redis)
        for (const std::string_view key : {"sessions_max", "memory_max"})
            if (table.has(key))
                table.refuse(key, "nothing with store = \"redis\"",
                             "; Redis limits its memory itself (maxmemory)");
    read_table(table.table("headers"), keys::session_headers, out);
    if (const TomlTable api = table.table("api"); api.exists())
        read_session_api(api, config.session_api);
    table.finish(keys::session.later);
}

void read_admin(TomlTable table, AdminConfig& out) {
    read_keys(table, keys::admin, out);
    if (out.address.raw()->sa_family != AF_UNSPEC && !out.address.is_loopback()) {
        table.refuse("address", admin_address_expected,
                     ", did you mean " + quoted("127.0.0.1:" + std::to_string(out.address.port())));
        out.address = Address{};
    }
    table.finish(keys::admin.later);
}

// Whether the log's file can be where it is told to be; who may write there only its user knows.
void check_log_file(TomlTable& table, const std::string& path) {
    struct stat about {};
    if (path.find('/') == std::string::npos) return;
    if (::stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode))
        return table.refuse("access", "a file's path", "; it is a folder");
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    if (::stat(folder.c_str(), &about) != 0)
        table.refuse("access", "a file in a folder that exists",
                     "; " + quoted(folder) + ": " + std::strerror(errno));
}

void read_log(TomlTable table, LogConfig& out) {
    read_keys(table, keys::log, out);
    check_log_file(table, out.access);
    table.finish(keys::log.later);
}

// The tables of one of the arrays that a configuration cannot do without.
std::vector<TomlTable> read_tables(TomlTable& table, std::string_view key) {
    const std::string expected = "at least one [[" + std::string{key} + "]]";
    std::vector<TomlTable> tables = table.tables(key, expected);
    if (!tables.empty()) return tables;
    table.require(key, expected);
    table.refuse(key, expected);
    return tables;
}

void read_config(TomlTable table, Config& out) {
    read_keys(table, keys::top, out);
    read_session(table.table("session"), out);
    const bool redis = out.session.store == SessionStore::redis;
    // What is wrong within it is said first, for a complaint about a table silences those below it.
    read_redis(table.table("redis"), out.redis, redis);
    if (!redis && !table.table("session").is_in_doubt("store"))
        table.refuse("redis", "store = \"redis\" in [session]", "; the sessions are in memory");
    for (const TomlTable& listener : read_tables(table, "listener")) {
        out.listeners.emplace_back();
        read_table(listener, keys::listener, out.listeners.back());
    }
    for (const TomlTable& upstream : read_tables(table, "upstream"))
        out.upstreams.push_back(read_upstream(upstream));
    for (const TomlTable& route : read_tables(table, "route"))
        out.routes.push_back(read_route(route, out.session));
    if (const TomlTable admin = table.table("admin"); admin.exists()) read_admin(admin, out.admin);
    read_table(table.table("timeouts"), keys::timeouts, out.timeouts);
    read_table(table.table("limits"), keys::limits, out.limits);
    read_log(table.table("log"), out.log);
    table.finish(keys::top.later);
}

}  // namespace

Loaded load_config(std::string_view toml_text) {
    Loaded loaded;
    const TomlText parsed = parse_toml(toml_text);
    if (!parsed.error.empty()) {
        const auto [line, column] = parsed.error_position;
        loaded.complaints.push_back(Complaint{line, column, parsed.error});
        return loaded;
    }
    if (parsed.root.items.empty()) {
        const bool blank = toml_text.find_first_not_of(" \t\r\n") == std::string_view::npos;
        loaded.complaints.push_back(
            Complaint{1, 1,
                      std::string{"expected [[listener]], [[upstream]] and [[route]], found "} +
                          (blank ? "an empty file" : "nothing but comments")});
        return loaded;
    }
    Complaints complaints;
    read_config(TomlTable{&parsed.root, "", complaints}, loaded.config);
    for (const Finding& finding : check(loaded.config, own_addresses())) {
        if (complaints.about(finding.with)) continue;
        const std::string as_in =
            finding.as_in.empty() ? std::string{} : ", as in " + finding.as_in;
        const bool is_default = !finding.with.empty() && !complaints.has_place(finding.path);
        complaints.add(finding.path, finding.text + (is_default ? ", its default" : "") + as_in,
                       finding.with);
    }
    loaded.complaints = complaints.take();
    loaded.warnings = complaints.take_warnings();
    return loaded;
}

}  // namespace baton
