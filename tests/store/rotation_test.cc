// A new id for a session: what comes along, and what becomes of the old id.

#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "tests/store/table_fixture.h"
#include "tests/store/table_under_test.h"
#include "tests/unit/store_text.h"

namespace baton {
namespace {

SessionId id_of(char digit) { return *parse_session_id(std::string(32, digit)); }

SessionChange rotating(const SessionKey& to, std::optional<SessionId> alias = {}) {
    SessionChange change = setting({});
    change.rotation = Rotation{to, alias};
    return change;
}

std::string seen(TableUnderTest& table, const SessionKey& key, std::int64_t now = start) {
    return text_of(table.load(key, now, ShownBy::server));
}

// In memory: keys of one shard and of two, the second one before the first and behind it.
struct Pair {
    SessionKey from;
    SessionKey to;
};
const Pair pairs[] = {
    {neighbour_of(1), neighbour_of(2)}, {key_of(1), key_of(2)}, {key_of(2), key_of(1)}};

}  // namespace

TEST_CASE("S27 a new id has the session's attributes, its beginning and its deadline") {
    for (const auto& [from, to] : pairs) {
        TableUnderTest table({});
        NewSession session = session_of({{"a", "1"}, {"b", std::string(100, 'x')}, {"n", "4"}});
        session.absolute_ms = 100 * second;
        table.create(from, session, start);
        SessionChange change = rotating(to);
        change.set = {{"user", "bob"}};
        change.unset = {"a"};
        change.increments = {{"n", 1}};
        CHECK(text_of(table.commit(from, change, start + 10 * second)) == "committed v2");
        const SessionRecord record = table.load(to, start + 11 * second, ShownBy::server).record;
        CHECK(record.version == 2);
        CHECK(record.created_ms == start);
        CHECK(record.id_age_ms == 1 * second);
        CHECK(record.idle_ms == 60 * second);
        CHECK(record.ttl_ms == 65 * second);
        CHECK(record.attributes ==
              Attributes{{"b", std::string(100, 'x')}, {"n", "5"}, {"user", "bob"}});
        CHECK(table.sessions() == 1);
        table.touch(to, 6 * second, start + 50 * second);
        CHECK(table.load(to, start + 50 * second).record.capped);
        CHECK(table.load(to, start + 100 * second - traits.grain_ms).kind == Kind::live);
        CHECK(table.load(to, start + 100 * second).kind == Kind::none);
    }
}

TEST_CASE("S27 the versions of attributes and removals come along") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"a", "1"}, {"b", "1"}, {"c", "1"}}), start);
    table.commit(key_of(1), setting({{"a", "2"}}, {"b"}), start);
    table.commit(key_of(1), rotating(key_of(2)), start);
    const auto conflicts = [&](const char* name, std::uint64_t base) {
        SessionChange change = setting({{name, "x"}});
        change.base = base;
        change.rotation = Rotation{key_of(9), {}};
        TableUnderTest& at = table;
        const bool conflict = at.commit(key_of(2), change, start).kind == Kind::conflict;
        if (!conflict)
            REQUIRE(at.commit(key_of(9), rotating(key_of(8)), start).kind == Kind::committed);
        return conflict;
    };
    CHECK(conflicts("a", 1));
    CHECK(conflicts("b", 1));
    CHECK(!conflicts("c", 1));
}

TEST_CASE("S28 the old id is dead at once, and for 30 s a tombstone says so") {
    for (const auto& [from, to] : pairs) {
        TableUnderTest table({});
        table.create(from, session_of({{"a", "1"}}), start);
        CHECK(table.commit(from, rotating(to), start).kind == Kind::committed);
        CHECK(seen(table, from) == "dead");
        CHECK(table.load(from, start).kind == Kind::dead);
        CHECK(text_of(table.commit(from, setting({{"a", "2"}}), start)) == "gone");
        table.touch(from, 6 * second, start);
        CHECK(text_of(table.kill(from, start)) == "done");
        CHECK(table.create(from, session_of(), start).kind == Kind::exists);
        // None of that reached the session.
        CHECK(seen(table, to, start + second) ==
              "live v2 created=" + std::to_string(start) + " id_age=1000 idle=60000 ttl=65000 a=1");
        CHECK(table.load(from, start + 30 * second - traits.grain_ms).kind == Kind::dead);
        CHECK(table.load(from, start + 30 * second).kind == Kind::none);
        CHECK(table.sessions() == 1);
    }
}

TEST_CASE("an old id that leads to the new one does so for 60 s, for load, commit and kill") {
    for (const auto& [from, to] : pairs) {
        TableUnderTest table({});
        const SessionId alias = id_of('B');
        const std::string moved = "moved " + std::string(32, 'B');
        table.create(from, session_of({{"a", "1"}}), start);
        CHECK(text_of(table.commit(from, rotating(to, alias), start)) == "committed v2");
        for (const std::int64_t now : {start, start + 60 * second - traits.grain_ms}) {
            CHECK(text_of(table.load(from, now)) == moved);
            CHECK(seen(table, from, now) == moved);
            CHECK(text_of(table.commit(from, setting({{"a", "2"}}), now)) == moved);
            CHECK(text_of(table.commit(from, rotating(key_of(7)), now)) == moved);
            CHECK(text_of(table.kill(from, now)) == moved);
            table.touch(from, 6 * second, now);
            CHECK(table.create(from, session_of(), now).kind == Kind::exists);
        }
        CHECK(seen(table, to).find(" v2 ") != std::string::npos);
        CHECK(seen(table, from, start + 60 * second) == "none");
        CHECK(text_of(table.commit(from, setting({}), start + 60 * second)) == "gone");
        CHECK(text_of(table.kill(from, start + 60 * second)) == "done");
        CHECK(table.sessions() == 1);
    }
}

