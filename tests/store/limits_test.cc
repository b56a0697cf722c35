// The limits of one session, exactly: at each, and one beyond.

#include <doctest/doctest.h>

#include <string>

#include "tests/store/table_fixture.h"
#include "tests/store/table_under_test.h"
#include "tests/unit/store_text.h"

namespace baton {
namespace {

Attributes numbered(int count) {
    Attributes attributes;
    for (int i = 0; i < count; ++i) attributes.emplace_back("a" + std::to_string(100 + i), "");
    return attributes;
}

std::string seen(TableUnderTest& table) {
    return text_of(table.load(key_of(1), start, ShownBy::server)) + " of " + table.holds();
}

// Tries a change of session 1 that `good` says may be made.
void check(TableUnderTest& table, const SessionChange& change, bool good) {
    const std::string before = seen(table);
    CHECK(table.commit(key_of(1), change, start).kind == (good ? Kind::committed : Kind::limit));
    if (!good) CHECK(seen(table) == before);
}

}  // namespace

TEST_CASE("F:large-session a change may be bounded by how long the session is, encoded") {
    TableUnderTest table({});
    const auto bounded = [](SessionChange change, std::size_t longest) {
        change.encoded_max = longest;
        change.base = 1'000;
        return change;
    };
    const auto set = [&](Attributes attributes, std::size_t longest) {
        return table.commit(key_of(1), bounded(setting(std::move(attributes)), longest), start)
            .kind;
    };
    // "a=1&b=%FF+x": 11 bytes.
    REQUIRE(table.create(key_of(1), session_of({{"a", "1"}}), start).kind == Kind::created);
    CHECK(set({{"b", "\xFF x"}}, 10) == Kind::too_long);
    const std::string before = table.holds();
    CHECK(set({{"b", "\xFF xy"}}, 11) == Kind::too_long);
    CHECK(table.holds() == before);
    CHECK(set({{"b", "\xFF x"}}, 11) == Kind::committed);
    // As long as it was, or shorter, whatever the bound; longer only within it.
    CHECK(set({{"b", "\xFF y"}}, 5) == Kind::committed);
    CHECK(set({{"b", "12345"}}, 5) == Kind::committed);
    CHECK(set({{"b", "1234"}, {"c", ""}}, 5) == Kind::too_long);
    CHECK(set({{"b", "123"}, {"c", ""}}, 5) == Kind::too_long);
    CHECK(set({{"b", "12"}, {"c", ""}}, 5) == Kind::committed);
    CHECK(table.commit(key_of(1), bounded(setting({}, {"c"}), 1), start).kind == Kind::committed);
    // "a=1&b=12": 8 bytes.
    SessionChange counting = bounded(setting({}), 8);
    counting.increments = {Increment{"a", 8}};
    CHECK(table.commit(key_of(1), counting, start).kind == Kind::committed);
    CHECK(table.commit(key_of(1), counting, start).kind == Kind::too_long);
    counting.encoded_max = 9;
    CHECK(table.commit(key_of(1), counting, start).kind == Kind::committed);
    counting.encoded_max = 0;
    counting.increments[0].delta = 1'000'000;
    CHECK(table.commit(key_of(1), counting, start).kind == Kind::committed);
    // What is replaced, added and removed at once counts together.
    SessionChange all = bounded(setting({{"b", "1"}, {"long.name", "%&="}}, {"a"}), 22);
    CHECK(table.commit(key_of(1), all, start).kind == Kind::too_long);
    all.encoded_max = 23;  // "b=1&long.name=%25%26%3D"; it was "a=1000017&b=12"
    CHECK(table.commit(key_of(1), all, start).kind == Kind::committed);
}

TEST_CASE("S22 64 attributes, by set or by increment, and not one more") {
    TableUnderTest table({});
    CHECK(table.create(key_of(2), session_of(numbered(65)), start).kind == Kind::limit);
    CHECK(table.is_empty());
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
    TableUnderTest table({});
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
    TableUnderTest table({.attributes_max = 0, .data_max = 0});
    CHECK(table.create(key_of(2), session_of({{"a", ""}}), start).kind == Kind::limit);
    CHECK(table.create(key_of(1), session_of(), start).kind == Kind::created);
    check(table, setting({{"a", ""}}), false);
    check(table, setting({}), true);
}

}  // namespace baton
