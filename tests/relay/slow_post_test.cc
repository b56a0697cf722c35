// A request waits for its body before anybody is asked: slow clients keep nobody waiting.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::size_t buffer = UpstreamConfig{}.request_buffer;

std::string post(const std::string& fields, std::string_view method = "POST") {
    return std::string{method} + " / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}

std::string length(std::size_t size) { return "Content-Length: " + std::to_string(size) + "\r\n"; }

const std::string chunked = "Transfer-Encoding: chunked\r\n";

std::string chunk(const std::string& data) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string size;
    for (std::size_t left = data.size(); left > 0; left /= 16) size += digits[left % 16];
    std::reverse(size.begin(), size.end());
    return size + "\r\n" + data + "\r\n";
}

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

std::uint64_t all_server_faults(Proxy& proxy) {
    std::uint64_t sum = 0;
    for (std::size_t fault = 0; fault < server_fault_count; ++fault)
        sum += proxy.server_faults(static_cast<ServerFault>(fault));
    return sum;
}

}  // namespace

TEST_CASE("F:slow-post no server and no store is asked before the body is whole") {
    Proxy proxy{{.sessions = true, .late_store = true, .request_buffer = buffer}};
    Peer client = proxy.connect_client();
    client.sends(post("Cookie: JSESSIONID=00000000000000000000000000000000\r\n" + length(6)));
    proxy.turn(20);
    client.sends("abc");
    proxy.turn(20);
    CHECK(proxy.late_store().questions.empty());
    CHECK_FALSE(proxy.connects_to_server());
    client.sends("def");
    proxy.turn_until([&] { return !proxy.late_store().questions.empty(); }, "a question");
    proxy.store_answers();
    Peer server = proxy.accept_at_server();
    CHECK(has(server.head(), "Content-Length: 6\r\n"));
    server.expects("abcdef");
    server.sends(ok);
    client.expects("200 OK");
}

TEST_CASE("F:slow-post a body that is whole goes with its length, however it came") {
    struct Case {
        std::string what;
        std::string wire;
        std::string body;
    };
    const Case cases[] = {
        {"by its length", length(5) + "\r\nhello", "hello"},
        {"one chunk", chunked + "\r\n5\r\nhello\r\n0\r\n\r\n", "hello"},
        {"many", chunked + "\r\n1\r\nh\r\n2\r\nel\r\n02\r\nlo\r\n000\r\n\r\n", "hello"},
        {"extensions", chunked + "\r\n5;a=b\r\nhello\r\n0\r\n\r\n", "hello"},
        {"trailers", chunked + "Trailer: X-A\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\r\n\r\n", "hello"},
        {"none", chunked + "\r\n0\r\n\r\n", ""},
    };
    for (const Case& c : cases) {
        for (const bool in_drops : {false, true}) {
            CAPTURE(c.what);
            CAPTURE(in_drops);
            Proxy proxy{{.request_buffer = buffer}};
            Peer client = proxy.connect_client();
            const std::string request = "POST / HTTP/1.1\r\nHost: h\r\n" + c.wire;
            if (in_drops)
                client.dribbles(request);
            else
                client.sends(request);
            Peer server = proxy.accept_at_server();
            const std::string head = server.head();
            CHECK(has(head, length(c.body.size())));
            CHECK_FALSE(has(head, "Transfer-Encoding"));
            CHECK_FALSE(has(head, "Trailer"));
            CHECK(server.bytes(c.body.size()) == c.body);
            server.expects_nothing();
            server.sends(ok);
            client.expects("200 OK");
        }
    }
}

