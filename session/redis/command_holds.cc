#include "session/redis/command_holds.h"

#include <algorithm>

namespace baton {
namespace {

// A Sentinel whose message led to no other master holds nobody up for this long.
constexpr std::uint64_t doubt_ms = 60'000;

}  // namespace

bool CommandHolds::begin(Of what, std::uint64_t ms, const Endpoint& by, std::uint64_t now_ms) {
    const bool changed = give_up_expired(now_ms);
    std::erase_if(doubted_, [&](const auto& one) { return one.second <= now_ms; });
    const bool doubted = std::any_of(doubted_.begin(), doubted_.end(),
                                     [&](const auto& one) { return one.first == by; });
    if (doubted) return changed;
    Hold& hold = hold_of(what);
    hold = {std::max(hold.until_ms, now_ms + ms), by};
    return true;
}

bool CommandHolds::give_up(Of what, std::uint64_t now_ms) {
    Hold& hold = hold_of(what);
    if (hold.until_ms == 0) return false;
    if (hold.by.port != 0) doubted_.emplace_back(hold.by, now_ms + doubt_ms);
    hold = {};
    return true;
}

bool CommandHolds::give_up_expired(std::uint64_t now_ms) {
    bool changed = false;
    for (const Of what : {Of::all, Of::changes})
        if (hold_of(what).until_ms <= now_ms) changed = give_up(what, now_ms) || changed;
    return changed;
}

}  // namespace baton
