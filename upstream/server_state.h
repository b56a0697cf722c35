#pragma once

// What of servers and upstreams outlives the snapshots that name them. Shared by all loops.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/counter.h"

namespace baton {

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

// What one worker counts of one server. Written by its thread, read by any; no two workers write to one
// cache line.
class alignas(64) ServerCounters {
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
        static_assert(server_fault_count <= 8, "a fault has three bits of the word");
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

// A server's identity is its upstream and its address, its labels in metrics.
class ServerState {
public:
    ServerState(std::string upstream, std::string address, std::size_t slot, std::size_t loops)
        : upstream_(std::move(upstream)),
          address_(std::move(address)),
          slot_(slot),
          counters_(loops) {}

    const std::string& upstream() const noexcept { return upstream_; }
    const std::string& address() const noexcept { return address_; }
    // Where every worker has its pool. No other server has the slot as long as anybody has this one.
    std::size_t slot() const noexcept { return slot_; }

    // What one loop counts: its thread only.
    ServerCounters& counters_of(std::size_t loop) noexcept { return counters_[loop]; }
    // By loop. Any thread may read them.
    const std::vector<ServerCounters>& counters() const noexcept { return counters_; }
    // The sum over all loops of what `read` finds in the counters of one.
    template <class Read>
    std::uint64_t sum(Read read) const {
        std::uint64_t total = 0;
        for (const ServerCounters& one : counters_) total += read(one);
        return total;
    }

private:
    std::string upstream_;
    std::string address_;
    std::size_t slot_;
    std::vector<ServerCounters> counters_;
};

// An upstream's identity is its name.
struct UpstreamState {
    // The turn in its sequence. On a cache line of its own: all workers write it.
    alignas(64) std::atomic<std::size_t> cursor{0};
};

}  // namespace baton
