// The limits of one session, exactly: at each, and one beyond.

#include <doctest/doctest.h>

#include <string>

#include "session/memory_table.h"
#include "tests/unit/memory_table_fixture.h"
#include "tests/unit/store_text.h"

namespace baton {
namespace {

Attributes numbered(int count) {
    Attributes attributes;
    for (int i = 0; i < count; ++i) attributes.emplace_back("a" + std::to_string(100 + i), "");
    return attributes;
}

std::string seen(MemoryTable& table) {
    return text_of(table.load(key_of(1), start, ShownBy::server)) + " in " +
           std::to_string(table.memory());
}

// Tries a change of session 1 that `good` says may be made.
void check(MemoryTable& table, const SessionChange& change, bool good) {
    const std::string before = seen(table);
    CHECK(table.commit(key_of(1), change, start).kind == (good ? Kind::committed : Kind::limit));
    if (!good) CHECK(seen(table) == before);
}

}  // namespace

TEST_CASE("S22 64 attributes, by set or by increment, and not one more") {
    MemoryTable table({});
    CHECK(table.create(key_of(2), session_of(numbered(65)), start).kind == Kind::limit);
    CHECK(table.memory() == 0);
    CHECK(table.create(key_of(1), session_of(numbered(64)), start).kind == Kind::created);
    check(table, setting({{"b", ""}}), false);
    check(table, {.increments = {{"b", 1}}}, false);
    check(table, setting({{"a100", "1"}, {"a163", "1"}}), true);
    check(table, setting({{"b", ""}}, {"a100"}), true);
    check(table, {.unset = {"b"}, .increments = {{"c", 1}}}, true);
    check(table, {.increments = {{"c", 1}}}, true);
    check(table, setting({{"d", ""}, {"e", ""}}, {"a101"}), false);
    check(table, setting({}, {"a101"}), true);
    check(table, setting({{"d", ""}}), true);
    check(table, setting({{"e", ""}}), false);
}

TEST_CASE("S22 24 KiB of names and values, and not one byte more") {
    const std::size_t data_max = std::size_t{24} << 10;
    MemoryTable table({});
    CHECK(table.create(key_of(2), session_of({{"a", std::string(data_max, 'x')}}), start).kind ==
          Kind::limit);
    CHECK(
        table.create(key_of(1), session_of({{"a", std::string(data_max - 1, 'x')}}), start).kind ==
        Kind::created);
    check(table, setting({{"b", ""}}), false);
    check(table, setting({{"a", std::string(data_max, 'x')}}), false);
    check(table, setting({{"a", std::string(data_max - 3, 'x')}}), true);
    check(table, setting({{"b", "1"}}), true);
    check(table, setting({{"b", "12"}}), false);
    check(table, {.increments = {{"b", 9}}}, false);  // "10"
    check(table, {.increments = {{"b", 8}}}, true);
    check(table, setting({{"b", "12"}}, {"a"}), true);
}

TEST_CASE("S22 a session of an empty limit takes nothing") {
    MemoryTable table({.attributes_max = 0, .data_max = 0});
    CHECK(table.create(key_of(2), session_of({{"a", ""}}), start).kind == Kind::limit);
    CHECK(table.create(key_of(1), session_of(), start).kind == Kind::created);
    check(table, setting({{"a", ""}}), false);
    check(table, setting({}), true);
}

TEST_CASE("a commit that fills the table to the byte, and one byte more") {
    const Attributes some = {{"a", std::string(1000, 'x')}};
    // A block of malloc is a multiple of 16 bytes: the next longer value takes so many more.
    const Attributes more = {{"a", std::string(1016, 'x')}};
    const std::size_t bytes = bytes_of(some);
    REQUIRE(bytes_of(more) == bytes + 16);
    MemoryTable table({.memory_max = bytes});
    table.create(key_of(1), session_of(), start);
    CHECK(table.commit(key_of(1), setting(some), start).kind == Kind::committed);
    CHECK(table.memory() == bytes);
    const std::string before = seen(table);
    CHECK(table.commit(key_of(1), setting(more), start).kind == Kind::too_large);
    CHECK(table.commit(key_of(1), {.increments = {{"n", 1}}}, start).kind == Kind::too_large);
    CHECK(seen(table) == before);
    CHECK(table.commit(key_of(1), setting(some), start).kind == Kind::committed);
    CHECK(table.memory() == bytes);
}

TEST_CASE("what an increment grows to is counted") {
    MemoryTable table({});
    table.create(key_of(1), session_of({{"n", "999999999999999"}}), start);
    const std::size_t before = table.memory();
    SessionChange change = {.increments = {{"n", 1}}};
    table.commit(key_of(1), change, start);
    // Its 16th digit does not fit into the string's object.
    CHECK(table.memory() == bytes_of({{"n", "1000000000000000"}}));
    CHECK(table.memory() > before);
    change.increments[0].delta = -1;
    table.commit(key_of(1), change, start);
    CHECK(table.memory() == before);
}

}  // namespace baton
