#pragma once

// Ids that are dead for ever, remembered for a while: replication is asynchronous, and a master that
// is promoted may not have heard of a logout. Told of them again, it forgets the sessions, too. Ids
// are never used twice, so that telling once more does no harm.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "session/id.h"

namespace baton {

// One thread.
class Revocations {
public:
    // Longer than any failover that loses writes which a client was told of.
    static constexpr std::uint64_t kept_ms = 120'000;
    static constexpr std::size_t count_max = 65'536;  // the oldest go first

    // `now_ms`: any clock that never jumps.
    void add(const SessionKey& key, std::uint64_t now_ms);
    std::vector<SessionKey> recent(std::uint64_t now_ms);

private:
    struct Entry {
        SessionKey key;
        std::uint64_t at_ms;
    };
    void drop_old(std::uint64_t now_ms);

    std::deque<Entry> entries_;
};

}  // namespace baton
