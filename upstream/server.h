#pragma once

// One server and the servers that do the same.

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"

namespace baton {

// One backend process.
struct Server {
    Address address;
    std::string text;  // as configured: the label in log and metrics
    unsigned weight = 1;
    std::size_t index = 0;  // within its upstream
    std::size_t pool = 0;   // the place of its pool in every worker
};

inline constexpr std::size_t servers_max = 256;  // of one upstream
using ServerSet = std::bitset<servers_max>;

// Smooth weighted round robin as a sequence of indices: each server stands in it as often as its
// weight says, as evenly spread as can be (weights 5, 1, 1 give a a b a c a a). Weights are divided
// by their greatest common divisor first.
std::vector<std::uint16_t> smooth_sequence(const std::vector<unsigned>& weights);

struct PoolOptions {
    std::size_t idle_max = 64;
    std::chrono::milliseconds idle_timeout{50'000};  // 0: none
    std::chrono::milliseconds age_max{3'600'000};    // 0: none
    std::uint64_t requests_max = 10'000;             // 0: none
};

// Servers that do the same. Shared by all workers; immutable but for the cursor.
class Upstream {
public:
    Upstream(std::string name, std::string scope, std::vector<Server> servers, PoolOptions pool);

    const std::string& name() const noexcept { return name_; }
    const std::string& scope() const noexcept { return scope_; }
    const std::vector<Server>& servers() const noexcept { return servers_; }
    const PoolOptions& pool() const noexcept { return pool_; }

    // Any thread. The next server in turn that is not in `tried`; null if all are. "In turn" holds
    // over all workers. A pick for another attempt takes a turn too, so that the share of a server
    // that is down falls evenly on the others.
    const Server* pick(const ServerSet& tried) const noexcept;

private:
    std::string name_;
    std::string scope_;
    std::vector<Server> servers_;
    PoolOptions pool_;
    std::vector<std::uint16_t> sequence_;
    mutable std::atomic<std::size_t> cursor_{0};
};

}  // namespace baton
