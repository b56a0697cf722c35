// The table of keys: what people read is made of it, and each key reaches the member it names.

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "proxy/config/config_keys.h"
#include "proxy/config/config_load.h"
#include "proxy/config/config_reference.h"

using namespace baton;

namespace {

std::string read_file(const std::string& name) {
    std::ifstream file{std::string{BATON_SOURCE_ROOT} + "/" + name};
    REQUIRE(file.good());
    return {std::istreambuf_iterator<char>{file}, {}};
}

template <class Value>
void line(std::ostream& out, std::string_view name, const Value& value) {
    out << name << " = ";
    if constexpr (std::is_enum_v<Value>) {
        out << static_cast<int>(value) << "\n";
    } else {
        out << value << "\n";
    }
}
void line(std::ostream& out, std::string_view name, Milliseconds value) {
    line(out, name, value.count());
}

void describe(std::ostream& out, const UpstreamConfig& upstream) {
    line(out, "upstream.name", upstream.name);
    line(out, "upstream.scope", upstream.scope);
    line(out, "upstream.cookie", upstream.cookie);
    for (const ServerConfig& server : upstream.servers) {
        line(out, "server.address", server.address.text() + " " + server.text);
        line(out, "server.weight", server.weight);
    }
    line(out, "upstream.keepalive.idle_max", upstream.keepalive.idle_max);
    line(out, "upstream.keepalive.idle_timeout", upstream.keepalive.idle_timeout);
    line(out, "upstream.keepalive.age_max", upstream.keepalive.age_max);
    line(out, "upstream.keepalive.requests_max", upstream.keepalive.requests_max);
    line(out, "upstream.timeouts.connect", upstream.timeouts.connect);
    line(out, "upstream.timeouts.response", upstream.timeouts.response);
    line(out, "upstream.timeouts.idle", upstream.timeouts.idle);
    line(out, "upstream.timeouts.total", upstream.timeouts.total);
    line(out, "upstream.retry.tries", upstream.retry_tries);
    line(out, "upstream.via", upstream.via);
    line(out, "upstream.request_buffer", upstream.request_buffer);
}

void describe(std::ostream& out, const RouteConfig& route) {
    line(out, "route.name", route.name);
    for (const std::string& host : route.hosts) line(out, "route.host", host);
    line(out, "route.path", route.path);
    line(out, "route.upstream", route.upstream);
    line(out, "route.session", route.session);
    line(out, "route.create", route.create);
    line(out, "route.on_unavailable", route.on_unavailable);
    line(out, "route.websocket", route.websocket);
}

void describe(std::ostream& out, const SessionConfig& session) {
    line(out, "session.cookie", session.cookie);
    line(out, "session.create", session.create);
    line(out, "session.idle", session.idle);
    line(out, "session.unconfirmed_idle", session.unconfirmed_idle);
    line(out, "session.idle_min", session.idle_min);
    line(out, "session.idle_max", session.idle_max);
    line(out, "session.absolute", session.absolute);
    line(out, "session.renew_after", session.renew_after);
    line(out, "session.replay_safe", session.replay_safe);
    line(out, "session.close_tunnels", session.close_tunnels);
    line(out, "session.close_tunnels_check", session.close_tunnels_check);
    line(out, "session.unknown_max", session.unknown_max);
    line(out, "session.on_unavailable", session.on_unavailable);
    line(out, "session.failover_wait", session.failover_wait);
    line(out, "session.wait_queue_max", session.wait_queue_max);
    line(out, "session.strict_writes", session.strict_writes);
    line(out, "session.sessions_max", session.sessions_max);
    line(out, "session.memory_max", session.memory_max);
    line(out, "session.attributes_max", session.attributes_max);
    line(out, "session.attribute_max", session.attribute_max);
    line(out, "session.data_max", session.data_max);
    line(out, "session.same_site", session.same_site);
    line(out, "session.secure", session.secure);
    line(out, "session.headers.prefix", session.header_prefix);
    line(out, "session.headers.limit", session.header_limit);
}

void describe(std::ostream& out, const RedisConfig& redis) {
    for (const Endpoint& sentinel : redis.sentinels) line(out, "redis.sentinel", sentinel.text());
    line(out, "redis.master", redis.master);
    line(out, "redis.address", redis.address.text());
    line(out, "redis.username", redis.username);
    line(out, "redis.password", redis.password);
    line(out, "redis.sentinel_username", redis.sentinel_username);
    line(out, "redis.sentinel_password", redis.sentinel_password);
    line(out, "redis.database", redis.database);
    line(out, "redis.prefix", redis.prefix);
    line(out, "redis.connect_timeout", redis.connect_timeout);
    line(out, "redis.command_timeout", redis.command_timeout);
    line(out, "redis.discover", redis.discover);
    line(out, "redis.last_known", redis.last_known);
}

std::string described(const RedisConfig& redis) {
    std::ostringstream out;
    describe(out, redis);
    return out.str();
}

// Every field of the configuration but those of [redis], one line each.
std::string described(const Config& config) {
    std::ostringstream out;
    line(out, "workers", config.workers);
    line(out, "grace", config.grace);
    line(out, "drain_delay", config.drain_delay);
    for (const ListenerConfig& listener : config.listeners) {
        line(out, "listener.address", listener.address.text());
        for (const Network& network : listener.trusted_proxies) {
            line(out, "listener.trusted",
                 network.base.host() + "/" + std::to_string(network.prefix_bits));
        }
        line(out, "listener.defer_accept", listener.defer_accept);
        line(out, "listener.connections_per_client_max", listener.connections_per_client_max);
    }
    for (const UpstreamConfig& upstream : config.upstreams) describe(out, upstream);
    for (const RouteConfig& route : config.routes) describe(out, route);
    describe(out, config.session);
    line(out, "timeouts.header", config.timeouts.header);
    line(out, "timeouts.body_idle", config.timeouts.body_idle);
    line(out, "timeouts.send", config.timeouts.send);
    line(out, "timeouts.keepalive", config.timeouts.keepalive);
    line(out, "timeouts.tunnel_idle", config.timeouts.tunnel_idle);
    line(out, "timeouts.client_gone", config.timeouts.client_gone);
    line(out, "limits.request_line", config.limits.head.request_line);
    line(out, "limits.head", config.limits.head.head);
    line(out, "limits.fields", config.limits.head.fields);
    line(out, "limits.underscores", config.limits.underscores);
    line(out, "limits.body", config.limits.body_max);
    line(out, "limits.connections", config.limits.connections_max);
    line(out, "limits.upload_rate_min", config.limits.upload.min);
    line(out, "limits.rate_grace", config.limits.upload.grace);
    line(out, "log.level", config.log.level);
    line(out, "log.access", config.log.access);
    line(out, "log.query", config.log.query);
    return out.str();
}

std::set<std::string> lines_of(const std::string& text) {
    std::set<std::string> lines;
    std::istringstream in{text};
    for (std::string each; std::getline(in, each);) lines.insert(each);
    return lines;
}

// The lines of `changed` that are not in `before`, joined.
std::string difference(const std::string& before, const std::string& changed) {
    const std::set<std::string> old = lines_of(before);
    std::string out;
    for (const std::string& each : lines_of(changed)) {
        if (old.count(each) == 0) out += (out.empty() ? "" : "; ") + each;
    }
    return out;
}

// A minimal configuration with nothing but defaults: what the loader must make of conf/baton.toml.
Config expected_of_file() {
    Config config;
    config.listeners.push_back(ListenerConfig{*parse_address("0.0.0.0:8080"), {}});
    UpstreamConfig upstream;
    upstream.name = upstream.scope = "ss";
    upstream.cookie = "JSESSIONID";
    upstream.servers.push_back(ServerConfig{*parse_address("127.0.0.1:9001"), "127.0.0.1:9001", 1});
    upstream.servers.push_back(ServerConfig{*parse_address("127.0.0.1:9002"), "127.0.0.1:9002", 1});
    config.upstreams.push_back(upstream);
    RouteConfig route;
    route.name = "*/";
    route.hosts = {"*"};
    route.upstream = "ss";
    config.routes.push_back(route);
    return config;
}

// One line of the file, what to write instead, and what then is different.
struct Change {
    std::string_view section;  // the header above it
    std::string_view old_line;
    std::string_view new_line;
    std::string_view difference;
};
constexpr Change changes[] = {
    {"", "workers = \"auto\"", "workers = 3", "workers = 3"},
    {"", "grace = \"30s\"", "grace = \"31s\"", "grace = 31000"},
    {"", "drain_delay = \"0s\"", "drain_delay = \"5s\"", "drain_delay = 5000"},
    {"[[listener]]", "address = \"0.0.0.0:8080\"", "address = \"[::]:8081\"",
     "listener.address = [::]:8081"},
    {"[[listener]]", "trusted_proxies = []", "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]",
     "listener.trusted = 10.0.0.0/8; listener.trusted = ::1/128"},
    {"[[listener]]", "defer_accept = false", "defer_accept = true", "listener.defer_accept = 1"},
    {"[[listener]]", "connections_per_client_max = 0", "connections_per_client_max = 1000000",
     "listener.connections_per_client_max = 1000000"},
    {"[[upstream]]", "name = \"ss\"", "name = \"tt\"",
     "route[0].upstream: expected the name of an upstream, found \"ss\""},
    {"[[upstream]]", "scope = \"ss\"", "scope = \"tt\"", "upstream.scope = tt"},
    {"[[upstream]]", "cookie = \"JSESSIONID\"", "cookie = \"tt\"", "upstream.cookie = tt"},
    {"[[upstream]]", "balance = \"round-robin\"", "balance = \"least-conn\"",
     "upstream[0].balance: expected \"round-robin\", found \"least-conn\", which is not supported "
     "yet"},
    {"[[upstream]]", "servers = [", "servers = [{ address = \"localhost:9003\" },",
     "server.address = 127.0.0.1:9003 localhost:9003"},
    {"[[upstream]]", "{ address = \"127.0.0.1:9001\"", "{ address = \"127.0.0.1:9003\"",
     "server.address = 127.0.0.1:9003 127.0.0.1:9003"},
    {"[[upstream]]", "{ address = \"127.0.0.1:9002\"", "{ address = \"[::1]:9003\"",
     "server.address = [::1]:9003 [::1]:9003"},
    {"[[upstream]]", "9001\", weight = 1", "9001\", weight = 2", "server.weight = 2"},
    {"[[upstream]]", "9002\", weight = 1", "9002\", weight = 256", "server.weight = 256"},
    {"[[upstream]]", "request_buffer = \"16KiB\"", "request_buffer = 0",
     "upstream.request_buffer = 0"},
    {"[upstream.keepalive]", "idle_max = 64", "idle_max = 65", "upstream.keepalive.idle_max = 65"},
    {"[upstream.keepalive]", "idle_timeout = \"50s\"", "idle_timeout = \"51s\"",
     "upstream.keepalive.idle_timeout = 51000"},
    {"[upstream.keepalive]", "age_max = \"1h\"", "age_max = \"2h\"",
     "upstream.keepalive.age_max = 7200000"},
    {"[upstream.keepalive]", "requests_max = 10000", "requests_max = 1",
     "upstream.keepalive.requests_max = 1"},
    {"[upstream.timeouts]", "connect = \"2s\"", "connect = \"3s\"",
     "upstream.timeouts.connect = 3000"},
    {"[upstream.timeouts]", "response = \"1m\"", "response = \"61s\"",
     "upstream.timeouts.response = 61000"},
    {"[upstream.timeouts]", "idle = \"1m\"", "idle = \"62s\"", "upstream.timeouts.idle = 62000"},
    {"[upstream.timeouts]", "total = \"0s\"", "total = \"63s\"", "upstream.timeouts.total = 63000"},
    {"[[upstream]]", "via = true", "via = false", "upstream.via = 0"},
    {"[upstream.retry]", "tries = 2", "tries = 3", "upstream.retry.tries = 3"},
    {"[[route]]", "name = \"*/\"", "name = \"all\"", "route.name = all"},
    {"[[route]]", "hosts = [\"*\"]", "hosts = [\"a\", \"B.\"]", "route.host = a; route.host = b"},
    {"[[route]]", "path = \"/\"", "path = \"/app/\"", "route.path = /app/"},
    {"[[route]]", "upstream = \"ss\"", "upstream = \"tt\"",
     "route[0].upstream: expected the name of an upstream, found \"tt\""},
    {"[[route]]", "session = \"managed\"", "session = \"off\"", "route.session = 0"},
    {"[[route]]", "create = \"on-demand\"", "create = \"always\"", "route.create = 1"},
    {"[[route]]", "on_unavailable = \"wait-serve\"", "on_unavailable = \"reject\"",
     "route.on_unavailable = 3"},
    {"[[route]]", "websocket = true", "websocket = false", "route.websocket = 0"},
    {"[session]", "store = \"memory\"", "store = \"redis\"",
     "redis.sentinels: expected `sentinels` and `master`, or `address`, because store = "
     "\"redis\", found none; "
     "session.sessions_max: expected nothing with store = \"redis\", found 100000; Redis limits "
     "its memory itself (maxmemory); "
     "session.memory_max: expected nothing with store = \"redis\", found \"256MiB\"; Redis limits "
     "its memory itself (maxmemory)"},
    {"[session]", "cookie = \"JSESSIONID\"", "cookie = \"sid\"", "session.cookie = sid"},
    {"[session]", "create = \"on-demand\"", "create = \"always\"", "session.create = 1"},
    {"[session]", "idle = \"30m\"", "idle = \"60s\"", "session.idle = 60000"},
    {"[session]", "idle_min = \"1m\"", "idle_min = \"2m\"", "session.idle_min = 120000"},
    {"[session]", "idle_max = \"1d\"", "idle_max = \"25h\"", "session.idle_max = 90000000"},
    {"[session]", "absolute = \"12h\"", "absolute = \"0s\"", "session.absolute = 0"},
    {"[session]", "renew_after = \"0s\"", "renew_after = \"10m\"", "session.renew_after = 600000"},
    {"[session]", "replay_safe = true", "replay_safe = false", "session.replay_safe = 0"},
    {"[session]", "close_tunnels = false", "close_tunnels = true", "session.close_tunnels = 1"},
    {"[session]", "close_tunnels_check = \"5s\"", "close_tunnels_check = \"9s\"",
     "session.close_tunnels_check = 9000"},
    {"[session]", "unconfirmed_idle = \"2m\"", "unconfirmed_idle = \"9s\"",
     "session.unconfirmed_idle = 9000"},
    {"[session]", "unknown_max = 0", "unknown_max = 60", "session.unknown_max = 60"},
    {"[session]", "on_unavailable = \"wait-serve\"", "on_unavailable = \"wait-reject\"",
     "session.on_unavailable = 1"},
    {"[session]", "failover_wait = \"6s\"", "failover_wait = \"7s\"",
     "session.failover_wait = 7000"},
    {"[session]", "wait_queue_max = 1024", "wait_queue_max = 0", "session.wait_queue_max = 0"},
    {"[session]", "strict_writes = false", "strict_writes = true", "session.strict_writes = 1"},
    {"[session]", "sessions_max = 100000", "sessions_max = 7", "session.sessions_max = 7"},
    {"[session]", "memory_max = \"256MiB\"", "memory_max = \"1MiB\"",
     "session.memory_max = 1048576"},
    {"[session]", "attributes_max = 64", "attributes_max = 65", "session.attributes_max = 65"},
    {"[session]", "attribute_max = \"8KiB\"", "attribute_max = \"9KiB\"",
     "session.attribute_max = 9216"},
    {"[session]", "data_max = \"24KiB\"", "data_max = \"23KiB\"", "session.data_max = 23552"},
    {"[session]", "same_site = \"Lax\"", "same_site = \"Strict\"", "session.same_site = 1"},
    {"[session]", "secure = \"auto\"", "secure = \"never\"", "session.secure = 2"},
    {"[session.headers]", "prefix = \"Baton-Session-\"", "prefix = \"S-\"",
     "session.headers.prefix = S-"},
    {"[session.headers]", "limit = \"4KiB\"", "limit = \"5KiB\"", "session.headers.limit = 5120"},
    {"[timeouts]", "header = \"10s\"", "header = \"11s\"", "timeouts.header = 11000"},
    {"[timeouts]", "body_idle = \"1m\"", "body_idle = \"12s\"", "timeouts.body_idle = 12000"},
    {"[timeouts]", "send = \"1m\"", "send = \"13s\"", "timeouts.send = 13000"},
    {"[timeouts]", "keepalive = \"75s\"", "keepalive = \"14s\"", "timeouts.keepalive = 14000"},
    {"[timeouts]", "tunnel_idle = \"1h\"", "tunnel_idle = \"15s\"", "timeouts.tunnel_idle = 15000"},
    {"[timeouts]", "client_gone = \"30s\"", "client_gone = \"0s\"", "timeouts.client_gone = 0"},
    {"[limits]", "request_line = \"8KiB\"", "request_line = \"9KiB\"",
     "limits.request_line = 9216"},
    {"[limits]", "head = \"32KiB\"", "head = \"33KiB\"", "limits.head = 33792"},
    {"[limits]", "fields = 100", "fields = 101", "limits.fields = 101"},
    {"[limits]", "underscores = \"drop\"", "underscores = \"keep\"", "limits.underscores = 2"},
    {"[limits]", "body = \"64MiB\"", "body = 0", "limits.body = 0"},
    {"[limits]", "connections = 0", "connections = 1000", "limits.connections = 1000"},
    {"[limits]", "upload_rate_min = \"500B\"", "upload_rate_min = 0", "limits.upload_rate_min = 0"},
    {"[limits]", "rate_grace = \"30s\"", "rate_grace = \"31s\"", "limits.rate_grace = 31000"},
    {"[log]", "level = \"info\"", "level = \"warn\"", "log.level = 2"},
    {"[log]", "access = \"stdout\"", "access = \"/tmp/a\"", "log.access = /tmp/a"},
    {"[log]", "format = \"json\"", "format = \"logfmt\"",
     "log.format: expected \"json\", found \"logfmt\", which is not supported yet"},
    {"[log]", "query = true", "query = false", "log.query = 0"},
};

// Where `old_line` stands below its header and at the beginning of a line, blanks and for a part of
// a line what is before it aside.
std::size_t place_of(const std::string& file, const Change& change) {
    const std::size_t section =
        change.section.empty() ? 0 : file.find("\n" + std::string{change.section} + "\n");
    REQUIRE(section != std::string::npos);
    const bool is_part = change.old_line.front() == '{' || change.old_line.front() == '9';
    const std::size_t found = is_part ? file.find(change.old_line, section)
                                      : file.find("\n" + std::string{change.old_line}, section) + 1;
    REQUIRE(found != std::string::npos);
    REQUIRE(found != 0);
    return found;
}

std::string change_of(const std::string& file, const Change& change) {
    std::string text = file;
    text.replace(place_of(file, change), change.old_line.size(), change.new_line);
    const Loaded loaded = load_config(text);
    if (loaded.complaints.empty())
        return difference(described(expected_of_file()), described(loaded.config));
    std::string out;
    for (const Complaint& complaint : loaded.complaints)
        out += (out.empty() ? "" : "; ") + complaint.text;
    return out;
}

}  // namespace

