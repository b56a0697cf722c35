// How a client's connection ends: what had arrived before is answered, and the last answer is not lost.

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/relay/proxy.h"

namespace baton::test {

using namespace std::chrono_literals;

namespace {

std::string get(int number) {
    return "GET /" + std::to_string(number) + " HTTP/1.1\r\nHost: h\r\n\r\n";
}

std::string answer(const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

bool says_close(const std::string& head) {
    return head.find("\r\nConnection: close\r\n") != std::string::npos;
}

// Of those that came to the route.
std::uint64_t requests(Proxy& proxy) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < StatusCounters::classes.size(); ++i)
        sum += proxy.snapshot()->routes()[0].state->requests(i);
    return sum;
}

// Answers the requests /0, /1, … as they come, `count` of them.
void serve(Proxy& proxy, Peer& server, int count) {
    for (int i = 0; i < count; ++i) {
        CAPTURE(i);
        CHECK(server.head().starts_with("GET /" + std::to_string(i) + " "));
        proxy.turn();  // the client's end is seen before the answer
        server.sends(answer("n" + std::to_string(i)));
    }
}

void expect_answers(Peer& client, int count) {
    for (int i = 0; i < count; ++i) {
        CAPTURE(i);
        CHECK(says_close(client.head()) == (i == count - 1));
        CHECK(client.bytes(2) == "n" + std::to_string(i));
    }
    CHECK(client.until_end() == "");
    CHECK(!client.was_reset());
}

}  // namespace

TEST_CASE(
    "F:pipelined-end requests that had arrived are answered though the client has finished "
    "sending") {
    bool later = false;
    bool dribbled = false;
    SUBCASE("in one piece") {}
    SUBCASE("the end a little later") { later = true; }
    SUBCASE("byte by byte") { dribbled = true; }
    for (const int count : {2, 3, 9}) {
        CAPTURE(count);
        Proxy proxy;
        Peer client = proxy.connect_client();
        std::string all;
        for (int i = 0; i < count; ++i) all += get(i);
        if (dribbled)
            client.dribbles(all);
        else
            client.sends(all);
        if (later) proxy.turn();
        client.shuts();
        Peer server = proxy.accept_at_server();
        serve(proxy, server, count);
        expect_answers(client, count);
        CHECK(proxy.faults(Fault::client_gone) == 0);
    }
}

TEST_CASE(
    "F:pipelined-end wherever the second request is cut, the first is answered, and says what "
    "comes") {
    const std::string second = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    for (std::size_t size = 0; size <= second.size(); ++size) {
        CAPTURE(size);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get(0) + second.substr(0, size)).shuts();
        Peer server = proxy.accept_at_server();
        server.head();
        proxy.turn();
        server.sends(answer("n0"));
        const bool whole = size == second.size();
        const bool head_whole = size >= second.size() - 3;
        CHECK(says_close(client.head()) == !head_whole);
        CHECK(client.bytes(2) == "n0");
        if (whole) {
            server.expects("abc");
            server.sends(answer("n1"));
            CHECK(says_close(client.head()));
            CHECK(client.bytes(2) == "n1");
        }
        CHECK(client.until_end() == "");
        CHECK(!client.was_reset());
        if (!whole) CHECK(requests(proxy) == 1);
    }
}

TEST_CASE(
    "F:pipelined-end a refused request behind the first is refused, and nothing behind it is "
    "read") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get(0) + "GET /1 HTTP/1.1\r\n\r\n" + get(2)).shuts();
    Peer server = proxy.accept_at_server();
    serve(proxy, server, 1);
    CHECK(!says_close(client.head()));
    client.bytes(2);
    CHECK(client.head().starts_with("HTTP/1.1 400 "));
    client.until_end();
    CHECK(!client.was_reset());
    CHECK(requests(proxy) == 1);
}

TEST_CASE("F:pipelined-end a client that is gone is not answered") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get(0) + get(1) + get(2)).shuts();
    Peer server = proxy.accept_at_server();
    server.head();
    proxy.turn();
    SUBCASE("before its first answer") { client.resets(); }
    SUBCASE("after it, by a reset in answer to it") { client.closes(); }
    proxy.turn();
    server.sends(answer("n0"));
    server.expects_nothing();
    CHECK(proxy.worker().clients() == 0);
}

