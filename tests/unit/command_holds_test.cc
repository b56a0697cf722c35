#include "session/redis/command_holds.h"

#include <doctest/doctest.h>

#include "session/redis/retry_delays.h"

using namespace baton;
using Of = CommandHolds::Of;

namespace {
const Endpoint one{"10.0.0.1", 26379};
const Endpoint other{"10.0.0.2", 26379};
}  // namespace

TEST_CASE("a Sentinel whose message led nowhere holds nothing for a minute") {
    CommandHolds holds;
    CHECK(holds.begin(Of::all, 1000, one, 100));
    CHECK(holds.all().until_ms == 1100);
    CHECK(holds.changes().until_ms == 0);
    CHECK(holds.give_up(Of::all, 200));
    CHECK(holds.all().until_ms == 0);
    CHECK_FALSE(holds.begin(Of::all, 1000, one, 300));
    CHECK(holds.all().until_ms == 0);
    CHECK(holds.begin(Of::changes, 1000, other, 300));
    CHECK(holds.begin(Of::all, 1000, one, 60'199));  // the other one's is over by now
    CHECK(holds.all().until_ms == 0);
    CHECK(holds.begin(Of::all, 1000, one, 60'200));
}

TEST_CASE("a hold that is over is given up, and one of all Sentinels is held against none") {
    CommandHolds holds;
    CHECK(holds.begin(Of::changes, 1000, {}, 100));
    CHECK_FALSE(holds.give_up_expired(1099));
    CHECK(holds.give_up_expired(1100));
    CHECK_FALSE(holds.give_up_expired(1100));
    CHECK(holds.begin(Of::changes, 1000, {}, 1200));
    CHECK(holds.begin(Of::changes, 500, {}, 1300));  // never shorter
    CHECK(holds.changes().until_ms == 2200);
}

TEST_CASE("a server that was of no use waits as long as what is wrong with it takes") {
    RetryDelays delays;
    delays.add(one, RedisLoss::refused, 1000);
    CHECK(delays.has(one, 2999));
    CHECK_FALSE(delays.has(one, 3000));
    delays.add(other, RedisLoss::not_master, 1000);
    CHECK(delays.has(other, 1199));
    CHECK_FALSE(delays.has(other, 1200));
    CHECK(delays.next_end_ms(1000) == 1200);
    CHECK(delays.next_end_ms(1201) == 3000);
    delays.remove(one);
    CHECK_FALSE(delays.has(one, 1000));
}