TEST_CASE("conf/baton.toml and docs/configuration.md are what the table of keys makes of them") {
    INFO("./dev keys writes them anew");
    CHECK(read_file("conf/baton.toml") == reference_file());
    const std::string page = read_file("docs/configuration.md");
    CHECK(page == with_key_tables(page));
    // None of its tables is left out.
    std::size_t tables = 0;
    keys::for_each_section(
        [&](const auto& section) { tables += section.row_prefix.empty() ? 1U : 0U; });
    std::size_t found = 0;
    for (std::size_t at = page.find("\n| key | default |"); at != std::string::npos;
         at = page.find("\n| key | default |", at + 1))
        ++found;
    CHECK(found == tables);
    CHECK(page.find("\n| where | keys and values |") != std::string::npos);
}

TEST_CASE("a key of the table has a meaning, and a default, an example or a reason for none") {
    std::string restart;
    keys::for_each_section([&](const auto& section) {
        for (const auto& key : section.keys) {
            CAPTURE(section.header);
            CAPTURE(key.name);
            CHECK(!key.meaning.empty());
            CHECK(!key.meaning.ends_with('.'));
            const bool has_value = !key.value.initial(key.value.type).empty();
            CHECK((has_value || !key.example.empty() || section.header.empty()));
            if (key.reload == Reload::restart)
                restart.append(section.header).append(key.name).append(" ");
        }
    });
    // Where sessions are, what the process consists of, and who tells operators.
    CHECK(restart ==
          "workers [session]store [session.api]address [redis]sentinels [redis]master "
          "[redis]address [redis]username [redis]database [redis]prefix [admin]address ");
}

