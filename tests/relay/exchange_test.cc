// One request and its answer: framing, order, limits, ends.

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

// A chunked body put together again.
std::string unchunk(std::string_view text) {
    std::string body;
    while (!text.empty()) {
        const auto line = text.find("\r\n");
        const auto size = std::stoul(std::string{text.substr(0, line)}, nullptr, 16);
        if (size == 0) return body;
        body += text.substr(line + 2, size);
        text.remove_prefix(line + 4 + size);
    }
    return body + " (no last chunk)";
}

}  // namespace

TEST_CASE("a request reaches the server rebuilt, and its answer the client") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(
        "GET /a?b=c HTTP/1.1\r\nHost: Example.com:80\r\nX-One:  two \r\nConnection: "
        "keep-alive\r\n\r\n");
    Peer server = proxy.accept_at_server();
    const std::string head = server.head();
    CHECK(
        head.starts_with("GET /a?b=c HTTP/1.1\r\nHost: Example.com:80\r\nX-One: "
                         "two\r\nX-Forwarded-For: 127.0.0.1\r\n"));
    CHECK(head.find("Connection:") == std::string::npos);
    CHECK(head.find("Baton-") == std::string::npos);
    server.sends(
        "HTTP/1.1 200 Fine\r\nX-Two: three\r\nKeep-Alive: timeout=5\r\nConnection: "
        "keep-alive\r\nContent-Length: 2\r\n\r\nok");
    CHECK(client.head() == "HTTP/1.1 200 Fine\r\nX-Two: three\r\nContent-Length: 2\r\n\r\n");
    CHECK(client.bytes(2) == "ok");
    client.sends(get);
    server.expects("GET / HTTP/1.1\r\n");
    server.sends(ok);
    client.expects("ok");
}

TEST_CASE("a request that comes byte by byte is the same request, and so is its answer") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.dribbles(
        "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
        "world\r\n0\r\nT: 1\r\n\r\n");
    Peer server = proxy.accept_at_server();
    const std::string head = server.head();
    CHECK(head.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
    std::string body;
    while (!body.ends_with("0\r\n\r\n")) body += server.bytes(1);
    CHECK(unchunk(body) == "hello world");
    server.dribbles(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    CHECK(client.head() == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    body.clear();
    while (!body.ends_with("0\r\n\r\n")) body += client.bytes(1);
    CHECK(unchunk(body) == "abcde");
}

TEST_CASE("what one read brings of a chunked answer leaves as one chunk") {
    if (only_tcp("system calls are counted")) return;
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < 256; ++i) answer += "40\r\n" + std::string(64, 'x') + "\r\n";
    const auto writes = proxy.worker().lane().tcp.writes;
    server.sends(answer + "0\r\n\r\n");
    client.head();
    client.expects("0\r\n\r\n");
    CHECK(proxy.worker().lane().tcp.writes - writes <= 3);
}

TEST_CASE("a body of a known length passes byte for byte, whatever the pieces") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    std::string body(300'000, '\0');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7 + i / 251);
    client.sends("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0300000\r\n\r\n" +
                 body.substr(0, 10));
    Peer server = proxy.accept_at_server();
    CHECK(server.head().find("Content-Length: 300000\r\n") != std::string::npos);
    client.sends(body.substr(10));
    CHECK(server.bytes(body.size()) == body);
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + body);
    client.head();
    CHECK(client.bytes(body.size()) == body);
}

TEST_CASE("pipelined requests are answered one after the other, in their order") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    std::string all;
    for (int i = 0; i < 50; ++i)
        all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
    client.sends(all);
    Peer server = proxy.accept_at_server();
    for (int i = 0; i < 50; ++i) {
        CHECK(server.head().starts_with("GET /" + std::to_string(i) + " "));
        const std::string body = "n" + std::to_string(i);
        server.sends("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                     "\r\n\r\n" + body);
        client.expects(body);
    }
    client.expects_nothing();
}

