#pragma once

// How long commands wait although there is a master, because a Sentinel told of a change: it may be a
// master no more. A pure value: the time is an argument, ms of the loop. The control thread's.

#include <cstdint>
#include <utility>
#include <vector>

#include "net/resolve.h"

namespace baton {

class CommandHolds {
public:
    struct Hold {
        std::uint64_t until_ms = 0;  // 0: nothing waits
        Endpoint by;                 // port 0: by what all Sentinels say
    };
    enum class Of : std::uint8_t { all, changes };

    // Each returns whether the holds are others now: then the stores are to know.
    bool begin(Of what, std::uint64_t ms, const Endpoint& by, std::uint64_t now_ms);
    // It led to no other master. That Sentinel holds nothing for a while: one that is wrong all the time
    // would hold everything all the time.
    bool give_up(Of what, std::uint64_t now_ms);
    bool give_up_expired(std::uint64_t now_ms);
    // There is another master, or none.
    void clear() noexcept { all_ = changes_ = {}; }

    const Hold& all() const noexcept { return all_; }
    const Hold& changes() const noexcept { return changes_; }

private:
    Hold& hold_of(Of what) noexcept { return what == Of::all ? all_ : changes_; }

    Hold all_;
    Hold changes_;
    std::vector<std::pair<Endpoint, std::uint64_t>> doubted_;  // Sentinels, and until when
};

}  // namespace baton
