#include "session/redis/revocations.h"

namespace baton {

void Revocations::drop_old(std::uint64_t now_ms) {
    while (!entries_.empty() &&
           (entries_.size() > count_max || entries_.front().at_ms + kept_ms <= now_ms))
        entries_.pop_front();
}

void Revocations::add(const SessionKey& key, std::uint64_t now_ms) {
    entries_.push_back({key, now_ms});
    drop_old(now_ms);
}

std::vector<SessionKey> Revocations::recent(std::uint64_t now_ms) {
    drop_old(now_ms);
    std::vector<SessionKey> keys;
    keys.reserve(entries_.size());
    for (const Entry& entry : entries_) keys.push_back(entry.key);
    return keys;
}

}  // namespace baton
