#pragma once

// Servers that were of no use lately, and when each may be tried again. Times are the loop's, in ms. The
// control thread's.

#include <cstdint>
#include <optional>
#include <vector>

#include "net/resolve.h"
#include "session/redis/back_off.h"
#include "session/redis/redis_link.h"

namespace baton {

class RetryDelays {
public:
    void add(const Endpoint& at, RedisLoss loss, std::uint64_t now_ms);
    void remove(const Endpoint& at);
    bool has(const Endpoint& at, std::uint64_t now_ms) const noexcept;
    // The first of those that end at `from_ms` or later.
    std::optional<std::uint64_t> next_end_ms(std::uint64_t from_ms) const noexcept;

private:
    struct Delay {
        Endpoint at;
        BackOff back_off;
        std::uint64_t until_ms = 0;
    };

    std::vector<Delay> delays_;
};

// Nothing that will pass by itself.
bool is_hopeless(RedisLoss loss) noexcept;

}  // namespace baton
