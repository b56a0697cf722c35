#pragma once

// Which of the addresses that the Sentinels name is the master's. A pure function of what they said:
// no clock, no connection.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

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
};

// The rules, in this order:
// 1. The highest epoch wins: of two Sentinels that differ, the lower one has not heard of the last
//    failover yet ("Configuration epochs",
//    https://redis.io/docs/management/sentinel/#configuration-epochs).
// 2. Among those with the same epoch the address that most Sentinels name, by answers with that
//    epoch or with none; then the last master; then the one named first.
// 3. Never an epoch below that of the last master: a Sentinel that was cut off tells of a master
//    that is one no more. But SENTINEL REMOVE with MONITOR begins at 0 again: if all epochs are
//    lower, the last master is not reachable, and a majority of all `known` Sentinels names one
//    address, that is the master ("Removing the old master or unreachable replicas", as above).
// 4. An answer without an epoch counts if it names the last master, or if a majority of all `known`
//    Sentinels names the same address by such answers. Such a majority gives way to an epoch only
//    if that is higher than the last master's: a failover it has not heard of. The last epoch stays
//    the lowest that is taken then.
std::optional<MasterChoice> choose_master(std::span<const MasterVote> votes, std::size_t known,
                                          const std::optional<LastMaster>& last);

}  // namespace baton
