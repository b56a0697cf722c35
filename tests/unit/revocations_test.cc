// Which dead ids are still known as such.

#include "session/redis/revocations.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

#include "tests/store/table_fixture.h"

namespace baton {
namespace {

// As those of the loop: since the machine began.
constexpr std::uint64_t since = 5'000'000;

std::vector<SessionKey> keys(std::uint64_t from, std::uint64_t end) {
    std::vector<SessionKey> all;
    for (std::uint64_t n = from; n < end; ++n) all.push_back(key_of(n));
    return all;
}

}  // namespace

TEST_CASE("nothing was revoked") {
    Revocations revocations;
    CHECK(revocations.recent(0).empty());
    CHECK(revocations.recent(since).empty());
}

TEST_CASE("a dead id is known for 120 s, oldest first") {
    Revocations revocations;
    CHECK(Revocations::kept_ms == 120'000);
    revocations.add(key_of(0), since);
    revocations.add(key_of(1), since);
    revocations.add(key_of(2), since + 1);
    CHECK(revocations.recent(since + 1) == keys(0, 3));
    // To ask takes nothing away.
    CHECK(revocations.recent(since + 119'999) == keys(0, 3));
    CHECK(revocations.recent(since + 120'000) == keys(2, 3));
    CHECK(revocations.recent(since + 120'001).empty());
}

TEST_CASE("adding drops what is too old") {
    Revocations revocations;
    revocations.add(key_of(0), since);
    revocations.add(key_of(1), since + 120'000);
    // Even for a clock that is asked for a time before.
    CHECK(revocations.recent(since) == keys(1, 2));
}

TEST_CASE("an id that is added once more is known from then on") {
    Revocations revocations;
    revocations.add(key_of(0), since);
    revocations.add(key_of(0), since + 100'000);
    CHECK(revocations.recent(since + 120'000) == keys(0, 1));
    CHECK(revocations.recent(since + 220'000).empty());
}

TEST_CASE("no more than 65,536 are known: the oldest go first") {
    Revocations revocations;
    CHECK(Revocations::count_max == 65'536);
    for (std::uint64_t n = 0; n < 65'536; ++n) revocations.add(key_of(n), since);
    CHECK(revocations.recent(since) == keys(0, 65'536));
    revocations.add(key_of(65'536), since);
    CHECK(revocations.recent(since) == keys(1, 65'537));
    for (std::uint64_t n = 65'537; n < 65'547; ++n) revocations.add(key_of(n), since + 1);
    CHECK(revocations.recent(since + 1) == keys(11, 65'547));
    // Those that are known leave when their time has come, all the same.
    CHECK(revocations.recent(since + 120'000) == keys(65'537, 65'547));
}

}  // namespace baton
