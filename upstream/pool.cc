#include "upstream/pool.h"

#include <utility>

namespace baton {

ServerConnection::ServerConnection(Pool& its_pool, StreamPtr its_stream,
                                   std::uint64_t now_ms) noexcept
    : pool(its_pool),
      stream(std::move(its_stream)),
      born_ms(now_ms),
      counted(&its_pool.counters.in_flight) {
    counted->add();
}

ServerConnection::~ServerConnection() { counted->sub(); }

const StreamEvents Pool::events{
    .arrived = [](void* holder, std::span<char>) { drop(*static_cast<ServerConnection*>(holder)); },
    .flushed = [](void*) {},
    .ended = [](void* holder, StreamEnd) { drop(*static_cast<ServerConnection*>(holder)); },
};

// An answer to no question, or the end: either way of no use to the next request (RFC 9112, 9.2).
void Pool::drop(ServerConnection& connection) noexcept { connection.pool.unlink(connection); }

Lease Pool::unlink(ServerConnection& connection) noexcept {
    (connection.older != nullptr ? connection.older->newer : oldest_) = connection.newer;
    (connection.newer != nullptr ? connection.newer->older : newest_) = connection.older;
    connection.older = connection.newer = nullptr;
    --idle_;
    return Lease{&connection};
}

bool Pool::close_oldest() noexcept {
    if (oldest_ == nullptr) return false;
    unlink(*oldest_);
    return true;
}

void Pool::count(ServerConnection& connection, Gauge& gauge) noexcept {
    connection.counted->sub();
    connection.counted = &gauge;
    gauge.add();
}

bool Pool::fresh(const ServerConnection& connection, std::uint64_t now_ms) const noexcept {
    const auto age_max = static_cast<std::uint64_t>(options_.age_max.count());
    if (age_max != 0 && now_ms - connection.born_ms >= age_max) return false;
    return options_.requests_max == 0 || connection.requests < options_.requests_max;
}

bool Pool::idle_too_long(const ServerConnection& connection, std::uint64_t now_ms) const noexcept {
    const auto idle_timeout = static_cast<std::uint64_t>(options_.idle_timeout.count());
    return idle_timeout != 0 && now_ms - connection.idle_since_ms >= idle_timeout;
}

bool Pool::expired(const ServerConnection& connection, std::uint64_t now_ms) const noexcept {
    return idle_too_long(connection, now_ms) || !fresh(connection, now_ms);
}

Lease Pool::lend(StreamPtr stream, std::uint64_t now_ms) {
    return std::make_unique<ServerConnection>(*this, std::move(stream), now_ms);
}

Lease Pool::take(std::uint64_t now_ms) {
    while (newest_ != nullptr) {
        Lease lease = unlink(*newest_);
        // The sweep comes once a second: until then the server may have reached its own limit.
        if (expired(*lease, now_ms)) continue;
        count(*lease, counters.in_flight);
        return lease;
    }
    return nullptr;
}

Lease Pool::take_silent(std::uint64_t now_ms) {
    for (ServerConnection* next = newest_; next != nullptr;) {
        ServerConnection& connection = *std::exchange(next, next->older);
        const Stream::Unread unread = connection.stream->peek();
        if (unread == Stream::Unread::unknown && !expired(connection, now_ms)) continue;
        Lease lease = unlink(connection);
        if (unread != Stream::Unread::nothing || expired(*lease, now_ms)) continue;
        count(*lease, counters.in_flight);
        return lease;
    }
    return nullptr;
}

void Pool::give_back(Lease lease, std::uint64_t now_ms) {
    ++lease->requests;
    if (options_.idle_max == 0 || !fresh(*lease, now_ms)) return;
    if (idle_ >= options_.idle_max) close_oldest();
    count(*lease, counters.idle);
    lease->idle_since_ms = now_ms;
    lease->stream->attach(lease.get(), events);
    lease->stream->read(true);
    ServerConnection* const connection = lease.release();
    connection->older = newest_;
    (newest_ != nullptr ? newest_->newer : oldest_) = connection;
    newest_ = connection;
    ++idle_;
}

void Pool::begin_use(const PoolOptions& options) noexcept {
    ++snapshots_;
    options_ = options;
    while (idle_ > options_.idle_max) close_oldest();
}

void Pool::retire() noexcept {
    options_.idle_max = 0;
    clear();
}

void Pool::park(ServerConnection& connection) noexcept {
    ++connection.requests;
    count(connection, connection.pool.counters.idle);
}

void Pool::resume(ServerConnection& connection) noexcept {
    count(connection, connection.pool.counters.in_flight);
}

void Pool::sweep(std::uint64_t now_ms) {
    for (ServerConnection* next = oldest_; next != nullptr;) {
        ServerConnection& connection = *std::exchange(next, next->newer);
        if (expired(connection, now_ms)) unlink(connection);
    }
}

}  // namespace baton
