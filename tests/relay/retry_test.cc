// Servers that refuse, vanish or go stale.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";

// A client and a server with one answered request between them, so that an idle connection is in
// the pool.
struct Warm {
    Proxy& proxy;
    Peer client;
    Peer server;
    explicit Warm(Proxy& p) : proxy(p), client(p.connect_client()), server(begin()) {}
    Peer begin() {
        client.sends(get);
        Peer peer = proxy.accept_at_server();
        peer.head();
        peer.sends(ok);
        client.expects("ok");
        return peer;
    }
};

}  // namespace

TEST_CASE("requests go to the servers in turn") {
    Proxy proxy{{.servers = 3}};
    Peer client = proxy.connect_client();
    for (std::size_t i = 0; i < 9; ++i) {
        client.sends(get);
        Peer server = proxy.accept_at_server(i % 3);
        server.head();
        server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        client.expects("ok");
    }
    CHECK(proxy.requests() == 9);
}

TEST_CASE("a server that refuses costs the client nothing") {
    Proxy proxy{{.servers = 3}};
    proxy.close_server(0);
    proxy.close_server(1);
    Peer client = proxy.connect_client();
    client.sends(post);
    Peer server = proxy.accept_at_server(2);
    server.expects("abc");
    server.sends(ok);
    client.expects("HTTP/1.1 200 OK");
    for (const std::size_t i : {0U, 1U})
        CHECK(proxy.server_faults(ServerFault::connect_failed, i) == 1);
    CHECK(proxy.counters().retries.read() == 0);
}

TEST_CASE("when all servers refuse it is a 503, each tried once, and the connection goes on") {
    Proxy proxy{{.servers = 2}};
    proxy.close_server(0);
    proxy.close_server(1);
    Peer client = proxy.connect_client();
    client.sends(get);
    const std::string head = client.head();
    CHECK(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    CHECK(head.find("Retry-After: 1\r\n") != std::string::npos);
    for (const std::size_t i : {0U, 1U})
        CHECK(proxy.server_faults(ServerFault::connect_failed, i) == 1);
    CHECK(proxy.faults(Fault::no_server) == 1);
    proxy.reopen_server(0);
    proxy.reopen_server(1);
    client.sends(get);
    proxy.accept_at_any().expects("GET / ");
}

TEST_CASE("an idle connection the server has closed costs a new connection, not a 502") {
    Proxy proxy;
    Warm warm{proxy};
    warm.server.closes();
    proxy.turn();
    warm.client.sends(post);
    Peer second = proxy.accept_at_server();
    second.expects("abc");
    second.sends(ok);
    warm.client.expects("200 OK");
    CHECK(proxy.counters().retries.read() == 0);  // never sent, so nothing was repeated
}

TEST_CASE(
    "a server's end that lies in the kernel when a POST is about to be written costs it nothing") {
    Proxy proxy;
    Warm warm{proxy};
    // Both come in one turn of the loop, the client's first.
    warm.client.sends(post);
    ::shutdown(warm.server.fd(), SHUT_RDWR);
    Peer second = proxy.accept_at_server();
    second.expects("abc");
    second.sends(ok);
    warm.client.expects("200 OK");
    CHECK(proxy.counters().retries.read() == 0);
    CHECK(proxy.faults(Fault::server_gone) == 0);
}

TEST_CASE("an idle connection that says something is closed, whatever it says") {
    Proxy proxy;
    Warm warm{proxy};
    warm.server.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
    CHECK(warm.server.ended());
    warm.client.sends(get);
    Peer second = proxy.accept_at_server();
    second.head();
    second.sends(ok);
    CHECK(warm.client.head().find("200 OK") != std::string::npos);
    CHECK(warm.client.bytes(2) == "ok");
}

TEST_CASE("bytes behind an answer end the connection; they are no answer to the next request") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(std::string{ok} + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
    client.expects("ok");
    CHECK(server.ended());
    client.sends(get);
    Peer second = proxy.accept_at_server();
    second.head();
    second.sends(ok);
    CHECK(client.head().find("200 OK") != std::string::npos);
    CHECK(client.bytes(2) == "ok");
}

TEST_CASE(
    "a stale connection on which nothing came back: an idempotent request is sent again on a new "
    "connection") {
    for (const char* request :
         {"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
          "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
          "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"}) {
        CAPTURE(request);
        Proxy proxy;
        Warm warm{proxy};
        warm.client.sends(request);
        warm.server.head();
        warm.server.closes();
        Peer second = proxy.accept_at_server();
        CHECK(second.head().find(" / HTTP/1.1\r\n") != std::string::npos);
        if (request[0] == 'P') second.expects("abc");
        second.sends(ok);
        warm.client.expects("200 OK");
        CHECK(proxy.counters().retries.read() == 1);
    }
}

TEST_CASE("a request that may not be repeated is not: 502, delivered once") {
    Proxy proxy;
    Warm warm{proxy};
    warm.client.sends(post);
    warm.server.expects("abc");
    warm.server.closes();
    warm.client.expects("HTTP/1.1 502 Bad Gateway\r\n");
    CHECK_FALSE(proxy.connects_to_server());
    CHECK(proxy.counters().retries.read() == 0);
    CHECK(proxy.faults(Fault::server_gone) == 1);
}

TEST_CASE("after the first byte of an answer nothing is repeated") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("H");
    proxy.turn();
    server.closes();
    client.expects("HTTP/1.1 502 Bad Gateway\r\n");
    CHECK_FALSE(proxy.connects_to_server());
}

