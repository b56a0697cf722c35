// What becomes of connections, requests and numbers when a worker takes another snapshot.

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

void without_first_server(Config& config) {
    auto& servers = config.upstreams[0].servers;
    servers.erase(servers.begin());
}

std::uint64_t tries(Proxy& proxy, const std::string& server) {
    for (const Server& one : proxy.snapshot()->upstreams()[0]->servers())
        if (one.text == server)
            return one.state->sum(
                [](const ServerCounters& counters) { return counters.requests.read(); });
    return 0;
}

// A server with one idle connection.
Peer idle_at(Proxy& proxy, std::size_t server) {
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer at = proxy.accept_at_server(server);
    at.head();
    at.sends(ok);
    client.expects("ok");
    return at;
}

}  // namespace

TEST_CASE(
    "a server is removed: its request ends whole, then its connection; idle ones end at once") {
    Proxy proxy{{.servers = 2}};
    Peer idle_first = idle_at(proxy, 0);
    Peer idle_second = idle_at(proxy, 1);
    Peer client = proxy.connect_client();
    client.sends(get);
    idle_first.head();
    Peer other = proxy.connect_client();
    other.sends(get);
    idle_second.head();
    idle_second.sends(ok);
    other.expects("ok");
    std::weak_ptr<const Snapshot> old = proxy.snapshot();

    proxy.publish(without_first_server);
    CHECK(!idle_first.ended());
    CHECK(!idle_second.ended());
    CHECK(!old.expired());
    idle_first.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwh").sends("ole");
    client.expects("whol");
    CHECK(idle_first.until_end() == "");
    CHECK(old.expired());
    CHECK(proxy.worker().lane().pools.count() == 2);
    proxy.worker().lane().pools.drop_unused();
    CHECK(proxy.worker().lane().pools.count() == 1);

    // From here on all go to the other one, on the connection that it had.
    client.sends(get);
    idle_second.head();
    idle_second.sends(ok);
    client.expects("ok");
}

TEST_CASE("a server is removed: its idle connections end, and its pool goes, at once") {
    Proxy proxy{{.servers = 2}};
    Peer first = idle_at(proxy, 0);
    Peer second = idle_at(proxy, 1);
    proxy.publish(without_first_server);
    CHECK(first.until_end() == "");
    CHECK(!second.ended());
    CHECK(proxy.worker().lane().pools.count() == 1);
}

TEST_CASE("a request chooses among the servers that it began with, also after they are removed") {
    Proxy proxy{{.servers = 2}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer first = proxy.accept_at_server(0);
    first.head();
    proxy.publish([](Config& config) {
        without_first_server(config);
        config.upstreams[0].servers[0] = config.upstreams[0].servers.back();
        config.upstreams[0].servers[0].text = "elsewhere";
    });
    // It is sent again, to the second of those two.
    first.closes();
    Peer second = proxy.accept_at_server(1);
    second.head();
    second.sends(ok);
    client.expects("ok");
    CHECK(second.until_end() == "");
}

TEST_CASE(
    "a server is back before its last request is over: it counts on, and keeps connections again") {
    Proxy proxy{{.servers = 2}};
    const std::string text = proxy.server_text(0);
    const Config before = proxy.config();
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server(0);
    server.head();
    proxy.publish(without_first_server);
    CHECK(tries(proxy, text) == 0);
    proxy.publish([&](Config& config) { config = before; });
    CHECK(tries(proxy, text) == 1);
    server.sends(ok);
    client.expects("ok");
    CHECK(!server.ended());
}

TEST_CASE("the turn goes on where it was, and routes count on") {
    Proxy proxy{{.servers = 2}};
    Peer first = idle_at(proxy, 0);
    proxy.publish([](Config& config) {
        RouteConfig route = config.routes[0];
        route.name = "api";
        route.path = "/api/";
        config.routes.insert(config.routes.begin(), route);
    });
    Peer second = idle_at(proxy, 1);
    const auto& routes = proxy.snapshot()->routes();
    CHECK(routes[0].state->requests(1) == 0);
    CHECK(routes[1].state->requests(1) == 2);
    proxy.publish([](Config& config) { config.routes.erase(config.routes.begin()); });
    CHECK(proxy.snapshot()->routes()[0].state->requests(1) == 2);
}

TEST_CASE("a tunnel keeps no snapshot, and its route counts it when it ends") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.head();
    const std::weak_ptr<const Snapshot> old = proxy.snapshot();
    const std::shared_ptr<RouteState> route = proxy.snapshot()->routes()[0].state;
    proxy.publish([](Config& config) {
        config.routes[0].name = "other";
        config.upstreams[0].servers[0].text = "other";
    });
    CHECK(old.expired());
    client.sends("ping");
    server.expects("ping");
    server.sends("pong");
    client.expects("pong");
    CHECK(route->requests(0) == 0);
    server.closes();
    client.until_end();
    client.closes();
    CHECK(route->requests(0) == 1);
    proxy.worker().lane().pools.drop_unused();
    CHECK(proxy.worker().lane().pools.count() == 1);
}

TEST_CASE(
    "a client keeps the terms under which it was accepted; who comes later has the new ones") {
    Proxy proxy{
        {.change = [](Config& config) { config.listeners[0].connections_per_client_max = 2; }}};
    Peer first = proxy.connect_client();
    Peer second = proxy.connect_client();
    CHECK(Peer{proxy.connect_client()}.until_end() == "");
    proxy.publish([](Config& config) { config.listeners[0].connections_per_client_max = 3; });
    Peer third = proxy.connect_client();
    third.expects_nothing();
    CHECK(Peer{proxy.connect_client()}.until_end() == "");
    // Those that were counted are given back, whatever counts now.
    proxy.publish([](Config& config) { config.listeners[0].connections_per_client_max = 0; });
    first.closes();
    second.closes();
    third.closes();
    proxy.turn_until([&] { return proxy.worker().clients() == 0; }, "the end of all");
    Peer uncounted = proxy.connect_client();
    uncounted.expects_nothing();
    proxy.publish([](Config& config) { config.listeners[0].connections_per_client_max = 1; });
    Peer counted = proxy.connect_client();
    counted.expects_nothing();
    uncounted.closes();
    CHECK(Peer{proxy.connect_client()}.until_end() == "");
}

TEST_CASE("a head has the limits of the snapshot that is the newest when it begins") {
    Proxy proxy;
    std::optional<Peer> server;
    const std::string large =
        "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(3000, 'x') + "\r\n\r\n";
    const auto ask = [&] {
        Peer client = proxy.connect_client();
        client.sends(large);
        if (!server) server.emplace(proxy.accept_at_server());
        server->head();
        server->sends(ok);
        client.expects("ok");
    };
    ask();
    Peer begun = proxy.connect_client();
    begun.sends(large.substr(0, 2000));
    proxy.turn();
    proxy.publish([](Config& config) { config.limits.head.head = 2048; });
    begun.sends(large.substr(2000));
    server->head();
    server->sends(ok);
    begun.expects("ok");
    proxy.connect_client().sends(large).expects("HTTP/1.1 431 ");
    // Nor is its room used again.
    begun.sends(large).expects("HTTP/1.1 431 ");
    proxy.publish([](Config& config) { config.limits.head.head = 32'768; });
    ask();
}

}  // namespace baton::test
