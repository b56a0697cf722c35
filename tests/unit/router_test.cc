// Which route a request takes.

#include "proxy/route/router.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace baton {
namespace {

// Routes of the given hosts and path; found by name.
class Table {
public:
    explicit Table(const std::vector<std::pair<std::vector<std::string>, std::string>>& entries)
        : configs_(made(entries)), routes_(made(configs_)), router_(routes_) {}

    // "HOST PATH" of the route; "none".
    std::string find(std::string_view host, std::string_view target = "/") const {
        const Route* route = router_.find(host, target);
        return route == nullptr ? "none" : route->config->name;
    }

private:
    static std::vector<RouteConfig> made(
        const std::vector<std::pair<std::vector<std::string>, std::string>>& entries) {
        std::vector<RouteConfig> configs;
        for (const auto& entry : entries) {
            RouteConfig config;
            config.hosts = entry.first;
            config.path = entry.second;
            config.name = entry.first[0] + " " + entry.second;
            configs.push_back(config);
        }
        return configs;
    }
    static std::vector<Route> made(const std::vector<RouteConfig>& configs) {
        std::vector<Route> routes;
        for (const RouteConfig& config : configs) {
            Route route;
            route.config = &config;
            routes.push_back(route);
        }
        return routes;
    }

    std::vector<RouteConfig> configs_;
    std::vector<Route> routes_;
    Router router_;
};

std::string host_of(std::string_view field) {
    std::array<char, 256> room;
    return std::string{routing_host(field, room)};
}

}  // namespace

TEST_CASE(
    "an exact host beats a wildcard, and a wildcard beats the star, in whatever order they stand") {
    const std::vector<std::pair<std::vector<std::string>, std::string>> orders[] = {
        {{{"*"}, "/"}, {{"*.example.com"}, "/"}, {{"a.example.com"}, "/"}},
        {{{"a.example.com"}, "/"}, {{"*.example.com"}, "/"}, {{"*"}, "/"}},
    };
    for (const auto& order : orders) {
        const Table table{order};
        CHECK(table.find("a.example.com") == "a.example.com /");
        CHECK(table.find("b.example.com") == "*.example.com /");
        CHECK(table.find("a.b.example.com") == "*.example.com /");
        CHECK(table.find("other.org") == "* /");
    }
}

TEST_CASE("a wildcard takes names below it, not its own name nor one that only ends like it") {
    const Table table{{{{"*.example.com"}, "/"}}};
    CHECK(table.find("www.example.com") == "*.example.com /");
    CHECK(table.find("example.com") == "none");
    CHECK(table.find("wwwexample.com") == "none");
    CHECK(table.find("www.example.com.org") == "none");
    CHECK(table.find("www.example.co") == "none");
}

TEST_CASE("of several wildcards the longest takes it") {
    const Table table{{{{"*.com"}, "/"}, {{"*.b.example.com"}, "/"}, {{"*.example.com"}, "/"}}};
    CHECK(table.find("a.b.example.com") == "*.b.example.com /");
    CHECK(table.find("x.a.b.example.com") == "*.b.example.com /");
    CHECK(table.find("b.example.com") == "*.example.com /");
    CHECK(table.find("example.com") == "*.com /");
    CHECK(table.find("com") == "none");
}

TEST_CASE("the longest path prefix takes it, byte by byte") {
    const Table table{{{{"h"}, "/"}, {{"h"}, "/app"}, {{"h"}, "/app/admin"}, {{"h"}, "/App"}}};
    CHECK(table.find("h", "/") == "h /");
    CHECK(table.find("h", "/ap") == "h /");
    CHECK(table.find("h", "/app") == "h /app");
    CHECK(table.find("h", "/apple?x=/app/admin") == "h /app");
    CHECK(table.find("h", "/app/admin/x") == "h /app/admin");
    CHECK(table.find("h", "/app/admi") == "h /app");
    CHECK(table.find("h", "/APP") == "h /");
    CHECK(table.find("h", "/App") == "h /App");
    CHECK(table.find("h", "/%61pp") == "h /");  // the raw target: nothing is decoded
}

