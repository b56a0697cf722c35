#include "session/master_choice.h"

#include <algorithm>

namespace baton {
namespace {

// The address that most of those votes name that `counts` is true of. Of equals the last master's,
// then the first.
template <class Counts>
struct Tally {
    const Endpoint* master = nullptr;
    std::size_t votes = 0;

    Tally(std::span<const MasterVote> all, const std::optional<LastMaster>& last, Counts counts) {
        for (const MasterVote& vote : all) {
            if (!vote.knows || !counts(vote)) continue;
            const auto same = static_cast<std::size_t>(
                std::count_if(all.begin(), all.end(), [&](const MasterVote& other) {
                    return other.knows && other.master == vote.master && counts(other);
                }));
            const bool is_last = last && vote.master == last->choice.master;
            if (same < votes || (same == votes && !is_last)) continue;
            master = &vote.master;
            votes = same;
        }
    }
};

}  // namespace

std::optional<MasterChoice> choose_master(std::span<const MasterVote> votes, std::size_t known,
                                          const std::optional<LastMaster>& last) {
    const std::size_t majority = known / 2 + 1;
    const std::optional<std::uint64_t> last_epoch = last ? last->choice.epoch : std::nullopt;
    std::optional<std::uint64_t> highest;
    for (const MasterVote& vote : votes)
        if (vote.knows && vote.epoch) highest = std::max(highest.value_or(0), *vote.epoch);

    const Tally unnumbered{votes, last, [](const MasterVote& vote) { return !vote.epoch; }};
    const bool news = highest && last_epoch && *highest > *last_epoch;
    if (unnumbered.master != nullptr && unnumbered.votes >= majority && !news)
        return MasterChoice{*unnumbered.master, last_epoch};

    if (highest && (!last_epoch || *highest >= *last_epoch)) {
        // An address that has that epoch by nobody's word is no candidate.
        const auto has_it = [&](const MasterVote& vote) {
            return std::any_of(votes.begin(), votes.end(), [&](const MasterVote& other) {
                return other.knows && other.epoch == highest && other.master == vote.master;
            });
        };
        const Tally newest{votes, last, [&](const MasterVote& vote) {
                               return (!vote.epoch || vote.epoch == highest) && has_it(vote);
                           }};
        return MasterChoice{*newest.master, highest};
    }

    // From here on nobody told an epoch that is not lower than the last.
    const Tally all{votes, last, [](const MasterVote&) { return true; }};
    if (highest && !last->reachable && all.votes >= majority) {
        std::optional<std::uint64_t> epoch;
        for (const MasterVote& vote : votes)
            if (vote.knows && vote.master == *all.master) epoch = std::max(epoch, vote.epoch);
        return MasterChoice{*all.master, epoch};
    }
    const bool names_last =
        last && std::any_of(votes.begin(), votes.end(), [&](const MasterVote& vote) {
            return vote.knows && !vote.epoch && vote.master == last->choice.master;
        });
    return names_last ? std::optional{last->choice} : std::nullopt;
}

}  // namespace baton