TEST_CASE("conf/baton.toml holds every default") {
    const Loaded loaded = load_config(read_file("conf/baton.toml"));
    for (const Complaint& complaint : loaded.complaints)
        FAIL_CHECK(format_complaint("conf/baton.toml", complaint));
    CHECK(described(loaded.config) == described(expected_of_file()));
}

TEST_CASE("the smallest file gives the same, for other names") {
    const Loaded loaded = load_config(read_file("conf/minimal.toml"));
    for (const Complaint& complaint : loaded.complaints)
        FAIL_CHECK(format_complaint("conf/minimal.toml", complaint));
    Config expected = expected_of_file();
    expected.upstreams[0].cookie.clear();
    expected.upstreams[0].name = expected.upstreams[0].scope = expected.routes[0].upstream = "app";
    CHECK(described(loaded.config) == described(expected));
}

TEST_CASE("no key in conf/baton.toml is without effect") {
    const std::string file = read_file("conf/baton.toml");
    for (const Change& change : changes) {
        CAPTURE(change.section);
        CAPTURE(change.new_line);
        CHECK(change_of(file, change) == change.difference);
    }
}

TEST_CASE(
    "no key in conf/baton.toml is left out above, and no field of the configuration is without a "
    "key") {
    const std::string file = read_file("conf/baton.toml");
    std::set<std::size_t> keys;
    std::string names;
    for (const Change& change : changes) {
        const std::size_t equals = file.find('=', place_of(file, change));
        keys.insert(change.old_line.front() == '9' ? file.find("weight", equals - 8) + 7 : equals);
        names += std::string{change.difference} + "\n";
    }
    std::size_t begin = 0;
    std::size_t seen = 0;
    while (begin < file.size()) {
        const std::size_t end = file.find('\n', begin);
        for (std::size_t i = begin; i < end && file[begin] != '#'; ++i) {
            if (file[i] != '=') continue;
            ++seen;
            CAPTURE(file.substr(begin, end - begin));
            CHECK(keys.count(i) == 1);
        }
        begin = end + 1;
    }
    CHECK(seen == std::size(changes));
    for (const std::string& each : lines_of(described(expected_of_file()))) {
        const std::string field = each.substr(0, each.find(" = "));
        CAPTURE(field);
        const bool is_reference = field == "upstream.name" || field == "route.upstream";
        CHECK((is_reference || names.find(field + " = ") != std::string::npos));
    }
}

