#pragma once

// Where the sessions of the process are: in memory or in Redis. Makes the handle of each loop, and
// leads those that need it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/loop.h"
#include "proxy/config/config.h"
#include "session/ended_sessions.h"
#include "session/memory/memory_table.h"
#include "session/redis/redis_guide.h"
#include "session/redis/redis_store.h"

namespace baton {

// The control thread.
class SessionStores {
public:
    SessionStores(Loop& control, const Config& config);
    SessionStores(const SessionStores&) = delete;
    SessionStores& operator=(const SessionStores&) = delete;

    // The handle of another loop, made before that runs. The loop outlives this object.
    std::unique_ptr<Store> make(Loop& loop);
    // All handles are made.
    void start();

    // Empty with Redis.
    MemoryTable& table() noexcept { return table_; }
    const MemoryTable& table() const noexcept { return table_; }

    // Of Redis; null, and empty, without.
    const RedisGuide* guide() const noexcept { return guide_.get(); }
    const std::vector<const RedisCounters*>& counters() const noexcept { return counters_; }

private:
    struct Follower {
        Loop* loop;
        RedisStore* store;
    };

    Loop& control_;
    const RedisConfig redis_;
    const SessionConfig session_;
    MemoryTable table_;
    EndedSessions ended_;
    std::unique_ptr<RedisGuide> guide_;
    std::vector<Follower> followers_;
    std::vector<const RedisCounters*> counters_;
};

}  // namespace baton
