// Whose doing a fault is: what a client does slowly, and what we lack ourselves, counts against no server.

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/relay/proxy.h"

namespace {

int connect_error = 0;  // an errno; 0: connecting works

}  // namespace

// Takes the place of libc's, for libuv too.
extern "C" int connect(int fd, const sockaddr* to, socklen_t size) {
    if (connect_error != 0) {
        errno = connect_error;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_connect, fd, to, size));
}

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string upgrade =
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const std::string switched =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

std::uint64_t all_server_faults(Proxy& proxy, std::size_t servers = 1) {
    std::uint64_t sum = 0;
    for (std::size_t server = 0; server < servers; ++server)
        for (std::size_t fault = 0; fault < server_fault_count; ++fault)
            sum += proxy.server_faults(static_cast<ServerFault>(fault), server);
    return sum;
}

bool last_fault_seen(Proxy& proxy, std::size_t server = 0) {
    return proxy.worker().lane().pools[server].counters.last_fault().time_ms != 0;
}

class ConnectFails {
public:
    explicit ConnectFails(int error) { connect_error = error; }
    ~ConnectFails() { connect_error = 0; }
    ConnectFails(const ConnectFails&) = delete;
    ConnectFails& operator=(const ConnectFails&) = delete;
};

void pass(Proxy& proxy, std::uint64_t ms) {
    const std::uint64_t later = proxy.worker().loop().now() + ms;
    proxy.turn_until([&] { return proxy.worker().loop().now() > later; }, "time to pass");
}

// Once with a client that is slow, once with one that is not.
bool is_slow() {
    bool slow = false;
    SUBCASE("slow") { slow = true; }
    SUBCASE("in the flow") {}
    return slow;
}

}  // namespace

TEST_CASE("F:origin a body that drips until total is over is the client's") {
    Proxy proxy{{.change = [](Config& config) {
        config.upstreams[0].timeouts.total = 150ms;
        config.timeouts.body_idle = 10s;
    }}};
    std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    std::string drop = "x";
    SUBCASE("by its length") {}
    SUBCASE("in chunks") {
        head = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        drop = "1\r\nx\r\n";
    }
    Peer client = proxy.connect_client();
    client.sends(head);
    proxy.turn_until(
        [&] {
            client.sends(drop);
            return proxy.faults(Fault::client_slow) == 1;
        },
        "the end of the upload");
    client.expects("HTTP/1.1 408 Request Timeout\r\n").expects("Connection: close\r\n");
    CHECK(proxy.faults(Fault::server_slow) == 0);
    CHECK(all_server_faults(proxy) == 0);
    CHECK_FALSE(last_fault_seen(proxy));
}

TEST_CASE("F:origin a reader so slow that total is over is the client's") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy{{.change = [](Config& config) {
        config.upstreams[0].timeouts.total = 200ms;
        config.upstreams[0].timeouts.idle = 100ms;
    }}};
    Peer client = proxy.connect_client();
    const int small = 4096;
    setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n");
    const std::string block(100'000, 'x');
    proxy.turn_until(
        [&] {
            ::send(server.fd(), block.data(), block.size(), MSG_NOSIGNAL);
            return proxy.faults(Fault::client_slow) == 1;
        },
        "the cut");
    CHECK(all_server_faults(proxy) == 0);
}

TEST_CASE("F:origin an answer that begins during the upload and waits for its end") {
    Proxy proxy{{.change = [](Config& config) {
        config.upstreams[0].timeouts.idle = 50ms;
        config.timeouts.body_idle = 150ms;
    }}};
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    Peer server = proxy.accept_at_server();
    server.expects("abc");
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    client.expects("\r\n\r\nok");
    SUBCASE("the client stops: its fault") {
        CHECK(client.until_end() == "");
        CHECK(proxy.faults(Fault::client_slow) == 1);
        CHECK(all_server_faults(proxy) == 0);
    }
    SUBCASE("the client takes longer than `idle`: nobody's fault") {
        for (int i = 0; i < 6; ++i) {
            pass(proxy, 25);
            client.sends("d");
        }
        client.sends("e");
        server.expects("dddddde");
        server.sends("ay");
        client.expects("ay");
        CHECK(proxy.faults(Fault::client_slow) + proxy.faults(Fault::server_slow) == 0);
        CHECK(all_server_faults(proxy) == 0);
    }
    SUBCASE("the body is whole: from then on it is the server that is awaited") {
        client.sends("defghij");
        server.expects("defghij");
        CHECK(client.until_end() == "");
        CHECK(proxy.faults(Fault::server_slow) == 1);
        CHECK(proxy.server_faults(ServerFault::server_slow) == 1);
    }
}

TEST_CASE("F:origin a server that gives a slow upload up is not to blame, one that dies in it is") {
    const bool slow = is_slow();
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    Peer server = proxy.accept_at_server();
    server.expects("abc");
    if (slow) {
        pass(proxy, 600);
        client.sends("d");
        pass(proxy, 600);
    }
    server.closes();
    client.expects("HTTP/1.1 502 Bad Gateway\r\n");
    CHECK(proxy.faults(Fault::server_gone) == 1);
    CHECK(all_server_faults(proxy) == (slow ? 0 : 1));
}

