// Requests that the program answers itself: bodies, order, limits, ends.

#include "proxy/exchange/local_call.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/process/clients.h"
#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string post_begin = "POST /p HTTP/1.1\r\nHost: h\r\n";

constexpr std::size_t body_max = std::size_t{8} << 10;

// Answers with what it was asked, or as much as `/large` asks for.
class Echo final : public LocalService {
public:
    std::optional<Reply> answer(const LocalRequest& request, StoreTicket,
                                std::unique_ptr<PendingReply>&) override {
        asked.push_back(std::string{request.head.text(request.head.method_text)} + " " +
                        std::string{request.path} + " ? " + std::string{request.query} + " @ " +
                        std::string{request.host});
        bodies.emplace_back(request.body);
        if (request.path == "/405") {
            Reply refusal = plain_reply(405);
            refusal.add("Allow", "GET, HEAD");
            return refusal;
        }
        Reply reply;
        reply.body = request.path == "/large" ? std::string(large, 'x') : "<" + bodies.back() + ">";
        return reply;
    }

    static constexpr std::size_t large = std::size_t{8} << 20;
    std::vector<std::string> asked;
    std::vector<std::string> bodies;
};

// A listener, beside the proxy's own on the same lane, whose requests `service` answers.
struct Local {
    explicit Local(std::function<void(Config&)> change = [](Config&) {})
        : proxy({.change = std::move(change)}),
          clients(proxy.worker().lane(), gate, this,
                  [](void* local) { static_cast<Local*>(local)->emptied = true; }) {
        gate.max = 1000;
        ListenerSockets sockets;
        std::string complaint;
        REQUIRE(open_listener(*parse_address("127.0.0.1:0"), 1, sockets, complaint));
        address = sockets.address;
        clients.take(proxy.config().limits, {});
        clients.listen(sockets.fds[0], address, proxy.config().listeners[0], &service);
    }

    Peer connect() { return proxy.connect_client(address); }
    void until_gone() {
        proxy.turn_until([&] { return clients.count() == 0; }, "the end of all connections");
    }
    void until_there() {
        proxy.turn_until([&] { return clients.count() > 0; }, "a connection");
    }

    Proxy proxy;
    Echo service;
    ConnectionGate gate;
    Address address;
    bool emptied = false;
    Clients clients;
};

std::string head_of(std::size_t length, const std::string& more = {},
                    const std::string& status = "200 OK") {
    return "HTTP/1.1 " + status +
           "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
           std::to_string(length) +
           "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" + more + "\r\n";
}

// A whole answer that carries `body`.
void check_answer(Peer& client, const std::string& body, const std::string& more = {}) {
    CHECK(client.head() == head_of(body.size(), more));
    CHECK(client.bytes(body.size()) == body);
}

std::string post(const std::string& body) {
    return post_begin + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// The same without its last byte.
std::string begun(const std::string& body) {
    std::string request = post(body);
    request.pop_back();
    return request;
}

// A body in chunks of `size` bytes.
std::string chunked(const std::string& body, std::size_t size) {
    std::string out = post_begin + "Transfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < body.size(); at += size) {
        const std::string data = body.substr(at, size);
        char line[20];
        std::snprintf(line, sizeof(line), "%zx\r\n", data.size());
        out += line + data + "\r\n";
    }
    return out + "0\r\n\r\n";
}

std::string numbered(std::size_t size) {
    std::string body;
    for (std::size_t i = 0; body.size() < size; ++i) body += std::to_string(i) + " ";
    body.resize(size);
    return body;
}

// The proxy's end of a connection: a descriptor of its own.
int other_end(const Peer& client) {
    sockaddr_in own{};
    socklen_t size = sizeof(own);
    getsockname(client.fd(), reinterpret_cast<sockaddr*>(&own), &size);
    for (int fd = 3; fd < 1024; ++fd) {
        sockaddr_in peer{};
        size = sizeof(peer);
        if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
            peer.sin_port == own.sin_port)
            return fd;
    }
    FAIL("the connection has no other end");
    return -1;
}

