#pragma once

// How many client connections the process may hold, who can make room for one more, and how many
// each client has.

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "net/address.h"

namespace baton {

class Clients;

// Open connections of each client at each listener that bounds them, over all workers: at the address that
// it is bound to. A client is an
// IPv4 address, or the first 64 bits of an IPv6 address (what one customer is given). Any thread.
class ClientCounts {
public:
    // One more of `client` at `listener`, unless it has `max` there already.
    bool take(const Address& listener, const Address& client, std::size_t max);
    void give_back(const Address& listener, const Address& client) noexcept;

private:
    std::mutex mutex_;
    // Those that have at least one; guarded by mutex_.
    std::map<std::pair<std::string, std::string>, std::size_t> open_;
};

// Shared by all workers.
struct ConnectionGate {
    std::size_t max = 0;
    std::atomic<std::size_t> open{0};  // relaxed: a count, nothing is ordered by it
    // Who holds the connections, each on a loop of its own. Complete before the first of these loops
    // runs.
    std::vector<Clients*> holders;
    // Whose holders are asked for a descriptor; null: its own.
    const ConnectionGate* descriptors_from = nullptr;
    ClientCounts per_client;

    // A place for one more, if there is one.
    bool take() noexcept {
        std::size_t now = open.load(std::memory_order_relaxed);
        while (now < max)
            if (open.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
        return false;
    }
    // A place beyond the limit: who had connected before the end is served.
    void take_beyond() noexcept { open.fetch_add(1, std::memory_order_relaxed); }
    void give_back() noexcept { open.fetch_sub(1, std::memory_order_relaxed); }
};

}  // namespace baton
