// Checks over more than one value, and the configuration that the command line makes.

#include "proxy/config/config_check.h"

#include <doctest/doctest.h>

#include <chrono>
#include <ctime>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config_load.h"
#include "proxy/config/units.h"

using namespace baton;

namespace {

UpstreamConfig upstream_of(std::string name, const std::vector<std::string_view>& servers) {
    UpstreamConfig upstream;
    upstream.scope = upstream.name = std::move(name);
    for (const std::string_view text : servers) {
        upstream.servers.push_back(ServerConfig{parse_address(text).value_or(Address{}),
                                                std::string{text}, 1, other_loopback(text)});
    }
    return upstream;
}

RouteConfig route_of(std::string host, std::string path, std::string upstream) {
    RouteConfig route;
    route.name = host + path;
    route.hosts = {std::move(host)};
    route.path = std::move(path);
    route.upstream = std::move(upstream);
    return route;
}

Config config_of(const std::vector<std::string_view>& listeners,
                 const std::vector<std::string_view>& servers) {
    Config config;
    for (const std::string_view text : listeners) {
        config.listeners.push_back(ListenerConfig{parse_address(text).value_or(Address{}), {}});
    }
    config.upstreams.push_back(upstream_of("ss", servers));
    config.routes.push_back(route_of("*", "/", "ss"));
    return config;
}

std::string found(const Config& config, const std::vector<Address>& own = {}) {
    std::string out;
    for (const Finding& finding : check(config, own)) {
        out += finding.path + ": " + finding.text;
        if (!finding.as_in.empty()) out += ", as in " + finding.as_in;
        if (!finding.with.empty()) out += " (with " + finding.with + ")";
        out += "\n";
    }
    return out;
}

std::string lines(const std::vector<Complaint>& complaints) {
    std::string out;
    for (const Complaint& complaint : complaints)
        out += format_complaint("baton", complaint) + "\n";
    return out;
}

constexpr std::string_view rest = R"(
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "ss"
servers = [{ address = "127.0.0.1:9001" }]
[[route]]
hosts = ["rest"]
upstream = "ss"
)";

std::string complaints_of(std::string_view text) {
    return lines(load_config(std::string{text} + std::string{rest}).complaints);
}

}  // namespace