// The table [redis] of the file, in force, but for the keys that are another way to say the same.
std::string redis_file() {
    const std::string file = read_file("conf/baton.toml");
    std::istringstream in{file};
    std::string out;
    bool on = false;
    for (std::string each; std::getline(in, each);) {
        on = each == "#[redis]" || (on && !each.empty());
        const bool is_key = each.size() > 1 && each[0] == '#' && each[1] != ' ';
        const bool is_other = each.starts_with("#address") || each.find("password") != each.npos;
        if (on && is_key && !is_other) each.erase(0, 1);
        if (each == "store = \"memory\"") each = "store = \"redis\"";
        // Refused with Redis.
        if (each.starts_with("sessions_max") || each.starts_with("memory_max")) continue;
        out += each + "\n";
    }
    return out;
}

TEST_CASE("the table [redis] of conf/baton.toml holds every default, and no key without effect") {
    RedisConfig expected;
    for (const int host : {5, 6, 7})
        expected.sentinels.push_back({"10.0.0." + std::to_string(host), 26379});
    expected.master = "mymaster";
    const std::string file = redis_file();
    const Loaded loaded = load_config(file);
    for (const Complaint& complaint : loaded.complaints)
        FAIL_CHECK(format_complaint("conf/baton.toml", complaint));
    CHECK(loaded.config.session.store == SessionStore::redis);
    CHECK(described(loaded.config.redis) == described(expected));

    setenv("BATON_TEST_PASSWORD", "secret", 1);
    const Change rows[] = {
        {"[redis]", "sentinels = [\"10.0.0.5:26379\", ", "sentinels = [\"redis-1:26379\", ",
         "redis.sentinel = redis-1:26379"},
        {"[redis]", "master = \"mymaster\"", "master = \"other\"", "redis.master = other"},
        {"[redis]", "#address = \"10.0.0.5:6379\"", "address = \"[::1]:6379\"",
         "redis.address: expected no `address` together with `sentinels`, found "
         "\"[::1]:6379\""},
        {"[redis]", "username = \"\"", "username = \"baton\"", "redis.username = baton"},
        {"[redis]", "#password_file = \"/etc/baton/redis.password\"",
         "password_file = \"/nothing/of/this/name\"",
         "redis.password_file: expected a file with a password, found \"/nothing/of/this/name\"; "
         "No such file or directory"},
        {"[redis]", "#password_env = \"BATON_REDIS_PASSWORD\"",
         "password_env = \"BATON_TEST_PASSWORD\"", "redis.password = secret"},
        {"[redis]", "#password_credential = \"redis.password\"",
         "password_credential = \"redis.password\"",
         "redis.password_credential: expected a systemd credential, found \"redis.password\"; "
         "CREDENTIALS_DIRECTORY is not set"},
        {"[redis]", "sentinel_username = \"\"", "sentinel_username = \"baton\"",
         "redis.sentinel_username = baton"},
        {"[redis]", "#sentinel_password_file = \"/etc/baton/sentinel.password\"",
         "sentinel_password_file = \"/nothing/of/this/name\"",
         "redis.sentinel_password_file: expected a file with a password, found "
         "\"/nothing/of/this/name\"; No such file or directory"},
        {"[redis]", "#sentinel_password_env = \"BATON_SENTINEL_PASSWORD\"",
         "sentinel_password_env = \"BATON_TEST_PASSWORD\"", "redis.sentinel_password = secret"},
        {"[redis]", "#sentinel_password_credential = \"sentinel.password\"",
         "sentinel_password_credential = \"sentinel.password\"",
         "redis.sentinel_password_credential: expected a systemd credential, found "
         "\"sentinel.password\"; CREDENTIALS_DIRECTORY is not set"},
        {"[redis]", "database = 0", "database = 3", "redis.database = 3"},
        {"[redis]", "prefix = \"baton\"", "prefix = \"shop\"", "redis.prefix = shop"},
        {"[redis]", "connect_timeout = \"500ms\"", "connect_timeout = \"1s\"",
         "redis.connect_timeout = 1000"},
        {"[redis]", "command_timeout = \"500ms\"", "command_timeout = \"2s\"",
         "redis.command_timeout = 2000"},
        {"[redis]", "discover = true", "discover = false", "redis.discover = 0"},
        {"[redis]", "last_known = true", "last_known = false", "redis.last_known = 0"},
    };
    unsetenv("CREDENTIALS_DIRECTORY");
    for (const Change& change : rows) {
        CAPTURE(change.new_line);
        std::string text = file;
        text.replace(place_of(file, change), change.old_line.size(), change.new_line);
        const Loaded changed = load_config(text);
        std::string found = difference(described(expected), described(changed.config.redis));
        for (const Complaint& complaint : changed.complaints) found = complaint.text;
        CHECK(found == change.difference);
    }
    // And none is left out above.
    const std::size_t begin = file.find("\n[redis]\n") + 1;
    std::istringstream table{file.substr(begin, file.find("\n\n", begin) - begin)};
    std::size_t keys = 0;
    for (std::string each; std::getline(table, each);)
        keys += each.starts_with("# ") || each.find(" = ") == each.npos ? 0U : 1U;
    CHECK(keys == std::size(rows));
}

