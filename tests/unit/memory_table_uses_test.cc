// Which sessions the memory table drops when new ids and ids shown by a server come into it; and its handle.

#include <doctest/doctest.h>

#include "session/memory/memory_table.h"
#include "tests/unit/memory_table_fixture.h"

namespace baton {
namespace {

SessionChange rotating(const SessionKey& to) {
    SessionChange change = setting({});
    change.rotation = Rotation{to, {}};
    return change;
}

void create(MemoryTable& table, std::int64_t absolute_ms, std::uint64_t key = 1) {
    NewSession session = session_of();
    session.absolute_ms = absolute_ms;
    REQUIRE(table.create(key_of(key), session, start).kind == Kind::created);
}

}  // namespace

TEST_CASE("a new id counts as one session, in a table that is full of them") {
    MemoryTable table({.sessions_max = 2});
    table.create(key_of(1), session_of(), start);
    table.create(key_of(2), session_of(), start);
    CHECK(table.commit(key_of(1), rotating(key_of(3)), start).kind == Kind::committed);
    CHECK(table.sessions() == 2);
    CHECK(table.evicted_confirmed() + table.evicted_unconfirmed() == 0);
    CHECK(is_there(table, key_of(2), start));
    CHECK(is_there(table, key_of(3), start));
}

TEST_CASE("a new id does not confirm a session whose cookie never came back") {
    for (const bool confirmed : {true, false}) {
        CAPTURE(confirmed);
        MemoryTable table({.sessions_max = 2});
        table.create(key_of(1), session_of(), start);
        if (confirmed) table.load(key_of(1), start);
        table.commit(key_of(1), rotating(key_of(2)), start);
        table.create(key_of(3), session_of(), start);
        table.create(key_of(4), session_of(), start);
        CHECK(is_there(table, key_of(2), start) == confirmed);
        CHECK(is_there(table, key_of(3), start) != confirmed);
        CHECK(table.evicted_unconfirmed() == 1);
    }
}

TEST_CASE("an id shown by a server does not confirm, one shown by the client does") {
    for (const bool shown : {true, false}) {
        CAPTURE(shown);
        MemoryTable table({.sessions_max = 2});
        create(table, 0, 1);
        create(table, 0, 2);
        CHECK(table.load(key_of(1), start, shown ? ShownBy::client : ShownBy::server).kind ==
              Kind::live);
        create(table, 0, 3);
        CHECK(is_there(table, key_of(1), start) == shown);
        CHECK(is_there(table, key_of(2), start) == !shown);
        CHECK(table.evicted_unconfirmed() == 1);
    }
}

TEST_CASE(
    "F:lru sessions go in the order in which they were used, and a server that reads uses none") {
    // Made by a server, and shown by their clients or not.
    for (const bool confirmed : {true, false}) {
        CAPTURE(confirmed);
        const auto first_to_go = [&](auto use) {
            MemoryTable table({.sessions_max = 3});
            for (const std::uint64_t key : {1U, 2U, 3U}) {
                create(table, 0, key);
                if (confirmed) table.load(key_of(key), start);
            }
            use(table);
            create(table, 0, 9);
            for (const std::uint64_t key : {1U, 2U, 3U, 5U})
                if (table.load(key_of(key), start, ShownBy::server).kind != Kind::live && key != 5)
                    return key;
            return std::uint64_t{0};
        };
        CHECK(first_to_go([](MemoryTable&) {}) == 1);
        CHECK(first_to_go(
                  [](MemoryTable& table) { table.load(key_of(1), start, ShownBy::server); }) == 1);
        CHECK(first_to_go([](MemoryTable& table) {
                  table.commit(key_of(1), setting({{"a", "1"}}), start);
              }) == 2);
        CHECK(first_to_go([](MemoryTable& table) { table.touch(key_of(1), 0, start); }) == 2);
        CHECK(first_to_go([](MemoryTable& table) {
                  table.commit(key_of(2), setting({}), start);
                  table.load(key_of(2), start, ShownBy::server);
                  table.commit(key_of(1), setting({}), start);
                  table.load(key_of(3), start, ShownBy::server);
              }) == 3);
        // A commit that was refused is no use.
        CHECK(first_to_go([](MemoryTable& table) {
                  SessionChange change = setting({{"a", "1"}});
                  change.increments = {{"a", 1}};
                  change.set.clear();
                  table.commit(key_of(2), setting({{"a", "x"}}), start);
                  table.commit(key_of(3), setting({{"a", "x"}}), start);
                  table.commit(key_of(1), setting({{"a", "x"}}), start);
                  CHECK(table.commit(key_of(2), change, start).kind == Kind::not_integer);
              }) == 2);
        CHECK(first_to_go([](MemoryTable& table) {
                  table.commit(key_of(1), rotating(key_of(5)), start);
                  table.commit(key_of(5), setting({}), start);
              }) == 1);  // which has another id now
    }
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

TEST_CASE("a touch tells whether there is a session") {
    MemoryTable table({});
    CHECK(table.touch(key_of(1), 0, start).kind == Kind::gone);
    CHECK(table.memory() == 0);
    create(table, 0);
    CHECK(table.touch(key_of(1), 6 * second, start + second).kind == Kind::done);
    CHECK(table.touch(key_of(1), 6 * second, start).kind == Kind::done);
    CHECK(table.touch(key_of(1), 6 * second, start + 67 * second).kind == Kind::gone);
    create(table, 0);
    table.kill(key_of(1), start);
    CHECK(table.touch(key_of(1), 6 * second, start).kind == Kind::gone);
}

}  // namespace baton
