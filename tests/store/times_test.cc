// The times of a session: a new idle time, the absolute deadline, the age of its id.

#include <doctest/doctest.h>

#include "tests/store/table_fixture.h"
#include "tests/store/table_under_test.h"
#include "tests/unit/store_text.h"

namespace baton {
namespace {

SessionChange idling(std::int64_t idle_ms) {
    return {.idle_ms = idle_ms, .slack_ms = touch_slack_ms(idle_ms)};
}

SessionRecord record(TableUnderTest& table, std::int64_t now, std::uint64_t key = 1) {
    const StoreAnswer answer = table.load(key_of(key), now, ShownBy::server);
    REQUIRE(answer.kind == Kind::live);
    return answer.record;
}

void create(TableUnderTest& table, std::int64_t absolute_ms, std::uint64_t key = 1) {
    NewSession session = session_of();
    session.absolute_ms = absolute_ms;
    REQUIRE(table.create(key_of(key), session, start).kind == Kind::created);
}

}  // namespace

TEST_CASE("S29 the slack is a tenth of the idle time, 1 s to 60 s") {
    CHECK(touch_slack_ms(1) == 1 * second);
    CHECK(touch_slack_ms(9'999) == 1 * second);
    CHECK(touch_slack_ms(10'000) == 1 * second);
    CHECK(touch_slack_ms(10'010) == 1'001);
    CHECK(touch_slack_ms(60 * second) == 6 * second);
    CHECK(touch_slack_ms(600 * second) == 60 * second);
    CHECK(touch_slack_ms(601 * second) == 60 * second);
    CHECK(touch_slack_ms(integer_max) == 60 * second);
}

TEST_CASE("F:strangers a session may live less than its idle time until it is used") {
    for (const char* use : {"", "touch", "commit"}) {
        CAPTURE(use);
        TableUnderTest table({});
        NewSession session = session_of();
        session.slack_ms = 20 * second - session.idle_ms;
        const StoreAnswer made = table.create(key_of(1), session, start);
        REQUIRE(made.kind == Kind::created);
        CHECK(made.record.idle_ms == 60 * second);
        CHECK(made.record.ttl_ms == 20 * second);
        CHECK(record(table, start + second).ttl_ms == 19 * second);
        if (use == std::string{"touch"}) table.touch(key_of(1), 6 * second, start + second);
        if (use == std::string{"commit"}) table.commit(key_of(1), setting({}), start + second);
        const bool used = use != std::string{};
        if (used) CHECK(record(table, start + second).ttl_ms == 66 * second);
        CHECK(table.load(key_of(1), start + 20 * second).kind == (used ? Kind::live : Kind::none));
    }
}

TEST_CASE("S29 a longer idle time holds from then on") {
    TableUnderTest table({});
    create(table, 0);
    CHECK(table.commit(key_of(1), idling(120 * second), start + second).kind == Kind::committed);
    CHECK(record(table, start + second).idle_ms == 120 * second);
    CHECK(record(table, start + second).ttl_ms == 132 * second);
    table.touch(key_of(1), 12 * second, start + 50 * second);
    CHECK(record(table, start + 50 * second).ttl_ms == 132 * second);
    // A commit that names none keeps it.
    table.commit(key_of(1), setting({}), start + 60 * second);
    CHECK(record(table, start + 60 * second).idle_ms == 120 * second);
    CHECK(record(table, start + 60 * second).ttl_ms == 126 * second);
}

TEST_CASE("S29 a shorter idle time holds at once") {
    TableUnderTest table({});
    create(table, 0);
    CHECK(table.commit(key_of(1), idling(10 * second), start + second).kind == Kind::committed);
    CHECK(record(table, start + second).ttl_ms == 11 * second);
    CHECK(record(table, start + 12 * second - traits.grain_ms).idle_ms == 10 * second);
    CHECK(table.load(key_of(1), start + 12 * second).kind == Kind::none);
}

TEST_CASE("S29 the same idle time again counts from now, and none never moves the expiry back") {
    TableUnderTest table({});
    create(table, 0);
    SessionChange none;
    CHECK(table.commit(key_of(1), none, start + second).kind == Kind::committed);
    CHECK(record(table, start + second).ttl_ms == 65 * second);
    SessionChange same;
    same.idle_ms = 60 * second;
    CHECK(table.commit(key_of(1), same, start + second).kind == Kind::committed);
    CHECK(record(table, start + second).ttl_ms == 60 * second);
}

TEST_CASE("S30 no idle time goes beyond the absolute deadline") {
    TableUnderTest table({});
    create(table, 100 * second);
    CHECK(!record(table, start).capped);
    CHECK(table.commit(key_of(1), idling(200 * second), start + second).kind == Kind::committed);
    CHECK(record(table, start + second).idle_ms == 200 * second);
    CHECK(record(table, start + second).ttl_ms == 99 * second);
    CHECK(record(table, start + second).capped);
    CHECK(table.commit(key_of(1), idling(10 * second), start + second).kind == Kind::committed);
    CHECK(record(table, start + second).ttl_ms == 11 * second);
    CHECK(!record(table, start + second).capped);
    CHECK(table.commit(key_of(1), idling(98 * second), start + 2 * second).kind == Kind::committed);
    CHECK(record(table, start + 100 * second - traits.grain_ms).ttl_ms == traits.grain_ms);
    CHECK(table.load(key_of(1), start + 100 * second).kind == Kind::none);
}

TEST_CASE("S31 in the last idle time before its absolute deadline a session is capped") {
    TableUnderTest table({});
    create(table, 90 * second);
    CHECK(!record(table, start).capped);
    const std::int64_t not_capped = traits.capped_within_ms + traits.grain_ms;
    table.touch(key_of(1), 6 * second, start + 24 * second - not_capped);
    CHECK(!record(table, start + 24 * second - not_capped).capped);
    table.touch(key_of(1), 6 * second, start + 24 * second);
    CHECK(record(table, start + 24 * second).capped);
    CHECK(record(table, start + 24 * second).ttl_ms == 66 * second);
    // Touches move nothing any more.
    table.touch(key_of(1), 6 * second, start + 80 * second);
    CHECK(record(table, start + 80 * second).ttl_ms == 10 * second);
    // From its first moment, if the deadline is nearer than the idle time.
    create(table, 20 * second, 2);
    CHECK(record(table, start, 2).capped);
    // Without a deadline never.
    create(table, 0, 3);
    CHECK(!record(table, start, 3).capped);
    CHECK(!record(table, start + 66 * second - traits.grain_ms, 3).capped);
}

TEST_CASE("S61 the age of an id counts from its making, and no commit makes it younger") {
    TableUnderTest table({});
    create(table, 0);
    CHECK(record(table, start).id_age_ms == 0);
    table.commit(key_of(1), setting({{"a", "1"}}), start + 10 * second);
    table.touch(key_of(1), 6 * second, start + 20 * second);
    CHECK(record(table, start + 30 * second).id_age_ms == 30 * second);
    CHECK(record(table, start + 30 * second).created_ms == start);
}

}  // namespace baton
