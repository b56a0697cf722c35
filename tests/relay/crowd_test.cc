// At the limits of connections: who gives a place to whom, and what becomes of those who wait at the end.

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "proxy/context/connection_gate.h"
#include "proxy/exchange/local_call.h"
#include "proxy/process/clients.h"
#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

Setup at_most(std::size_t connections) {
    return {.change = [=](Config& config) { config.limits.connections_max = connections; }};
}

std::vector<Peer> connect(Proxy& proxy, std::size_t count) {
    std::vector<Peer> clients;
    for (std::size_t i = 0; i < count; ++i) clients.push_back(proxy.connect_client());
    proxy.turn_until([&] { return proxy.worker().clients() == count; }, "all connections");
    return clients;
}

// The answer to a request on this connection.
void ask(Proxy& proxy, Peer& client, std::optional<Peer>& server) {
    client.sends(get);
    if (!server) server = proxy.accept_at_server();
    server->head();
    server->sends(ok);
    client.head();
    CHECK(client.bytes(2) == "ok");
}

// A connection from another address of this host.
Peer connect_from(Proxy& proxy, const char* address) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const Address own = *parse_address(std::string{address} + ":0");
    REQUIRE(::bind(fd, own.raw(), own.size()) == 0);
    REQUIRE(::connect(fd, proxy.address().raw(), proxy.address().size()) == 0);
    proxy.turn(4);
    return {proxy, fd};
}

class Hello final : public LocalService {
public:
    std::optional<Reply> answer(const LocalRequest&, StoreTicket,
                                std::unique_ptr<PendingReply>&) override {
        return plain_reply(200);
    }
};

}  // namespace

TEST_CASE("F:idle-crowd silent connections do not keep the next client out") {
    Proxy proxy{at_most(50)};
    std::vector<Peer> silent = connect(proxy, 50);
    std::optional<Peer> server;
    std::vector<Peer> more;
    for (std::size_t i = 0; i < 50; ++i) {
        CAPTURE(i);
        more.push_back(proxy.connect_client());
        ask(proxy, more.back(), server);
        // The one that has been silent the longest gave its place.
        CHECK(silent[i].ended());
        CHECK(!silent[i].was_reset());
        if (i + 1 < silent.size()) CHECK(!silent[i + 1].ended());
        CHECK(proxy.worker().clients() == 50);
    }
    CHECK(proxy.counters().connections_evicted.read() == 50);
}

TEST_CASE("F:idle-crowd who was idle the longest goes first, whoever connected first") {
    Proxy proxy{at_most(4)};
    std::vector<Peer> clients = connect(proxy, 4);
    std::optional<Peer> server;
    // Between two requests is idle, too, from the last answer on.
    for (const std::size_t i : {0U, 2U, 0U, 3U}) ask(proxy, clients[i], server);
    std::vector<Peer> more;
    for (const std::size_t next : {1U, 2U, 0U, 3U}) {
        CAPTURE(next);
        more.push_back(proxy.connect_client());
        ask(proxy, more.back(), server);
        CHECK(clients[next].ended());
    }
}

TEST_CASE("F:idle-crowd who has had its last answer, and sends on, gives way") {
    Proxy proxy{at_most(3)};
    std::vector<Peer> clients = connect(proxy, 3);
    for (Peer& client : clients) {
        client.sends("POST / HTTP/1.1\r\nHost: h\r\nX : y\r\nContent-Length: 9\r\n\r\nabc");
        client.expects("HTTP/1.1 400 ").expects("400 Bad Request\n");
    }
    CHECK(proxy.worker().clients() == 3);
    std::optional<Peer> server;
    std::vector<Peer> more;
    for (int i = 0; i < 3; ++i) {
        CAPTURE(i);
        more.push_back(proxy.connect_client());
        ask(proxy, more.back(), server);
        CHECK(proxy.worker().clients() == 3);
    }
    CHECK(proxy.counters().connections_evicted.read() == 3);
}

TEST_CASE("F:idle-crowd who has begun to ask keeps its place; the next one waits") {
    Proxy proxy{at_most(3)};
    std::vector<Peer> clients = connect(proxy, 3);
    clients[0].sends("GET / HTTP/1.1\r\nHo");
    clients[1].sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    clients[2].sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    Peer other = proxy.accept_at_server();
    other.expects("ab");
    Peer late = proxy.connect_client();
    late.sends(get);
    late.expects_nothing();
    for (Peer& client : clients) CHECK(!client.ended());
    CHECK(proxy.counters().connections_evicted.read() == 0);
    SUBCASE("until one of them has its answer") {
        server.sends(ok);
        clients[1].expects("ok");
        server.expects("GET / ");
        server.sends(ok);
        late.expects("ok");
        CHECK(clients[1].ended());
    }
    SUBCASE("until one of them leaves") {
        clients[0].closes();
        Peer third = proxy.accept_at_server();
        third.expects("GET / ");
        third.sends(ok);
        late.expects("ok");
    }
}

