#pragma once

// Reads sessions from what Redis replies, and remembers which ones were met alive lately and which were too
// large to be read.

#include <optional>
#include <span>

#include "net/log.h"
#include "net/loop.h"
#include "session/redis/recent_keys.h"
#include "session/redis/redis_counters.h"
#include "session/redis/redis_link.h"
#include "session/redis/redis_reply.h"
#include "session/store.h"

namespace baton {

// Of one store; its loop's thread.
class SessionReader {
public:
    // All outlive it. The link tells the time of the server that replies.
    SessionReader(Loop& loop, const RedisLink& link, RedisCounters& counters) noexcept
        : loop_(loop), link_(link), counters_(counters) {}

    // The two replies to a load. Nothing if they are none to it.
    std::optional<StoreAnswer> read(const SessionKey& key, std::span<const RedisReply> replies);
    // Two for each key. One that cannot be read is no session; the others are told all the same.
    StoreAnswer read_several(std::span<const SessionKey> keys, std::span<RedisReply> replies);

    bool has_seen(const SessionKey& key) const { return seen_.contains(key); }
    // It was too large to be read a moment ago: as each try costs the server as much as it does us, the
    // next one waits.
    bool is_too_large(const SessionKey& key) const { return too_large_.contains(key, loop_.now()); }
    void note_too_large(const SessionKey& key);
    void forget_too_large(const SessionKey& key) { too_large_.remove(key); }

private:
    Loop& loop_;
    const RedisLink& link_;
    RedisCounters& counters_;
    SeenKeys seen_;
    RestingKeys too_large_;
    log::OncePerMinute too_large_warning_;
};

}  // namespace baton
