// Servers that log a connection in: it is one client's, and nobody else's request comes on it.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

std::string request(const std::string& fields = "", std::string_view target = "/") {
    return "GET " + std::string{target} + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}

std::string unauthorized(const std::string& challenge) {
    return "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: " + challenge +
           "\r\nContent-Length: 0\r\n\r\n";
}

// The client asks, the same server connection answers.
void asks(Peer& client, Peer& server, const std::string& fields, std::string_view answer) {
    client.sends(request(fields));
    server.head();
    server.sends(answer);
    client.expects("HTTP/1.1 ").expects("\r\n\r\n");
    if (answer == ok) client.expects("ok");
}

// Logs a client in, on a server connection of its own: 401, 401, 200.
struct LoggedIn {
    Proxy proxy;
    Peer client;
    Peer server;
    explicit LoggedIn(Setup setup = {})
        : proxy(std::move(setup)), client(proxy.connect_client()), server(begin()) {}
    Peer begin() {
        client.sends(request());
        Peer peer = proxy.accept_at_any();
        peer.head();
        peer.sends(unauthorized("NTLM"));
        client.expects("401 Unauthorized").expects("\r\n\r\n");
        asks(client, peer, "Authorization: NTLM one\r\n", unauthorized("NTLM two"));
        asks(client, peer, "Authorization: NTLM three\r\n", ok);
        return peer;
    }
};

}  // namespace

TEST_CASE("F:connection-auth a logged-in connection is its client's alone") {
    LoggedIn anna;
    // Anna goes on without a word about who she is.
    asks(anna.client, anna.server, "", ok);
    // Victor's request comes on another one, at any time.
    Peer victor = anna.proxy.connect_client();
    victor.sends(request());
    Peer other = anna.proxy.accept_at_server();
    other.head();
    other.sends(ok);
    victor.expects("ok");
    asks(anna.client, anna.server, "", ok);
    // His goes to the pool, hers never.
    Peer third = anna.proxy.connect_client();
    asks(third, other, "", ok);
    CHECK(anna.proxy.worker().lane().pools[0].idle() == 1);
}

TEST_CASE("F:connection-auth the first word of it binds, whoever says it") {
    for (const char* challenge : {"NTLM", "Negotiate", "Basic realm=\"x\", negotiate"}) {
        CAPTURE(challenge);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(request());
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(unauthorized(challenge));
        client.expects("401");
        proxy.turn();
        CHECK(proxy.worker().lane().pools[0].idle() == 0);
        CHECK_FALSE(server.ended());
    }
    for (const char* given : {"NTLM x", "negotiate YII"}) {
        CAPTURE(given);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(request("Authorization: " + std::string{given} + "\r\n"));
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(ok);
        client.expects("ok");
        CHECK(proxy.worker().lane().pools[0].idle() == 0);
        CHECK_FALSE(server.ended());
        asks(client, server, "", ok);
    }
}

TEST_CASE("F:connection-auth what authenticates requests binds nothing") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(request("Authorization: Basic x\r\n"));
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(unauthorized("Basic realm=\"NTLM\""));
    client.expects("401");
    proxy.turn();
    CHECK(proxy.worker().lane().pools[0].idle() == 1);
}

TEST_CASE("F:connection-auth both end together") {
    LoggedIn anna;
    SUBCASE("the client closes") {
        anna.client.closes();
        anna.server.until_end();
    }
    SUBCASE("the server closes") {
        anna.server.closes();
        CHECK(anna.client.until_end() == "");
    }
    SUBCASE("the server speaks unasked") {
        anna.server.sends(ok);
        CHECK(anna.client.until_end() == "");
        anna.server.until_end();
    }
    SUBCASE("the server says that it will close") {
        anna.client.sends(request());
        anna.server.head();
        anna.server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        anna.client.expects("Connection: close\r\n");
        CHECK(anna.client.until_end() == "\r\nok");
    }
    SUBCASE("the client says that it will close") {
        anna.client.sends(request("Connection: close\r\n"));
        anna.server.head();
        anna.server.sends(ok);
        anna.client.until_end();
        anna.server.until_end();
    }
    SUBCASE("the server leaves without an answer") {
        anna.client.sends(request());
        anna.server.head();
        anna.server.closes();
        anna.client.expects("HTTP/1.1 502 Bad Gateway\r\n").expects("Connection: close\r\n");
        CHECK_FALSE(anna.proxy.connects_to_server());
    }
    CHECK(anna.proxy.worker().lane().pools[0].idle() == 0);
}

TEST_CASE("F:connection-auth a connection that has just ended is no 502: the client begins anew") {
    LoggedIn anna;
    anna.client.sends(request("Authorization: NTLM three\r\n"));
    ::shutdown(anna.server.fd(), SHUT_RDWR);
    Peer second = anna.proxy.accept_at_server();
    second.head();
    second.sends(unauthorized("NTLM"));
    anna.client.expects("401 Unauthorized").expects("\r\n\r\n");
    CHECK(anna.proxy.faults(Fault::server_gone) == 0);
}

TEST_CASE("F:connection-auth of two servers the one that knows the client is asked") {
    LoggedIn anna{{.servers = 2}};
    for (int i = 0; i < 4; ++i) asks(anna.client, anna.server, "", ok);
}

TEST_CASE("F:connection-auth another upstream has a connection of its own") {
    LoggedIn anna{{.servers = 2, .change = [](Config& config) {
                       if (config.upstreams[0].servers.size() < 2) return;  // of the table
                       UpstreamConfig other = config.upstreams[0];
                       other.name = "other";
                       other.servers = {config.upstreams[0].servers[1]};
                       config.upstreams[0].servers.pop_back();
                       config.upstreams.push_back(other);
                       RouteConfig route = config.routes[0];
                       route.name = "other";
                       route.path = "/other/";
                       route.upstream = "other";
                       config.routes.push_back(route);
                   }}};
    anna.client.sends(request("", "/other/"));
    Peer other = anna.proxy.accept_at_server(1);
    other.head();
    other.sends(unauthorized("Negotiate"));
    anna.client.expects("401 Unauthorized").expects("\r\n\r\n");
    for (int i = 0; i < 3; ++i) {
        asks(anna.client, anna.server, "", ok);
        anna.client.sends(request("Authorization: Negotiate x\r\n", "/other/"));
        other.head();
        other.sends(ok);
        anna.client.expects("200 OK").expects("ok");
    }
    // The end of one is the client's, and so the other's.
    other.closes();
    CHECK(anna.client.until_end() == "");
    anna.server.until_end();
}

TEST_CASE(
    "F:connection-auth behind a trusted proxy, whose connection carries many, none is bound") {
    for (const bool by_server : {true, false}) {
        CAPTURE(by_server);
        Proxy proxy{{.change = [](Config& config) {
            config.listeners[0].trusted_proxies = {*parse_network("127.0.0.1")};
        }}};
        Peer client = proxy.connect_client();
        for (int i = 0; i < 3; ++i) {
            client.sends(request(by_server ? "" : "Authorization: NTLM x\r\n"));
            Peer server = proxy.accept_at_server();
            server.head();
            server.sends(by_server ? unauthorized("NTLM") : std::string{ok});
            client.expects(by_server ? "401 Unauthorized" : "200 OK").expects("\r\n\r\n");
            server.until_end();
            CHECK(proxy.worker().lane().pools[0].idle() == 0);
        }
        CHECK_FALSE(client.ended());
    }
}

}  // namespace baton::test
