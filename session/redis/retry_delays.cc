#include "session/redis/retry_delays.h"

#include <algorithm>
#include <chrono>

#include "net/loop.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

// A password or an ACL that is mended is noticed within this.
constexpr std::chrono::milliseconds delay_after_refusal = 2s;
// A server that says it is no master may become one, or Sentinel may not have heard yet.
constexpr std::chrono::milliseconds delay_of_replicas = 200ms;
// An address that was tried is forgotten after this.
constexpr std::uint64_t known_ms = 60'000;

}  // namespace

bool is_hopeless(RedisLoss loss) noexcept {
    return loss == RedisLoss::refused || loss == RedisLoss::too_old;
}

void RetryDelays::add(const Endpoint& at, RedisLoss loss, std::uint64_t now_ms) {
    std::erase_if(delays_, [&](const Delay& one) {
        return one.at != at && one.until_ms + known_ms <= now_ms;
    });
    auto delay = std::find_if(delays_.begin(), delays_.end(),
                              [&](const Delay& one) { return one.at == at; });
    if (delay == delays_.end()) delay = delays_.insert(delay, Delay{at, BackOff{now_us()}, 0});
    auto time = delay->back_off.next();
    if (is_hopeless(loss)) time = delay_after_refusal;
    if (loss == RedisLoss::not_master || loss == RedisLoss::busy)
        time = std::max(time, delay_of_replicas);
    delay->until_ms = now_ms + static_cast<std::uint64_t>(time.count());
}

void RetryDelays::remove(const Endpoint& at) {
    std::erase_if(delays_, [&](const Delay& one) { return one.at == at; });
}

bool RetryDelays::has(const Endpoint& at, std::uint64_t now_ms) const noexcept {
    return std::any_of(delays_.begin(), delays_.end(),
                       [&](const Delay& one) { return one.at == at && one.until_ms > now_ms; });
}

std::optional<std::uint64_t> RetryDelays::next_end_ms(std::uint64_t from_ms) const noexcept {
    std::optional<std::uint64_t> first;
    for (const Delay& one : delays_)
        if (one.until_ms >= from_ms) first = std::min(first.value_or(one.until_ms), one.until_ms);
    return first;
}

}  // namespace baton