TEST_CASE("a route takes `on_unavailable` from [session] and may say otherwise") {
    const Loaded loaded = load_config(
        "[session]\non_unavailable = \"reject\"\n[[listener]]\naddress = \"127.0.0.1:1\"\n"
        "[[upstream]]\nname = \"a\"\nservers = [{ address = \"127.0.0.1:2\" }]\n"
        "[[route]]\nupstream = \"a\"\n[[route]]\npath = \"/b\"\nupstream = \"a\"\n"
        "on_unavailable = \"serve\"\n");
    REQUIRE(loaded.complaints.empty());
    CHECK(loaded.config.routes[0].on_unavailable == OnUnavailable::reject);
    CHECK(loaded.config.routes[1].on_unavailable == OnUnavailable::serve);
}

TEST_CASE("a route takes `create` from [session] and may say otherwise") {
    const std::string text =
        "[session]\ncreate = \"always\"\n[[listener]]\naddress = \"127.0.0.1:1\"\n"
        "[[upstream]]\nname = \"a\"\nservers = [{ address = \"127.0.0.1:2\" }]\n"
        "[[route]]\nupstream = \"a\"\n[[route]]\npath = \"/b\"\nupstream = \"a\"\ncreate = "
        "\"on-demand\"\n";
    const Loaded loaded = load_config(text);
    REQUIRE(loaded.complaints.empty());
    CHECK(loaded.config.routes[0].create == SessionCreate::always);
    CHECK(loaded.config.routes[1].create == SessionCreate::on_demand);
    CHECK(loaded.config.routes[1].name == "*/b");
    CHECK(loaded.config.upstreams[0].scope == "a");
}

