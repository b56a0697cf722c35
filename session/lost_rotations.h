#pragma once

// New ids of which nobody knows whether they were given: the store went away before it answered, and
// the client was told 503 and keeps its old id. If its session has the new one after all, the client is
// led to it with its next request, for a minute.
//
// The old id of a login is dead so that whoever planted it is left outside; so only the address that
// asked is led.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "session/id.h"

namespace baton {

// Any thread. Times are of any clock that never jumps, in ms.
class LostRotations {
public:
    // From the session of `from`, as `client` asked, to the one of `to`.
    void add(const SessionKey& from, const SessionId& to, std::string_view client,
             std::int64_t now_ms);
    std::optional<SessionId> find(const SessionKey& from, std::string_view client,
                                  std::int64_t now_ms);

private:
    static constexpr std::int64_t life_ms = 60'000;
    static constexpr std::size_t count_max = 1024;  // the oldest goes

    struct Entry {
        SessionKey from;
        SessionId to;
        std::string client;
        std::int64_t until_ms;
    };
    std::atomic<std::size_t> count_ = 0;  // relaxed: a hint that spares the lock
    std::mutex mutex_;
    std::deque<Entry> entries_;  // oldest first; guarded by mutex_
};

}  // namespace baton
