#pragma once

// Two memories of keys, each of a bounded size, for one loop.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "session/id.h"

namespace baton {

// Which sessions were met alive lately. A key has one place among `places_max`, and the last one that
// came there keeps it: an old one is forgotten now and then, and an unknown one is never taken for a
// known one (but by the chance of 64 bits).
class SeenKeys {
public:
    void add(const SessionKey& key) noexcept { places_[place_of(key)] = mark_of(key); }
    bool contains(const SessionKey& key) const noexcept {
        return places_[place_of(key)] == mark_of(key);
    }

private:
    static constexpr std::size_t places_max = 16'384;

    // A key is a hash already: any of its bytes will do.
    static std::size_t place_of(const SessionKey& key) noexcept {
        return (std::size_t{key.bytes[1]} << 8 | key.bytes[0]) % places_max;
    }
    static std::uint64_t mark_of(const SessionKey& key) noexcept {
        std::uint64_t mark = 0;
        for (std::size_t i = 16; i < 24; ++i) mark = mark << 8 | key.bytes[i];
        return mark | 1;  // 0 is an empty place
    }

    std::vector<std::uint64_t> places_ = std::vector<std::uint64_t>(places_max);
};

// Keys that are left alone for a while. The oldest is forgotten early when there are too many.
class RestingKeys {
public:
    static constexpr std::uint64_t rest_ms = 60'000;

    void add(const SessionKey& key, std::uint64_t now_ms) {
        forget_rested(now_ms);
        if (order_.size() == keys_max) pop();
        until_[key] = now_ms + rest_ms;
        order_.emplace_back(key, now_ms + rest_ms);
    }
    bool contains(const SessionKey& key, std::uint64_t now_ms) const noexcept {
        if (until_.empty()) return false;
        const auto at = until_.find(key);
        return at != until_.end() && at->second > now_ms;
    }
    void remove(const SessionKey& key) noexcept {
        if (!until_.empty()) until_.erase(key);
    }

private:
    static constexpr std::size_t keys_max = 1024;

    void forget_rested(std::uint64_t now_ms) noexcept {
        while (!order_.empty() && order_.front().second <= now_ms) pop();
    }
    void pop() noexcept {
        const auto at = until_.find(order_.front().first);
        if (at != until_.end() && at->second == order_.front().second) until_.erase(at);
        order_.pop_front();
    }

    std::unordered_map<SessionKey, std::uint64_t, SessionKeyHash> until_;
    std::deque<std::pair<SessionKey, std::uint64_t>> order_;  // in which they rest
};

}  // namespace baton
