#include "proxy/config/config_load.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "proxy/config/address_hint.h"
#include "proxy/config/config_check.h"
#include "proxy/config/config_redis.h"
#include "proxy/config/config_syntax.h"
#include "proxy/config/secret_file.h"
#include "proxy/config/toml_table.h"

namespace baton {

namespace {

constexpr Milliseconds hour = 1h;
constexpr Milliseconds day = 24h;
constexpr DurationRange up_to_an_hour{1ms, hour};
constexpr DurationRange up_to_a_day{1ms, day};
constexpr DurationRange up_to_a_month{1ms, 30 * day};
constexpr DurationRange from_1s_to_a_year{1s, 365 * day};

constexpr std::uint64_t kib = std::uint64_t{1} << 10;
constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::uint64_t tib = std::uint64_t{1} << 40;

constexpr std::string_view network_expected = "an IP address or a network such as \"10.0.0.0/8\"";
constexpr std::string_view host_expected =
    "a host without a port such as \"example.com\", \"*.example.com\" or \"*\"";
constexpr std::string_view upstream_name_expected =
    "a name of 1 to 64 letters, digits, \".\", \"_\" or \"-\"";
constexpr std::string_view cookie_name_expected = "a cookie name, a token of 1 to 128 characters";

// `true` and `nan` are words of TOML and no names.
std::string hint_of(const TomlValue& value, const AddressForm& form) {
    const bool is_written =
        value.kind == TomlValue::Kind::text || value.kind == TomlValue::Kind::integer;
    return is_written ? address_hint(text_of(value), form) : std::string{};
}

void read_address(TomlTable& table, std::string_view key, const AddressForm& form, Address& out) {
    table.require(key, address_expected);
    const TomlValue* value = table.find(key);
    if (value == nullptr) return;
    const auto address = parse_address(value->text);
    if (value->kind != TomlValue::Kind::text || !address)
        return table.refuse(key, address_expected, hint_of(*value, form));
    out = *address;
}

ListenerConfig read_listener(TomlTable table) {
    ListenerConfig listener;
    read_address(table, "address", anywhere, listener.address);
    for (const TomlTable::Item& item : table.items("trusted_proxies", "an array of networks")) {
        const auto network = parse_network(item.value->text);
        if (!network) table.refuse(item, network_expected, network_hint(item.value->text));
        if (network) listener.trusted_proxies.push_back(*network);
    }
    table.boolean("defer_accept", listener.defer_accept);
    table.number("connections_per_client_max", listener.connections_per_client_max, {0, 1'000'000});
    table.finish({"tls", "certificate", "certificate_key", "http2", "proxy_protocol"});
    return listener;
}

ServerConfig read_server(TomlTable table) {
    ServerConfig server;
    read_address(table, "address", here, server.address);
    if (const TomlValue* value = table.find("address")) server.text = value->text;
    if (server.address.raw()->sa_family != AF_UNSPEC && server.address.port() == 0) {
        table.refuse("address", server_port_expected);
        server.address = Address{};
    }
    server.other = other_loopback(server.text);
    table.number("weight", server.weight, {1, 256});
    table.finish({"route", "backup", "connections_max", "slow_start", "tls"});
    return server;
}

constexpr std::string_view servers_expected =
    "an array of servers such as [{ address = \"10.0.0.1:8080\" }]";

// For an address in the place of a server.
std::string server_hint(const TomlValue& value) {
    if (value.kind != TomlValue::Kind::text || !parse_address(value.text)) return {};
    return ", did you mean { address = " + quoted(value.text) + " }";
}

void read_keepalive(TomlTable table, UpstreamConfig::Keepalive& out) {
    table.number("idle_max", out.idle_max, {0, 65536});
    table.duration("idle_timeout", out.idle_timeout, up_to_a_day);
    table.duration("age_max", out.age_max, up_to_a_month);
    table.number("requests_max", out.requests_max, {1, 1'000'000'000});
    table.finish();
}

void read_upstream_timeouts(TomlTable table, UpstreamConfig::Timeouts& out) {
    table.duration("connect", out.connect, up_to_an_hour);
    table.duration("response", out.response, up_to_a_day);
    table.duration("idle", out.idle, up_to_a_day);
    table.duration("total", out.total, up_to_a_day);
    table.finish();
}

UpstreamConfig read_upstream(TomlTable table) {
    UpstreamConfig upstream;
    table.require("name", upstream_name_expected);
    table.text("name", upstream.name, upstream_name_expected, is_upstream_name);
    upstream.scope = upstream.name;
    table.text("scope", upstream.scope, upstream_name_expected, is_upstream_name);
    table.text("cookie", upstream.cookie, cookie_name_expected, is_cookie_name);
    table.only("balance", "round-robin",
               {"least-conn", "least-connections", "least-requests", "random", "hash", "ip-hash",
                "consistent-hash", "p2c"});
    for (const TomlTable& server : table.tables("servers", servers_expected, server_hint)) {
        upstream.servers.push_back(read_server(server));
    }
    read_keepalive(table.table("keepalive"), upstream.keepalive);
    read_upstream_timeouts(table.table("timeouts"), upstream.timeouts);
    TomlTable retry = table.table("retry");
    retry.number("tries", upstream.retry_tries, {1, 10});
    retry.finish();
    table.boolean("via", upstream.via);
    table.size("request_buffer", upstream.request_buffer, {1, mib, "no waiting"});
    table.finish({"health", "check", "slow_start", "tls", "error_pages"});
    return upstream;
}

void read_create(TomlTable& table, SessionCreate& out) {
    table.choice<SessionCreate>(
        "create", out,
        {{"on-demand", SessionCreate::on_demand}, {"always", SessionCreate::always}});
}

void read_on_unavailable(TomlTable& table, OnUnavailable& out) {
    table.choice<OnUnavailable>("on_unavailable", out,
                                {{"wait-serve", OnUnavailable::wait_serve},
                                 {"wait-reject", OnUnavailable::wait_reject},
                                 {"serve", OnUnavailable::serve},
                                 {"reject", OnUnavailable::reject}});
}

// A host that is refused stays as an empty one, so that the others keep their index.
std::vector<std::string> read_hosts(TomlTable& table) {
    std::vector<std::string> hosts;
    const auto items = table.items("hosts", "an array of hosts");
    for (const TomlTable::Item& item : items) {
        std::string host = tidy_host(item.value->text);
        if (is_host_pattern(host)) {
            hosts.push_back(std::move(host));
            continue;
        }
        table.refuse(item, host_expected, host_hint(item.value->text));
        hosts.emplace_back();
    }
    if (items.empty()) table.refuse("hosts", "at least one host, such as \"*\"");
    if (hosts.empty()) hosts.emplace_back("*");
    return hosts;
}

RouteConfig read_route(TomlTable table, const SessionConfig& session) {
    RouteConfig route;
    route.create = session.create;
    route.on_unavailable = session.on_unavailable;
    route.hosts = read_hosts(table);
    table.text("path", route.path, "a path prefix that begins with \"/\", such as \"/app/\"",
               is_path_prefix);
    table.require("upstream", "the name of an upstream");
    table.text("upstream", route.upstream, "the name of an upstream", is_upstream_name);
    route.name = route.hosts[0] + route.path;
    table.text("name", route.name,
               "a name of 1 to 128 printable ASCII characters without blanks and quotes",
               is_route_name);
    table.choice<SessionMode>("session", route.session,
                              {{"managed", SessionMode::managed}, {"off", SessionMode::off}},
                              {"adopt", "affinity"});
    read_create(table, route.create);
    read_on_unavailable(table, route.on_unavailable);
    table.boolean("websocket", route.websocket);
    table.finish({"failover_wait", "required", "error_pages"});
    return route;
}

void read_session_headers(TomlTable table, SessionConfig& out) {
    table.text("prefix", out.header_prefix, "2 to 64 letters, digits and \"-\", the last one \"-\"",
               is_header_prefix);
    table.size("limit", out.header_limit, {1, 64 * kib});
    table.finish({"send_id", "hmac_secret", "send_times"});
}

void read_session_api(TomlTable table, SessionApiConfig& out) {
    constexpr std::string_view expected =
        "the path of a file with a scope and a token in each line";
    read_address(table, "address", here, out.listener.address);
    table.require("token_file", expected);
    std::string path;
    table.text("token_file", path, expected, [](std::string_view text) { return !text.empty(); });
    table.finish();
    if (path.empty()) return;
    SecretFile secret = read_secret_file(path);
    if (secret.complaint.empty()) out.tokens = parse_api_tokens(secret.text, secret.complaint);
    if (!secret.complaint.empty()) table.refuse("token_file", expected, "; " + secret.complaint);
    if (!secret.warning.empty()) table.warn("token_file", secret.warning);
}

void read_session(TomlTable table, Config& config) {
    SessionConfig& out = config.session;
    table.choice<SessionStore>("store", out.store,
                               {{"memory", SessionStore::memory}, {"redis", SessionStore::redis}});
    table.text("cookie", out.cookie, cookie_name_expected, is_cookie_name);
    read_create(table, out.create);
    table.duration("idle", out.idle, from_1s_to_a_year);
    if (out.idle == 0ms) out.idle = SessionConfig::idle_unlimited;
    table.duration("absolute", out.absolute, from_1s_to_a_year);
    table.duration("unconfirmed_idle", out.unconfirmed_idle, {1s, 365 * day, ""});
    table.duration("idle_min", out.idle_min, {1s, 365 * day, ""});
    table.duration("idle_max", out.idle_max, {1s, 365 * day, ""});
    table.duration("renew_after", out.renew_after, {1s, 365 * day, "no renewal"});
    table.boolean("replay_safe", out.replay_safe);
    table.boolean("close_tunnels", out.close_tunnels);
    table.duration("close_tunnels_check", out.close_tunnels_check, {1s, hour, ""});
    table.number("unknown_max", out.unknown_max, {0, 1'000'000});
    read_on_unavailable(table, out.on_unavailable);
    table.duration("failover_wait", out.failover_wait, {10ms, hour, "no wait"});
    table.number("wait_queue_max", out.wait_queue_max, {0, 1'000'000});
    table.boolean("strict_writes", out.strict_writes);
    table.number("sessions_max", out.sessions_max, {1, 100'000'000});
    table.size("memory_max", out.memory_max, {64 * kib, tib});
    if (out.store == SessionStore::redis)
        for (const std::string_view key : {"sessions_max", "memory_max"})
            if (table.has(key))
                table.refuse(key, "nothing with store = \"redis\"",
                             "; Redis limits its memory itself (maxmemory)");
    table.number("attributes_max", out.attributes_max, {1, 10'000});
    table.size("attribute_max", out.attribute_max, {1, mib});
    table.size("data_max", out.data_max, {1, mib});
    table.choice<SameSite>(
        "same_site", out.same_site,
        {{"Lax", SameSite::lax}, {"Strict", SameSite::strict}, {"None", SameSite::none}});
    table.choice<SecureCookie>("secure", out.secure,
                               {{"auto", SecureCookie::automatic},
                                {"always", SecureCookie::always},
                                {"never", SecureCookie::never}});
    read_session_headers(table.table("headers"), out);
    if (const TomlTable api = table.table("api"); api.exists())
        read_session_api(api, config.session_api);
    table.finish({"send_id", "hmac_secret", "url_param", "send_times", "cookie_max_age", "hash_ids",
                  "kill_wait_replicas"});
}

constexpr std::string_view admin_address_expected = "a loopback address with a port";

void read_admin(TomlTable table, AdminConfig& out) {
    table.require("address", admin_address_expected);
    read_address(table, "address", here, out.address);
    if (out.address.raw()->sa_family != AF_UNSPEC && !out.address.is_loopback()) {
        table.refuse("address", admin_address_expected,
                     ", did you mean " + quoted("127.0.0.1:" + std::to_string(out.address.port())));
        out.address = Address{};
    }
    table.finish({"token_file"});
}

void read_client_timeouts(TomlTable table, ClientTimeouts& out) {
    table.duration("header", out.header, {1ms, hour, ""});
    table.duration("body_idle", out.body_idle, up_to_a_day);
    table.duration("send", out.send, up_to_a_day);
    table.duration("keepalive", out.keepalive, up_to_a_day);
    table.duration("tunnel_idle", out.tunnel_idle, up_to_a_month);
    table.duration("client_gone", out.client_gone, {1ms, day, "no wait"});
    table.finish();
}

void read_limits(TomlTable table, LimitsConfig& out) {
    table.size("request_line", out.head.request_line, {64, 64 * kib});
    table.size("head", out.head.head, {256, mib});
    table.number("fields", out.head.fields, {1, 10'000});
    table.choice<Underscores>("underscores", out.underscores,
                              {{"drop", Underscores::drop},
                               {"reject", Underscores::reject},
                               {"keep", Underscores::keep}});
    table.size("body", out.body_max, {1, tib, "no limit"});
    table.number("connections", out.connections_max, {0, 1'000'000});
    table.size("upload_rate_min", out.upload.min, {1, 1024 * mib, "any rate"});
    table.duration("rate_grace", out.upload.grace, {1ms, hour, ""});
    table.finish({"download_rate_min"});
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
    table.choice<log::Level>("level", out.level,
                             {{"debug", log::Level::debug},
                              {"info", log::Level::info},
                              {"warn", log::Level::warn},
                              {"error", log::Level::error}});
    table.text("access", out.access, "\"stdout\", \"off\" or a file's path with a \"/\" in it",
               is_access_target);
    check_log_file(table, out.access);
    table.only("format", "json", {"logfmt", "combined"});
    table.boolean("query", out.query);
    table.finish();
}

void read_workers(TomlTable& table, unsigned& out) {
    const TomlValue* value = table.find("workers");
    if (value == nullptr || (value->kind == TomlValue::Kind::text && value->text == "auto")) return;
    if (value->kind != TomlValue::Kind::integer || value->integer < 1 || value->integer > 256) {
        return table.refuse("workers", "\"auto\" or a whole number from 1 to 256",
                            quotes_hint(*value, {1, 256}));
    }
    out = static_cast<unsigned>(value->integer);
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
    read_workers(table, out.workers);
    table.duration("grace", out.grace, up_to_a_day);
    table.duration("drain_delay", out.drain_delay, {1ms, hour, "no delay"});
    read_session(table.table("session"), out);
    const bool redis = out.session.store == SessionStore::redis;
    // What is wrong within it is said first, for a complaint about a table silences those below it.
    read_redis(table.table("redis"), out.redis, redis);
    if (!redis && !table.table("session").is_in_doubt("store"))
        table.refuse("redis", "store = \"redis\" in [session]", "; the sessions are in memory");
    for (const TomlTable& listener : read_tables(table, "listener"))
        out.listeners.push_back(read_listener(listener));
    for (const TomlTable& upstream : read_tables(table, "upstream"))
        out.upstreams.push_back(read_upstream(upstream));
    for (const TomlTable& route : read_tables(table, "route"))
        out.routes.push_back(read_route(route, out.session));
    if (const TomlTable admin = table.table("admin"); admin.exists()) read_admin(admin, out.admin);
    read_client_timeouts(table.table("timeouts"), out.timeouts);
    read_limits(table.table("limits"), out.limits);
    read_log(table.table("log"), out.log);
    table.finish({"error_pages", "tls"});
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