TEST_CASE("listeners have addresses of their own, but any number may ask for a free port") {
    CHECK(found(config_of({"127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "[::1]:1"},
                          {"127.0.0.1:9"})) == "");
    CHECK(found(config_of({"127.0.0.1:0", "127.0.0.1:0"}, {"127.0.0.1:9"})) == "");
    CHECK(found(config_of({"127.0.0.1:1", "127.0.0.1:2", "localhost:1", "127.0.0.1:1"},
                          {"127.0.0.1:9"})) ==
          "listener[2].address: expected an address that no other listener has, found "
          "\"127.0.0.1:1\" again, as in "
          "listener[0].address\n"
          "listener[3].address: expected an address that no other listener has, found "
          "\"127.0.0.1:1\" again, as in "
          "listener[0].address\n");
    CHECK(found(config_of({"bad", "bad"}, {"bad", "bad"})) == "");
}

TEST_CASE("the admin listener has an address of its own") {
    Config config = config_of({"127.0.0.1:1", "127.0.0.1:0"}, {"127.0.0.1:9"});
    for (const std::string text : {"127.0.0.1:0", "127.0.0.1:2", "[::1]:1", "127.0.0.2:1"}) {
        CAPTURE(text);
        config.admin.address = *parse_address(text);
        CHECK(found(config) == "");
    }
    config.admin.address = *parse_address("localhost:1");
    CHECK(found(config) ==
          "admin.address: expected an address that no other listener has, found \"127.0.0.1:1\" "
          "again, as in "
          "listener[0].address\n");
    CHECK(complaints_of("[admin]\naddress = \"127.0.0.1:8080\"") ==
          "baton:2:11: admin.address: expected an address that no other listener has, found "
          "\"127.0.0.1:8080\" "
          "again, as in listener[0].address\n");
}

TEST_CASE("a server is not the admin listener") {
    Config config = config_of({"127.0.0.1:5"}, {"127.0.0.1:9", "[::1]:80"});
    const auto complaint = [](const std::string& server, int index) {
        return "upstream[0].servers[" + std::to_string(index) +
               "].address: expected a server, found \"" + server +
               "\", the proxy itself, as in admin.address\n";
    };
    config.admin.address = *parse_address("127.0.0.1:9");
    CHECK(found(config) == complaint("127.0.0.1:9", 0));
    config.admin.address = *parse_address("[::1]:80");
    CHECK(found(config) == complaint("[::1]:80", 1));
    config.upstreams[0].servers[1].address =
        *parse_address("[::]:80");  // is loopback to connect to
    config.upstreams[0].servers[1].text = "[::]:80";
    CHECK(found(config) == complaint("[::]:80", 1));
    for (const std::string text : {"127.0.0.1:0", "127.0.0.2:9", "[::1]:9", "127.0.0.1:80"}) {
        CAPTURE(text);
        config.admin.address = *parse_address(text);
        CHECK(found(config) == "");
    }
    CHECK(complaints_of("[admin]\naddress = \"127.0.0.1:9001\"") ==
          "baton:7:24: upstream[0].servers[0].address: expected a server, found "
          "\"127.0.0.1:9001\", the proxy itself, as in admin.address\n");
}

TEST_CASE("a server that is the proxy itself is found, whatever it is called") {
    struct Row {
        std::string_view listener;
        std::string_view server;
        bool own;
    };
    static constexpr Row rows[] = {
        {"127.0.0.1:80", "127.0.0.1:80", true},
        {"127.0.0.1:80", "localhost:80", true},
        {"127.0.0.1:80", "[::ffff:127.0.0.1]:80", true},
        {"127.0.0.1:80", "127.0.0.1:81", false},
        {"127.0.0.1:80", "127.0.0.2:80", false},
        {"127.0.0.1:80", "10.9.8.7:80", false},
        {"127.0.0.1:80", "0.0.0.0:80", true},
        {"127.0.0.1:80", "[::]:80", false},
        {"10.9.8.7:80", "0.0.0.0:80", false},
        {"0.0.0.0:80", "127.0.0.1:80", true},
        {"0.0.0.0:80", "127.1.2.3:80", true},
        {"0.0.0.0:80", "10.9.8.7:80", true},
        {"0.0.0.0:80", "10.9.8.6:80", false},
        {"0.0.0.0:80", "0.0.0.0:80", true},
        {"0.0.0.0:80", "127.0.0.1:81", false},
        {"0.0.0.0:80", "[::1]:80", false},
        {"0.0.0.0:80", "[2001:db8::7]:80", false},
        {"0.0.0.0:0", "127.0.0.1:80", false},
        {"[::]:80", "[::1]:80", true},
        {"[::]:80", "127.0.0.1:80", false},
        {"[::]:80", "10.9.8.7:80", false},
        {"[::]:80", "[2001:db8::7]:80", true},
        {"[::]:80", "[2001:db8::8]:80", false},
        {"[::1]:80", "[::]:80", true},
        {"[::1]:80", "127.0.0.1:80", false},
    };
    const std::vector<Address> own = {*parse_address("10.9.8.7:0"),
                                      *parse_address("[2001:db8::7]:0")};
    for (const Row& row : rows) {
        CAPTURE(row.listener);
        CAPTURE(row.server);
        const std::string expected = "upstream[0].servers[1].address: expected a server, found \"" +
                                     std::string{row.server} +
                                     "\", the proxy itself, as in listener[1].address\n";
        CHECK(found(config_of({"127.0.0.1:5", row.listener}, {"127.0.0.1:9", row.server}), own) ==
              (row.own ? expected : ""));
    }
}

TEST_CASE("the addresses of this host are taken from the system") {
    for (const Address& own : own_addresses()) {
        if (own.raw()->sa_family != AF_INET || own.is_loopback()) continue;
        const std::string server = own.host() + ":80";
        CHECK(complaints_of("[[listener]]\naddress = \"0.0.0.0:80\"\n[[upstream]]\nname = "
                            "\"a\"\nservers = [{ address = \"" +
                            server + "\" }]") ==
              "baton:5:24: upstream[0].servers[0].address: expected a server, found \"" + server +
                  "\", the proxy itself, as in listener[0].address\n");
    }
}

TEST_CASE("upstreams have names and servers of their own") {
    Config config = config_of({"127.0.0.1:1"}, {"127.0.0.1:9", "127.0.0.1:8", "localhost:9"});
    config.upstreams.push_back(upstream_of("ss", {"127.0.0.1:9"}));
    config.upstreams.push_back(upstream_of("tt", {}));
    CHECK(found(config) ==
          "upstream[0].servers[2].address: expected each server only once, found \"localhost:9\" "
          "again, "
          "as in "
          "upstream[0].servers[0].address\n"
          "upstream[1].name: expected a unique name, found \"ss\" again, as in upstream[0].name\n"
          "upstream[2].servers: expected at least one server, found none\n");
}

TEST_CASE("F:no-abort an upstream may have 5,000 servers, and is refused with more") {
    std::vector<std::string> texts;
    for (int i = 0; i < 5001; ++i)
        texts.push_back("127.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) +
                        ":9");
    const std::vector<std::string_view> servers(texts.begin(), texts.end());
    Config config = config_of({"127.0.0.1:1"}, servers);
    CHECK(found(config) == "upstream[0].servers: expected at most 5000 servers, found 5001\n");
    config.upstreams[0].servers.pop_back();
    CHECK(found(config) == "");
}

TEST_CASE("localhost is a server at both loopback addresses") {
    CHECK(found(config_of({"127.0.0.1:1"}, {"localhost:9", "[::1]:9"})) ==
          "upstream[0].servers[1].address: expected each server only once, found \"[::1]:9\" "
          "again, as in "
          "upstream[0].servers[0].address\n");
    CHECK(found(config_of({"[::1]:9"}, {"localhost:9"}), {}) ==
          "upstream[0].servers[0].address: expected a server, found \"localhost:9\", the proxy "
          "itself, as in listener[0].address\n");
    CHECK(found(config_of({"127.0.0.1:1"}, {"localhost:9", "localhost:8", "[::1]:7"})) == "");
}

TEST_CASE("a route's upstream exists") {
    Config config = config_of({"127.0.0.1:1"}, {"127.0.0.1:9"});
    config.routes[0].upstream = "s";
    CHECK(found(config) == "route[0].upstream: expected the name of an upstream, found \"s\"\n");
    config.upstreams[0].name = "shop";
    config.routes[0].upstream = "shpo";
    CHECK(found(config) ==
          "route[0].upstream: expected the name of an upstream, found \"shpo\", did you mean "
          "\"shop\"\n");
    config.upstreams[0].name.clear();  // it was refused, and may be the one
    CHECK(found(config) == "");
}

TEST_CASE("routes have names, and pairs of host and path, of their own") {
    Config config = config_of({"127.0.0.1:1"}, {"127.0.0.1:9"});
    config.routes.push_back(route_of("*", "/a", "ss"));
    config.routes.push_back(route_of("a", "/", "ss"));
    CHECK(found(config) == "");
    config.routes[0].name = config.routes[1].name = "same";
    config.routes[2].hosts = {"b", "*", "b"};
    CHECK(found(config) ==
          "route[1].name: expected a unique name, found \"same\" again, as in route[0].name\n"
          "route[2].hosts[1]: expected a host and path that no other route has, found \"*\" with "
          "\"/\" again, as "
          "in route[0].hosts[0]\n"
          "route[2].hosts[2]: expected a host and path that no other route has, found \"b\" with "
          "\"/\" again, as "
          "in route[2].hosts[0]\n");
}

TEST_CASE("a name that one route was given and another has by default is found") {
    CHECK(complaints_of("[[route]]\nname = \"rest/\"\nupstream = \"ss\"") ==
          "baton:9:1: route[1].name: expected a unique name, found \"rest/\" again, as in "
          "route[0].name\n");
}

TEST_CASE("two routes for everything are found at the second one") {
    CHECK(complaints_of("[[route]]\nupstream = \"ss\"\n[[route]]\nupstream = \"ss\"") ==
          "baton:3:1: route[1].hosts[0]: expected a host and path that no other route has, found "
          "\"*\" with \"/\" "
          "again, as in "
          "route[0].hosts[0]\n");
}

TEST_CASE("S11 a cookie called __Host- needs secure = \"always\"") {
    CHECK(complaints_of("[session]\ncookie = \"__Host-sid\"") ==
          "baton:2:10: session.cookie: expected a name without \"__Host-\", or secure = "
          "\"always\", found "
          "\"__Host-sid\"\n");
    CHECK(complaints_of("[session]\ncookie = \"__Host-sid\"\nsecure = \"never\"") != "");
    CHECK(complaints_of("[session]\ncookie = \"__Host-sid\"\nsecure = \"auto\"") != "");
    CHECK(complaints_of("[session]\ncookie = \"__host-sid\"") != "");
    CHECK(complaints_of("[session]\ncookie = \"__Secure-sid\"") ==
          "baton:2:10: session.cookie: expected a name without \"__Secure-\", or secure = "
          "\"always\", found "
          "\"__Secure-sid\"\n");
    CHECK(complaints_of("[session]\ncookie = \"__Host-sid\"\nsecure = \"always\"") == "");
    CHECK(complaints_of("[session]\ncookie = \"__Secure-sid\"\nsecure = \"always\"") == "");
    CHECK(complaints_of("[session]\ncookie = \"_Host-sid\"") == "");
    // What `secure` was meant to say is not known: one complaint is enough.
    CHECK(complaints_of("[session]\ncookie = \"__Host-sid\"\nsecure = \"alway\"") ==
          "baton:3:10: session.secure: expected \"auto\", \"always\" or \"never\", found "
          "\"alway\", did you mean "
          "\"always\"\n");
}

TEST_CASE("F:two-scopes one host that reaches two scopes needs two cookies") {
    struct Case {
        std::string host;
        std::string path;
        std::string other;
        std::string shared;
    };
    const Case cases[] = {
        {"*", "/", "*", "*"},
        {"shop.example.com", "/", "shop.example.com", "shop.example.com"},
        {"shop.example.com", "/shop/", "*", "shop.example.com"},
        {"shop.example.com", "/admin/more", "*", "shop.example.com"},
        {"*", "/", "shop.example.com", "shop.example.com"},
        {"*.example.com", "/", "shop.example.com", "shop.example.com"},
        {"a.b.example.com", "/shop/", "*.example.com", "a.b.example.com"},
        {"*.example.com", "/", "*.b.example.com", "*.b.example.com"},
        {"*.b.example.com", "/shop/", "*.example.com", "*.b.example.com"},
        {"[::1]", "/shop/", "*", "[::1]"},
        // The more specific host takes all that would come to the other route: a site of its own.
        {"shop.example.com", "/", "*", ""},
        {"shop.example.com", "/adm", "*", ""},
        {"shop.example.com", "/admin/", "*", ""},
        {"a.b.example.com", "/", "*.example.com", ""},
        {"*.b.example.com", "/", "*.example.com", ""},
        {"*.example.com", "/", "*", ""},
        {"shop.example.com", "/", "admin.example.com", ""},
        {"*.example.com", "/", "example.com", ""},
        {"*.example.com", "/", "shopexample.com", ""},
        {"*.example.com", "/", "*.example.org", ""},
    };
    for (const Case& c : cases) {
        CAPTURE(c.host);
        CAPTURE(c.path);
        CAPTURE(c.other);
        Config config = config_of({"127.0.0.1:8080"}, {"127.0.0.1:9001"});
        config.upstreams.push_back(upstream_of("admin", {"127.0.0.1:9002"}));
        config.routes[0].hosts = {c.host};
        config.routes[0].path = c.path;
        config.routes.push_back(route_of(c.other, "/admin/", "admin"));
        const std::string complaint =
            "route[1].upstream: expected one scope or two cookies for host \"" + c.shared +
            "\", found scopes \"ss\" and \"admin\" with cookie \"JSESSIONID\"; give one "
            "[[upstream]] another cookie, as in route[0].upstream\n";
        CHECK(found(config) == (c.shared.empty() ? "" : complaint));
        // What tells them apart, or does not.
        Config two_cookies = config;
        two_cookies.upstreams[1].cookie = "ADMINID";
        CHECK(found(two_cookies) == "");
        Config same_cookie = config;
        same_cookie.upstreams[0].cookie = same_cookie.upstreams[1].cookie = "sid";
        CHECK((found(same_cookie) == "") == c.shared.empty());
        Config one_scope = config;
        one_scope.upstreams[1].scope = "ss";
        CHECK(found(one_scope) == "");
        Config off = config;
        off.routes[0].session = SessionMode::off;
        CHECK(found(off) == "");
    }
}

TEST_CASE("F:two-scopes one scope has one cookie") {
    Config config = config_of({"127.0.0.1:8080"}, {"127.0.0.1:9001"});
    config.upstreams.push_back(upstream_of("admin", {"127.0.0.1:9002"}));
    config.upstreams[1].scope = "ss";
    config.upstreams[1].cookie = "ADMINID";
    CHECK(found(config) ==
          "upstream[1].cookie: expected \"JSESSIONID\", the cookie of scope \"ss\", found "
          "\"ADMINID\", as in upstream[0].cookie\n");
    config.upstreams[0].cookie = "ADMINID";
    CHECK(found(config) == "");
    config.upstreams[1].cookie.clear();
    CHECK(found(config) != "");
    config.session.cookie = "ADMINID";
    CHECK(found(config) == "");
    config.upstreams[0].cookie = config.upstreams[1].cookie = "__Host-sid";
    CHECK(found(config).starts_with("upstream[0].cookie: expected a name without \"__Host-\""));
}

TEST_CASE("SameSite=None needs a cookie that can be secure") {
    CHECK(complaints_of("[session]\nsame_site = \"None\"\nsecure = \"never\"") ==
          "baton:2:13: session.same_site: expected \"Lax\" or \"Strict\" with secure = \"never\", "
          "found \"None\"\n");
    CHECK(complaints_of("[session]\nsame_site = \"None\"") == "");
    CHECK(complaints_of("[session]\nsame_site = \"Lax\"\nsecure = \"never\"") == "");
}

TEST_CASE("the session's fields are nobody else's") {
    CHECK(complaints_of("[session.headers]\nprefix = \"x-\"") ==
          "baton:2:10: session.headers.prefix: expected a prefix that no well-known field begins "
          "with, found \"x-\", "
          "as in "
          "X-Forwarded-For\n");
    CHECK(complaints_of("[session.headers]\nprefix = \"X-Session-\"") == "");
}

TEST_CASE("sizes that hold others are not smaller") {
    CHECK(complaints_of("[session]\nattribute_max = \"24KiB\"") == "");
    CHECK(complaints_of("[session]\nattribute_max = \"24577B\"") ==
          "baton:2:17: session.attribute_max: expected at most data_max, \"24KiB\", found "
          "\"24577B\"\n");
    CHECK(complaints_of("[session]\nmemory_max = \"64KiB\"\ndata_max = \"64KiB\"") == "");
    CHECK(
        complaints_of("[session]\nmemory_max = \"64KiB\"\ndata_max = \"65537B\"") ==
        "baton:3:12: session.data_max: expected at most memory_max, \"64KiB\", found \"65537B\"\n");
    CHECK(complaints_of("[limits]\nrequest_line = \"32KiB\"") == "");
    // The value that is in the file is the one to look at.
    CHECK(complaints_of("[limits]\nhead = \"4KiB\"") ==
          "baton:2:8: limits.request_line: expected at most head, \"4KiB\", found \"8KiB\", its "
          "default\n");
}

TEST_CASE("the command line alone makes a configuration") {
    std::vector<Complaint> complaints;
    const Config config = config_of_command_line("127.0.0.1:8080, [::1]:0",
                                                 "127.0.0.1:9001,localhost:9002", complaints);
    CHECK(lines(complaints) == "");
    REQUIRE(config.listeners.size() == 2);
    CHECK(config.listeners[0].address == *parse_address("127.0.0.1:8080"));
    CHECK(config.listeners[1].address == *parse_address("[::1]:0"));
    REQUIRE(config.upstreams.size() == 1);
    CHECK(config.upstreams[0].name == "default");
    CHECK(config.upstreams[0].scope == "default");
    REQUIRE(config.upstreams[0].servers.size() == 2);
    CHECK(config.upstreams[0].servers[0].address == *parse_address("127.0.0.1:9001"));
    CHECK(config.upstreams[0].servers[1].text == "localhost:9002");
    CHECK(config.upstreams[0].servers[1].weight == 1);
    REQUIRE(config.routes.size() == 1);
    CHECK(config.routes[0].name == "*/");
    CHECK(config.routes[0].hosts == std::vector<std::string>{"*"});
    CHECK(config.routes[0].path == "/");
    CHECK(config.routes[0].upstream == "default");
    CHECK(config.routes[0].session == SessionMode::managed);
}

TEST_CASE("the command line's mistakes come at once, without positions") {
    struct Row {
        std::string_view listen;
        std::string_view to;
        std::string_view complaints;
    };
    static constexpr Row rows[] = {
        {"8080", "app:80,,127.0.0.1:0",
         "baton: --listen: expected an IP address or localhost with a port, found \"8080\", did "
         "you mean \"0.0.0.0:8080\"\n"
         "baton: --to: expected an IP address or localhost with a port, found \"app:80\"; names "
         "are not supported yet\n"
         "baton: --to: expected an IP address or localhost with a port, found \"\"\n"
         "baton: --to: expected a port from 1 to 65535, found \"127.0.0.1:0\"\n"},
        {"127.0.0.1:1,127.0.0.1:1", "127.0.0.1:1,127.0.0.1:2,127.0.0.1:2",
         "baton: --listen: expected an address that no other listener has, found \"127.0.0.1:1\" "
         "again\n"
         "baton: --to: expected a server, found \"127.0.0.1:1\", the proxy itself\n"
         "baton: --to: expected each server only once, found \"127.0.0.1:2\" again\n"},
        {"", "",
         "baton: --listen: expected an IP address or localhost with a port, found \"\"\n"
         "baton: --to: expected an IP address or localhost with a port, found \"\"\n"},
    };
    for (const Row& row : rows) {
        std::vector<Complaint> complaints;
        (void)config_of_command_line(row.listen, row.to, complaints);
        CHECK(lines(complaints) == row.complaints);
    }
}

TEST_CASE("durations and sizes in words and back") {
    using namespace std::chrono_literals;
    CHECK(parse_duration("0s") == 0ms);
    CHECK(parse_duration("1ms") == 1ms);
    CHECK(parse_duration("10s") == 10s);
    CHECK(parse_duration("30m") == 30min);
    CHECK(parse_duration("12h") == 12h);
    CHECK(parse_duration("1d") == 24h);
    CHECK(parse_duration("9223372036854775807ms") == std::chrono::milliseconds::max());
    CHECK(parse_duration("9223372036854775806ms") == std::chrono::milliseconds::max() - 1ms);
    CHECK(parse_duration("9223372036854775808ms") == std::chrono::milliseconds::max());
    CHECK(parse_duration("9223372036854776s") == std::chrono::milliseconds::max());
    CHECK_FALSE(parse_duration("1w"));
    CHECK(duration_text(0ms) == "0s");
    CHECK(duration_text(1ms) == "1ms");
    CHECK(duration_text(1500ms) == "1500ms");
    CHECK(duration_text(90s) == "90s");
    CHECK(duration_text(60s) == "1m");
    CHECK(duration_text(48h) == "2d");
    CHECK(parse_size("0B") == 0);
    CHECK(parse_size("64B") == 64);
    CHECK(parse_size("16KiB") == 16'384);
    CHECK(parse_size("256MiB") == 268'435'456);
    CHECK(parse_size("1GiB") == std::uint64_t{1} << 30);
    CHECK(parse_size("2TiB") == std::uint64_t{2} << 40);
    CHECK(parse_size("18446744073709551615B") == std::numeric_limits<std::uint64_t>::max());
    CHECK(parse_size("18446744073709551614B") == std::numeric_limits<std::uint64_t>::max() - 1);
    CHECK(parse_size("18446744073709551616B") == std::numeric_limits<std::uint64_t>::max());
    CHECK(parse_size("16777216TiB") == std::numeric_limits<std::uint64_t>::max());
    CHECK_FALSE(parse_size("1KB"));
    CHECK(size_text(0) == "0B");
    CHECK(size_text(1023) == "1023B");
    CHECK(size_text(1024) == "1KiB");
    CHECK(size_text(1536) == "1536B");
    CHECK(size_text(std::uint64_t{1} << 40) == "1TiB");
}

TEST_CASE("thousands of applications are checked in a moment") {
    std::string text;
    for (int i = 0; i < 3000; ++i) {
        const std::string name = "u" + std::to_string(i);
        text +=
            "[[upstream]]\nname = \"" + name + "\"\nservers = [{ address = \"127.0.0.1:1\" }]\n";
        text += "[[route]]\nhosts = [\"" + name + ".a\"]\nupstream = \"" + name + "\"\n";
    }
    const std::clock_t before = std::clock();
    CHECK(complaints_of(text) == "");
    CHECK(std::clock() - before < 6 * CLOCKS_PER_SEC);  // a tenth of that, and more with sanitizers
}
