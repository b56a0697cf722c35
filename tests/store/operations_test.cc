// What the operations of a table answer, and when a session ends.

#include <doctest/doctest.h>

#include <string>

#include "tests/store/table_fixture.h"
#include "tests/store/table_under_test.h"

namespace baton {

TEST_CASE("S13 a session is created, loaded, and known to its key alone") {
    TableUnderTest table({});
    CHECK(table.load(key_of(1), start).kind == Kind::none);
    const StoreAnswer created = table.create(key_of(1), session_of({{"a", "1"}}), start);
    CHECK(created.kind == Kind::created);
    CHECK(created.record.version == 1);
    CHECK(created.record.created_ms == start);
    CHECK(created.record.idle_ms == 60 * second);
    CHECK(created.record.ttl_ms == 66 * second);
    CHECK(created.record.attributes == Attributes{{"a", "1"}});

    const StoreAnswer loaded = table.load(key_of(1), start + 5 * traits.grain_ms);
    CHECK(loaded.kind == Kind::live);
    CHECK(loaded.record.version == 1);
    CHECK(loaded.record.created_ms == start);
    CHECK(loaded.record.idle_ms == 60 * second);
    CHECK(loaded.record.ttl_ms == 66 * second - 5 * traits.grain_ms);
    CHECK(loaded.record.attributes == Attributes{{"a", "1"}});
    CHECK(table.load(key_of(2), start).kind == Kind::none);
    CHECK(table.load(neighbour_of(1), start).kind == Kind::none);
    CHECK(table.sessions() == 1);
}

TEST_CASE("S57 two scopes do not see each other's session") {
    TableUnderTest table({});
    const SessionId id = mint_session_id();
    table.create(session_key("shop", "JSESSIONID", id), session_of(), start);
    CHECK(table.load(session_key("shop", "JSESSIONID", id), start).kind == Kind::live);
    CHECK(table.load(session_key("admin", "JSESSIONID", id), start).kind == Kind::none);
    CHECK(table.sessions() == 1);
}

TEST_CASE("S4 asking for what is not there leaves nothing") {
    TableUnderTest table({});
    CHECK(table.load(key_of(1), start).kind == Kind::none);
    table.touch(key_of(1), 0, start);
    CHECK(table.kill(key_of(1), start).kind == Kind::done);
    CHECK(table.commit(key_of(1), setting({{"a", "1"}}), start).kind == Kind::gone);
    CHECK(table.load(key_of(1), start).kind == Kind::none);
    CHECK(table.sessions() == 0);
    CHECK(table.is_empty());
}

TEST_CASE("F:full a session takes another's place in one step") {
    for (const bool neighbours : {true, false}) {
        CAPTURE(neighbours);
        const SessionKey from = neighbours ? neighbour_of(1) : key_of(1);
        const SessionKey to = neighbours ? neighbour_of(2) : key_of(2);
        TableUnderTest table({.data_max = 100});
        table.create(from, session_of({{"a", "1"}}), start);
        NewSession fresh = session_of({{"b", std::string(100, 'x')}});
        fresh.replaces = from;
        // What cannot be made ends nothing.
        CHECK(table.create(to, fresh, start).kind == Kind::limit);
        fresh.attributes[0].second = "2";
        table.create(key_of(3), session_of(), start);
        CHECK(table.create(key_of(3), fresh, start).kind == Kind::exists);
        CHECK(table.load(from, start).kind == Kind::live);
        CHECK(table.load(to, start).kind == Kind::none);

        const StoreAnswer created = table.create(to, fresh, start);
        CHECK(created.kind == Kind::created);
        CHECK(created.record.version == 1);
        CHECK(table.load(from, start).kind == Kind::dead);
        CHECK(table.commit(from, setting({{"a", "2"}}), start).kind == Kind::gone);
        CHECK(table.load(to, start).record.attributes == Attributes{{"b", "2"}});
        CHECK(table.sessions() == 2);
        CHECK(table.load(from, start + 29 * second).kind == Kind::dead);
        CHECK(table.load(from, start + 31 * second).kind == Kind::none);
    }
}

TEST_CASE(
    "F:full what takes the place of a session that is gone is made, of one that moved is not") {
    TableUnderTest table({});
    NewSession fresh = session_of({{"b", "2"}});
    fresh.replaces = key_of(1);
    CHECK(table.create(key_of(2), fresh, start).kind == Kind::created);
    CHECK(table.load(key_of(1), start).kind == Kind::none);
    table.create(key_of(1), session_of(), start);
    table.kill(key_of(1), start);
    CHECK(table.create(key_of(3), fresh, start).kind == Kind::created);
    CHECK(table.load(key_of(1), start).kind == Kind::dead);
    table.create(key_of(4), session_of(), start);
    SessionChange change = setting({});
    const SessionId alias = *parse_session_id(std::string(32, '5'));
    change.rotation = Rotation{key_of(5), alias};
    table.commit(key_of(4), change, start);
    fresh.replaces = key_of(4);
    const StoreAnswer moved = table.create(key_of(6), fresh, start);
    CHECK(moved.kind == Kind::moved);
    CHECK(moved.moved_to == alias);
    CHECK(table.load(key_of(6), start).kind == Kind::none);
    CHECK(table.load(key_of(5), start).kind == Kind::live);
}

TEST_CASE("an id that is taken is not made again") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"a", "1"}}), start);
    const std::string before = table.holds();
    CHECK(table.create(key_of(1), session_of({{"b", "2"}}), start).kind == Kind::exists);
    CHECK(table.load(key_of(1), start).record.attributes == Attributes{{"a", "1"}});
    CHECK(table.sessions() == 1);
    CHECK(table.holds() == before);
    // An expired one is not there any more, and its key is free.
    const std::int64_t later = start + 66 * second;
    CHECK(table.create(key_of(1), session_of({{"b", "2"}}), later).kind == Kind::created);
    CHECK(table.load(key_of(1), later).record.attributes == Attributes{{"b", "2"}});
    CHECK(table.sessions() == 1);
}