// Fills the kernel's buffers from the proxy's end, so that not one byte of an answer finds room.
// Returns how much that took.
std::size_t clog(Proxy& proxy, const Peer& client) {
    const int fd = other_end(client);
    const int small = 1;  // and it grows no more
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    const std::string junk(4096, '~');
    std::size_t size = 0;
    proxy.turn_until(
        [&] {
            for (std::size_t piece = junk.size(); piece > 0;) {
                const ssize_t sent = ::send(fd, junk.data(), piece, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (sent > 0)
                    size += static_cast<std::size_t>(sent);
                else
                    piece /= 2;
            }
            // What has left is acknowledged: no room comes back before the client reads.
            tcp_info info{};
            socklen_t info_size = sizeof(info);
            getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_size);
            return info.tcpi_unacked == 0;
        },
        "full buffers");
    return size;
}

}  // namespace

TEST_CASE("F:list-cost here too Connection may have 32 elements, no more") {
    Local local;
    for (const int elements : {32, 33}) {
        CAPTURE(elements);
        Peer client = local.connect();
        client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: " +
                     std::string(static_cast<std::size_t>(elements - 1), ',') + "\r\n\r\n");
        client.expects(elements > 32 ? "HTTP/1.1 400 " : "HTTP/1.1 200 ");
    }
    CHECK(local.service.asked.size() == 1);
}