TEST_CASE("F:idle-crowd a request that lies in the kernel is not thrown away") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy{at_most(2)};
    std::vector<Peer> clients = connect(proxy, 2);
    // Both have come when the loop turns next: which of the sockets is looked at first is open.
    const int late = ::socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(::connect(late, proxy.address().raw(), proxy.address().size()) == 0);
    for (Peer& client : clients)
        REQUIRE(::send(client.fd(), get.data(), get.size(), 0) == static_cast<ssize_t>(get.size()));
    // So many that none of their connections idles meanwhile.
    std::vector<Peer> servers;
    for (std::size_t i = 0; i < clients.size(); ++i) servers.push_back(proxy.accept_at_server());
    for (Peer& server : servers) {
        server.head();
        server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    }
    for (Peer& client : clients) client.expects("ok");
    Peer peer{proxy, late};
    peer.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    peer.expects("ok");
}

// Who has connected waits in the kernel until there is a descriptor for its connection.
TEST_CASE("F:idle-crowd idle connections to servers keep nobody out who needs their descriptor") {
    Proxy proxy;
    std::vector<Peer> clients = connect(proxy, 2);
    std::optional<Peer> server;
    ask(proxy, clients[0], server);
    ask(proxy, clients[1], server);
    const int late = ::socket(AF_INET, SOCK_STREAM, 0);
    {
        const NoDescriptors none;
        REQUIRE(::connect(late, proxy.address().raw(), proxy.address().size()) == 0);
        proxy.turn_until([&] { return proxy.worker().clients() == 3; }, "a connection");
        CHECK(server->ended());
        for (Peer& client : clients) CHECK(!client.ended());
    }
    server.reset();
    Peer client{proxy, late};
    ask(proxy, client, server);
}

TEST_CASE("F:idle-crowd a service of our own makes room, too, and counts nothing of the traffic") {
    Proxy proxy;
    Hello hello;
    ConnectionGate gate;
    gate.max = 2;
    Clients clients{proxy.worker().lane(), gate, nullptr, [](void*) {}};
    clients.take(proxy.config().limits, {});
    ListenerSockets sockets;
    std::string complaint;
    REQUIRE(open_listener(*parse_address("127.0.0.1:0"), 1, sockets, complaint));
    clients.listen(sockets.fds[0], sockets.address, proxy.config().listeners[0], &hello);
    std::vector<Peer> all;
    for (int i = 0; i < 5; ++i) {
        all.push_back(proxy.connect_client(sockets.address));
        all.back().sends(get).expects("200 OK");
    }
    CHECK(all[2].ended());
    CHECK(!all[3].ended());
    CHECK(proxy.counters().connections_evicted.read() == 0);
}

TEST_CASE("F:idle-crowd one client has only so many connections, another one as many again") {
    Proxy proxy{{.change = [](Config& config) {
        config.listeners[0].connections_per_client_max = 2;
        config.listeners[0].trusted_proxies = {*parse_network("127.0.0.9")};
    }}};
    std::optional<Peer> server;
    std::vector<Peer> clients = connect(proxy, 2);
    for (int i = 0; i < 3; ++i) {
        Peer more = proxy.connect_client();
        more.until_end();
        CHECK(more.was_reset());
    }
    CHECK(proxy.counters().connections_refused.read() == 3);
    CHECK(proxy.worker().clients() == 2);
    CHECK(proxy.gate().open == 2);
    Peer other = connect_from(proxy, "127.0.0.2");
    ask(proxy, other, server);
    for (int i = 0; i < 5; ++i) clients.push_back(connect_from(proxy, "127.0.0.9"));
    for (Peer& client : clients) ask(proxy, client, server);
    // A place that was given back can be taken again.
    clients[0].closes();
    proxy.turn_until([&] { return proxy.worker().clients() == 7; }, "the end of one");
    Peer next = proxy.connect_client();
    ask(proxy, next, server);
    CHECK(proxy.counters().connections_refused.read() == 3);
}

TEST_CASE("F:idle-crowd what counts as one client") {
    const Address here = *parse_address("127.0.0.1:80");
    const Address there = *parse_address("127.0.0.1:81");
    ClientCounts counts;
    const auto take = [&](const Address& listener, const char* address) {
        return counts.take(listener, *parse_address(address), 1);
    };
    CHECK(take(here, "10.0.0.1:1"));
    CHECK(!take(here, "10.0.0.1:2"));
    CHECK(!take(here, "[::ffff:10.0.0.1]:2"));
    CHECK(take(here, "10.0.0.2:1"));
    CHECK(take(there, "10.0.0.1:1"));
    CHECK(take(here, "[2001:db8::1]:1"));
    CHECK(!take(here, "[2001:db8::ffff:2]:1"));
    CHECK(take(here, "[2001:db8:0:1::1]:1"));
    counts.give_back(here, *parse_address("[2001:db8::77]:5"));
    CHECK(take(here, "[2001:db8::78]:1"));
    CHECK(!take(here, "[2001:db8::1]:1"));
}

