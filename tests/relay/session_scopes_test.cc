// Two applications behind one host: what each is told, and shown, of the other's sessions.

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

// Routes "/" with sessions of scope "app", "/admin/" with those of "admin", "/plain/" without.
Setup two_scopes() {
    return {.sessions = true, .change = [](Config& config) {
                UpstreamConfig admin = config.upstreams[0];
                admin.name = admin.scope = "admin";
                admin.cookie = "ADMINID";
                config.upstreams.push_back(std::move(admin));
                RouteConfig route = config.routes[0];
                route.name = "admin";
                route.path = "/admin/";
                route.upstream = "admin";
                config.routes.push_back(route);
                route.name = "plain";
                route.path = "/plain/";
                route.session = SessionMode::off;
                config.routes.push_back(std::move(route));
            }};
}

struct Asked {
    std::string told;
    std::string got;
};

Asked ask(Proxy& proxy, const std::string& path, const std::string& cookies,
          const std::string& fields = "") {
    Peer client = proxy.connect_client();
    client.sends("GET " + path + " HTTP/1.1\r\nHost: h\r\n" +
                 (cookies.empty() ? "" : "Cookie: " + cookies + "\r\n") + "\r\n");
    Peer server = proxy.accept_at_any();
    Asked asked;
    asked.told = server.head();
    server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n" + fields +
                 "\r\nok");
    asked.got = client.head();
    return asked;
}

}  // namespace

TEST_CASE("F:two-scopes each has its own cookie, and is not shown the other's") {
    Proxy proxy{two_scopes()};
    const Asked shop = ask(proxy, "/", "", "Baton-Session-Set: of=shop\r\n");
    const Asked admin = ask(proxy, "/admin/", "", "Baton-Session-Set: of=admin\r\n");
    CHECK(field(shop.got, "Set-Cookie").starts_with("JSESSIONID="));
    CHECK(field(admin.got, "Set-Cookie").starts_with("ADMINID="));
    const auto pair_in = [](const Asked& asked) {
        const std::string cookie = field(asked.got, "Set-Cookie");
        return cookie.substr(0, cookie.find(';'));
    };
    const std::string both = "a=1; " + pair_in(shop) + "; b=2; " + pair_in(admin) + "; c=3";
    for (const auto& [path, of] : {std::pair{"/", "of=shop"}, std::pair{"/admin/", "of=admin"}}) {
        const Asked asked = ask(proxy, path, both);
        CHECK(field(asked.told, "Baton-Session-Data") == of);
        CHECK(field(asked.told, "Cookie") == "a=1; b=2; c=3");
    }
    // The id of one is none of the other's, under either name.
    const std::string id = pair_in(admin).substr(8);
    CHECK(field(ask(proxy, "/", "JSESSIONID=" + id).told, "Baton-Session-State") == "none");
    CHECK(field(ask(proxy, "/", "ADMINID=" + id).told, "Cookie") == "(none)");
    // Without sessions all pass.
    CHECK(field(ask(proxy, "/plain/", both).told, "Cookie") == both);
    // A logout of one leaves the other alone.
    const Asked logout = ask(proxy, "/", both, "Baton-Session-Destroy: 1\r\n");
    CHECK(field(logout.got, "Set-Cookie").starts_with("JSESSIONID=;"));
    CHECK(field(ask(proxy, "/admin/", both).told, "Baton-Session-State") == "live");
}

TEST_CASE("F:two-scopes no server sets the cookie of another scope") {
    Proxy proxy{two_scopes()};
    const std::string evil =
        "Set-Cookie: ADMINID=EVIL\r\nSet-Cookie: JSESSIONID=EVIL\r\nSet-Cookie: a=1\r\n";
    for (const char* path : {"/", "/admin/"}) {
        const Asked asked = ask(proxy, path, "", evil);
        CHECK(asked.got.find("EVIL") == std::string::npos);
        CHECK(field(asked.got, "Set-Cookie") == "a=1");
    }
    CHECK(proxy.counters().session_cookies_dropped.read() == 4);
    CHECK(ask(proxy, "/plain/", "", evil).got.find(evil) != std::string::npos);
    CHECK(proxy.counters().session_cookies_dropped.read() == 4);
}

}  // namespace baton::test
