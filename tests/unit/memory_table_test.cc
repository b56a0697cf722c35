// What the operations of the table answer, and when a session ends.

#include "session/memory_table.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/unit/memory_table_fixture.h"

namespace baton {

TEST_CASE("S13 a session is created, loaded, and known to its key alone") {
    MemoryTable table({});
    CHECK(table.load(key_of(1), start).kind == Kind::none);
    const StoreAnswer created = table.create(key_of(1), session_of({{"a", "1"}}), start);
    CHECK(created.kind == Kind::created);
    CHECK(created.record.version == 1);
    CHECK(created.record.created_ms == start);
    CHECK(created.record.idle_ms == 60 * second);
    CHECK(created.record.ttl_ms == 66 * second);
    CHECK(created.record.attributes == Attributes{{"a", "1"}});

    const StoreAnswer loaded = table.load(key_of(1), start + 5);
    CHECK(loaded.kind == Kind::live);
    CHECK(loaded.record.version == 1);
    CHECK(loaded.record.created_ms == start);
    CHECK(loaded.record.idle_ms == 60 * second);
    CHECK(loaded.record.ttl_ms == 66 * second - 5);
    CHECK(loaded.record.attributes == Attributes{{"a", "1"}});
    CHECK(table.load(key_of(2), start).kind == Kind::none);
    CHECK(table.load(neighbour_of(1), start).kind == Kind::none);
    CHECK(table.sessions() == 1);
}

TEST_CASE("S57 two scopes do not see each other's session") {
    MemoryTable table({});
    const SessionId id = mint_session_id();
    table.create(session_key("shop", "JSESSIONID", id), session_of(), start);
    CHECK(table.load(session_key("shop", "JSESSIONID", id), start).kind == Kind::live);
    CHECK(table.load(session_key("admin", "JSESSIONID", id), start).kind == Kind::none);
    CHECK(table.sessions() == 1);
}

TEST_CASE("S4 asking for what is not there leaves nothing") {
    MemoryTable table({});
    CHECK(table.load(key_of(1), start).kind == Kind::none);
    CHECK(table.touch(key_of(1), 0, start).kind == Kind::gone);
    CHECK(table.kill(key_of(1), start).kind == Kind::done);
    CHECK(table.commit(key_of(1), setting({{"a", "1"}}), start).kind == Kind::gone);
    CHECK(table.load(key_of(1), start).kind == Kind::none);
    CHECK(table.sessions() == 0);
    CHECK(table.memory() == 0);
}

TEST_CASE("an id that is taken is not made again") {
    MemoryTable table({});
    table.create(key_of(1), session_of({{"a", "1"}}), start);
    const std::size_t memory = table.memory();
    CHECK(table.create(key_of(1), session_of({{"b", "2"}}), start).kind == Kind::exists);
    CHECK(table.load(key_of(1), start).record.attributes == Attributes{{"a", "1"}});
    CHECK(table.sessions() == 1);
    CHECK(table.memory() == memory);
    // An expired one is not there any more, and its key is free.
    const std::int64_t later = start + 66 * second;
    CHECK(table.create(key_of(1), session_of({{"b", "2"}}), later).kind == Kind::created);
    CHECK(table.load(key_of(1), later).record.attributes == Attributes{{"b", "2"}});
    CHECK(table.sessions() == 1);
    CHECK(table.memory() == memory);
}

TEST_CASE("S14 a commit sets, replaces and takes away, and counts the version") {
    MemoryTable table({});
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

TEST_CASE("a commit takes and gives back memory") {
    MemoryTable table({});
    const Attributes small = {{"a", "1"}};
    const Attributes large = {{"a", std::string(5000, 'x')}};
    table.create(key_of(1), session_of(small), start);
    const std::size_t before = table.memory();
    CHECK(before == bytes_of(small));
    table.commit(key_of(1), setting(large), start);
    CHECK(table.memory() >= before + 5000);
    CHECK(table.memory() <= before + 5200);
    table.commit(key_of(1), setting(small), start);
    CHECK(table.memory() == before);
    table.commit(key_of(1), setting({}, {"a"}), start);
    CHECK(table.memory() < before);
    table.kill(key_of(1), start);
    sweep_all(table, start + 30 * second);
    CHECK(table.memory() == 0);
}

TEST_CASE("a session counts for at least what it holds") {
    const std::size_t empty = bytes_of({});
    CHECK(empty >= 150);
    CHECK(empty <= 600);
    CHECK(bytes_of({{"name", std::string(1000, 'x')}}) >= empty + 1000 + 2 * sizeof(std::string));
    CHECK(bytes_of({{std::string(64, 'n'), ""}}) >= empty + 64 + 2 * sizeof(std::string));
}

TEST_CASE("S22 a commit beyond the limits of a session writes nothing") {
    MemoryTable table({.attributes_max = 3, .data_max = 20});
    table.create(key_of(1), session_of({{"a", "1"}, {"b", "2"}}), start);
    CHECK(table.commit(key_of(1), setting({{"c", "3"}}), start).kind == Kind::committed);
    CHECK(table.commit(key_of(1), setting({{"d", "4"}}), start).kind == Kind::limit);
    CHECK(table.commit(key_of(1), setting({{"d", "4"}}, {"a"}), start).kind == Kind::committed);
    CHECK(table.commit(key_of(1), setting({{"b", std::string(15, 'x')}}), start).kind ==
          Kind::committed);
    const std::size_t memory = table.memory();
    CHECK(table.commit(key_of(1), setting({{"b", std::string(16, 'x')}}), start + second).kind ==
          Kind::limit);
    CHECK(table.memory() == memory);
    const StoreAnswer loaded = table.load(key_of(1), start + second);
    CHECK(loaded.record.version == 4);
    CHECK(loaded.record.ttl_ms == 65 * second);
    CHECK(loaded.record.attributes ==
          Attributes{{"b", std::string(15, 'x')}, {"c", "3"}, {"d", "4"}});
}

TEST_CASE("S26 a commit after kill is gone, and the session stays dead") {
    MemoryTable table({});
    table.create(key_of(1), session_of({{"a", "1"}}), start);
    CHECK(table.load(key_of(1), start).kind == Kind::live);
    CHECK(table.kill(key_of(1), start + second).kind == Kind::done);
    CHECK(table.sessions() == 0);
    const std::int64_t late = start + 2 * second;
    CHECK(table.commit(key_of(1), setting({{"z", "1"}}), late).kind == Kind::gone);
    CHECK(table.touch(key_of(1), 6 * second, late).kind == Kind::gone);
    CHECK(table.create(key_of(1), session_of(), late).kind == Kind::exists);
    const StoreAnswer loaded = table.load(key_of(1), late);
    CHECK(loaded.kind == Kind::dead);
    CHECK(loaded.record.attributes.empty());
    CHECK(table.sessions() == 0);
}

TEST_CASE("S25 a tombstone stands for 30 s, and a second kill does not prolong it") {
    MemoryTable table({});
    table.create(key_of(1), session_of({{"a", std::string(1000, 'x')}}), start);
    const std::size_t alive = table.memory();
    table.kill(key_of(1), start);
    CHECK(table.memory() > 0);
    CHECK(table.memory() < alive - 1000);
    CHECK(table.kill(key_of(1), start + 20 * second).kind == Kind::done);
    CHECK(table.load(key_of(1), start + 30 * second - 1).kind == Kind::dead);
    CHECK(table.load(key_of(1), start + 30 * second).kind == Kind::none);
    CHECK(table.memory() == 0);
    CHECK(table.sessions() == 0);
}

TEST_CASE("a session that has expired is not killed: it leaves no tombstone") {
    MemoryTable table({});
    table.create(key_of(1), session_of(), start);
    CHECK(table.kill(key_of(1), start + 66 * second).kind == Kind::done);
    CHECK(table.load(key_of(1), start + 66 * second).kind == Kind::none);
    CHECK(table.memory() == 0);
}

TEST_CASE("S29 an idle session is alive at 59 s and dead at 67 s") {
    MemoryTable table({});
    table.create(key_of(1), session_of(), start);
    CHECK(table.load(key_of(1), start + 59 * second).kind == Kind::live);
    CHECK(table.load(key_of(1), start + 66 * second - 1).kind == Kind::live);
    CHECK(table.load(key_of(1), start + 66 * second - 1).record.ttl_ms == 1);
    // At once, for every question, before anything swept it away.
    for (const std::int64_t late : {start + 66 * second, start + 67 * second}) {
        MemoryTable other({});
        other.create(key_of(1), session_of(), start);
        CHECK(other.touch(key_of(1), 6 * second, late).kind == Kind::gone);
        other.create(key_of(1), session_of(), start);
        CHECK(other.commit(key_of(1), setting({{"a", "1"}}), late).kind == Kind::gone);
        other.create(key_of(1), session_of(), start);
        CHECK(other.load(key_of(1), late).kind == Kind::none);
        CHECK(other.sessions() == 0);
    }
}

TEST_CASE("S29 a touch every 10 s keeps a session for 5 min") {
    MemoryTable table({});
    table.create(key_of(1), session_of(), start);
    std::int64_t now = start;
    for (int i = 0; i < 30; ++i) {
        now += 10 * second;
        REQUIRE(table.load(key_of(1), now).kind == Kind::live);
        REQUIRE(table.touch(key_of(1), 6 * second, now).kind == Kind::done);
    }
    CHECK(now == start + 300 * second);
    CHECK(table.load(key_of(1), now + 66 * second - 1).kind == Kind::live);
    CHECK(table.load(key_of(1), now + 66 * second).kind == Kind::none);
}

TEST_CASE("S29 a load alone does not keep a session, a commit does") {
    MemoryTable table({});
    table.create(key_of(1), session_of(), start);
    table.create(key_of(2), session_of(), start);
    table.load(key_of(1), start + 30 * second);
    table.commit(key_of(2), setting({}), start + 30 * second);
    CHECK(table.load(key_of(1), start + 66 * second).kind == Kind::none);
    CHECK(table.load(key_of(2), start + 96 * second - 1).kind == Kind::live);
    CHECK(table.load(key_of(2), start + 96 * second).kind == Kind::none);
}

TEST_CASE("S29 a touch that comes late does not move the expiry back") {
    MemoryTable table({});
    table.create(key_of(1), session_of(), start + 10 * second);
    CHECK(table.touch(key_of(1), 6 * second, start).kind == Kind::done);
    CHECK(table.touch(key_of(1), 0, start + 10 * second).kind == Kind::done);
    CHECK(table.commit(key_of(1), setting({}), start).kind == Kind::committed);
    CHECK(table.load(key_of(1), start + 10 * second).record.ttl_ms == 66 * second);
}

TEST_CASE("S30 with an absolute deadline of 20 s and a request per second it is dead at 20 s") {
    MemoryTable table({});
    NewSession session = session_of();
    session.absolute_ms = 20 * second;
    CHECK(table.create(key_of(1), session, start).record.ttl_ms == 20 * second);
    for (std::int64_t s = 1; s < 20; ++s) {
        const std::int64_t now = start + s * second;
        REQUIRE(table.load(key_of(1), now).record.ttl_ms == 20 * second - s * second);
        REQUIRE(table.touch(key_of(1), 6 * second, now).kind == Kind::done);
        REQUIRE(table.commit(key_of(1), setting({}), now).kind == Kind::committed);
    }
    CHECK(table.load(key_of(1), start + 20 * second - 1).kind == Kind::live);
    CHECK(table.load(key_of(1), start + 20 * second).kind == Kind::none);
    CHECK(table.load(key_of(1), start + 21 * second).kind == Kind::none);
}

TEST_CASE("S30 an absolute deadline farther than the idle time is met by touches only") {
    MemoryTable table({});
    NewSession session = session_of();
    session.absolute_ms = 90 * second;
    CHECK(table.create(key_of(1), session, start).record.ttl_ms == 66 * second);
    table.touch(key_of(1), 6 * second, start + 20 * second);
    CHECK(table.load(key_of(1), start + 20 * second).record.ttl_ms == 66 * second);
    table.touch(key_of(1), 6 * second, start + 50 * second);
    CHECK(table.load(key_of(1), start + 50 * second).record.ttl_ms == 40 * second);
    CHECK(table.load(key_of(1), start + 90 * second).kind == Kind::none);
}

TEST_CASE("the store's handle answers at once") {
    MemoryTable table({});
    MemoryStore store(table);
    CHECK(store.create(key_of(1), session_of(), {7, start})->kind == Kind::created);
    CHECK(store.load(key_of(1), ShownBy::client, {7, start})->kind == Kind::live);
    store.touch(key_of(1), 6 * second, start + second);
    CHECK(store.load(key_of(1), ShownBy::client, {7, start + second})->record.ttl_ms ==
          66 * second);
    CHECK(store.commit(key_of(1), setting({{"a", "1"}}), {7, start})->record.version == 2);
    CHECK(store.kill(key_of(1), {7, start})->kind == Kind::done);
    CHECK(store.load(key_of(1), ShownBy::client, {7, start})->kind == Kind::dead);
    store.forget(7);
}

}  // namespace baton