TEST_CASE("tries = 1 repeats nothing, and tries = 2 once") {
    for (const unsigned tries : {1U, 2U}) {
        Proxy proxy{{.change = [&](Config& config) { config.upstreams[0].retry_tries = tries; }}};
        Peer client = proxy.connect_client();
        client.sends(get);
        for (unsigned i = 0; i < tries; ++i) {
            Peer server = proxy.accept_at_server();
            server.head();
            server.closes();
        }
        client.expects("HTTP/1.1 502 Bad Gateway\r\n");
        CHECK_FALSE(proxy.connects_to_server());
        CHECK(proxy.counters().retries.read() == tries - 1);
        CHECK(proxy.log().find("\"tries\":" + std::to_string(tries)) != std::string::npos);
    }
}

TEST_CASE("a body larger than what is kept cannot be sent again") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 40000\r\n\r\n" +
                 std::string(40'000, 'x'));
    Peer server = proxy.accept_at_server();
    server.head();
    server.bytes(40'000);
    server.closes();
    client.expects("HTTP/1.1 502 Bad Gateway\r\n");
    CHECK_FALSE(proxy.connects_to_server());
}

TEST_CASE("a body that had to wait for a server is sent whole") {
    Proxy proxy{{.servers = 2, .sessions = true, .late_store = true}};
    Peer client = proxy.connect_client();
    const std::string body(10'000, 'b');
    client.sends(
        "POST / HTTP/1.1\r\nHost: h\r\nCookie: "
        "JSESSIONID=00000000000000000000000000000000\r\nContent-Length: 10000\r\n\r\n");
    proxy.turn();
    client.sends(body.substr(0, 4000));
    proxy.turn();
    client.sends(body.substr(4000));
    proxy.turn();
    proxy.store_answers();
    Peer server = proxy.accept_at_any();
    server.head();
    CHECK(server.bytes(body.size()) == body);
    server.sends(ok);
    client.expects("ok");
}

TEST_CASE("a pooled connection is used up to its limits") {
    SUBCASE("requests_max") {
        Proxy proxy{
            {.change = [](Config& config) { config.upstreams[0].keepalive.requests_max = 1; }}};
        Warm warm{proxy};
        CHECK(warm.server.ended());
    }
    SUBCASE("idle_max") {
        Proxy proxy{{.change = [](Config& config) { config.upstreams[0].keepalive.idle_max = 0; }}};
        Warm warm{proxy};
        CHECK(warm.server.ended());
    }
    SUBCASE("idle_timeout") {
        Proxy proxy{
            {.change = [](Config& config) { config.upstreams[0].keepalive.idle_timeout = 1ms; }}};
        Warm warm{proxy};
        warm.server.until_end();  // the sweep
    }
    SUBCASE("age_max") {
        Proxy proxy{
            {.change = [](Config& config) { config.upstreams[0].keepalive.age_max = 1ms; }}};
        Warm warm{proxy};
        warm.server.until_end();
    }
    SUBCASE("Connection: close from the server") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends("HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 2\r\n\r\nok");
        client.expects("ok");
        CHECK(server.ended());
    }
    SUBCASE("Connection: close from the server, whose body comes later than its head") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 500\r\n\r\n");
        client.head();
        server.sends(std::string(500, 'b'));
        client.bytes(500);
        CHECK(server.ended());
    }
    SUBCASE("HTTP/1.0 without keep-alive") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
        client.expects("ok");
        CHECK(server.ended());
    }
}

}  // namespace baton::test
