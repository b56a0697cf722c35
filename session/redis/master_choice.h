#pragma once

// Which of the addresses that the Sentinels name is the master's. Pure functions of what they said:
// no clock, no connection.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "net/resolve.h"

namespace baton {

// What one Sentinel answered. A Sentinel that has not answered has no vote.
struct MasterVote {
    Endpoint master;  // if it knows
    // The number of the configuration, which grows with each failover; nothing if the Sentinel may
    // not tell it to us (an ACL that allows no more than SENTINEL GET-MASTER-ADDR-BY-NAME).
    std::optional<std::uint64_t> epoch;
    bool knows = false;  // it has a master of that name
};

struct MasterChoice {
    Endpoint master;
    // Of the configuration, at least. Nothing: no Sentinel ever told.
    std::optional<std::uint64_t> epoch;
    bool operator==(const MasterChoice&) const = default;
};

// The master that was used last.
struct LastMaster {
    MasterChoice choice;
    bool reachable = false;  // and a master by its own word
    // A master that a majority spoke against although its epoch was higher: whoever still names it
    // with that epoch brings no news.
    std::optional<MasterChoice> overruled;
};

// The master that a majority of all `known` Sentinels names, with the highest epoch that one of
// these tells. Nothing: there is no such majority.
std::optional<MasterChoice> agreed_master(std::span<const MasterVote> votes, std::size_t known);

// How long a majority has named the same master.
enum class Agreement : std::uint8_t { fresh, lasting };

// The addresses to try, the likeliest first. The first one that answers and says that it is a master
// is the master; while none does, the last one goes on. The rules:
// 1. An epoch above the last master's is news: a failover. Of several the highest goes first, then
//    the address that most Sentinels name with that epoch or with none ("Configuration epochs",
//    https://redis.io/docs/management/sentinel/#configuration-epochs). One Sentinel is enough, for
//    the others may not have heard yet; that the address is a master's is not left to its word.
// 2. A lower epoch, the same one, or none is followed only if a majority of all `known` Sentinels
//    names one other master: at once if the last one is not reachable, else after a lasting
//    agreement. A Sentinel that was cut off tells of a master that is one no more; but SENTINEL
//    REMOVE with MONITOR begins at 0 again ("Removing the old master or unreachable replicas", as
//    above).
// 3. The last master is a candidate as long as one Sentinel names it. It takes the epoch that a
//    majority names it with, a lower one too; else it keeps the higher one.
// 4. Without a last master those with an epoch are candidates, and one without if a majority names
//    it, which then goes first.
std::vector<MasterChoice> master_candidates(std::span<const MasterVote> votes, std::size_t known,
                                            const std::optional<LastMaster>& last,
                                            Agreement agreement);

}  // namespace baton