TEST_CASE("S14 a commit sets, replaces and takes away, and counts the version") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"b", "1"}, {"d", "2"}, {"f", "3"}}), start);
    const StoreAnswer committed = table.commit(
        key_of(1), setting({{"a", "x"}, {"d", "y"}, {"e", "z"}, {"g", "w"}}, {"f", "none", "b"}),
        start);
    CHECK(committed.kind == Kind::committed);
    CHECK(committed.record.version == 2);
    const StoreAnswer loaded = table.load(key_of(1), start);
    CHECK(loaded.record.version == 2);
    CHECK(loaded.record.created_ms == start);
    CHECK(loaded.record.attributes == Attributes{{"a", "x"}, {"d", "y"}, {"e", "z"}, {"g", "w"}});
    CHECK(table.commit(key_of(1), setting({}), start).record.version == 3);
    CHECK(table.commit(key_of(1), setting({}, {"a", "d", "e", "g"}), start).record.version == 4);
    CHECK(table.load(key_of(1), start).record.attributes.empty());
}

TEST_CASE("S22 a commit beyond the limits of a session writes nothing") {
    TableUnderTest table({.attributes_max = 3, .data_max = 20});
    table.create(key_of(1), session_of({{"a", "1"}, {"b", "2"}}), start);
    CHECK(table.commit(key_of(1), setting({{"c", "3"}}), start).kind == Kind::committed);
    CHECK(table.commit(key_of(1), setting({{"d", "4"}}), start).kind == Kind::limit);
    CHECK(table.commit(key_of(1), setting({{"d", "4"}}, {"a"}), start).kind == Kind::committed);
    CHECK(table.commit(key_of(1), setting({{"b", std::string(15, 'x')}}), start).kind ==
          Kind::committed);
    const std::string before = table.holds();
    CHECK(table.commit(key_of(1), setting({{"b", std::string(16, 'x')}}), start + second).kind ==
          Kind::limit);
    CHECK(table.holds() == before);
    const StoreAnswer loaded = table.load(key_of(1), start + second);
    CHECK(loaded.record.version == 4);
    CHECK(loaded.record.ttl_ms == 65 * second);
    CHECK(loaded.record.attributes ==
          Attributes{{"b", std::string(15, 'x')}, {"c", "3"}, {"d", "4"}});
}

TEST_CASE("S26 a commit after kill is gone, and the session stays dead") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"a", "1"}}), start);
    CHECK(table.load(key_of(1), start).kind == Kind::live);
    CHECK(table.kill(key_of(1), start + second).kind == Kind::done);
    CHECK(table.sessions() == 0);
    const std::int64_t late = start + 2 * second;
    CHECK(table.commit(key_of(1), setting({{"z", "1"}}), late).kind == Kind::gone);
    table.touch(key_of(1), 6 * second, late);
    CHECK(table.create(key_of(1), session_of(), late).kind == Kind::exists);
    const StoreAnswer loaded = table.load(key_of(1), late);
    CHECK(loaded.kind == Kind::dead);
    CHECK(loaded.record.attributes.empty());
    CHECK(table.sessions() == 0);
}

TEST_CASE("S25 a tombstone stands for 30 s, and a second kill does not prolong it") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"a", std::string(1000, 'x')}}), start);
    table.kill(key_of(1), start);
    CHECK(!table.is_empty());
    CHECK(table.kill(key_of(1), start + 20 * second).kind == Kind::done);
    CHECK(table.load(key_of(1), start + 30 * second - traits.grain_ms).kind == Kind::dead);
    CHECK(table.load(key_of(1), start + 30 * second).kind == Kind::none);
    CHECK(table.is_empty());
    CHECK(table.sessions() == 0);
}

