#pragma once

// How the store is, as operators are told: values, copied from what the control thread knows.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "session/redis/sentinel.h"

namespace baton {

enum class StoreState : std::uint8_t {
    ready,
    read_only,  // it refuses writes for now
    failover,   // it was ready, and its master is being looked for
    down,
};
std::string_view text_of(StoreState state) noexcept;

// Times are the loop's, in ms.
struct StoreView {
    StoreState state = StoreState::down;
    bool ever_ready = false;
    std::string master;  // "host:port", empty if there is none
    std::optional<std::uint64_t> epoch;
    std::string trouble;  // why it is not ready
    // It is ready, and the Sentinels name another master: what they say, and why it is not used.
    std::optional<SentinelDissent> dissent;
    std::string missing_rights;  // of our user there: "+hdel +rename"
    std::string other_trouble;   // "10.0.0.6:6379: refused: WRONGPASS"; empty: none was tried
    struct Replica {
        std::string address;
        std::string state;     // "online", …
        std::int64_t lag = 0;  // s, since it was last heard of; -1: not told
    };
    std::vector<Replica> replicas;
    std::vector<SentinelView> sentinels;
    std::uint64_t failovers = 0;         // masters that took another's place
    std::uint64_t last_failover_ms = 0;  // 0: none
    std::uint64_t losses = 0;            // of a master that was ready
    std::uint64_t data_losses = 0;       // most of its keys were gone from one second to the next
    std::size_t revocations = 0;         // not yet told to this master
};

}  // namespace baton
