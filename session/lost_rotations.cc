#include "session/lost_rotations.h"

#include <algorithm>

namespace baton {

void LostRotations::add(const SessionKey& from, const SessionId& to, std::string_view client,
                        std::int64_t now_ms) {
    const std::lock_guard lock(mutex_);
    if (entries_.size() == count_max) entries_.pop_front();
    entries_.push_back(Entry{from, to, std::string{client}, now_ms + life_ms});
    count_.store(entries_.size(), std::memory_order_relaxed);
}

std::optional<SessionId> LostRotations::find(const SessionKey& from, std::string_view client,
                                             std::int64_t now_ms) {
    if (count_.load(std::memory_order_relaxed) == 0) return std::nullopt;
    const std::lock_guard lock(mutex_);
    while (!entries_.empty() && entries_.front().until_ms <= now_ms) entries_.pop_front();
    count_.store(entries_.size(), std::memory_order_relaxed);
    // The last one: an earlier one of the same id was asked for again since.
    const auto at = std::find_if(entries_.rbegin(), entries_.rend(), [&](const Entry& one) {
        return one.from == from && one.client == client;
    });
    if (at == entries_.rend()) return std::nullopt;
    return at->to;
}

}  // namespace baton
