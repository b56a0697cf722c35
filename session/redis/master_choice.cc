#include "session/redis/master_choice.h"

#include <algorithm>
#include <cstdint>

namespace baton {
namespace {

using Epoch = std::optional<std::uint64_t>;

// All that name one address.
struct Named {
    const Endpoint* master = nullptr;
    Epoch epoch;                 // the highest told of it
    std::size_t votes = 0;       // all
    std::size_t up_to_date = 0;  // with that epoch, or with none
};

std::vector<Named> named_masters(std::span<const MasterVote> votes) {
    std::vector<Named> all;
    for (const MasterVote& vote : votes) {
        if (!vote.knows) continue;
        auto at = std::find_if(all.begin(), all.end(),
                               [&](const Named& one) { return *one.master == vote.master; });
        if (at == all.end()) {
            at = all.insert(at, Named{});
            at->master = &vote.master;
        }
        at->epoch = std::max(at->epoch, vote.epoch);
        ++at->votes;
    }
    for (Named& one : all)
        one.up_to_date = static_cast<std::size_t>(
            std::count_if(votes.begin(), votes.end(), [&](const MasterVote& vote) {
                return vote.knows && vote.master == *one.master &&
                       (!vote.epoch || vote.epoch == one.epoch);
            }));
    return all;
}

bool is_majority(std::size_t votes, std::size_t known) noexcept { return votes >= known / 2 + 1; }

// What speaks for an address, from the weakest to the strongest.
enum class Rank : std::uint8_t { none, was_last, agreed, news };

struct Candidate {
    Rank rank = Rank::none;
    MasterChoice choice;
    std::size_t votes = 0;
    bool is_last = false;
};

Candidate judge_first(const Named& named, std::size_t known) {
    Candidate candidate;
    if (named.epoch) candidate.rank = Rank::agreed;
    if (!named.epoch && is_majority(named.votes, known)) candidate.rank = Rank::news;
    candidate.choice = {*named.master, named.epoch};
    return candidate;
}

Candidate judge(const Named& named, std::size_t known, const LastMaster& last, bool last_is_agreed,
                Agreement agreement) {
    const bool agreed = is_majority(named.votes, known);
    const Epoch last_epoch = last.choice.epoch;
    Candidate candidate;
    candidate.is_last = *named.master == last.choice.master;
    if (candidate.is_last) {
        candidate.rank = named.epoch > last_epoch ? Rank::news : Rank::was_last;
        const Epoch epoch = agreed && named.epoch ? named.epoch : std::max(named.epoch, last_epoch);
        candidate.choice = {*named.master, epoch};
        return candidate;
    }
    const bool overruled = last.overruled && last.overruled->master == *named.master &&
                           named.epoch <= last.overruled->epoch;
    // Where Sentinels may not tell epochs, one that may does not outweigh all others.
    const bool outvoted = !last_epoch && last_is_agreed;
    if (named.epoch > last_epoch && !overruled && !outvoted)
        candidate.rank = Rank::news;
    else if (agreed && (!last.reachable || agreement == Agreement::lasting))
        candidate.rank = Rank::agreed;
    candidate.choice = {*named.master, named.epoch ? named.epoch : last_epoch};
    return candidate;
}

bool goes_before(const Candidate& one, const Candidate& other) noexcept {
    if (one.rank != other.rank) return one.rank > other.rank;
    if (one.choice.epoch != other.choice.epoch) return one.choice.epoch > other.choice.epoch;
    if (one.votes != other.votes) return one.votes > other.votes;
    return one.is_last && !other.is_last;
}

}  // namespace

std::optional<MasterChoice> agreed_master(std::span<const MasterVote> votes, std::size_t known) {
    for (const Named& one : named_masters(votes))
        if (is_majority(one.votes, known)) return MasterChoice{*one.master, one.epoch};
    return std::nullopt;
}

std::vector<MasterChoice> master_candidates(std::span<const MasterVote> votes, std::size_t known,
                                            const std::optional<LastMaster>& last,
                                            Agreement agreement) {
    const auto agreed = agreed_master(votes, known);
    const bool last_is_agreed = last && agreed && agreed->master == last->choice.master;
    std::vector<Candidate> candidates;
    for (const Named& named : named_masters(votes)) {
        Candidate candidate = last ? judge(named, known, *last, last_is_agreed, agreement)
                                   : judge_first(named, known);
        candidate.votes = named.up_to_date;
        if (candidate.rank != Rank::none) candidates.push_back(std::move(candidate));
    }
    std::stable_sort(candidates.begin(), candidates.end(), goes_before);
    std::vector<MasterChoice> choices;
    choices.reserve(candidates.size());
    for (Candidate& candidate : candidates) choices.push_back(std::move(candidate.choice));
    return choices;
}

}  // namespace baton