TEST_CASE("local: a GET is answered with its fields, and a HEAD with the same head") {
    Local local;
    Peer client = local.connect();
    client.sends(get);
    check_answer(client, "<>");
    client.sends("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(client.head() == head_of(2));
    client.expects_nothing();
    client.sends(get);
    check_answer(client, "<>");
    CHECK(local.service.asked ==
          std::vector<std::string>{"GET / ?  @ h", "HEAD / ?  @ h", "GET / ?  @ h"});
    CHECK(local.clients.count() == 1);
}

TEST_CASE("local: Allow stands on a 405 and nowhere else") {
    Local local;
    Peer client = local.connect();
    client.sends("DELETE /405 HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string body = "405 Method Not Allowed\n";
    CHECK(client.head() == head_of(body.size(), "Allow: GET, HEAD\r\n", "405 Method Not Allowed"));
    CHECK(client.bytes(body.size()) == body);
    CHECK(plain_reply(404).body == "404 Not Found\n");
    CHECK(plain_reply(404).fields.empty());
    CHECK(plain_reply(403).status == 403);
}

TEST_CASE("local: a body arrives whole, by length or in chunks, and ends with its request") {
    Local local;
    Peer client = local.connect();
    client.sends(post("hello"));
    check_answer(client, "<hello>");
    client.sends(chunked("hello world", 4));
    check_answer(client, "<hello world>");
    client.sends(post(""));
    check_answer(client, "<>");
    client.sends(chunked("", 1));
    check_answer(client, "<>");
    client.sends(post_begin +
                 "Transfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nab\r\n0\r\nTrailer: 1\r\n\r\n");
    check_answer(client, "<ab>");
    client.sends(get);
    check_answer(client, "<>");
}

TEST_CASE("local: a request cut at any byte is the same request") {
    Local local;
    Peer client = local.connect();
    const std::string requests[] = {post("0123456789"), chunked("0123456789", 3)};
    for (const std::string& request : requests) {
        for (std::size_t cut = 1; cut < request.size(); ++cut) {
            CAPTURE(cut);
            client.sends(request.substr(0, cut));
            local.proxy.turn(3);
            client.sends(request.substr(cut));
            check_answer(client, "<0123456789>");
        }
        client.dribbles(request);
        check_answer(client, "<0123456789>");
    }
    CHECK(local.clients.count() == 1);
}

TEST_CASE("local: a body of 8 KiB passes") {
    Local local;
    Peer client = local.connect();
    const std::string body = numbered(body_max);
    client.sends(post(body));
    check_answer(client, "<" + body + ">");
    for (const std::size_t size : {1U, 7U, 1000U, 8192U}) {
        CAPTURE(size);
        client.sends(chunked(body, size));
        check_answer(client, "<" + body + ">");
    }
    const std::string request = post(body);
    for (std::size_t at = 0; at < request.size(); at += 1000) {
        client.sends(request.substr(at, 1000));
        local.proxy.turn(2);
    }
    check_answer(client, "<" + body + ">");
}

TEST_CASE("local: a longer body is a 413, and the connection ends") {
    const std::string body = numbered(body_max + 1);
    const std::string behind = "GET /behind HTTP/1.1\r\nHost: h\r\n\r\n";
    struct Row {
        std::string request;
        std::size_t piece;
    };
    const Row rows[] = {
        {post(body), 100'000},       {post(body), 1000},         {chunked(body, 8193), 100'000},
        {chunked(body, 1), 100'000}, {chunked(body, 100), 1000},
    };
    for (const Row& row : rows) {
        CAPTURE(row.piece);
        Local local;
        Peer client = local.connect();
        const std::string bytes = row.request + behind;
        for (std::size_t at = 0; at < bytes.size(); at += row.piece) {
            client.sends(bytes.substr(at, row.piece));
            local.proxy.turn(2);
        }
        const std::string head = client.head();
        CHECK(head.starts_with("HTTP/1.1 413 Content Too Large\r\n"));
        CHECK(head.find("Connection: close\r\n") != std::string::npos);
        CHECK(head.find("X-Content-Type-Options: nosniff\r\n") != std::string::npos);
        CHECK(head.find("Cache-Control: no-store\r\n") != std::string::npos);
        CHECK(head.find("Content-Length: 22\r\n") != std::string::npos);
        CHECK(client.until_end() == "413 Content Too Large\n");
        CHECK(local.service.asked.empty());
        client.closes();
        local.until_gone();
    }
}

TEST_CASE("local: limits.body bounds a body, too") {
    Local local{[](Config& config) { config.limits.body_max = 10; }};
    Peer client = local.connect();
    client.sends(post("0123456789"));
    check_answer(client, "<0123456789>");
    client.sends(post("0123456789a"));
    client.expects("HTTP/1.1 413 Content Too Large\r\n").expects("Connection: close\r\n");
}

TEST_CASE("local: who expects a 100 gets it, and then the answer") {
    Local local;
    Peer client = local.connect();
    for (const std::string framing : {"Content-Length: 2", "Transfer-Encoding: chunked"}) {
        client.sends(post_begin).sends("Expect: 100-continue\r\n").sends(framing + "\r\n\r\n");
        CHECK(client.head() == "HTTP/1.1 100 Continue\r\n\r\n");
        client.expects_nothing();
        client.sends(framing == "Content-Length: 2" ? "ab" : "2\r\nab\r\n0\r\n\r\n");
        check_answer(client, "<ab>");
    }
    // No body is awaited, or nobody asked.
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n");
    check_answer(client, "<>");
    client.sends(post_begin + "Content-Length: 2\r\n\r\n");
    client.expects_nothing();
    client.sends("ab");
    check_answer(client, "<ab>");
}

TEST_CASE("local: a 1.0 client is sent no 100: it would take it for the answer") {
    Local local;
    Peer client = local.connect();
    client.sends(
        "POST / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n"
        "Content-Length: 2\r\n\r\n");
    client.expects_nothing();
    client.sends("ab");
    check_answer(client, "<ab>", "Connection: keep-alive\r\n");
}

TEST_CASE("local: pipelined requests are answered in their order") {
    Local local;
    Peer client = local.connect();
    std::string requests;
    std::vector<std::string> answers;
    for (int i = 0; i < 60; ++i) {
        const std::string body(static_cast<std::size_t>(i) * 20, static_cast<char>('a' + i % 26));
        requests += i % 3 == 0 ? get : i % 3 == 1 ? post(body) : chunked(body, 50);
        answers.push_back("<" + (i % 3 == 0 ? "" : body) + ">");
    }
    SUBCASE("in one write") { client.sends(requests); }
    SUBCASE("in pieces") {
        for (std::size_t at = 0; at < requests.size(); at += 333) {
            client.sends(requests.substr(at, 333));
            local.proxy.turn(2);
        }
    }
    for (const std::string& answer : answers) check_answer(client, answer);
    CHECK(local.service.asked.size() == 60);
    CHECK(local.clients.count() == 1);
}

TEST_CASE("local: requests wait behind an answer that is not read") {
    Local local;
    Peer client = local.connect();
    client.sends("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    local.proxy.turn_until([&] { return local.service.asked.size() == 1; }, "the request");
    client.sends(post("one") + post("two"));
    local.proxy.turn(20);
    CHECK(local.service.asked.size() == 1);
    CHECK(client.head() == head_of(Echo::large));
    CHECK(client.bytes(Echo::large) == std::string(Echo::large, 'x'));
    check_answer(client, "<one>");
    check_answer(client, "<two>");
}

TEST_CASE("local: whether the connection goes on is as the client wants it") {
    const std::string close = "Connection: close\r\n";
    const std::string keep = "Connection: keep-alive\r\n";
    struct Row {
        std::string request;
        std::string said;
        bool ends;
    };
    const Row rows[] = {
        {"GET / HTTP/1.0\r\n\r\n", close, true},
        {"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", keep, false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", close, true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", close, true},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", "", false},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nConnection: Close\r\n\r\n", close, true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.request);
        Local local;
        Peer client = local.connect();
        client.sends(row.request);
        check_answer(client, "<>", row.said);
        if (row.ends) {
            CHECK(client.until_end() == "");
            CHECK_FALSE(client.was_reset());
            local.until_gone();
        } else {
            client.sends(row.request);
            check_answer(client, "<>", row.said);
            CHECK(local.clients.count() == 1);
        }
    }
}

TEST_CASE("local: the target is taken apart, and the host has no port") {
    struct Row {
        std::string line;
        std::string host;
        std::string asked;
    };
    const Row rows[] = {
        {"GET /a/b HTTP/1.1", "h", "GET /a/b ?  @ h"},
        {"GET /a?b=c HTTP/1.1", "h", "GET /a ? b=c @ h"},
        {"GET /a? HTTP/1.1", "h", "GET /a ?  @ h"},
        {"GET /a?b?c HTTP/1.1", "h", "GET /a ? b?c @ h"},
        {"GET /%61//../b HTTP/1.1", "h", "GET /%61//../b ?  @ h"},
        {"GET /?x HTTP/1.1", "h", "GET / ? x @ h"},
        {"GET http://other:81/a?b HTTP/1.1", "h", "GET /a ? b @ other"},
        {"GET http://[::1]:81/a HTTP/1.1", "h", "GET /a ?  @ [::1]"},
        {"GET http://other?b HTTP/1.1", "h", "GET  ? b @ other"},
        {"GET http://other HTTP/1.1", "h", "GET  ?  @ other"},
        {"OPTIONS * HTTP/1.1", "h", "OPTIONS * ?  @ h"},
        {"GET / HTTP/1.1", "Name:80", "GET / ?  @ Name"},
        {"GET / HTTP/1.1", "127.0.0.1:80", "GET / ?  @ 127.0.0.1"},
        {"GET / HTTP/1.1", "127.0.0.1:", "GET / ?  @ 127.0.0.1"},
        {"GET / HTTP/1.1", "[::1]:80", "GET / ?  @ [::1]"},
        {"GET / HTTP/1.1", "[::1]", "GET / ?  @ [::1]"},
        {"GET / HTTP/1.1", "[::1]:", "GET / ?  @ [::1]"},
    };
    Local local;
    Peer client = local.connect();
    for (const Row& row : rows) {
        CAPTURE(row.line);
        CAPTURE(row.host);
        client.sends(row.line + "\r\nHost: " + row.host + "\r\n\r\n");
        check_answer(client, "<>");
        CHECK(local.service.asked.back() == row.asked);
    }
    client.sends("GET /old HTTP/1.0\r\n\r\n");
    check_answer(client, "<>", "Connection: close\r\n");
    CHECK(local.service.asked.back() == "GET /old ?  @ ");
}

TEST_CASE("local: bytes that are no request are a 400, and the connection ends") {
    struct Row {
        std::string bytes;
        std::string status;
    };
    const Row rows[] = {
        {"BAD\r\n\r\n", "400 Bad Request"},
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
        {"GET / HTTP/1.1\nHost: h\n\n", "400 Bad Request"},
        {"\x16\x03\x01", "400 Bad Request"},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505 HTTP Version Not Supported"},
        {post_begin + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"},
        {post_begin + "Transfer-Encoding: chunked\r\n\r\nx\r\n", "400 Bad Request"},
        {post_begin + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", "400 Bad Request"},
        {post_begin + "Expect: tea\r\n\r\n", "417 Expectation Failed"},
        {"GET /" + std::string(9000, 'x') + " HTTP/1.1\r\n", "414 URI Too Long"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.bytes);
        Local local;
        Peer client = local.connect();
        client.sends(get + row.bytes);
        check_answer(client, "<>");
        const std::string head = client.head();
        CHECK(head.starts_with("HTTP/1.1 " + row.status + "\r\n"));
        CHECK(head.find("Connection: close\r\n") != std::string::npos);
        CHECK(head.find("X-Content-Type-Options: nosniff\r\n") != std::string::npos);
        CHECK(client.until_end() == row.status + "\n");
        CHECK(local.service.asked.size() == 1);
        client.closes();
        local.until_gone();
    }
}

TEST_CASE("local: a head or a body that does not come in time is a 408") {
    Local local{[](Config& config) {
        config.timeouts.header = 50ms;
        config.timeouts.body_idle = 50ms;
    }};
    const std::string rows[] = {"GET / HTTP/1.1\r\nHo", begun("0"), begun("0123456789")};
    for (const std::string& request : rows) {
        CAPTURE(request);
        Peer client = local.connect();
        client.sends(request);
        const std::string head = client.head();
        CHECK(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
        CHECK(head.find("Connection: close\r\n") != std::string::npos);
        CHECK(head.find("X-Content-Type-Options: nosniff\r\n") != std::string::npos);
        CHECK(client.until_end() == "408 Request Timeout\n");
        client.closes();
        local.until_gone();
    }
    CHECK(local.service.asked.empty());
}

TEST_CASE("local: an idle connection ends without a word") {
    Local local{[](Config& config) { config.timeouts.keepalive = 50ms; }};
    Peer silent = local.connect();
    CHECK(silent.until_end() == "");
    Peer client = local.connect();
    client.sends(get);
    check_answer(client, "<>");
    CHECK(client.until_end() == "");
    local.until_gone();
}

TEST_CASE("local: who does not read its answer is cut") {
    Local local{[](Config& config) { config.timeouts.send = 50ms; }};
    Peer client = local.connect();
    client.sends("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    local.until_there();
    local.until_gone();
    CHECK(client.until_end().size() < Echo::large);
    CHECK(client.was_reset());
}

TEST_CASE("local: a client that has closed its side is still answered") {
    Local local;
    SUBCASE("at once") {
        Peer client = local.connect();
        client.sends(get).shuts();
        check_answer(client, "<>");
        CHECK(client.until_end() == "");
        CHECK_FALSE(client.was_reset());
    }
    SUBCASE("with its end behind the body") {
        Peer client = local.connect();
        client.sends(begun("abc"));
        local.proxy.turn();
        client.sends("c").shuts();
        check_answer(client, "<abc>");
        CHECK(client.until_end() == "");
    }
    SUBCASE("while it reads") {
        Peer client = local.connect();
        client.sends("GET /large HTTP/1.1\r\nHost: h\r\n\r\n").shuts();
        CHECK(client.head() == head_of(Echo::large));
        CHECK(client.until_end().size() == Echo::large);
        CHECK_FALSE(client.was_reset());
    }
    local.until_gone();
}

TEST_CASE("local: a client that leaves inside its body leaves nothing behind") {
    Local local;
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        Peer client = local.connect();
        client.sends(begun("0123456789"));
        local.until_there();
        CHECK(local.gate.open == 1);
        if (how == 0) client.closes();
        if (how == 1) client.resets();
        if (how == 2) client.shuts();
        local.until_gone();
        CHECK(local.gate.open == 0);
    }
    CHECK(local.service.asked.empty());
}

TEST_CASE("local: a client that leaves while its answer leaves") {
    Local local;
    Peer client = local.connect();
    client.sends("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    client.head();
    client.resets();
    local.until_gone();
}

TEST_CASE("local: stop ends idle connections, and no new one is made") {
    Local local;
    Peer silent = local.connect();
    Peer known = local.connect();
    known.sends(get);
    check_answer(known, "<>");
    local.clients.stop();
    CHECK(silent.until_end() == "");
    CHECK(known.until_end() == "");
    CHECK_FALSE(known.was_reset());
    local.until_gone();
    CHECK(local.emptied);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    CHECK(::connect(fd, local.address.raw(), local.address.size()) != 0);
    ::close(fd);
}

TEST_CASE("local: a request whose body comes during the stop is answered, and the last one") {
    Local local;
    Peer client = local.connect();
    client.sends(begun("abc"));
    local.until_there();
    local.proxy.turn();
    local.clients.stop();
    local.proxy.turn();
    CHECK_FALSE(local.emptied);
    client.sends("c" + get);
    check_answer(client, "<abc>", "Connection: close\r\n");
    CHECK(client.until_end() == "");
    CHECK(local.service.asked.size() == 1);
    client.closes();
    local.until_gone();
    CHECK(local.emptied);
}

TEST_CASE("local: an answer on its way leaves whole during the stop") {
    Local local;
    Peer client = local.connect();
    client.sends("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    client.head();
    local.clients.stop();
    CHECK(client.until_end().size() == Echo::large);
    CHECK_FALSE(client.was_reset());
    local.until_gone();
    CHECK(local.emptied);
}

TEST_CASE("local: abort cuts what is left") {
    Local local;
    Peer uploading = local.connect();
    uploading.sends(begun("0123456789"));
    Peer downloading = local.connect();
    downloading.sends("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    downloading.head();
    Peer beginning = local.connect();
    beginning.sends("GET / HT");
    Peer lingering = local.connect();
    lingering.sends("BAD\r\n\r\n");
    lingering.expects("400 Bad Request\n");
    local.proxy.turn_until([&] { return local.clients.count() == 4; }, "all four");
    local.proxy.turn();
    local.clients.stop();
    CHECK_FALSE(local.emptied);
    local.clients.abort();
    CHECK(local.clients.count() == 0);
    CHECK(local.emptied);
    CHECK(uploading.until_end() == "");
    CHECK(uploading.was_reset());
    CHECK(downloading.until_end().size() < Echo::large);
    CHECK(downloading.was_reset());
    CHECK(beginning.until_end() == "");
    CHECK(lingering.until_end() == "");
}

TEST_CASE("local: such requests reach no server, no access log and no counter of the traffic") {
    Local local;
    Proxy& proxy = local.proxy;
    Peer client = local.connect();
    client.sends("GET /local HTTP/1.1\r\nHost: h\r\n\r\n");
    client.head();
    client.sends(begun("abc"));
    proxy.turn();
    CHECK(proxy.counters().requests_in_flight.read() == 0);
    client.sends("c");
    client.head();
    client.sends(post(std::string(10'000, 'x')));
    client.expects("HTTP/1.1 413 Content Too Large\r\n");
    Peer gone = local.connect();
    gone.sends(begun("abc"));
    proxy.turn();
    gone.closes();
    proxy.turn_until([&] { return local.clients.count() < 2; }, "the end of who left");
    CHECK_FALSE(proxy.connects_to_server());
    CHECK(proxy.requests() == 0);
    for (int fault = 0; fault < fault_count; ++fault)
        CHECK(proxy.faults(static_cast<Fault>(fault)) == 0);

    Peer relayed = proxy.connect_client();
    relayed.sends("GET /relayed HTTP/1.1\r\nHost: h\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    relayed.expects("ok");
    CHECK(proxy.requests() == 1);
    const std::string log = proxy.log();
    CHECK(log.find("/relayed") != std::string::npos);
    CHECK(log.find('\n') == log.size() - 1);
}

TEST_CASE("local: a body that is no longer wanted is nobody else's") {
    // Its 413 finds no room in the kernel, so the call stays; what comes behind must not stay with
    // the lane, where the next request would find it.
    Local local;
    Peer stuck = local.connect();
    stuck.sends(post(std::string(60'000, 'a')).substr(0, 4000));
    local.until_there();
    local.proxy.turn();
    const std::size_t junk = clog(local.proxy, stuck);
    stuck.sends(std::string(5000, 'b'));
    local.proxy.turn();

    Peer other = local.connect();
    for (const std::string& request : {get, post("mine")}) {
        stuck.sends(std::string(3000, 'c'));
        local.proxy.turn(1);
        other.sends(request);
        check_answer(other, request == get ? "<>" : "<mine>");
    }
    CHECK(local.service.asked.size() == 2);
    CHECK(stuck.bytes(junk) == std::string(junk, '~'));
    CHECK(stuck.until_end().starts_with("HTTP/1.1 413 Content Too Large\r\n"));
}

}  // namespace baton::test
