#include "proxy/route/registry.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "upstream/pools.h"

namespace baton {
namespace {

// One upstream of these servers.
Upstreams upstreams_of(Registry& registry, const std::vector<std::string>& addresses) {
    std::vector<Server> servers;
    for (const std::string& address : addresses) {
        Server server;
        server.text = address;
        server.index = servers.size();
        server.state = registry.server("app", address);
        server.slot = server.state->slot();
        servers.push_back(std::move(server));
    }
    Upstreams upstreams;
    upstreams.push_back(std::make_unique<Upstream>("app", "app", std::move(servers), PoolOptions{},
                                                   registry.upstream("app")));
    return upstreams;
}

}  // namespace

TEST_CASE("an identity is found again by its name as long as anybody has it") {
    Registry registry{2};
    const auto route = registry.route("shop");
    const auto upstream = registry.upstream("app");
    const auto server = registry.server("app", "a:1");
    route->requests_of(1).add(204);
    registry.forget_unused();
    CHECK(registry.route("shop") == route);
    CHECK(registry.route("shop")->requests(1) == 1);
    CHECK(registry.upstream("app") == upstream);
    CHECK(registry.server("app", "a:1") == server);
    CHECK(registry.server("api", "a:1") != server);
    CHECK(registry.route("other") != route);
}

TEST_CASE("numbers of loops are summed, and each is written by its own") {
    Registry registry{3};
    const auto route = registry.route("shop");
    for (std::size_t loop = 0; loop < 3; ++loop)
        for (std::size_t i = 0; i <= loop; ++i) route->requests_of(loop).add(500);
    CHECK(route->requests(4) == 6);
    const auto server = registry.server("app", "a:1");
    server->counters_of(0).in_flight.add();
    server->counters_of(2).idle.add();
    CHECK(registry.server_connections() == 2);
    CHECK(reinterpret_cast<char*>(&server->counters_of(1)) -
              reinterpret_cast<char*>(&server->counters_of(0)) >=
          64);
}

TEST_CASE("the slot of a server that nobody has any more is given to the next new one") {
    Registry registry{1};
    const auto first = registry.server("app", "a:1");
    auto second = registry.server("app", "b:1");
    const auto third = registry.server("app", "c:1");
    CHECK(first->slot() == 0);
    CHECK(second->slot() == 1);
    CHECK(third->slot() == 2);
    // Somebody has it still.
    const auto late = second;
    second.reset();
    registry.forget_unused();
    CHECK(registry.server("app", "d:1")->slot() == 3);
    registry.forget_unused();
    CHECK(registry.server("app", "b:1") == late);
    CHECK(registry.server("app", "e:1")->slot() == 3);
}

TEST_CASE("a server that is asked for again before it is forgotten begins anew, in its place") {
    Registry registry{1};
    registry.server("app", "a:1")->counters_of(0).requests.add(7);
    const auto again = registry.server("app", "a:1");
    CHECK(again->slot() == 0);
    CHECK(again->counters_of(0).requests.read() == 0);
    registry.forget_unused();
    CHECK(registry.server("app", "b:1")->slot() == 1);
}

TEST_CASE("a worker has a pool for each server of each snapshot in use, and for no other") {
    Registry registry{1};
    Pools pools{0};
    const Upstreams old = upstreams_of(registry, {"a:1", "b:1"});
    pools.begin_use(old);
    Pool& shared = pools[1];
    const Upstreams next = upstreams_of(registry, {"b:1", "c:1"});
    pools.begin_use(next);
    CHECK(pools.count() == 3);
    CHECK(&pools[next[0]->servers()[0].slot] == &shared);
    // A request of the old snapshot runs.
    pools.drop_unused();
    CHECK(pools.count() == 3);
    pools.end_use(old);
    pools.drop_unused();
    CHECK(pools.count() == 2);
    pools.end_use(next);
    pools.drop_unused();
    CHECK(pools.count() == 0);
}

TEST_CASE(
    "of two snapshots in turn a server that both name keeps its pool, a removed one its slot") {
    Registry registry{1};
    Pools pools{0};
    std::unique_ptr<Upstreams> used;
    for (int i = 0; i < 100; ++i) {
        auto next = std::make_unique<Upstreams>(
            upstreams_of(registry, {"a:1", "b:" + std::to_string(i), "c:" + std::to_string(i)}));
        pools.begin_use(*next);
        if (used) pools.end_use(*used);
        used = std::move(next);
        pools.drop_unused();
        registry.forget_unused();
        for (const Server& server : (*used)[0]->servers()) CHECK(server.slot < 5);
        CHECK(pools.count() == 3);
    }
    CHECK((*used)[0]->servers()[0].slot == 0);
    pools.end_use(*used);
}

}  // namespace baton