TEST_CASE("where no path of a host fits, the next host is looked at") {
    const Table table{
        {{{"a.example.com"}, "/exact"}, {{"*.example.com"}, "/below"}, {{"*"}, "/any"}}};
    CHECK(table.find("a.example.com", "/exact") == "a.example.com /exact");
    CHECK(table.find("a.example.com", "/below") == "*.example.com /below");
    CHECK(table.find("a.example.com", "/any") == "* /any");
    CHECK(table.find("a.example.com", "/other") == "none");
    const Table nested{{{{"*.b.example.com"}, "/deep"}, {{"*.example.com"}, "/"}}};
    CHECK(nested.find("a.b.example.com", "/deep") == "*.b.example.com /deep");
    CHECK(nested.find("a.b.example.com", "/") == "*.example.com /");
    // A more specific host comes before a longer path.
    const Table host_first{{{{"h"}, "/"}, {{"*"}, "/long/path"}}};
    CHECK(host_first.find("h", "/long/path") == "h /");
}

TEST_CASE("several hosts of one route, and the same path of several") {
    const Table table{{{{"a", "b", "*.c"}, "/"}, {{"a"}, "/x"}}};
    CHECK(table.find("a") == "a /");
    CHECK(table.find("b", "/x") == "a /");
    CHECK(table.find("z.c") == "a /");
    CHECK(table.find("a", "/x") == "a /x");
    CHECK(table.find("d") == "none");
}

TEST_CASE("the target * counts as /") {
    const Table table{{{{"h"}, "/"}, {{"h"}, "/x"}, {{"only"}, "/x"}}};
    CHECK(table.find("h", "*") == "h /");
    CHECK(table.find("only", "*") == "none");
}

TEST_CASE("a request without host takes the star's routes") {
    const Table table{{{{"*.example.com"}, "/"}, {{"*"}, "/"}, {{"h"}, "/"}}};
    CHECK(table.find("") == "* /");
    CHECK(Table{{{{"h"}, "/"}}}.find("") == "none");
}

TEST_CASE("an address is a host like any other, and never below a wildcard of names") {
    const Table table{{{{"127.0.0.1"}, "/"}, {{"[::1]"}, "/"}, {{"*.example.com"}, "/"}}};
    CHECK(table.find("127.0.0.1") == "127.0.0.1 /");
    CHECK(table.find("[::1]") == "[::1] /");
    CHECK(table.find("[::2]") == "none");
}

TEST_CASE("the host as the router knows it") {
    CHECK(host_of("example.com") == "example.com");
    CHECK(host_of("Example.COM") == "example.com");
    CHECK(host_of("example.com:8080") == "example.com");
    CHECK(host_of("example.com:") == "example.com");
    CHECK(host_of("example.com.") == "example.com");
    CHECK(host_of("EXAMPLE.com.:80") == "example.com");
    CHECK(host_of("127.0.0.1:80") == "127.0.0.1");
    CHECK(host_of("[::1]") == "[::1]");
    CHECK(host_of("[::1]:8080") == "[::1]");
    CHECK(host_of("[2001:DB8::A]:80") == "[2001:db8::a]");
    CHECK(host_of("[::1]:") == "[::1]");
    CHECK(host_of("") == "");
    CHECK(host_of(":80") == "");
    CHECK(host_of("@[`{") == "@[`{");  // the neighbours of the letters
}

TEST_CASE("a host longer than any name is none that is configured") {
    const std::string label(63, 'a');
    const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'A');
    REQUIRE(longest.size() == 253);
    CHECK(host_of(longest).size() == 253);
    CHECK(host_of(longest + ".:65535").size() == 253);
    CHECK(host_of(std::string(256, 'a')).size() == 256);
    CHECK(host_of(std::string(256, 'a') + ".:80").size() == 256);
    CHECK(host_of(std::string(257, 'a')) == "");
    CHECK(host_of(std::string(300, 'a')) == "");
    const Table table{{{{"*"}, "/"}, {{"h"}, "/"}}};
    CHECK(table.find(host_of(std::string(300, 'a'))) == "* /");
}

}  // namespace baton
