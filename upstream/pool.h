#pragma once

// Idle connections to one server, of one worker. Newest first, so that the oldest can age out.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "net/stream.h"
#include "upstream/server.h"

namespace baton {

class Pool;

// A connection to a server, lent to one request at a time. It keeps its address while it changes
// hands.
struct ServerConnection {
    StreamPtr stream;
    std::uint64_t born_ms = 0;
    std::uint64_t idle_since_ms = 0;
    std::uint64_t requests = 0;  // answered so far
    Pool* pool = nullptr;        // while idle
    std::size_t place = 0;       // in the pool, while idle
};
using Lease = std::unique_ptr<ServerConnection>;

// One worker's thread.
class Pool {
public:
    explicit Pool(const PoolOptions& options) : options_(options) {}
    ~Pool() = default;
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    // The newest idle connection, or null. The taker must attach itself before anything else
    // happens.
    Lease take(std::uint64_t now_ms);
    // A connection whose answer is complete and whose next bytes could only be an answer to
    // nothing. It is kept if the options allow, else closed. Reads stay armed: an idle connection
    // that becomes readable or ends is closed.
    void give_back(Lease lease, std::uint64_t now_ms);
    // Closes what has been idle or alive for too long. Called about once a second.
    void sweep(std::uint64_t now_ms);
    void clear() noexcept { idle_.clear(); }
    std::size_t idle() const noexcept { return idle_.size(); }

private:
    static const StreamEvents events;
    static void drop(ServerConnection& connection) noexcept;
    bool fresh(const ServerConnection& connection, std::uint64_t now_ms) const noexcept;

    PoolOptions options_;
    std::vector<Lease> idle_;  // oldest first
};

}  // namespace baton
