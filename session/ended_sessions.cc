#include "session/ended_sessions.h"

namespace baton {

void EndedSessions::add(const SessionKey& key) {
    const std::lock_guard lock{mutex_};
    const std::uint64_t before = count_.load(std::memory_order_relaxed);
    keys_[before % keys_max] = key;
    count_.store(before + 1, std::memory_order_release);
}

bool EndedSessions::has_since(const SessionKey& key, std::uint64_t count) const {
    const std::lock_guard lock{mutex_};
    const std::uint64_t now = count_.load(std::memory_order_relaxed);
    if (now - count > keys_max) return true;
    for (std::uint64_t i = count; i < now; ++i)
        if (keys_[i % keys_max] == key) return true;
    return false;
}

}  // namespace baton
