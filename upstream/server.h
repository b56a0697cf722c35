#pragma once

// One server and the servers that do the same.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "upstream/server_set.h"
#include "upstream/server_state.h"

namespace baton {

// One backend process.
struct Server {
    Address address;
    std::string text;  // as configured: the label in log and metrics
    unsigned weight = 1;
    std::size_t index = 0;  // within its upstream
    std::shared_ptr<ServerState> state;
    std::size_t slot = 0;  // the state's
    // Where it is if it is not at `address`: of localhost, which is one server at the loopback address
    // of one family or the other. Else unspecified.
    Address other{};
    bool has_other() const noexcept { return other.raw()->sa_family != AF_UNSPEC; }
};

inline constexpr std::size_t servers_max = 5000;  // of one upstream

// Smooth weighted round robin as a sequence of indices: each server stands in it as often as its
// weight says, as evenly spread as can be (weights 5, 1, 1 give a a b a c a a). Weights are divided
// by their greatest common divisor first. At most 256 different weights, and `servers_max` of them,
// are a quarter of a second at worst.
std::vector<std::uint16_t> smooth_sequence(const std::vector<unsigned>& weights);

struct PoolOptions {
    std::size_t idle_max = 64;
    std::chrono::milliseconds idle_timeout{50'000};  // 0: no limit
    std::chrono::milliseconds age_max{3'600'000};    // 0: no limit
    std::uint64_t requests_max = 10'000;             // 0: no limit
};

// Servers that do the same. Shared by all workers; immutable but for what its state says.
class Upstream {
public:
    Upstream(std::string name, std::string scope, std::vector<Server> servers, PoolOptions pool,
             std::shared_ptr<UpstreamState> state);

    const std::string& name() const noexcept { return name_; }
    const std::string& scope() const noexcept { return scope_; }
    const std::vector<Server>& servers() const noexcept { return servers_; }
    const PoolOptions& pool() const noexcept { return pool_; }

    // Any thread. The next server in turn that is not in `tried`; null if all are. "In turn" holds
    // over all workers. A pick for another attempt takes a turn too, so that the share of a server
    // that is down falls evenly on the others. Takes a bounded number of steps, however many are in
    // `tried`.
    const Server* pick(const ServerSet& tried) const noexcept;

private:
    std::string name_;
    std::string scope_;
    std::vector<Server> servers_;
    PoolOptions pool_;
    std::vector<std::uint16_t> sequence_;
    std::shared_ptr<UpstreamState> state_;
};

using Upstreams = std::vector<std::unique_ptr<Upstream>>;

}  // namespace baton
