// Turns over all threads.

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "tests/threads/together.h"
#include "upstream/server.h"

namespace baton::test {

namespace {

constexpr unsigned threads = 8;

Upstream upstream_of(const std::vector<unsigned>& weights) {
    std::vector<Server> servers;
    for (const unsigned weight : weights) {
        Server server;
        server.text = std::to_string(servers.size());
        server.weight = weight;
        server.index = servers.size();
        servers.push_back(server);
    }
    return {"app", "app", std::move(servers), {}, std::make_shared<UpstreamState>()};
}

// How often each server was picked, by all threads together.
std::vector<std::size_t> picked(const std::vector<unsigned>& weights, std::size_t rounds,
                                const ServerSet& tried) {
    const Upstream upstream = upstream_of(weights);
    std::array<std::vector<std::size_t>, threads> picks;
    picks.fill(std::vector<std::size_t>(weights.size(), 0));
    in_threads(threads, [&](unsigned thread) {
        for (std::size_t i = 0; i < rounds; ++i)
            if (const Server* server = upstream.pick(tried)) ++picks[thread][server->index];
    });
    std::vector<std::size_t> sum(weights.size(), 0);
    for (const auto& of_thread : picks)
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += of_thread[i];
    return sum;
}

}  // namespace

TEST_CASE("eight threads pick: each server has exactly its share") {
    // Eight times so many are whole turns of 3 and of 7.
    constexpr std::size_t rounds = 21'000;
    CHECK(picked({1, 1, 1}, rounds, {}) == std::vector<std::size_t>(3, 8 * rounds / 3));
    CHECK(picked({5, 1, 1}, rounds, {}) ==
          std::vector<std::size_t>{8 * rounds / 7 * 5, 8 * rounds / 7, 8 * rounds / 7});
}

TEST_CASE("eight threads pick where one server was tried: the others share its turns") {
    constexpr std::size_t rounds = 21'000;
    ServerSet tried;
    tried.add(0);
    // a b c a b c: of the turns of a, b has each one.
    CHECK(picked({1, 1, 1}, rounds, tried) ==
          std::vector<std::size_t>{0, 8 * rounds / 3 * 2, 8 * rounds / 3});
}

}  // namespace baton::test