TEST_CASE("an id leads on as long as it does, whatever becomes of the session") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    table.commit(key_of(1), rotating(key_of(2), id_of('2')), start);
    table.commit(key_of(2), rotating(key_of(3)), start);
    CHECK(seen(table, key_of(1)) == "moved " + std::string(32, '2'));
    CHECK(seen(table, key_of(2)) == "dead");
    CHECK(seen(table, key_of(3)).starts_with("live v3 "));
    table.kill(key_of(3), start);
    CHECK(seen(table, key_of(1)) == "moved " + std::string(32, '2'));
    CHECK(table.sessions() == 0);
}

TEST_CASE("an id that is taken is not given to another session") {
    for (const auto& [from, to] : pairs) {
        TableUnderTest table({});
        table.create(from, session_of({{"a", "1"}}), start);
        table.create(to, session_of({{"b", "2"}}), start);
        const std::string before = table.holds();
        const std::string old_one = seen(table, from);
        const std::string other = seen(table, to);
        SessionChange change = rotating(to, id_of('C'));
        change.set = {{"a", "changed"}};
        CHECK(text_of(table.commit(from, change, start)) == "exists");
        CHECK(text_of(table.commit(from, rotating(from), start)) == "exists");
        CHECK(seen(table, from) == old_one);
        CHECK(seen(table, to) == other);
        CHECK(table.sessions() == 2);
        CHECK(table.holds() == before);
        // A tombstone's is taken as well, until that has expired.
        table.kill(to, start);
        CHECK(text_of(table.commit(from, change, start + 30 * second - traits.grain_ms)) ==
              "exists");
        CHECK(text_of(table.commit(from, change, start + 30 * second)) == "committed v2");
        CHECK(table.sessions() == 1);
    }
}

TEST_CASE("a new id and a new idle time in one") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    SessionChange change = rotating(key_of(2));
    change.idle_ms = 10 * second;
    change.slack_ms = 1 * second;
    table.commit(key_of(1), change, start);
    CHECK(table.load(key_of(2), start).record.idle_ms == 10 * second);
    CHECK(table.load(key_of(2), start + 11 * second - traits.grain_ms).kind == Kind::live);
    CHECK(table.load(key_of(2), start + 11 * second).kind == Kind::none);
}

TEST_CASE("a transaction asked for again after it gave a new id does nothing more") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"n", "1"}}), start);
    for (const bool led_on : {false, true}) {
        CAPTURE(led_on);
        const SessionKey from = led_on ? key_of(2) : key_of(1);
        const SessionKey to = led_on ? key_of(3) : key_of(2);
        SessionChange change = rotating(to, led_on ? std::optional{id_of('3')} : std::nullopt);
        change.increments = {{"n", 1}};
        change.transaction = {9, led_on ? 2U : 1U};
        table.commit(from, change, start);
        const std::string before = seen(table, to);
        CHECK(table.commit(from, change, start).kind == Kind::committed);
        CHECK(seen(table, to) == before);
        // At the new id it is known.
        change.rotation.reset();
        CHECK(table.commit(to, change, start).kind == Kind::committed);
        CHECK(seen(table, to) == before);
    }
}

TEST_CASE("F:lost-answer a change is known wherever its session has moved since") {
    for (const bool rotates : {false, true}) {
        CAPTURE(rotates);
        TableUnderTest table({});
        table.create(key_of(1), session_of({{"n", "1"}}), start);
        SessionChange change = rotates ? rotating(key_of(2)) : setting({});
        change.increments = {{"n", 1}};
        change.transaction = {9, 1};
        REQUIRE(text_of(table.commit(key_of(1), change, start)) == "committed v2");
        const SessionKey at = rotates ? key_of(2) : key_of(1);
        REQUIRE(table.commit(at, setting({{"a", "1"}}), start).kind == Kind::committed);
        if (rotates) {
            const std::string before = seen(table, at);
            CHECK(text_of(table.commit(key_of(1), change, start)) == "committed v2");
            CHECK(seen(table, at) == before);
        }
        REQUIRE(table.commit(at, rotating(key_of(3), id_of('3')), start).kind == Kind::committed);
        const std::string before = seen(table, key_of(3));
        CHECK(table.commit(key_of(1), change, start).kind == (rotates ? Kind::gone : Kind::moved));
        change.rotation.reset();
        CHECK(text_of(table.commit(key_of(3), change, start)) == "committed v2");
        CHECK(seen(table, key_of(3)) == before);
    }
}

}  // namespace baton
