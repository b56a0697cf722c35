#pragma once

// How long to wait before the next attempt at something that fails: at once, then 50 ms, twice as
// long each time, at most 1 s; spread, so that many who failed together do not come back together.

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace baton {

class BackOff {
public:
    using Milliseconds = std::chrono::milliseconds;
    static constexpr std::int64_t first_ms = 50;
    static constexpr std::int64_t most_ms = 1000;

    // Any number that differs from that of others.
    explicit BackOff(std::uint64_t seed) noexcept : random_(seed | 1) {}

    Milliseconds next() noexcept {
        if (failures_++ == 0) return Milliseconds{0};
        const std::int64_t whole = std::min(first_ms << std::min(failures_ - 2, 10), most_ms);
        // Between three quarters and all of it.
        return Milliseconds{whole / 4 + static_cast<std::int64_t>(step() % 256) * whole / 4 / 256 +
                            whole / 2};
    }
    void reset() noexcept { failures_ = 0; }

private:
    std::uint64_t step() noexcept {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 7;
        random_ ^= random_ << 17;
        return random_ >> 20;
    }

    int failures_ = 0;
    std::uint64_t random_;
};

}  // namespace baton
