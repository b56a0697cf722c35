#pragma once

// The ids that this process has taken from their sessions lately, by a logout, a login or a renewal,
// for those who watch one: a look at a counter tells them that there is nothing new.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "session/id.h"

namespace baton {

// Any thread.
class EndedSessions {
public:
    void add(const SessionKey& key);

    // How many there have been, ever.
    std::uint64_t count() const noexcept { return count_.load(std::memory_order_acquire); }
    // Whether `key` is among those after the first `count`. True also if they are more than are
    // remembered: who asks has to look for himself in any case.
    bool has_since(const SessionKey& key, std::uint64_t count) const;

private:
    static constexpr std::size_t keys_max = 1024;

    mutable std::mutex mutex_;
    std::atomic<std::uint64_t> count_ = 0;     // written under mutex_
    std::array<SessionKey, keys_max> keys_{};  // in turn; guarded by mutex_
};

}  // namespace baton