TEST_CASE("F:slow-post a body cut in two at each byte is held until its last one") {
    for (const std::string& wire :
         {length(4) + "\r\nwxyz", chunked + "\r\n3\r\nwxy\r\n1;q\r\nz\r\n0\r\nT: u\r\n\r\n"}) {
        const std::string request = "PUT / HTTP/1.1\r\nHost: h\r\n" + wire;
        Proxy proxy{{.request_buffer = buffer}};
        Peer client = proxy.connect_client();
        Peer server{proxy, -1};
        for (std::size_t cut = 1; cut < request.size(); ++cut) {
            CAPTURE(cut);
            client.sends(std::string_view{request}.substr(0, cut));
            proxy.turn();
            if (server.fd() >= 0)
                CHECK(server.got().empty());
            else
                CHECK_FALSE(proxy.connects_to_server());
            client.sends(std::string_view{request}.substr(cut));
            if (server.fd() < 0) server = proxy.accept_at_server();
            CHECK(has(server.head(), length(4)));
            server.expects("wxyz");
            server.sends(ok);
            client.expects("200 OK").expects("ok");
        }
    }
}

TEST_CASE("F:slow-post once enough is there the request goes, and the rest as it comes") {
    bool by_length = false;
    SUBCASE("by its length") { by_length = true; }
    SUBCASE("in chunks") {}
    Proxy proxy{{.request_buffer = buffer}};
    Peer client = proxy.connect_client();
    const std::string first(buffer - 1, 'a');
    const auto wire = [&](const std::string& data) { return by_length ? data : chunk(data); };
    client.sends(post(by_length ? length(buffer + 9) : chunked) + wire(first));
    proxy.turn(20);
    CHECK_FALSE(proxy.connects_to_server());
    client.sends(wire("b"));
    Peer server = proxy.accept_at_server();
    const std::string head = server.head();
    CHECK(has(head, by_length ? length(buffer + 9) : chunked));
    if (!by_length) server.expects("4000\r\n");
    CHECK(server.bytes(buffer) == first + "b");
    client.sends(wire("123456789"));
    server.expects("123456789");
    if (!by_length) {
        client.sends("0\r\n\r\n");
        server.expects("0\r\n\r\n");
    }
    server.sends(ok);
    client.expects("200 OK");
}

TEST_CASE("F:slow-post with limits.body no longer than the buffer every body has its length") {
    for (const bool by_length : {false, true}) {
        CAPTURE(by_length);
        for (const std::size_t missing : {1U, 0U}) {
            CAPTURE(missing);
            Proxy proxy{{.request_buffer = buffer,
                         .change = [](Config& config) { config.limits.body_max = buffer; }}};
            Peer client = proxy.connect_client();
            const std::string body(buffer - missing, 'x');
            client.sends(post(by_length ? length(body.size()) : chunked));
            client.sends(by_length ? body.substr(1) : chunk(body));
            proxy.turn(50);
            CHECK_FALSE(proxy.connects_to_server());
            client.sends(by_length ? "x" : "0\r\n");
            proxy.turn(20);
            if (!by_length) CHECK_FALSE(proxy.connects_to_server());
            if (!by_length) client.sends("\r\n");
            Peer server = proxy.accept_at_server();
            CHECK(has(server.head(), length(body.size())));
            CHECK(server.bytes(body.size()) == body);
            server.sends(ok);
            client.expects("200 OK");
        }
    }
}

TEST_CASE("F:slow-post with limits.body no longer than the buffer one byte more is a 413") {
    Proxy proxy{{.request_buffer = buffer,
                 .change = [](Config& config) { config.limits.body_max = buffer; }}};
    Peer client = proxy.connect_client();
    client.sends(post(chunked) + chunk(std::string(buffer, 'x')));
    proxy.turn(50);
    client.sends("1\r\n");
    client.expects("HTTP/1.1 413 Content Too Large\r\n");
    CHECK_FALSE(proxy.connects_to_server());
}

