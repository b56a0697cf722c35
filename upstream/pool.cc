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
    .ended = [](void* holder, int) { drop(*static_cast<ServerConnection*>(holder)); },
};

// An answer to no question, or the end: either way of no use to the next request (RFC 9112, 9.2).
void Pool::drop(ServerConnection& connection) noexcept {
    Pool& pool = connection.pool;
    const std::size_t place = connection.place;
    pool.idle_.erase(pool.idle_.begin() + static_cast<std::ptrdiff_t>(place));
    for (std::size_t i = place; i < pool.idle_.size(); ++i) pool.idle_[i]->place = i;
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

Lease Pool::lend(StreamPtr stream, std::uint64_t now_ms) {
    return std::make_unique<ServerConnection>(*this, std::move(stream), now_ms);
}

Lease Pool::take(std::uint64_t now_ms) {
    while (!idle_.empty()) {
        Lease lease = std::move(idle_.back());
        idle_.pop_back();
        if (!fresh(*lease, now_ms)) continue;
        count(*lease, counters.in_flight);
        return lease;
    }
    return nullptr;
}

void Pool::give_back(Lease lease, std::uint64_t now_ms) {
    ++lease->requests;
    if (idle_.size() >= options_.idle_max || !fresh(*lease, now_ms)) return;
    count(*lease, counters.idle);
    lease->idle_since_ms = now_ms;
    lease->place = idle_.size();
    lease->stream->attach(lease.get(), events);
    lease->stream->read(true);
    idle_.push_back(std::move(lease));
}

void Pool::sweep(std::uint64_t now_ms) {
    const auto idle_timeout = static_cast<std::uint64_t>(options_.idle_timeout.count());
    std::size_t kept = 0;
    for (Lease& lease : idle_) {
        const bool idle_too_long =
            idle_timeout != 0 && now_ms - lease->idle_since_ms >= idle_timeout;
        if (idle_too_long || !fresh(*lease, now_ms)) continue;
        lease->place = kept;
        if (&idle_[kept] != &lease) idle_[kept] = std::move(lease);
        ++kept;
    }
    idle_.resize(kept);
}

}  // namespace baton
