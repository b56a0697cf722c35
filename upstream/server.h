#pragma once

// One server and the servers that do the same.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "net/counter.h"
#include "upstream/server_set.h"

namespace baton {

// One backend process.
struct Server {
    Address address;
    std::string text;  // as configured: the label in log and metrics
    unsigned weight = 1;
    std::size_t index = 0;  // within its upstream
    std::size_t pool = 0;   // the place of its pool in every worker
    // Where it is if it is not at `address`: of localhost, which is one server at the loopback address
    // of one family or the other. Else unspecified.
    Address other{};
    bool has_other() const noexcept { return other.raw()->sa_family != AF_UNSPEC; }
};

// What a server did wrong. The last three are the faults of the same name of the request that it
// happened to; connecting may fail without any request's failing.
enum class ServerFault : std::uint8_t {
    connect_failed,  // refused or unreachable
    connect_slow,
    server_gone,
    server_slow,
    bad_response,
};
inline constexpr std::size_t server_fault_count = 5;

// The fault's word in logs, metrics and the admin listener's answers.
constexpr std::string_view name(ServerFault fault) noexcept {
    switch (fault) {
    case ServerFault::connect_failed: return "connect_failed";
    case ServerFault::connect_slow: return "connect_slow";
    case ServerFault::server_gone: return "server_gone";
    case ServerFault::server_slow: return "server_slow";
    case ServerFault::bad_response: return "bad_response";
    }
    return "unknown";
}

// What one worker knows of one server. Written by its thread, read by any.
class ServerCounters {
public:
    Counter requests;  // of which a byte was written, each try
    Gauge in_flight;   // connections that carry a request, or a tunnel
    Gauge idle;        // connections in the pool, or kept for one client

    struct LastFault {
        ServerFault fault = ServerFault::connect_failed;
        std::int64_t time_ms = 0;  // since 1970; 0: there was none
    };
    void add(ServerFault fault, std::int64_t time_ms) noexcept {
        faults_[static_cast<std::size_t>(fault)].add();
        // One word, so that a reader never sees one fault with another's time.
        last_.store(static_cast<std::uint64_t>(time_ms) << 3 | static_cast<std::uint64_t>(fault),
                    std::memory_order_relaxed);
    }
    std::uint64_t faults(ServerFault fault) const noexcept {
        return faults_[static_cast<std::size_t>(fault)].read();
    }
    LastFault last_fault() const noexcept {
        const std::uint64_t last = last_.load(std::memory_order_relaxed);
        return {static_cast<ServerFault>(last & 7), static_cast<std::int64_t>(last >> 3)};
    }

private:
    std::array<Counter, server_fault_count> faults_;
    std::atomic<std::uint64_t> last_{0};
};

inline constexpr std::size_t servers_max = 5000;  // of one upstream

// Smooth weighted round robin as a sequence of indices: each server stands in it as often as its
// weight says, as evenly spread as can be (weights 5, 1, 1 give a a b a c a a). Weights are divided
// by their greatest common divisor first. At most 256 different weights, and `servers_max` of them,
// are a quarter of a second at worst.
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
    // that is down falls evenly on the others. Takes a bounded number of steps, however many are in
    // `tried`.
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