TEST_CASE("F:drain-full who waits at the limit when the worker stops is accepted, and answered") {
    Proxy proxy{at_most(2)};
    std::vector<Peer> busy = connect(proxy, 2);
    std::vector<Peer> servers;
    for (Peer& client : busy) {
        client.sends(get);
        servers.push_back(proxy.accept_at_server());
        servers.back().head();
    }
    std::vector<Peer> queued;
    for (int i = 0; i < 6; ++i) {
        queued.push_back(proxy.connect_client());
        queued.back().sends(get);
    }
    Peer silent = proxy.connect_client();
    for (Peer& client : queued) CHECK(!client.ended());
    CHECK(proxy.worker().clients() == 2);
    proxy.worker().stop_now();
    for (std::size_t i = 0; i < queued.size(); ++i) {
        servers.push_back(proxy.accept_at_server());
        servers.back().head();
    }
    for (Peer& server : servers) server.sends(ok);
    for (auto* clients : {&busy, &queued}) {
        for (Peer& client : *clients) {
            CHECK(client.head().find("\r\nConnection: close\r\n") != std::string::npos);
            CHECK(client.until_end() == "ok");
            CHECK(!client.was_reset());
        }
    }
    CHECK(silent.until_end() == "");
    CHECK(!silent.was_reset());
    CHECK(proxy.gate().open == 0);
}

TEST_CASE(
    "F:draining-close each answer says so before the listeners close, and connections end with "
    "it") {
    Proxy proxy;
    Peer running = proxy.connect_client();
    running.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    Peer idle = proxy.connect_client();
    proxy.worker().drain();
    proxy.turn();
    SUBCASE("an answer") {
        server.sends(ok);
        CHECK(running.head().find("\r\nConnection: close\r\n") != std::string::npos);
        CHECK(running.until_end() == "ok");
        Peer late = proxy.connect_client();  // still taken in
        late.sends(get);
        server.head();
        server.sends(ok);
        CHECK(late.head().find("\r\nConnection: close\r\n") != std::string::npos);
        CHECK(late.until_end() == "ok");
    }
    SUBCASE("one of our own") {
        idle.sends(
            "OPTIONS / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nX: y\r\nX : y\r\n\r\n");
        CHECK(idle.head().find("\r\nConnection: close\r\n") != std::string::npos);
        idle.until_end();
    }
    SUBCASE("who is idle stays until its next answer") {
        CHECK(!idle.ended());
        idle.sends(get);
        Peer other = proxy.accept_at_server();
        other.head();
        other.sends(ok);
        CHECK(idle.head().find("\r\nConnection: close\r\n") != std::string::npos);
        CHECK(idle.until_end() == "ok");
    }
}

TEST_CASE("F:api-count what a service of our own refuses stands in no number of the traffic") {
    Proxy proxy;
    Hello hello;
    ConnectionGate gate;
    gate.max = 10;
    Clients clients{proxy.worker().lane(), gate, nullptr, [](void*) {}};
    clients.take(proxy.config().limits, {});
    ListenerSockets sockets;
    std::string complaint;
    REQUIRE(open_listener(*parse_address("127.0.0.1:0"), 1, sockets, complaint));
    clients.listen(sockets.fds[0], sockets.address, proxy.config().listeners[0], &hello);
    const auto counted = [&] {
        std::uint64_t sum = proxy.requests();
        for (const Counter& fault : proxy.counters().faults) sum += fault.read();
        return sum;
    };
    for (const std::string& request :
         {std::string{"rubbish\r\n\r\n"}, std::string{"GET / HTTP/1.1\r\n\r\n"},
          std::string{"BREW / HTTP/1.1\r\nHost: h\r\n\r\n"},
          "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n",
          std::string{"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n"}}) {
        CAPTURE(request.substr(0, 40));
        Peer client = proxy.connect_client(sockets.address);
        client.sends(request);
        client.expects("HTTP/1.1 ");
        client.until_end();
        CHECK(counted() == 0);
    }
    Peer leaves = proxy.connect_client(sockets.address);
    leaves.sends("GET / HT").shuts();
    leaves.until_end();
    CHECK(counted() == 0);
    CHECK(proxy.gate().open == 0);
    Peer traffic = proxy.connect_client();
    traffic.sends("rubbish\r\n\r\n");
    traffic.until_end();
    CHECK(counted() == 2);
    const std::string log = proxy.log();
    CHECK(std::count(log.begin(), log.end(), '\n') == 1);
}

}  // namespace baton::test