// While the client reads nothing, nothing is read from the server: its end shows when the client goes on.
TEST_CASE("F:origin a server that gives a slow reader up is not to blame, one that dies in it is") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    const bool slow = is_slow();
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n");
    const std::string block(100'000, 'x');
    for (int stuck = 0; stuck < 20;) {
        const ssize_t size =
            ::send(server.fd(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        stuck = size > 0 ? 0 : stuck + 1;
        proxy.turn(1);
    }
    if (slow) pass(proxy, 1'100);
    server.resets();
    client.until_end();
    CHECK(proxy.faults(Fault::server_gone) == 1);
    CHECK(all_server_faults(proxy) == (slow ? 0 : 1));
}

TEST_CASE("F:origin an idle tunnel is no server's fault, half-closed or not") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy{{.change = [](Config& config) { config.timeouts.tunnel_idle = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends(upgrade);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(switched);
    client.head();
    SUBCASE("both sides are silent") {}
    SUBCASE("the client has finished sending") { client.shuts(); }
    SUBCASE("the server has finished sending") { server.shuts(); }
    SUBCASE("the server does not take what the client sends") {
        const std::string block(std::size_t{1} << 20, 'x');
        for (int i = 0; i < 30; ++i) {
            ::send(client.fd(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            proxy.turn(1);
        }
    }
    proxy.turn_until([&] { return proxy.requests() == 1; }, "the end of the tunnel");
    CHECK(all_server_faults(proxy) == 0);
    CHECK_FALSE(last_fault_seen(proxy));
    CHECK(proxy.faults(Fault::client_slow) == 1);
    const std::string line = proxy.log();
    CHECK(line.find("\"status\":101") != std::string::npos);
    CHECK(line.find("\"fault\":\"client_slow\"") != std::string::npos);
}

TEST_CASE(
    "F:origin no descriptor left: 503, no server's fault, and each server is not tried for it") {
    Proxy proxy{{.servers = 3}};
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\n");
    proxy.turn();  // accepted
    {
        const NoDescriptors none;
        client.sends("Host: h\r\n\r\n");
        const std::string head = client.head();
        CHECK(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        CHECK(head.find("Retry-After: 1\r\n") != std::string::npos);
        client.bytes(std::string_view{"503 Service Unavailable\n"}.size());
    }
    CHECK(proxy.faults(Fault::no_server) == 1);
    CHECK(all_server_faults(proxy, 3) == 0);
    for (const std::size_t i : {0U, 1U, 2U}) CHECK_FALSE(last_fault_seen(proxy, i));
    // The connection goes on, and so does every server.
    for (const std::size_t i : {1U, 2U, 0U}) {
        client.sends(get);
        Peer server = proxy.accept_at_server(i);
        server.head();
        server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        client.expects("ok");
    }
}

TEST_CASE("F:origin an idle connection to another server gives its descriptor, one at a time") {
    Proxy proxy{{.servers = 2}};
    Peer first = proxy.connect_client();
    Peer second = proxy.connect_client();
    Peer third = proxy.connect_client();
    first.sends(get);
    Peer at_0 = proxy.accept_at_server(0);
    at_0.head();
    second.sends(get);
    Peer at_1 = proxy.accept_at_server(1);
    at_1.head();
    third.sends(get);
    Peer also_at_0 = proxy.accept_at_server(0);
    also_at_0.head();
    at_0.sends(ok);
    first.expects("ok");
    also_at_0.sends(ok);
    third.expects("ok");  // two idle connections to server 0, none to server 1
    first.sends("GET / HTTP/1.1\r\n");
    proxy.turn();
    {
        const NoDescriptors none;
        first.sends("Host: h\r\n\r\n");
        proxy.turn_until([&] { return at_0.ended(); }, "the end of the oldest idle connection");
    }
    // The next in turn is server 0, to which there is another idle connection.
    also_at_0.head();
    also_at_0.sends(ok);
    first.expects("ok");
    CHECK_FALSE(also_at_0.ended());
    CHECK(all_server_faults(proxy, 2) == 0);
}

TEST_CASE("F:origin what connecting lacks on our side is no server's fault") {
    for (const int error : {EADDRNOTAVAIL, ENOBUFS, ENOMEM, EACCES, EPERM}) {
        CAPTURE(error);
        Proxy proxy{{.servers = 2}};
        Peer client = proxy.connect_client();
        {
            const ConnectFails fails{error};
            client.sends(get);
            client.expects("HTTP/1.1 503 Service Unavailable\r\n").expects("503 Service Un");
        }
        CHECK(proxy.faults(Fault::no_server) == 1);
        CHECK(all_server_faults(proxy, 2) == 0);
        client.sends(get);
        Peer server = proxy.accept_at_any();
        server.head();
        server.sends(ok);
        client.expects("200 OK");
    }
}

TEST_CASE("F:origin a server that refuses is to blame, as ever") {
    Proxy proxy{{.servers = 2}};
    Peer client = proxy.connect_client();
    const ConnectFails fails{ECONNREFUSED};
    client.sends(get);
    client.expects("HTTP/1.1 503 Service Unavailable\r\n");
    CHECK(proxy.server_faults(ServerFault::connect_failed, 0) == 1);
    CHECK(proxy.server_faults(ServerFault::connect_failed, 1) == 1);
}

}  // namespace baton::test