TEST_CASE("F:slow-post a buffer of its own: as much as it says is held, and no more is read") {
    Proxy proxy{{.request_buffer = buffer, .change = [](Config& config) {
                     config.upstreams[0].request_buffer = std::size_t{1} << 20;
                 }}};
    Peer client = proxy.connect_client();
    const std::string body(1'000'000, 'x');
    client.sends(post(chunked, "PUT") + chunk(body));
    proxy.turn(50);
    CHECK_FALSE(proxy.connects_to_server());
    client.sends("0\r\n\r\n");
    Peer server = proxy.accept_at_server();
    CHECK(has(server.head(), length(body.size())));
    CHECK(server.bytes(body.size()) == body);
    // All of it is still there, for another try.
    server.closes();
    Peer second = proxy.accept_at_server();
    CHECK(has(second.head(), length(body.size())));
    CHECK(second.bytes(body.size()) == body);
    second.sends(ok);
    client.expects("200 OK");
}

TEST_CASE("F:slow-post what no server takes waits in the client: reading stops") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy{{.sessions = true, .late_store = true, .request_buffer = buffer}};
    Peer client = proxy.connect_client();
    client.sends(
        post("Cookie: JSESSIONID=00000000000000000000000000000000\r\n" + length(50'000'000)));
    const std::string block(std::size_t{1} << 16, 'x');
    std::size_t sent = 0;
    for (int stuck = 0; stuck < 50;) {
        const ssize_t size =
            ::send(client.fd(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size > 0) sent += static_cast<std::size_t>(size);
        stuck = size > 0 ? 0 : stuck + 1;
        proxy.turn(1);
    }
    CHECK(sent < 40'000'000);  // the kernel's buffers
}