TEST_CASE("no limit on a session's idleness is a limit beyond use") {
    std::string file = read_file("conf/baton.toml");
    file.replace(file.find("idle = \"30m\""), 12, "idle = \"0s\"");
    const Loaded loaded = load_config(file);
    REQUIRE(loaded.complaints.empty());
    CHECK(loaded.config.session.idle == SessionConfig::idle_unlimited);
}

TEST_CASE("every range ends where conf/baton.toml says") {
    struct Range {
        std::string_view section;
        std::string_view key;
        std::vector<std::string_view> good;
        std::vector<std::string_view> bad;
    };
    const std::vector<std::string_view> hour = {"\"0s\"", "\"1ms\"", "\"1h\""};
    const std::vector<std::string_view> over_hour = {"\"3600001ms\"", "\"2h\""};
    const std::vector<std::string_view> day = {"\"0s\"", "\"1ms\"", "\"1d\"", "\"24h\""};
    const std::vector<std::string_view> over_day = {"\"86400001ms\"", "\"2d\""};
    const std::vector<std::string_view> month = {"\"0s\"", "\"1ms\"", "\"30d\""};
    const std::vector<std::string_view> over_month = {"\"2592000001ms\""};
    const std::vector<std::string_view> year = {"\"0s\"", "\"1s\"", "\"365d\""};
    const std::vector<std::string_view> over_year = {"\"999ms\"", "\"1ms\"", "\"31536000001ms\""};
    const Range ranges[] = {
        {"", "workers", {"1", "256", "\"auto\""}, {"0", "-1", "257", "\"Auto\"", "true"}},
        {"", "grace", day, over_day},
        {"", "drain_delay", hour, over_hour},
        {"[[upstream]]",
         "request_buffer",
         {"0", "\"0B\"", "\"1B\"", "\"1MiB\""},
         {"\"1048577B\"", "-1", "16384", "true"}},
        {"[upstream.keepalive]", "idle_max", {"0", "65536"}, {"-1", "65537"}},
        {"[upstream.keepalive]", "idle_timeout", day, over_day},
        {"[upstream.keepalive]", "age_max", month, over_month},
        {"[upstream.keepalive]", "requests_max", {"1", "1000000000"}, {"0", "1000000001"}},
        {"[upstream.timeouts]", "connect", hour, over_hour},
        {"[upstream.timeouts]", "response", day, over_day},
        {"[upstream.timeouts]", "idle", day, over_day},
        {"[upstream.timeouts]", "total", day, over_day},
        {"[upstream.retry]", "tries", {"1", "10"}, {"0", "11"}},
        {"[session]", "idle", year, over_year},
        {"[session]", "idle_min", {"\"1s\"", "\"24h\""}, {"\"0s\"", "\"999ms\"", "\"25h\""}},
        {"[session]", "idle_max", {"\"1m\"", "\"365d\""}, {"\"0s\"", "\"59s\"", "\"366d\""}},
        {"[session]", "absolute", year, over_year},
        {"[session]", "renew_after", year, over_year},
        {"[session]", "unknown_max", {"0", "1000000"}, {"-1", "1000001", "\"60\""}},
        {"[session]", "failover_wait", {"\"0s\"", "\"10ms\"", "\"1h\""}, {"\"9ms\"", "\"61m\""}},
        {"[session]", "wait_queue_max", {"0", "1000000"}, {"-1", "1000001"}},
        {"[session]",
         "on_unavailable",
         {"\"wait-serve\"", "\"wait-reject\"", "\"serve\"", "\"reject\""},
         {"\"wait\"", "\"\"", "1"}},
        {"[session]", "sessions_max", {"1", "100000000"}, {"0", "100000001"}},
        {"[session]", "memory_max", {"\"64KiB\"", "\"1TiB\""}, {"\"65535B\"", "\"1025GiB\"", "0"}},
        {"[session]", "attributes_max", {"1", "10000"}, {"0", "10001"}},
        {"[session]", "attribute_max", {"\"1B\"", "\"24KiB\""}, {"\"0B\"", "\"1048577B\"", "0"}},
        {"[session]", "data_max", {"\"8KiB\"", "\"1MiB\""}, {"\"0B\"", "\"1048577B\"", "0"}},
        {"[session.headers]", "limit", {"\"1B\"", "\"64KiB\""}, {"\"0B\"", "\"65537B\"", "0"}},
        {"[timeouts]", "header", {"\"1ms\"", "\"1h\""}, {"\"0s\"", "\"0ms\"", "\"3600001ms\""}},
        {"[timeouts]", "body_idle", day, over_day},
        {"[timeouts]", "send", day, over_day},
        {"[timeouts]", "keepalive", day, over_day},
        {"[timeouts]", "tunnel_idle", month, over_month},
        {"[timeouts]", "client_gone", day, over_day},
        {"[limits]", "request_line", {"\"64B\"", "\"32KiB\""}, {"\"63B\"", "\"65537B\"", "0"}},
        {"[limits]", "head", {"\"8KiB\"", "\"1MiB\""}, {"\"255B\"", "\"1048577B\"", "0"}},
        {"[limits]", "fields", {"1", "10000"}, {"0", "10001"}},
        {"[limits]", "body", {"0", "\"0B\"", "\"1B\"", "\"1TiB\""}, {"\"1025GiB\"", "-1", "1"}},
        {"[limits]", "connections", {"0", "1000000"}, {"-1", "1000001"}},
        {"[limits]",
         "upload_rate_min",
         {"0", "\"0B\"", "\"1B\"", "\"1GiB\""},
         {"\"1025MiB\"", "-1", "500"}},
        {"[limits]", "rate_grace", {"\"1ms\"", "\"1h\""}, {"\"0s\"", "\"61m\"", "30"}},
    };
    const std::string file = read_file("conf/baton.toml");
    for (const Range& range : ranges) {
        const std::size_t section =
            range.section.empty() ? 0 : file.find("\n" + std::string{range.section} + "\n");
        const std::size_t key = file.find("\n" + std::string{range.key} + " = ", section);
        REQUIRE(key != std::string::npos);
        const std::size_t value = key + range.key.size() + 4;
        const std::size_t size = file.find('\n', value) - value;
        const auto complaints_with = [&](std::string_view other) {
            std::string text = file;
            return load_config(text.replace(value, size, other)).complaints.size();
        };
        for (const std::string_view good : range.good) {
            CAPTURE(range.key);
            CAPTURE(good);
            CHECK(complaints_with(good) == 0);
        }
        for (const std::string_view bad : range.bad) {
            CAPTURE(range.key);
            CAPTURE(bad);
            CHECK(complaints_with(bad) == 1);
        }
    }
}

