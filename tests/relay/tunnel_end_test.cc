// The end of a tunnel: what one side has sent arrives before its end does.

#include <doctest/doctest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

// Its system takes little before the test reads: what is sent to it waits at the sender.
void takes_little(Peer& peer) {
    const int small = 100'000;
    setsockopt(peer.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
}

char byte_at(std::size_t place) { return static_cast<char>(place % 251); }

struct Tunnel {
    Proxy proxy;
    Peer client;
    Peer server;
    Tunnel() : client(proxy.connect_client()), server(begin()) {}
    Peer begin() {
        client.sends(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        Peer peer = proxy.accept_at_server();
        peer.head();
        peer.sends(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\n\r\n");
        client.head();
        return peer;
    }
};

// Sends `size` bytes from one end as fast as they are taken, then ends it; reads slowly at the other.
struct Flow {
    Proxy& proxy;
    Peer& from;
    Peer& to;
    std::size_t size;
    bool close = false;  // both directions, or this one only
    std::size_t sent = 0;
    std::size_t got = 0;
    bool right = true;
    int end = -1;  // what the last recv said

    void send_some() {
        char block[65536];
        while (sent < size) {
            const std::size_t part = std::min(sizeof(block), size - sent);
            for (std::size_t i = 0; i < part; ++i) block[i] = byte_at(sent + i);
            const std::size_t some = from.offers({block, part});
            if (some == 0) return;
            sent += some;
        }
    }
    void receive_some() {
        char block[300'000];
        const ssize_t some = to.takes(block, sizeof(block));
        if (some < 0 && errno == EAGAIN) return;
        if (some <= 0) {
            end = some == 0 ? 0 : errno;
            return;
        }
        for (ssize_t i = 0; i < some; ++i)
            right = right && block[i] == byte_at(got + static_cast<std::size_t>(i));
        got += static_cast<std::size_t>(some);
    }
    // The reader begins once the writer has ended, or cannot go on.
    void run() {
        std::size_t before = 0;
        for (int stuck = 0; sent < size && stuck < 30; ++stuck) {
            send_some();
            if (std::exchange(before, sent) != sent) stuck = 0;
            proxy.turn(1);
        }
        bool ended = false;
        proxy.turn_until(
            [&] {
                send_some();
                if (sent == size && !std::exchange(ended, true)) {
                    if (close)
                        from.closes();
                    else
                        from.shuts();
                    proxy.turn(20);
                }
                receive_some();
                return end >= 0;
            },
            "the end");
        CHECK(end == 0);
        CHECK(got == size);
        CHECK(right);
    }
};

constexpr std::size_t sizes[] = {1, 1000, 60'000, 65'537, 4'032'000, 64'000'000};

}  // namespace

TEST_CASE("F:tunnel-end what the client has sent arrives before its end") {
    for (const std::size_t size : sizes) {
        for (const bool half_closed : {false, true}) {
            for (const bool close : {false, true}) {
                CAPTURE(size);
                CAPTURE(half_closed);
                CAPTURE(close);
                Tunnel tunnel;
                takes_little(tunnel.server);
                if (half_closed) {
                    tunnel.server.shuts();
                    CHECK(tunnel.client.until_end() == "");
                }
                Flow flow{tunnel.proxy, tunnel.client, tunnel.server, size, close};
                flow.run();
            }
        }
    }
}

TEST_CASE("F:tunnel-end what the server has sent arrives before its end") {
    for (const std::size_t size : sizes) {
        for (const bool half_closed : {false, true}) {
            for (const bool close : {false, true}) {
                CAPTURE(size);
                CAPTURE(half_closed);
                CAPTURE(close);
                Tunnel tunnel;
                takes_little(tunnel.client);
                if (half_closed) {
                    tunnel.client.shuts();
                    CHECK(tunnel.server.until_end() == "");
                }
                Flow flow{tunnel.proxy, tunnel.server, tunnel.client, size, close};
                flow.run();
            }
        }
    }
}

TEST_CASE("F:tunnel-end wherever in the buffers on the way the last byte lies") {
    // Nothing is read before the end has been sent: more and more bytes wait in the kernel, then here.
    for (const bool to_server : {true, false}) {
        for (std::size_t size = 3'600'000; size < 6'000'000; size += 45'000) {
            CAPTURE(to_server);
            CAPTURE(size);
            Tunnel tunnel;
            Peer& from = to_server ? tunnel.client : tunnel.server;
            Peer& to = to_server ? tunnel.server : tunnel.client;
            takes_little(to);
            to.shuts();
            CHECK(from.until_end() == "");
            Flow flow{tunnel.proxy, from, to, size, true};
            flow.run();
        }
    }
}

TEST_CASE("F:tunnel-end a server that talks to a client that is gone still gets all it had sent") {
    // What the client's system has not sent yet is lost there when it sees that nobody reads.
    for (const std::size_t size : {1U, 1000U, 65'537U, 1'000'000U}) {
        CAPTURE(size);
        Tunnel tunnel;
        takes_little(tunnel.server);
        Flow flow{tunnel.proxy, tunnel.client, tunnel.server, size, true};
        bool closed = false;
        tunnel.proxy.turn_until(
            [&] {
                flow.send_some();
                if (flow.sent == size && !std::exchange(closed, true)) tunnel.client.closes();
                if (closed) tunnel.server.offers("tick");
                flow.receive_some();
                return flow.end >= 0;
            },
            "the end");
        CHECK(flow.end == 0);
        CHECK(flow.got == size);
        CHECK(flow.right);
        // The server goes on talking, and is told in the end that nobody listens.
        tunnel.proxy.turn_until(
            [&] {
                return ::send(tunnel.server.fd(), "tick", 4, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
                       errno != EAGAIN;
            },
            "a write that fails");
        CHECK(tunnel.proxy.worker().clients() == 0);
    }
}

namespace {

// Sends as much as the flow's size as long as it is taken. True if the proxy's system has all of it: what
// the sender's still has is lost there when it resets its connection.
bool arrives(Flow& flow) {
    int unsent = 1;
    std::size_t left = 0;
    for (int stuck = 0; stuck < 100 && (flow.sent < flow.size || unsent > 0); ++stuck) {
        flow.send_some();
        flow.proxy.turn(1);
        REQUIRE(::ioctl(flow.from.fd(), SIOCOUTQNSD, &unsent) == 0);
        const std::size_t now_left = flow.sent - static_cast<std::size_t>(unsent);
        if (std::exchange(left, now_left) != now_left) stuck = 0;
    }
    return flow.sent == flow.size && unsent == 0;
}

}  // namespace

TEST_CASE("F:tunnel-end what has arrived from one end that resets reaches the other") {
    for (const bool to_server : {true, false}) {
        for (const bool chatter : {false, true}) {
            if (to_server && chatter) continue;  // is answered by a reset, too
            int tried = 0;
            for (std::size_t size = 600'000; size < 8'000'000;
                 size += to_server ? 45'000 : 500'000) {
                CAPTURE(to_server);
                CAPTURE(chatter);
                CAPTURE(size);
                Tunnel tunnel;
                Peer& from = to_server ? tunnel.client : tunnel.server;
                Peer& to = to_server ? tunnel.server : tunnel.client;
                takes_little(to);
                Flow flow{tunnel.proxy, from, to, size};
                if (!arrives(flow)) break;  // more than there is room for
                ++tried;
                from.resets();
                tunnel.proxy.turn(5);
                tunnel.proxy.turn_until(
                    [&] {
                        if (chatter) to.offers("tick");
                        flow.receive_some();
                        return flow.end >= 0;
                    },
                    "the end");
                CHECK(flow.end == 0);
                CHECK(flow.got == size);
                CHECK(flow.right);
                to.closes();
                tunnel.proxy.turn(5);
                CHECK(tunnel.proxy.worker().clients() == 0);
                CHECK(tunnel.proxy.faults(Fault::client_gone) == (to_server ? 1 : 0));
            }
            CHECK(tried > 3);
        }
    }
}

TEST_CASE("F:tunnel-end a client that talks to a server that is gone still gets all it had sent") {
    // The server's system answers what comes for a connection that is closed with a reset.
    for (const std::size_t size : {1U, 1000U, 65'537U, 2'000'000U, 6'000'000U}) {
        for (const bool reset : {false, true}) {
            CAPTURE(size);
            CAPTURE(reset);
            Tunnel tunnel;
            takes_little(tunnel.client);
            Flow flow{tunnel.proxy, tunnel.server, tunnel.client, size, true};
            bool closed = false;
            tunnel.proxy.turn_until(
                [&] {
                    flow.send_some();
                    int unsent = 1;
                    ::ioctl(tunnel.server.fd(), SIOCOUTQNSD, &unsent);
                    if (!closed && flow.sent == size && unsent == 0) {
                        closed = true;
                        if (reset)
                            tunnel.server.resets();
                        else
                            tunnel.server.closes();
                    }
                    if (closed || flow.sent < size) tunnel.client.offers("tick");
                    flow.receive_some();
                    return flow.end >= 0;
                },
                "the end");
            CHECK(flow.end == 0);
            CHECK(flow.got == size);
            CHECK(flow.right);
            tunnel.client.closes();
            tunnel.proxy.turn(5);
            CHECK(tunnel.proxy.worker().clients() == 0);
        }
    }
}

}  // namespace baton::test