TEST_CASE("a pipeline larger than what may wait stops being read, and goes on") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    const std::string one =
        "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(1000, 'x') + "\r\n\r\n";
    std::string all;
    for (int i = 0; i < 200; ++i) all += one;
    client.sends(all);
    Peer server = proxy.accept_at_server();
    for (int i = 0; i < 200; ++i) {
        server.head();
        server.sends(ok);
        client.expects("ok");
    }
}

TEST_CASE("a body that waited behind earlier requests, in several pieces, is read to its end") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get + get + "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    client.expects("ok");
    server.head();
    client.sends("def");
    proxy.turn();
    client.sends("ghi");
    proxy.turn();
    server.sends(ok);
    client.expects("ok");
    server.expects("POST / ").expects("abcdefghi");
    server.sends(ok);
    client.expects("ok");
}

TEST_CASE(
    "an answer without a length becomes chunked for a 1.1 client and ends with the connection for "
    "a 1.0 one") {
    SUBCASE("1.1") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends("HTTP/1.1 200 OK\r\n\r\nhello").closes();
        CHECK(client.head() == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.expects("5\r\nhello\r\n0\r\n\r\n");
        client.sends(get);
        proxy.accept_at_server().expects("GET /");
    }
    SUBCASE("1.0") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        Peer server = proxy.accept_at_server();
        CHECK(server.head().starts_with("GET / HTTP/1.1\r\nHost: " + proxy.address().text() +
                                        "\r\n"));
        server.sends(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        CHECK(client.head() == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        CHECK(client.until_end() == "hello");
        CHECK_FALSE(client.was_reset());
    }
}

TEST_CASE("a 1.0 client keeps its connection if it asks and the length is known") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    CHECK(client.head() ==
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n");
    client.expects("ok").sends("GET / HTTP/1.0\r\n\r\n");
    server.head();
    server.sends(ok);
    CHECK(client.until_end().find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("answers without a body end with their head") {
    struct Case {
        const char* method;
        const char* answer;
        const char* passed;
    };
    const Case cases[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"},
        {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 200 OK\r\n\r\n"},
        {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
         "HTTP/1.1 204 No Content\r\n\r\n"},
        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
         "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.answer);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(std::string{c.method} + " / HTTP/1.1\r\nHost: h\r\n\r\n");
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(c.answer);
        CHECK(client.head() == c.passed);
        client.sends(get);
        server.expects("GET / ");  // both connections go on
        server.sends(ok);
        client.expects("ok");
    }
}

TEST_CASE("interim answers pass to a 1.1 client, in order, and to no 1.0 one") {
    for (const char* version : {"1.1", "1.0"}) {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(std::string{"GET / HTTP/"} + version + "\r\nHost: h\r\n\r\n");
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nBaton-Session-Set: a=1\r\n\r\nHTTP/1.1 102 "
            "Processing\r\n\r\n" +
            std::string{ok});
        if (std::string_view{version} == "1.1") {
            CHECK(client.head() == "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
            CHECK(client.head() == "HTTP/1.1 102 Processing\r\n\r\n");
        }
        CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

TEST_CASE("more interim answers than make sense are a bad response") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    for (int i = 0; i < 17; ++i) server.sends("HTTP/1.1 102 Processing\r\n\r\n");
    client.expects("HTTP/1.1 502 Bad Gateway\r\n");
    CHECK(proxy.faults(Fault::bad_response) == 1);
}

TEST_CASE("Expect: 100-continue is passed on, and the server's 100 back") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    Peer server = proxy.accept_at_server();
    CHECK(server.head().find("Expect: 100-continue\r\n") != std::string::npos);
    server.sends("HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(client.head() == "HTTP/1.1 100 Continue\r\n\r\n");
    client.sends("hello");
    CHECK(server.bytes(5) == "hello");
    server.sends(ok);
    client.expects("ok");
    client.expects_nothing();
}

TEST_CASE(
    "a final answer instead of a 100 goes out, and the connection with the unread body ends") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    CHECK(client.head().find("Connection: close\r\n") != std::string::npos);
    CHECK(client.until_end() == "no");
    CHECK(server.ended());  // a connection with half a request on it is of no use
}

TEST_CASE("an early answer reaches a client that is still sending") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
                 std::string(5000, 'x'));
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno");
    client.sends(std::string(20'000, 'x'));
    CHECK(client.head().starts_with("HTTP/1.1 413 Too Much\r\n"));
    CHECK(client.until_end() == "no");
    CHECK_FALSE(client.was_reset());
}

TEST_CASE("a body over the limit is refused, announced or counted") {
    const auto limit = [](Config& config) { config.limits.body_max = 100; };
    SUBCASE("announced") {
        Proxy proxy{{.change = limit}};
        Peer client = proxy.connect_client();
        client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n");
        client.expects("HTTP/1.1 413 Content Too Large\r\n").expects("Connection: close\r\n");
        CHECK_FALSE(proxy.connects_to_server());
    }
    SUBCASE("counted") {
        Proxy proxy{{.change = limit}};
        Peer client = proxy.connect_client();
        client.sends("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n" +
                     std::string(50, 'x') + "\r\n");
        Peer server = proxy.accept_at_server();
        server.head();
        client.sends("33\r\n" + std::string(51, 'x') + "\r\n0\r\n\r\n");
        client.expects("HTTP/1.1 413 Content Too Large\r\n");
        CHECK(server.until_end().find("0\r\n\r\n") == std::string::npos);
        CHECK(proxy.faults(Fault::body_too_large) == 1);
    }
    SUBCASE("exactly as much passes") {
        Proxy proxy{{.change = limit}};
        Peer client = proxy.connect_client();
        client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n" +
                     std::string(100, 'x'));
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(ok);
        client.expects("ok");
    }
}

TEST_CASE("a broken chunk ends the request: 400, and the server never sees a complete body") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    Peer server = proxy.accept_at_server();
    server.expects("5\r\nhello\r\n");
    client.sends("zz\r\n");
    client.expects("HTTP/1.1 400 Bad Request\r\n").expects("Connection: close\r\n");
    CHECK(server.until_end().find("0\r\n\r\n") == std::string::npos);
}

TEST_CASE("an answer that is cut never looks complete") {
    const char* answers[] = {
        "HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    };
    for (const char* version : {"1.1", "1.0"}) {
        for (const char* answer : answers) {
            CAPTURE(answer);
            CAPTURE(version);
            Proxy proxy;
            Peer client = proxy.connect_client();
            client.sends(std::string{"GET / HTTP/"} + version + "\r\nHost: h\r\n\r\n");
            Peer server = proxy.accept_at_server();
            server.head();
            server.sends(std::string_view{answer}.substr(0, 50));
            client.head();
            server.sends(std::string_view{answer}.substr(
                std::min<std::size_t>(50, std::string_view{answer}.size())));
            proxy.turn();
            server.closes();
            const std::string got = client.until_end();
            CHECK(got.find("0\r\n\r\n") == std::string::npos);
            // A body that ends with the connection is told apart from a cut one by the reset alone.
            if (std::string_view{version} == "1.0") CHECK(client.was_reset());
        }
    }
}

TEST_CASE("a bad beginning of an answer is a 502") {
    const char* answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    for (const char* answer : answers) {
        CAPTURE(answer);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(answer);
        client.expects("HTTP/1.1 502 Bad Gateway\r\n");
        client.expects("502 Bad Gateway\n");
        CHECK(server.ended());
        CHECK(proxy.faults(Fault::bad_response) == 1);
        client.sends(get);  // the client's connection is well
        proxy.accept_at_server().expects("GET / ");
    }
}

TEST_CASE("a head that is no request is refused, and the connection ends without a reset") {
    struct Case {
        std::string bytes;
        int status;
    };
    const Case cases[] = {
        {"GET / HTTP/1.1\nHost: h\n\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"FOO / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
        {"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 405},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
        {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 414},
        {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(33'000, 'a') + "\r\n\r\n", 431},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"GET / HTTP/1.1\r\nHost: h\r\nExpect: something\r\n\r\n", 417},
    };
    for (const Case& c : cases) {
        CAPTURE(c.status);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(c.bytes);
        const std::string answer = client.head();
        CHECK(answer.starts_with("HTTP/1.1 " + std::to_string(c.status) + " "));
        CHECK(answer.find("Connection: close\r\n") != std::string::npos);
        CHECK(answer.find("Server") == std::string::npos);
        client.shuts();
        client.until_end();
        CHECK_FALSE(client.was_reset());
        CHECK_FALSE(proxy.connects_to_server());
        CHECK(proxy.log().find("\"status\":" + std::to_string(c.status)) != std::string::npos);
    }
}

TEST_CASE("the end of a connection leaves in one segment with the last bytes of its answer") {
    // The kernel's, which has grown behind libc's (linux/tcp.h).
    struct Info {
        tcp_info begin;
        std::array<std::uint64_t, 4> pacing_and_bytes;
        std::uint32_t segments_out;
        std::uint32_t segments_in;
    };
    static_assert(sizeof(tcp_info) == 104, "else libc's has grown, too");
    const auto segments = [](const Peer& client) {
        Info info{};
        socklen_t size = sizeof(info);
        REQUIRE(getsockopt(client.fd(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
        REQUIRE(size == sizeof(info));
        return info.segments_in;
    };
    bool own = false;
    SUBCASE("a server's") {}
    SUBCASE("our own") { own = true; }
    // If the machine stands still meanwhile, the held bytes leave by themselves.
    unsigned fewest = 100;
    for (int attempt = 0; attempt < 20 && fewest > 1; ++attempt) {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        Peer server = proxy.accept_at_server();
        server.head();
        const unsigned before = segments(client);
        server.sends(own ? "no HTTP" : ok);
        CHECK(client.until_end().starts_with(own ? "HTTP/1.1 502 " : "HTTP/1.1 200 "));
        fewest = std::min(fewest, segments(client) - before);
    }
    CHECK(fewest == 1);
}

TEST_CASE(
    "the beginning of an answer does not wait for its end, though the connection closes then") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    proxy.turn();  // at once: held bytes would come after 200 ms
    CHECK(client.got().ends_with("\r\n\r\nab"));
    server.sends("cd");
    CHECK(client.until_end().ends_with("\r\n\r\nabcd"));
}

TEST_CASE("what a client sends while its last answer leaves does not destroy that answer") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    client.sends("\r\n");  // in the same turn of the loop, behind the answer
    CHECK(client.head().starts_with("HTTP/1.1 200 "));
    CHECK(client.bytes(2) == "ok");
    CHECK(client.until_end() == "");
    CHECK_FALSE(client.was_reset());
    client.shuts();
    proxy.turn_until([&] { return proxy.worker().clients() == 0; }, "the end of lingering");
}

TEST_CASE("a head that never came whole is logged by its own bytes, not by another client's") {
    Proxy proxy;
    Peer leaver = proxy.connect_client();
    leaver.sends("GET /of-the-leaver HTTP/1.1\r\nHo");
    Peer other = proxy.connect_client();
    other.sends("GET /secret-of-another HTTP/1.1\r\nHost: h\r\nCookie: a=topsecret\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    leaver.shuts();
    leaver.until_end();
    const std::string line = proxy.log();
    CHECK(line.find("\"target\":\"/of-the-leaver\"") != std::string::npos);
    CHECK(line.find("secret") == std::string::npos);
}

TEST_CASE("a Connection field with more names than make sense is refused, from either side") {
    std::string names = "a0";
    for (int i = 1; i < 31; ++i) names += ", a" + std::to_string(i);
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nA30: x\r\nConnection: keep-alive, " + names +
                 "\r\n\r\n");
    Peer server = proxy.accept_at_server();
    CHECK(server.head().find("A30") == std::string::npos);
    server.sends("HTTP/1.1 200 OK\r\nConnection: " + names + ", b, c\r\nContent-Length: 0\r\n\r\n");
    client.expects("HTTP/1.1 502 Bad Gateway\r\n").expects("\n\r\n");
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: " + names + ",,\r\n\r\n");
    client.expects("HTTP/1.1 400 Bad Request\r\n");
}

TEST_CASE("a head up to the limit passes, though it is larger than its block") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    const std::string value(7000, 'v');
    const std::string head = "GET / HTTP/1.1\r\nHost: h\r\nA: " + value + "\r\nB: " + value +
                             "\r\nC: " + value + "\r\nD: " + value + "\r\n\r\n";
    for (const bool whole : {true, false}) {
        if (whole) {
            client.sends(head);
        } else {
            client.sends(head.substr(0, 17'000));
            proxy.turn();
            client.sends(head.substr(17'000));
        }
        Peer server = proxy.accept_at_server();
        CHECK(server.head().find("D: " + value) != std::string::npos);
        server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        client.expects("ok");
    }
}

TEST_CASE("a request that matches no route is a 404, and the connection goes on") {
    Proxy proxy{{.change = [](Config& config) { config.routes[0].hosts = {"only.example"}; }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    client.expects("HTTP/1.1 404 Not Found\r\n").expects("404 Not Found\n");
    client.sends("GET / HTTP/1.1\r\nHost: ONLY.example.:8080\r\n\r\n");
    proxy.accept_at_server().expects("GET / ");
    CHECK(proxy.faults(Fault::no_route) == 1);
}

TEST_CASE("a client that asks for no route again and again, and reads nothing, is waited for") {
    Proxy proxy{{.access_log = false,
                 .change = [](Config& config) { config.routes[0].hosts = {"only.example"}; }}};
    Peer client = proxy.connect_client();
    const int small = 4096;
    ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    std::string requests;
    for (int i = 0; i < 200; ++i)
        requests +=
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n";
    std::size_t at = 0;
    for (int refused = 0; refused < 20;) {
        const std::size_t taken = client.offers(std::string_view{requests}.substr(at));
        refused = taken == 0 ? refused + 1 : 0;
        at = (at + taken) % requests.size();
        proxy.turn(1);
    }
    const std::uint64_t answered = proxy.faults(Fault::no_route);
    CHECK(answered > 0);
    proxy.turn();
    CHECK(proxy.faults(Fault::no_route) == answered);

    const int large = 1 << 20;
    ::setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    std::vector<char> room(large);
    proxy.turn_until(
        [&] {
            client.takes(room.data(), room.size());
            return proxy.faults(Fault::no_route) > answered;
        },
        "the next answer");
}

TEST_CASE("an absolute target is sent on in origin form, its authority as Host") {
    Proxy proxy;
    struct Case {
        const char* target;
        const char* line;
    };
    const Case cases[] = {{"http://a.example/x?y", "GET /x?y HTTP/1.1\r\nHost: a.example\r\n"},
                          {"http://a.example:81", "GET / HTTP/1.1\r\nHost: a.example:81\r\n"},
                          {"http://a.example?q", "GET /?q HTTP/1.1\r\nHost: a.example\r\n"}};
    Peer client = proxy.connect_client();
    std::optional<Peer> server;
    for (const Case& c : cases) {
        client.sends(std::string{"GET "} + c.target + " HTTP/1.1\r\nHost: other\r\n\r\n");
        if (!server) server.emplace(proxy.accept_at_server());
        CHECK(server->head().starts_with(c.line));
        server->sends(ok);
        client.expects("ok");
    }
}

TEST_CASE("a websocket becomes a tunnel after the server's 101, first bytes included") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(
        "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
        "websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly");
    Peer server = proxy.accept_at_server();
    const std::string head = server.head();
    CHECK(head.find("Connection: Upgrade\r\nUpgrade: websocket\r\n") != std::string::npos);
    CHECK(head.find("Sec-WebSocket-Key: k\r\n") != std::string::npos);
    server.sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi");
    CHECK(client.head() ==
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    CHECK(client.bytes(2) == "hi");
    CHECK(server.bytes(5) == "early");
    const std::string much(400'000, 'm');
    client.sends(much);
    CHECK(server.bytes(much.size()) == much);
    server.sends(much);
    CHECK(client.bytes(much.size()) == much);
    client.shuts();
    CHECK(server.until_end() == "");
    server.sends("bye");
    CHECK(client.bytes(3) == "bye");
    server.closes();
    client.until_end();
    CHECK(proxy.worker().clients() == 0);
    CHECK(proxy.log().find("\"status\":101") != std::string::npos);
}

TEST_CASE("an upgrade that is not allowed goes on as an ordinary request") {
    const char* upgrades[] = {
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n",
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"};
    for (const char* upgrade : upgrades) {
        CAPTURE(upgrade);
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends("GET / HTTP/1.1\r\nHost: h\r\n" + std::string{upgrade} + "\r\n");
        Peer server = proxy.accept_at_server();
        const std::string head = server.head();
        CHECK(head.find("Upgrade:") == std::string::npos);
        CHECK(head.find("Connection:") == std::string::npos);
        server.sends(ok);
        client.expects("ok");
    }
    Proxy proxy{{.change = [](Config& config) { config.routes[0].websocket = false; }}};
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    CHECK(proxy.accept_at_server().head().find("Upgrade") == std::string::npos);
}

TEST_CASE("a client that closes its sending side still gets its answer") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get).shuts();
    Peer server = proxy.accept_at_server();
    server.head();
    proxy.turn();
    server.sends(ok);
    CHECK(client.head().find("Connection: close\r\n") != std::string::npos);
    CHECK(client.until_end() == "ok");
    CHECK_FALSE(client.was_reset());
}

TEST_CASE("with client_gone = 0 a closed sending side aborts the request") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.client_gone = 0s; }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    client.shuts();
    server.until_end();
    CHECK(proxy.faults(Fault::client_gone) == 1);
    CHECK(proxy.log().find("\"status\":499") != std::string::npos);
}

TEST_CASE("a client that leaves takes its server connection with it") {
    SUBCASE("within its request") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
        Peer server = proxy.accept_at_server();
        server.expects("abc");
        client.shuts();
        server.until_end();
        CHECK(proxy.faults(Fault::client_gone) == 1);
    }
    SUBCASE("by a reset, while it waits") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        client.resets();
        server.until_end();
        CHECK(proxy.faults(Fault::client_gone) == 1);
    }
    SUBCASE("while the answer comes") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" +
                     std::string(1000, 'x'));
        client.head();
        client.resets();
        server.sends(std::string(1000, 'x'));
        server.until_end();
        CHECK(proxy.faults(Fault::client_gone) == 1);
    }
    SUBCASE("within its head") {
        Proxy proxy;
        Peer client = proxy.connect_client();
        client.sends("GET / HT").shuts();
        client.until_end();
        CHECK(proxy.faults(Fault::client_gone) == 1);
    }
}

TEST_CASE("a reader that stalls stops the server, and both sides' memory stays bounded") {
    if (only_tcp("system calls are counted")) return;
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n");
    const std::string block(100'000, 'x');
    std::size_t sent = 0;
    // As much as the kernel's buffers and the proxy's hold; far less than the whole.
    for (int idle = 0; idle < 50 && sent < 40'000'000;) {
        const ssize_t size = ::send(server.fd(), block.data(),
                                    std::min(block.size(), 40'000'000 - sent), MSG_NOSIGNAL);
        if (size > 0) sent += static_cast<std::size_t>(size);
        idle = size > 0 ? 0 : idle + 1;
        proxy.turn(2);
    }
    CHECK(sent < 30'000'000);
    CHECK(proxy.worker().lane().tcp.read_toggles > 0);
    client.head();
    std::size_t got = 0;
    while (got < 40'000'000) {
        if (sent < 40'000'000) {
            const ssize_t size = ::send(server.fd(), block.data(),
                                        std::min(block.size(), 40'000'000 - sent), MSG_NOSIGNAL);
            if (size > 0) sent += static_cast<std::size_t>(size);
        }
        got += client.bytes(std::min<std::size_t>(sent - got, 50'000)).size();
    }
    CHECK(got == 40'000'000);
}

TEST_CASE("an upload to a server that does not read stops the client") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy{{.change = [](Config& config) { config.limits.body_max = 0; }}};
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40000000\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    const std::string block(100'000, 'x');
    std::size_t sent = 0;
    for (int idle = 0; idle < 50 && sent < 40'000'000;) {
        const ssize_t size = ::send(client.fd(), block.data(),
                                    std::min(block.size(), 40'000'000 - sent), MSG_NOSIGNAL);
        if (size > 0) sent += static_cast<std::size_t>(size);
        idle = size > 0 ? 0 : idle + 1;
        proxy.turn(2);
    }
    CHECK(sent < 30'000'000);
    std::size_t got = 0;
    while (got < 40'000'000) {
        if (sent < 40'000'000) {
            const ssize_t size = ::send(client.fd(), block.data(),
                                        std::min(block.size(), 40'000'000 - sent), MSG_NOSIGNAL);
            if (size > 0) sent += static_cast<std::size_t>(size);
        }
        got += server.bytes(std::min<std::size_t>(sent - got, 50'000)).size();
    }
    server.sends(ok);
    client.expects("ok");
}

TEST_CASE("a burst of connections is accepted in one turn, as far as requests can wait for it") {
    Proxy proxy;
    std::vector<Peer> clients;
    for (int i = 0; i < 40; ++i) {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        REQUIRE(::connect(fd, proxy.address().raw(), proxy.address().size()) == 0);
        clients.emplace_back(proxy, fd);
    }
    proxy.turn(1);
    CHECK(proxy.worker().clients() == 32);
    proxy.turn(1);
    CHECK(proxy.worker().clients() == 40);
}

TEST_CASE("at the limit of connections accepting stops, and goes on when there is room") {
    Proxy proxy{{.change = [](Config& config) { config.limits.connections_max = 1; }}};
    std::optional<Peer> first{proxy.connect_client()};
    first->sends("GET / HT");  // or it would give its place away
    Peer second = proxy.connect_client();
    second.sends(get);
    CHECK_FALSE(proxy.connects_to_server());
    CHECK(proxy.worker().clients() == 1);
    first->closes();
    proxy.accept_at_server().expects("GET / ");
}

TEST_CASE(
    "when the worker stops, idle connections close and a running request ends with its answer") {
    Proxy proxy;
    Peer idle = proxy.connect_client();
    Peer busy = proxy.connect_client();
    busy.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    proxy.worker().stop_now();
    CHECK(idle.until_end() == "");
    server.sends(ok);
    CHECK(busy.head().find("Connection: close\r\n") != std::string::npos);
    CHECK(busy.until_end() == "ok");
    CHECK(proxy.worker().clients() == 0);
}

TEST_CASE("a request that had arrived when the worker stops is answered") {
    Proxy proxy;
    Peer known = proxy.connect_client();
    Peer queued = proxy.connect_client();
    proxy.turn();
    known.sends(get);
    queued.sends(get);
    proxy.worker().stop_now();  // neither has been read yet
    for (int i = 0; i < 2; ++i) {
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(ok);
    }
    CHECK(known.until_end().ends_with("ok"));
    CHECK(queued.until_end().ends_with("ok"));
}

TEST_CASE("when the grace is over what is left is cut, and the log says why") {
    Proxy proxy;
    Peer busy = proxy.connect_client();
    busy.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    proxy.worker().stop_now();
    proxy.worker().abort_now();
    busy.until_end();
    CHECK(proxy.worker().clients() == 0);
    CHECK(proxy.log().find("\"fault\":\"stopping\"") != std::string::npos);
}

}  // namespace baton::test