TEST_CASE("F:slow-post Expect is answered here, when the wait begins, and goes no further") {
    SUBCASE("the client waits") {
        Proxy proxy{{.request_buffer = buffer}};
        Peer client = proxy.connect_client();
        client.sends(post("Expect: 100-Continue\r\n" + length(5)));
        CHECK(client.head() == "HTTP/1.1 100 Continue\r\n\r\n");
        CHECK_FALSE(proxy.connects_to_server());
        client.sends("hello");
        Peer server = proxy.accept_at_server();
        CHECK_FALSE(has(server.head(), "Expect"));
        server.expects("hello");
        server.sends(ok);
        CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    SUBCASE("it does not") {
        Proxy proxy{{.request_buffer = buffer}};
        Peer client = proxy.connect_client();
        client.sends(post("Expect: 100-continue\r\n" + length(5)) + "hello");
        Peer server = proxy.accept_at_server();
        CHECK_FALSE(has(server.head(), "Expect"));
        server.sends(ok);
        CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    SUBCASE("there is nothing to wait for") {
        Proxy proxy{{.request_buffer = buffer}};
        Peer client = proxy.connect_client();
        client.sends(post("Expect: 100-continue\r\n" + length(0)));
        Peer server = proxy.accept_at_server();
        CHECK_FALSE(has(server.head(), "Expect"));
        server.sends(ok);
        CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    SUBCASE("a 1.0 client does not know it") {
        Proxy proxy{{.request_buffer = buffer}};
        Peer client = proxy.connect_client();
        client.sends("POST / HTTP/1.0\r\nExpect: 100-continue\r\n" + length(5) + "\r\n");
        client.expects_nothing();
        client.sends("hello");
        Peer server = proxy.accept_at_server();
        CHECK_FALSE(has(server.head(), "Expect"));
        server.sends(ok);
        CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    SUBCASE("with 0 it is the server's affair") {
        Proxy proxy{{.request_buffer = buffer,
                     .change = [](Config& config) { config.upstreams[0].request_buffer = 0; }}};
        Peer client = proxy.connect_client();
        client.sends(post("Expect: 100-continue\r\n" + length(5)));
        Peer server = proxy.accept_at_server();
        CHECK(has(server.head(), "Expect: 100-continue\r\n"));
    }
}

TEST_CASE("F:slow-post with 0 a body passes as it comes") {
    Proxy proxy{{.request_buffer = buffer,
                 .change = [](Config& config) { config.upstreams[0].request_buffer = 0; }}};
    Peer client = proxy.connect_client();
    client.sends(post(chunked));
    Peer server = proxy.accept_at_server();
    CHECK(has(server.head(), chunked));
    client.sends("1\r\na\r\n");
    server.expects("1\r\na\r\n");
    client.sends("0\r\n\r\n");
    server.expects("0\r\n\r\n");
    server.sends(ok);
    client.expects("200 OK");
    client.sends(post(chunked) + "1\r\nb\r\n0\r\n\r\n");
    CHECK(has(server.head(), chunked));
    server.expects("1\r\nb\r\n0\r\n\r\n");
}

TEST_CASE("F:slow-post a client that leaves in its body was never at a server") {
    for (const std::string& wire : {length(10) + "\r\nabc", chunked + "\r\n3\r\nabc\r\n",
                                    chunked + "\r\n3\r\nab", length(20'000) + "\r\nabc"}) {
        for (const bool by_reset : {false, true}) {
            CAPTURE(wire);
            Proxy proxy{{.request_buffer = buffer}};
            Peer client = proxy.connect_client();
            client.sends("POST / HTTP/1.1\r\nHost: h\r\n" + wire);
            proxy.turn();
            if (by_reset)
                client.resets();
            else
                client.closes();
            proxy.turn_until([&] { return proxy.faults(Fault::client_gone) == 1; }, "the end");
            CHECK_FALSE(proxy.connects_to_server());
        }
    }
}

TEST_CASE("F:slow-post a body that is not accepted never reaches a server") {
    Proxy proxy{
        {.request_buffer = buffer, .change = [](Config& config) { config.limits.body_max = 100; }}};
    SUBCASE("too large, in chunks") {
        Peer client = proxy.connect_client();
        client.sends(post(chunked) + chunk(std::string(60, 'x')));
        proxy.turn();
        client.sends(chunk(std::string(60, 'x')));
        client.expects("HTTP/1.1 413 Content Too Large\r\n");
    }
    SUBCASE("no chunks at all") {
        Peer client = proxy.connect_client();
        client.sends(post(chunked) + chunk("abc") + "x");
        client.expects("HTTP/1.1 400 Bad Request\r\n");
    }
    CHECK_FALSE(proxy.connects_to_server());
}

TEST_CASE("F:slow-post while a body is held its time runs out") {
    const char* which = "";
    std::string drop = "x";
    SUBCASE("body_idle") {
        which = "body_idle";
        drop = "";
    }
    SUBCASE("total") { which = "total"; }
    SUBCASE("upload_rate_min") { which = "upload_rate_min"; }
    Proxy proxy{{.request_buffer = buffer, .change = [&](Config& config) {
                     if (drop.empty()) config.timeouts.body_idle = 50ms;
                     if (which == std::string_view{"total"})
                         config.upstreams[0].timeouts.total = 100ms;
                     if (which == std::string_view{"upload_rate_min"})
                         config.limits.upload = {.min = 1'000'000, .grace = 100ms};
                 }}};
    Peer client = proxy.connect_client();
    client.sends(post(length(10'000'000)));
    proxy.turn_until(
        [&] {
            client.sends(drop);
            return proxy.faults(Fault::client_slow) == 1;
        },
        which);
    client.expects("HTTP/1.1 408 Request Timeout\r\n").expects("Connection: close\r\n");
    CHECK_FALSE(proxy.connects_to_server());
}

TEST_CASE("F:slow-post a body that drips behind its first 16 KiB is cut, and no server is blamed") {
    Proxy proxy{{.request_buffer = buffer, .change = [](Config& config) {
                     config.limits.upload = {.min = 1'000'000, .grace = 100ms};
                 }}};
    Peer client = proxy.connect_client();
    client.sends(post(length(10'000'000)) + std::string(buffer, 'x'));
    Peer server = proxy.accept_at_server();
    server.head();
    server.bytes(buffer);
    proxy.turn_until(
        [&] {
            client.sends("x");
            return proxy.faults(Fault::client_slow) == 1;
        },
        "the cut");
    client.expects("HTTP/1.1 408 Request Timeout\r\n");
    server.until_end();
    CHECK(all_server_faults(proxy) == 0);
}

TEST_CASE("F:slow-post a client that waits for the server's 100 is not slow") {
    Proxy proxy{{.request_buffer = 0, .change = [](Config& config) {
                     config.limits.upload = {.min = 1'000'000, .grace = 100ms};
                 }}};
    Peer client = proxy.connect_client();
    client.sends(post("Expect: 100-continue\r\n" + length(5)));
    Peer server = proxy.accept_at_server();
    server.head();
    const std::uint64_t later = proxy.worker().loop().now() + 250;
    proxy.turn_until([&] { return proxy.worker().loop().now() > later; }, "time to pass");
    CHECK(proxy.faults(Fault::client_slow) == 0);
    SUBCASE("the server asks for the body") {
        server.sends("HTTP/1.1 100 Continue\r\n\r\n");
        CHECK(client.head() == "HTTP/1.1 100 Continue\r\n\r\n");
        SUBCASE("and it comes") {
            client.sends("hello");
            server.expects("hello");
            server.sends(ok);
            client.expects("200 OK");
        }
        SUBCASE("and from then on the time counts") {
            client.expects("HTTP/1.1 408 Request Timeout\r\n");
        }
    }
    SUBCASE("the client has waited long enough, and is slow with the body") {
        client.sends("hell");
        client.expects("HTTP/1.1 408 Request Timeout\r\n");
    }
    CHECK(all_server_faults(proxy) == 0);
}

TEST_CASE("F:slow-post a server that is slow to take a body does not make the client slow") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy{{.request_buffer = buffer, .change = [](Config& config) {
                     config.limits.upload = {.min = 1'000'000'000, .grace = 3s};
                 }}};
    Peer client = proxy.connect_client();
    constexpr std::size_t size = 20'000'000;
    client.sends(post(length(size)) + std::string(buffer, 'x'));
    Peer server = proxy.accept_at_server();
    server.head();
    const std::string block(std::size_t{1} << 16, 'x');
    std::size_t sent = buffer;
    for (int stuck = 0; stuck < 50;) {
        const ssize_t some = ::send(client.fd(), block.data(), std::min(block.size(), size - sent),
                                    MSG_NOSIGNAL | MSG_DONTWAIT);
        if (some > 0) sent += static_cast<std::size_t>(some);
        stuck = some > 0 ? 0 : stuck + 1;
        proxy.turn(1);
    }
    const std::uint64_t later = proxy.worker().loop().now() + 3500;
    proxy.turn_until([&] { return proxy.worker().loop().now() > later; }, "time to pass");
    CHECK(proxy.faults(Fault::client_slow) == 0);
    std::size_t got = 0;
    while (got < size) {
        if (sent < size) {
            const ssize_t some =
                ::send(client.fd(), block.data(), std::min(block.size(), size - sent),
                       MSG_NOSIGNAL | MSG_DONTWAIT);
            if (some > 0) sent += static_cast<std::size_t>(some);
        }
        got += server.bytes(std::min<std::size_t>(size - got, 10'000)).size();
    }
    server.sends(ok);
    client.expects("200 OK");
}

TEST_CASE("F:slow-post what comes whole costs no turn and no write more") {
    if (only_tcp("system calls are counted")) return;
    Proxy proxy{{.request_buffer = buffer}};
    Peer client = proxy.connect_client();
    const std::string request = post(length(5)) + "hello";
    client.sends(request);
    Peer server = proxy.accept_at_server();
    server.expects("hello");
    server.sends(ok);
    client.expects("200 OK").expects("ok");
    const TcpCounts before = proxy.worker().lane().tcp;
    client.sends(request);
    server.expects("hello");
    server.sends(ok);
    client.expects("200 OK").expects("ok");
    const TcpCounts& after = proxy.worker().lane().tcp;
    CHECK(after.reads - before.reads == 2);
    CHECK(after.writes - before.writes == 2);
    CHECK(after.read_toggles == before.read_toggles);
}

}  // namespace baton::test
