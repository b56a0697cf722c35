// localhost as a server: one server, at the loopback address of either family.

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

// A port that is ours at both loopback addresses, and who listens there: nobody at first.
class BothLoopbacks {
public:
    BothLoopbacks() {
        for (int tries = 0; tries < 100; ++tries) {
            v4_ = bound(*parse_address("127.0.0.1:0"));
            Address other = other_loopback("localhost:" + std::to_string(port_of(v4_)));
            v6_ = bound(other);
            if (v6_ >= 0) return;
            ::close(v4_);
        }
        FAIL("no port at both addresses");
    }
    ~BothLoopbacks() {
        ::close(v4_);
        ::close(v6_);
    }
    BothLoopbacks(const BothLoopbacks&) = delete;
    BothLoopbacks& operator=(const BothLoopbacks&) = delete;

    std::string text() const { return "localhost:" + std::to_string(port_of(v4_)); }
    void listen(int family) { REQUIRE(::listen(family == AF_INET ? v4_ : v6_, 8) == 0); }
    Peer accept(Proxy& proxy, int family) {
        const int listener = family == AF_INET ? v4_ : v6_;
        int fd = -1;
        proxy.turn_until(
            [&] { return (fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0; },
            "a connection to localhost");
        return {proxy, fd};
    }
    bool is_asked(Proxy& proxy, int family) {
        proxy.turn(20);
        const int fd = ::accept4(family == AF_INET ? v4_ : v6_, nullptr, nullptr, SOCK_NONBLOCK);
        if (fd >= 0) ::close(fd);
        return fd >= 0;
    }
    // Nobody listens there any more.
    void leaves(int family) {
        int& fd = family == AF_INET ? v4_ : v6_;
        Address address;
        socklen_t size = sizeof(address.v6);
        REQUIRE(::getsockname(fd, address.raw(), &size) == 0);
        ::close(fd);
        fd = bound(address);
        REQUIRE(fd >= 0);
    }

private:
    static int bound(const Address& address) {
        const int fd = ::socket(address.raw()->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        const int on = 1;
        ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (fd >= 0 && ::bind(fd, address.raw(), address.size()) == 0) return fd;
        ::close(fd);
        return -1;
    }
    static unsigned port_of(int fd) {
        Address address;
        socklen_t size = sizeof(address.v6);
        ::getsockname(fd, address.raw(), &size);
        return address.port();
    }

    int v4_ = -1;
    int v6_ = -1;
};

Setup to(const std::string& text) {
    return {.change = [=](Config& config) {
        config.upstreams[0].keepalive.idle_max = 0;
        config.upstreams[0].servers = {{*parse_address(text), text, 1, other_loopback(text)}};
    }};
}

void answer(Peer server, Peer& client) {
    server.expects("GET / ");
    server.sends(ok);
    client.head();
    CHECK(client.bytes(2) == "ok");
}

std::uint64_t connect_faults(Proxy& proxy) {
    return proxy.worker().lane().pools[0].counters.faults(ServerFault::connect_failed);
}

}  // namespace

TEST_CASE("localhost: the other address is tried where one refuses, and what worked comes first") {
    BothLoopbacks server;
    Proxy proxy{to(server.text())};
    Peer client = proxy.connect_client();
    SUBCASE("at ::1 only") {
        server.listen(AF_INET6);
        for (int i = 0; i < 3; ++i) {
            client.sends(get);
            answer(server.accept(proxy, AF_INET6), client);
        }
        server.listen(AF_INET);
        client.sends(get);
        answer(server.accept(proxy, AF_INET6), client);
        CHECK(!server.is_asked(proxy, AF_INET));
        server.leaves(AF_INET6);
        client.sends(get);
        answer(server.accept(proxy, AF_INET), client);
    }
    SUBCASE("at 127.0.0.1 only") {
        server.listen(AF_INET);
        client.sends(get);
        answer(server.accept(proxy, AF_INET), client);
    }
    SUBCASE("at both: 127.0.0.1") {
        server.listen(AF_INET);
        server.listen(AF_INET6);
        client.sends(get);
        answer(server.accept(proxy, AF_INET), client);
        CHECK(!server.is_asked(proxy, AF_INET6));
    }
    CHECK(connect_faults(proxy) == 0);
    CHECK(proxy.counters().retries.read() == 0);
}

TEST_CASE("localhost: refused at both is one failure of one server") {
    BothLoopbacks server;
    Proxy proxy{to(server.text())};
    Peer client = proxy.connect_client();
    client.sends(get);
    CHECK(client.head().starts_with("HTTP/1.1 503 "));
    CHECK(connect_faults(proxy) == 1);
    CHECK(proxy.faults(Fault::no_server) == 1);
}

}  // namespace baton::test
