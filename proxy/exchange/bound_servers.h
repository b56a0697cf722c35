#pragma once

// The server connections that belong to one client connection: servers know them as that client's. They
// end with it, and it ends with them.

#include <utility>
#include <vector>

#include "net/stream.h"
#include "upstream/pool.h"

namespace baton {

// Owned by the client's connection; its loop's thread.
class BoundServers {
public:
    // Is told, from within an event, when one of them has ended or spoken unasked: they are all closed.
    using Ended = void (*)(void* holder);
    BoundServers(void* holder, Ended ended) noexcept : holder_(holder), ended_(ended) {}
    BoundServers(const BoundServers&) = delete;
    BoundServers& operator=(const BoundServers&) = delete;

    // A connection whose answer is complete.
    void keep(Lease lease);
    // The one whose pool is `wanted`, or null. The taker attaches itself.
    template <class Wanted>
    Lease take(Wanted wanted) {
        for (Lease& lease : leases_) {
            if (!wanted(lease->pool)) continue;
            std::swap(lease, leases_.back());
            Lease taken = std::move(leases_.back());
            leases_.pop_back();
            Pool::resume(*taken);
            return taken;
        }
        return nullptr;
    }
    bool empty() const noexcept { return leases_.empty(); }

private:
    static const StreamEvents events;
    void end();

    void* holder_;
    Ended ended_;
    std::vector<Lease> leases_;  // one for each upstream
};

}  // namespace baton
