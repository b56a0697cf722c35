// What the contract of net/stream.h promises, seen from both ends of the proxy: over TCP, and over records,
// which keep it as TLS does.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";

// Where a connection's end has no word of its own, this is an orderly one.
void ends_without_a_word(Peer& peer) { ::shutdown(peer.fd(), SHUT_WR); }

}  // namespace

TEST_CASE("F:stream a body until close is complete after an orderly end, and cut after another") {
    for (const bool orderly : {true, false}) {
        CAPTURE(orderly);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends("HTTP/1.1 200 OK\r\n\r\nabc");
        client.expects("abc\r\n");
        if (orderly)
            server.shuts();
        else
            ends_without_a_word(server);
        const bool complete = orderly || !speaks_records();
        if (complete) client.expects("0\r\n\r\n").expects_nothing();
        if (!complete) {
            CHECK(client.until_end() == "");
            CHECK(client.was_reset());
        }
        CHECK(proxy.faults(Fault::server_gone) == (complete ? 0 : 1));
        CHECK((proxy.log().find("\"reason\":\"cut_body\"") == std::string::npos) == complete);
    }
}

TEST_CASE("F:stream a body with a length or with chunks is complete, however its connection ends") {
    for (const std::string body : {"Content-Length: 3\r\n\r\nabc",
                                   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"}) {
        CAPTURE(body);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends("HTTP/1.1 200 OK\r\n" + body);
        ends_without_a_word(server);
        client.expects("abc");
        client.sends(get);
        CHECK(proxy.accept_at_server().head().starts_with("GET "));
        CHECK(proxy.faults(Fault::server_gone) == 0);
    }
}

TEST_CASE("F:stream a client that says that it has sent all is answered, one that is cut is gone") {
    for (const bool orderly : {true, false}) {
        CAPTURE(orderly);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        if (orderly)
            client.shuts();
        else
            ends_without_a_word(client);
        proxy.turn();
        server.sends(ok);
        const bool answered = orderly || !speaks_records();
        if (answered) client.expects("200 OK").expects("ok");
        client.until_end();
        CHECK(proxy.faults(Fault::client_gone) == (answered ? 0 : 1));
    }
}

TEST_CASE("F:stream the log says how many bytes were written, not how many went over the wire") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'x'));
    const std::string head = client.dated_head();
    client.bytes(100'000);
    const std::string out = "\"out\":" + std::to_string(head.size() + 100'000) + ",";
    CHECK(proxy.log().find(out) != std::string::npos);
}

TEST_CASE("F:stream a last answer is behind an orderly end") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    client.expects("Connection: close\r\n").expects("ok");
    CHECK(client.until_end() == "");
    CHECK(!client.was_reset());
    CHECK(proxy.worker().clients() == 0);
}

TEST_CASE("F:peek an idle connection on which nobody can tell what has arrived stays") {
    if (!speaks_records()) return;  // TCP can tell
    Proxy proxy;
    Peer client = proxy.connect_client();
    Peer other = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    client.expects("ok");
    const CannotTell while_it_lives;
    // It cannot be sent twice, and goes where nothing can have arrived.
    client.sends(post);
    Peer second = proxy.accept_at_server();
    second.expects("\r\n\r\nx");
    server.expects_nothing();
    // This one can.
    other.sends(get);
    server.head();
    server.sends(ok);
    second.sends(ok);
    client.expects("ok");
    other.expects("ok");
    CHECK(proxy.faults(Fault::server_gone) == 0);
}

TEST_CASE("F:peek a connection that a client is logged in on is used if nobody can tell") {
    if (!speaks_records()) return;
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 2\r\n\r\nno");
    client.expects("\r\n\r\nno");
    const CannotTell while_it_lives;
    client.sends(post);
    SUBCASE("it is good") {
        server.expects("\r\n\r\nx");
        server.sends(ok);
        client.expects("200 OK").expects("ok");
    }
    SUBCASE("what had come before the request is no answer to it") {
        server.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
        proxy.turn(30);
        CHECK(client.got().find("EVIL") == std::string::npos);
    }
}

TEST_CASE(
    "F:peek a client on which nobody can tell what has arrived is closed when that proves "
    "nothing") {
    if (!speaks_records()) return;
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    client.expects("ok");
    bool asks = false;
    SUBCASE("a ticket") {}
    SUBCASE("a request") { asks = true; }
    client.sends(asks ? get : "");
    proxy.worker().stop_now();
    CHECK(proxy.worker().clients() == 1);
    if (asks) {
        server.head();
        server.sends(ok);
        client.expects("Connection: close\r\n").expects("ok");
    }
    CHECK(client.until_end() == "");
    CHECK(!client.was_reset());
}

}  // namespace baton::test
