#pragma once

// The connections of one worker to one server: lent to requests, or idle. The newest idle one is
// taken first, so that the oldest can age out.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "net/stream.h"
#include "upstream/server.h"

namespace baton {

class Pool;

// A connection to a server, lent to one request at a time. It keeps its address while it changes
// hands, and does not outlive its pool.
struct ServerConnection {
    ServerConnection(Pool& its_pool, StreamPtr its_stream, std::uint64_t now_ms) noexcept;
    ~ServerConnection();
    ServerConnection(const ServerConnection&) = delete;
    ServerConnection& operator=(const ServerConnection&) = delete;

    Pool& pool;
    StreamPtr stream;
    std::uint64_t born_ms;
    std::uint64_t idle_since_ms = 0;
    std::uint64_t requests = 0;  // answered so far
    Gauge* counted;              // as in flight, or as idle
    // Its neighbours in the pool, while idle.
    ServerConnection* older = nullptr;
    ServerConnection* newer = nullptr;
};
using Lease = std::unique_ptr<ServerConnection>;

// One worker's thread.
class Pool {
public:
    // `loop`: whose counters it writes.
    Pool(std::shared_ptr<ServerState> state, std::size_t loop, const PoolOptions& options)
        : counters(state->counters_of(loop)), state_(std::move(state)), options_(options) {}
    ~Pool() { clear(); }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    ServerCounters& counters;
    bool other_first = false;  // of the server's two addresses the other one worked last

    // A connection that was just made.
    Lease lend(StreamPtr stream, std::uint64_t now_ms);
    // The newest idle connection, or null. The taker must attach itself before anything else
    // happens.
    Lease take(std::uint64_t now_ms);
    // The same for what cannot be sent twice: the newest on which nothing has arrived. Those with something to
    // read are closed; those on which nobody can tell stay where they are.
    Lease take_silent(std::uint64_t now_ms);
    // A connection whose answer is complete and whose next bytes could only be an answer to
    // nothing. It is kept if the options allow, in the place of the oldest if the pool is full, else
    // closed. Reading stays on: an idle connection that becomes readable or ends is closed.
    void give_back(Lease lease, std::uint64_t now_ms);
    // A connection that is kept elsewhere between two requests, and one that is used again.
    static void park(ServerConnection& connection) noexcept;
    static void resume(ServerConnection& connection) noexcept;
    // A snapshot that names the server, and has its options, comes into use, and goes out of use.
    void begin_use(const PoolOptions& options) noexcept;
    void end_use() noexcept { --snapshots_; }
    // The newest snapshot does not name the server: what is lent ends with its request.
    void retire() noexcept;
    // No snapshot, request or tunnel of this worker refers to it.
    bool is_unused() const noexcept {
        return snapshots_ == 0 && counters.in_flight.read() + counters.idle.read() == 0;
    }
    // Closes what has been idle or alive for too long. Called about once a second.
    void sweep(std::uint64_t now_ms);
    // False if there is none.
    bool close_oldest() noexcept;
    void clear() noexcept {
        while (close_oldest()) {
        }
    }
    std::size_t idle() const noexcept { return idle_; }

private:
    static const StreamEvents events;
    static void drop(ServerConnection& connection) noexcept;
    // In constant time, wherever in the pool it is.
    Lease unlink(ServerConnection& connection) noexcept;
    bool expired(const ServerConnection& connection, std::uint64_t now_ms) const noexcept;
    static void count(ServerConnection& connection, Gauge& gauge) noexcept;
    bool fresh(const ServerConnection& connection, std::uint64_t now_ms) const noexcept;
    bool idle_too_long(const ServerConnection& connection, std::uint64_t now_ms) const noexcept;

    std::shared_ptr<ServerState> state_;
    PoolOptions options_;
    std::size_t snapshots_ = 0;  // in use that name it
    // The idle connections, which it owns, in the order in which they became so.
    ServerConnection* oldest_ = nullptr;
    ServerConnection* newest_ = nullptr;
    std::size_t idle_ = 0;
};

}  // namespace baton
