// Who is led to a new id that nobody could tell of, and for how long.

#include "session/lost_rotations.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/store/table_fixture.h"

namespace baton {

TEST_CASE("F:late-write who asked for a new id is led to it for a minute, nobody else is") {
    LostRotations lost;
    const SessionId one = mint_session_id();
    const SessionId other = mint_session_id();
    CHECK(!lost.find(key_of(1), "192.0.2.1", start));
    lost.add(key_of(1), one, "192.0.2.1", start);
    lost.add(key_of(2), other, "192.0.2.1", start + second);
    // As often as the old id is shown: a page asks for many things at once.
    for (int i = 0; i < 3; ++i) {
        CHECK(lost.find(key_of(1), "192.0.2.1", start) == one);
        CHECK(lost.find(key_of(2), "192.0.2.1", start) == other);
    }
    CHECK(!lost.find(key_of(3), "192.0.2.1", start));
    CHECK(!lost.find(key_of(1), "192.0.2.2", start));
    CHECK(!lost.find(key_of(1), "", start));
    CHECK(lost.find(key_of(1), "192.0.2.1", start + 60 * second - 1) == one);
    CHECK(!lost.find(key_of(1), "192.0.2.1", start + 60 * second));
    CHECK(lost.find(key_of(2), "192.0.2.1", start + 60 * second) == other);
}

TEST_CASE("F:late-write of one id the last new one counts, and the oldest are forgotten first") {
    LostRotations lost;
    const SessionId first = mint_session_id();
    const SessionId last = mint_session_id();
    lost.add(key_of(0), first, "a", start);
    lost.add(key_of(0), last, "a", start);
    CHECK(lost.find(key_of(0), "a", start) == last);
    for (std::uint64_t n = 1; n <= 1024; ++n) lost.add(key_of(n), first, "a", start);
    CHECK(!lost.find(key_of(0), "a", start));
    CHECK(lost.find(key_of(1), "a", start) == first);
}

}  // namespace baton