TEST_CASE("a session that has expired is not killed: it leaves no tombstone") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    CHECK(table.kill(key_of(1), start + 66 * second).kind == Kind::done);
    CHECK(table.load(key_of(1), start + 66 * second).kind == Kind::none);
    CHECK(table.is_empty());
}

TEST_CASE("S29 an idle session is alive at 59 s and dead at 67 s") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    CHECK(table.load(key_of(1), start + 59 * second).kind == Kind::live);
    CHECK(table.load(key_of(1), start + 66 * second - traits.grain_ms).kind == Kind::live);
    CHECK(table.load(key_of(1), start + 66 * second - traits.grain_ms).record.ttl_ms ==
          traits.grain_ms);
    // At once, for every question, before anything swept it away.
    for (const std::int64_t late : {start + 66 * second, start + 67 * second}) {
        TableUnderTest touched({});
        touched.create(key_of(1), session_of(), start);
        touched.touch(key_of(1), 6 * second, late);
        CHECK(touched.load(key_of(1), late).kind == Kind::none);
        TableUnderTest committed({});
        committed.create(key_of(1), session_of(), start);
        CHECK(committed.commit(key_of(1), setting({{"a", "1"}}), late).kind == Kind::gone);
        TableUnderTest loaded({});
        loaded.create(key_of(1), session_of(), start);
        CHECK(loaded.load(key_of(1), late).kind == Kind::none);
        for (TableUnderTest* each : {&touched, &committed, &loaded}) CHECK(each->sessions() == 0);
    }
}

TEST_CASE("S29 a touch every 10 s keeps a session for 5 min") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    std::int64_t now = start;
    for (int i = 0; i < 30; ++i) {
        now += 10 * second;
        REQUIRE(table.load(key_of(1), now).kind == Kind::live);
        table.touch(key_of(1), 6 * second, now);
    }
    CHECK(now == start + 300 * second);
    CHECK(table.load(key_of(1), now + 66 * second - traits.grain_ms).kind == Kind::live);
    CHECK(table.load(key_of(1), now + 66 * second).kind == Kind::none);
}

TEST_CASE("S29 a load alone does not keep a session, a commit does") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    table.create(key_of(2), session_of(), start);
    table.load(key_of(1), start + 30 * second);
    table.commit(key_of(2), setting({}), start + 30 * second);
    CHECK(table.load(key_of(1), start + 66 * second).kind == Kind::none);
    CHECK(table.load(key_of(2), start + 96 * second - traits.grain_ms).kind == Kind::live);
    CHECK(table.load(key_of(2), start + 96 * second).kind == Kind::none);
}

TEST_CASE("S29 a touch that comes late does not move the expiry back") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start + 10 * second);
    table.touch(key_of(1), 6 * second, start);
    table.touch(key_of(1), 0, start + 10 * second);
    CHECK(table.commit(key_of(1), setting({}), start).kind == Kind::committed);
    CHECK(table.load(key_of(1), start + 10 * second).record.ttl_ms == 66 * second);
}

TEST_CASE("S30 with an absolute deadline of 20 s and a request per second it is dead at 20 s") {
    TableUnderTest table({});
    NewSession session = session_of();
    session.absolute_ms = 20 * second;
    CHECK(table.create(key_of(1), session, start).record.ttl_ms == 20 * second);
    for (std::int64_t s = 1; s < 20; ++s) {
        const std::int64_t now = start + s * second;
        REQUIRE(table.load(key_of(1), now).record.ttl_ms == 20 * second - s * second);
        table.touch(key_of(1), 6 * second, now);
        REQUIRE(table.commit(key_of(1), setting({}), now).kind == Kind::committed);
    }
    CHECK(table.load(key_of(1), start + 20 * second - traits.grain_ms).kind == Kind::live);
    CHECK(table.load(key_of(1), start + 20 * second).kind == Kind::none);
    CHECK(table.load(key_of(1), start + 21 * second).kind == Kind::none);
}

TEST_CASE("S30 an absolute deadline farther than the idle time is met by touches only") {
    TableUnderTest table({});
    NewSession session = session_of();
    session.absolute_ms = 90 * second;
    CHECK(table.create(key_of(1), session, start).record.ttl_ms == 66 * second);
    table.touch(key_of(1), 6 * second, start + 20 * second);
    CHECK(table.load(key_of(1), start + 20 * second).record.ttl_ms == 66 * second);
    table.touch(key_of(1), 6 * second, start + 50 * second);
    CHECK(table.load(key_of(1), start + 50 * second).record.ttl_ms == 40 * second);
    CHECK(table.load(key_of(1), start + 90 * second).kind == Kind::none);
}

}  // namespace baton