TEST_CASE("the tables of conf/baton.toml that are off are good once they are on") {
    std::string file = read_file("conf/baton.toml");
    for (const std::string_view off :
         {"#[session.api]", "#address = \"127.0.0.1:8082\"", "#token_file = ", "#[admin]",
          "#address = \"127.0.0.1:9090\""}) {
        CAPTURE(off);
        const std::size_t at = file.find("\n" + std::string{off});
        REQUIRE(at != std::string::npos);
        file.erase(at + 1, 1);
    }
    const std::size_t path = file.find("/etc/baton/api.tokens");
    REQUIRE(path != std::string::npos);
    file.replace(path, 21, "/nothing/of/this/name");
    const Loaded loaded = load_config(file);
    REQUIRE(loaded.complaints.size() == 1);
    CHECK(loaded.complaints[0].text.find("session.api.token_file: expected the path") == 0);
    CHECK(loaded.config.session_api.listener.address.text() == "127.0.0.1:8082");
    CHECK(loaded.config.admin.address.text() == "127.0.0.1:9090");
}

TEST_CASE("weights end where conf/baton.toml says") {
    const std::string file = read_file("conf/baton.toml");
    const std::size_t weight = file.find("weight = 1 }") + 9;
    for (const std::string_view bad : {"0", "-1", "257", "1.0", "\"1\"", "9223372036854775807"}) {
        std::string text = file;
        CHECK(load_config(text.replace(weight, 1, bad)).complaints.size() == 1);
    }
}

TEST_CASE(
    "conf/baton.toml cut at any byte, and with any byte broken, is loaded or refused, no worse") {
    const std::string file = read_file("conf/baton.toml");
    std::size_t refused = 0;
    for (std::size_t size = 0; size < file.size(); ++size) {
        refused += load_config(std::string_view{file}.substr(0, size)).complaints.empty() ? 0U : 1U;
        for (const char bad : {'\0', '\xff', '"', '['}) {
            if (file[size] == '\n' || size % 7 != 0) continue;
            std::string text = file;
            text[size] = bad;
            (void)load_config(text);
        }
    }
    // Up to the route's upstream there is no configuration.
    CHECK(refused >= file.find("\nupstream = "));
}
