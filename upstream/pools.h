#pragma once

// One worker's pools: one for each server of a snapshot that is in use here, or to which a connection is open.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "upstream/pool.h"
#include "upstream/server.h"

namespace baton {

// The worker's thread.
class Pools {
public:
    // `loop`: whose counters the pools write.
    explicit Pools(std::size_t loop) noexcept : loop_(loop) {}

    // By the server's slot. A server of a snapshot in use has one.
    Pool& operator[](std::size_t slot) const noexcept { return *pools_[slot]; }

    // The servers of a snapshot that comes into use here, the newest: pools of other servers retire.
    void begin_use(const Upstreams& upstreams);
    // No request refers to that snapshot any more.
    void end_use(const Upstreams& upstreams) noexcept;
    // Drops the pools that nothing refers to. Not from within an event of a connection to a server.
    void drop_unused() noexcept;

    // As of each pool.
    void sweep(std::uint64_t now_ms);
    void clear() noexcept;
    // Closes an idle connection, to any server, for the descriptor and the memory that it holds. False
    // if there is none.
    bool close_one() noexcept;
    std::size_t count() const noexcept;

private:
    std::size_t loop_;
    std::vector<std::unique_ptr<Pool>> pools_;  // by slot; null where there is none
};

}  // namespace baton