TEST_CASE("F:pipelined-end each request has client_gone for itself; with 0s the end ends all") {
    Milliseconds limit{0};
    SUBCASE("100 ms") { limit = 100ms; }
    SUBCASE("0") {}
    Proxy proxy{{.change = [&](Config& config) { config.timeouts.client_gone = limit; }}};
    Peer client = proxy.connect_client();
    client.sends(get(0) + get(1));
    Peer server = proxy.accept_at_server();
    server.head();
    client.shuts();
    if (limit.count() > 0) {
        proxy.turn();
        const std::uint64_t end = proxy.worker().loop().now() + 70;
        proxy.turn_until([&] { return proxy.worker().loop().now() >= end; }, "70 ms");
        server.sends(answer("n0"));
        server.head();
        proxy.turn_until([&] { return proxy.worker().loop().now() >= end + 60; }, "130 ms");
        server.sends(answer("n1"));
        client.expects("n0");
        client.expects("n1");
        CHECK(client.until_end() == "");
        CHECK(proxy.faults(Fault::client_gone) == 0);
        return;
    }
    CHECK(client.until_end() == "");
    server.until_end();
    CHECK(proxy.faults(Fault::client_gone) == 1);
}

namespace {

// A client that takes little at a time: what is sent to it waits.
Peer narrow_client(Proxy& proxy) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int room = 2304;
    const int segment = 536;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    ::setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
    REQUIRE(::connect(fd, proxy.address().raw(), proxy.address().size()) == 0);
    return {proxy, fd};
}

}  // namespace

TEST_CASE(
    "F:after-400 bytes behind a broken body do not take the 400 away while it waits to leave") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy;
    Peer client = narrow_client(proxy);
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    Peer server = proxy.accept_at_server();
    server.expects("abc");
    const std::string interim =
        "HTTP/1.1 103 Early Hints\r\nLink: " + std::string(15'000, 'l') + "\r\n\r\n";
    for (int i = 0; i < 16; ++i) {
        server.sends(interim);
        proxy.turn();
    }
    std::string broken = "zz\r\n";
    std::vector<std::string> behind;
    SUBCASE("another piece that is no HTTP") { behind = {"yy\r\n"}; }
    SUBCASE("many of them") { behind.assign(20, "no chunk at all\r\n"); }
    SUBCASE("a good chunk and the end") { behind = {"3\r\ndef\r\n0\r\n\r\n"}; }
    SUBCASE("another request") { behind = {"0\r\n\r\n" + get(1)}; }
    SUBCASE("the client's end") {}
    client.sends(broken);
    proxy.turn();
    REQUIRE(proxy.counters().faults[static_cast<std::size_t>(Fault::bad_request)].read() == 0);
    for (const std::string& piece : behind) {
        ::send(client.fd(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        proxy.turn();
    }
    client.expects("HTTP/1.1 400 ");
    client.head();
    client.shuts();
    client.until_end();
    CHECK(!client.was_reset());
    server.until_end();
    CHECK(proxy.faults(Fault::bad_request) == 1);
}

TEST_CASE("F:after-400 an answer that waits to leave is not lost over the rest of its request") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    bool ends = false;
    SUBCASE("which is no HTTP") {}
    SUBCASE("which never comes") { ends = true; }
    int waited = 0;
    for (std::size_t size = 20'000; size <= 200'000; size += 10'000) {
        CAPTURE(size);
        Proxy proxy;
        Peer client = narrow_client(proxy);
        client.sends(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        Peer server = proxy.accept_at_server();
        server.expects("abc");
        server.sends(answer(std::string(size, 'x')));
        // Early and whole: its server is let go. A larger one is still on its way.
        if (!server.ended()) continue;
        ++waited;
        if (ends)
            client.shuts();
        else
            ::send(client.fd(), "zz\r\n", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
        proxy.turn();
        client.head();
        CHECK(client.bytes(size) == std::string(size, 'x'));
        client.shuts();
        CHECK(client.until_end() == "");
        CHECK(!client.was_reset());
    }
    CHECK(waited > 0);
}

}  // namespace baton::test
