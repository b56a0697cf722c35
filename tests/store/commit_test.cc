// What one commit does: for a version or for none, with increments, once, wholly or not at all.

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/store/table_fixture.h"
#include "tests/store/table_under_test.h"
#include "tests/unit/store_text.h"

namespace baton {
namespace {

using Names = std::vector<std::string>;

// All there is to see of session 1, with all that the table holds.
std::string seen(TableUnderTest& table, std::int64_t now = start) {
    return text_of(table.load(key_of(1), now, ShownBy::server)) + " of " + table.holds();
}

SessionChange based(SessionChange change, std::uint64_t base) {
    change.base = base;
    return change;
}

SessionChange adding(std::vector<Increment> increments) {
    return {.increments = std::move(increments), .slack_ms = 6 * second};
}

StoreAnswer commit(TableUnderTest& table, const SessionChange& change, std::int64_t now = start) {
    return table.commit(key_of(1), change, now);
}

// Session 1 at version 5: `a` of version 1, `b` of 3, `c` of 5; something was removed by 4.
void make_history(TableUnderTest& table) {
    table.create(key_of(1), session_of({{"a", "1"}, {"x", "1"}}), start);
    REQUIRE(commit(table, setting({})).record.version == 2);
    REQUIRE(commit(table, setting({{"b", "3"}})).record.version == 3);
    REQUIRE(commit(table, setting({}, {"x"})).record.version == 4);
    REQUIRE(commit(table, setting({{"c", "5"}})).record.version == 5);
}

void check_conflict(const SessionChange& change, const Names& names) {
    TableUnderTest table({});
    make_history(table);
    const std::string before = seen(table, start + second);
    const StoreAnswer answer = commit(table, change, start + second);
    CHECK(answer.kind == Kind::conflict);
    CHECK(answer.names == names);
    CHECK(answer.record.version == 5);
    CHECK(seen(table, start + second) == before);
}

void check_committed(const SessionChange& change) {
    TableUnderTest table({});
    make_history(table);
    CHECK(text_of(commit(table, change)) == "committed v6");
}

std::string integer(std::int64_t number) { return std::to_string(number); }

}  // namespace

TEST_CASE("S18 an attribute that changed after the base is a conflict, at its version none") {
    check_committed(based(setting({{"a", "x"}}), 1));
    check_conflict(based(setting({{"a", "x"}}), 0), {"a"});
    check_committed(based(setting({{"b", "x"}}), 3));
    check_conflict(based(setting({{"b", "x"}}), 2), {"b"});
    check_committed(based(setting({}, {"c"}), 5));
    check_conflict(based(setting({}, {"c"}), 4), {"c"});
    // A version that is yet to come, and the highest there is.
    check_committed(based(setting({{"c", "x"}}), 6));
    check_committed(based(setting({{"c", "x"}}), 9'007'199'254'740'991));
}

TEST_CASE("S18 an absent attribute conflicts if anything was removed since the base") {
    check_conflict(based(setting({{"x", "2"}}), 3), {"x"});
    check_conflict(based(setting({{"never", "2"}}), 3), {"never"});
    check_conflict(based(setting({}, {"never"}), 3), {"never"});
    check_committed(based(setting({{"x", "2"}}), 4));
    check_committed(based(setting({}, {"never"}), 4));
    // A commit that takes away what is not there has removed nothing.
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    commit(table, setting({}, {"never"}));
    CHECK(commit(table, based(setting({{"other", "1"}}), 1)).kind == Kind::committed);
    // What is put back after its removal has the version of its return.
    commit(table, setting({}, {"other"}));
    commit(table, setting({{"other", "2"}}));
    CHECK(commit(table, based(setting({{"other", "3"}}), 4)).kind == Kind::conflict);
    CHECK(commit(table, based(setting({{"other", "3"}}), 5)).kind == Kind::committed);
}

TEST_CASE("S18 all names in conflict are told, those set before those taken away") {
    check_conflict(based(setting({{"a", "x"}, {"b", "x"}, {"n", "x"}}, {"c", "m"}), 2),
                   {"b", "n", "c", "m"});
    check_conflict(based(setting({{"a", "x"}, {"c", "x"}}), 4), {"c"});
}

TEST_CASE("S18 of two that set one attribute for one version the first wins") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"x", "0"}}), start);
    CHECK(text_of(commit(table, based(setting({{"x", "first"}}), 1))) == "committed v2");
    CHECK(text_of(commit(table, based(setting({{"x", "second"}}), 1))) == "conflict v2 [x]");
    CHECK(table.load(key_of(1), start).record.attributes == Attributes{{"x", "first"}});
}

TEST_CASE("S17 commits for one version to different attributes are both there") {
    for (const bool for_version : {true, false}) {
        CAPTURE(for_version);
        TableUnderTest table({});
        table.create(key_of(1), session_of({{"z", "0"}}), start);
        SessionChange x = setting({{"x", "1"}});
        SessionChange y = setting({{"y", "2"}});
        if (for_version) x.base = y.base = 1;
        CHECK(commit(table, x).kind == Kind::committed);
        CHECK(commit(table, y).kind == Kind::committed);
        CHECK(table.load(key_of(1), start).record.attributes ==
              Attributes{{"x", "1"}, {"y", "2"}, {"z", "0"}});
    }
}

TEST_CASE("S20 without a base the last one wins") {
    TableUnderTest table({});
    make_history(table);
    CHECK(commit(table, setting({{"a", "late"}, {"x", "late"}}, {"c"})).kind == Kind::committed);
    CHECK(table.load(key_of(1), start).record.attributes ==
          Attributes{{"a", "late"}, {"b", "3"}, {"x", "late"}});
}

TEST_CASE("S14 increments add to integers, and to nothing as to 0") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"minus", "-5"}, {"n", "7"}, {"zeros", "007"}}), start);
    CHECK(text_of(commit(table, adding({{"fresh", 2}, {"minus", 3}, {"n", -10}, {"zeros", 1}}))) ==
          "committed v2");
    CHECK(table.load(key_of(1), start).record.attributes ==
          Attributes{{"fresh", "2"}, {"minus", "-2"}, {"n", "-3"}, {"zeros", "8"}});
    commit(table, adding({{"fresh", -2}, {"n", 0}}));
    CHECK(table.load(key_of(1), start).record.attributes ==
          Attributes{{"fresh", "0"}, {"minus", "-2"}, {"n", "-3"}, {"zeros", "8"}});
    // A removed one begins anew.
    commit(table, setting({}, {"zeros"}));
    commit(table, adding({{"zeros", -1}}));
    CHECK(table.load(key_of(1), start).record.attributes[3].second == "-1");
}

TEST_CASE("S14 what is no integer cannot be added to") {
    for (const char* value : {"", " ", "x", "1 ", " 1", "+1", "1.0", "1e3", "--1", "-", "0x1",
                              "9007199254740992", "-9007199254740992", "99999999999999999999"}) {
        CAPTURE(value);
        TableUnderTest table({});
        table.create(key_of(1), session_of({{"n", value}, {"other", "1"}}), start);
        const std::string before = seen(table);
        SessionChange change = adding({{"n", 1}, {"other", 1}});
        change.set = {{"z", "1"}};
        CHECK(text_of(commit(table, change)) == "not_integer v1 [n]");
        CHECK(seen(table) == before);
    }
}

TEST_CASE("S14 a sum is an integer, too, up to 2^53 - 1 either way") {
    struct Case {
        std::int64_t now;
        std::int64_t delta;
        bool good;
    };
    for (const Case& c : std::vector<Case>{{integer_max - 1, 1, true},
                                           {integer_max, 0, true},
                                           {integer_max, 1, false},
                                           {1, integer_max, false},
                                           {integer_max, integer_max, false},
                                           {integer_max, -integer_max, true},
                                           {-integer_max + 1, -1, true},
                                           {-integer_max, -1, false},
                                           {-integer_max, -integer_max, false}}) {
        CAPTURE(c.now);
        CAPTURE(c.delta);
        TableUnderTest table({});
        table.create(key_of(1), session_of({{"n", integer(c.now)}}), start);
        CHECK(text_of(commit(table, adding({{"n", c.delta}}))) ==
              (c.good ? "committed v2" : "not_integer v1 [n]"));
        CHECK(table.load(key_of(1), start).record.attributes[0].second ==
              integer(c.good ? c.now + c.delta : c.now));
    }
}

TEST_CASE("S14 an increment never conflicts, but what it wrote is newer than the base") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"n", "1"}}), start);
    commit(table, setting({{"n", "5"}}));
    CHECK(commit(table, based(adding({{"n", 1}}), 1)).kind == Kind::committed);
    CHECK(commit(table, based(setting({{"n", "9"}}), 2)).kind == Kind::conflict);
    CHECK(commit(table, based(setting({{"n", "9"}}), 3)).kind == Kind::committed);
    // An absent one, after a removal.
    commit(table, setting({}, {"n"}));
    CHECK(commit(table, based(adding({{"n", 1}}), 1)).kind == Kind::committed);
}

TEST_CASE(
    "no integer comes before a conflict, a conflict before a limit, a limit before a taken id") {
    TableUnderTest table({.attributes_max = 3});
    make_history(table);
    table.create(key_of(2), session_of(), start);
    const std::string before = seen(table);
    SessionChange change = based(setting({{"a", "x"}, {"n", "x"}}), 0);
    change.increments = {{"b", 1}};
    change.idle_ms = 90 * second;
    change.rotation = Rotation{key_of(2), {}};
    change.transaction = {1, 1};
    SessionChange no_integer = change;
    no_integer.set = {{"n", "x"}, {"o", "x"}};
    no_integer.increments = {{"a", integer_max}, {"c", integer_max}};
    CHECK(text_of(commit(table, no_integer)) == "not_integer v5 [a] [c]");
    CHECK(text_of(commit(table, change)) == "conflict v5 [a] [n]");
    change.base.reset();
    CHECK(text_of(commit(table, change)) == "limit");
    change.set.pop_back();
    CHECK(text_of(commit(table, change)) == "exists");
    CHECK(seen(table) == before);
    CHECK(text_of(table.load(key_of(2), start, ShownBy::server)).starts_with("live v1 "));
    // None of them counts as a transaction.
    change.rotation.reset();
    CHECK(text_of(commit(table, change)) == "committed v6");
}

TEST_CASE("F:poison an answer names the first 64 attributes, however many are meant") {
    TableUnderTest table({.attributes_max = 2000});
    Attributes attributes;
    std::vector<std::string> names;
    SessionChange adds = setting({});
    for (int i = 10'000; i < 12'000; ++i) {
        names.push_back("n" + std::to_string(i));
        attributes.emplace_back(names.back(), "x");
        adds.increments.push_back({names.back(), 1});
    }
    table.create(key_of(1), session_of(attributes), start);
    commit(table, setting(attributes));
    const Names first(names.begin(), names.begin() + 64);
    // Those that are there, those that are not, and more than a server would give back at once.
    const StoreAnswer set = commit(table, based(setting(attributes), 1));
    CHECK(set.kind == Kind::conflict);
    CHECK(set.names == first);
    CHECK(commit(table, based(setting({}, names), 1)).names == first);
    CHECK(commit(table, adds).kind == Kind::not_integer);
    CHECK(commit(table, adds).names == first);
    REQUIRE(commit(table, setting({}, {names[0]})).kind == Kind::committed);
    std::vector<std::string> others;
    for (int i = 10'000; i < 20'000; ++i) others.push_back("o" + std::to_string(i));
    const StoreAnswer unset = commit(table, based(setting({}, others), 1));
    CHECK(unset.kind == Kind::conflict);
    CHECK(unset.names == Names(others.begin(), others.begin() + 64));
    CHECK(commit(table, setting({}, others)).kind == Kind::committed);
}

TEST_CASE("a session that is gone, or ended, has none of these faults") {
    TableUnderTest table({});
    SessionChange change = based(setting({{"a", "1"}}), 0);
    change.rotation = Rotation{key_of(2), {}};
    CHECK(commit(table, change).kind == Kind::gone);
    table.create(key_of(1), session_of({{"a", "1"}}), start);
    table.create(key_of(2), session_of(), start);
    table.kill(key_of(1), start);
    CHECK(commit(table, change).kind == Kind::gone);
    CHECK(commit(table, adding({{"a", 1}})).kind == Kind::gone);
    CHECK(table.sessions() == 1);
}

TEST_CASE("a transaction that is asked for twice is carried out once") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    SessionChange change = adding({{"n", 1}});
    change.transaction = {7, 1};
    CHECK(text_of(commit(table, change)) == "committed v2");
    CHECK(text_of(commit(table, change, start + second)) == "committed v2");
    CHECK(text_of(commit(table, change, start + 2 * second)) == "committed v2");
    const SessionRecord record = table.load(key_of(1), start + 2 * second).record;
    CHECK(record.attributes == Attributes{{"n", "1"}});
    // Nothing of it: not even the expiry has moved.
    CHECK(record.ttl_ms == 64 * second);
    // Whatever it asks the second time.
    SessionChange other = based(adding({{"n", integer_max}}), 0);
    other.transaction = {7, 1};
    CHECK(text_of(commit(table, other)) == "committed v2");
}

TEST_CASE("another transaction, or none, is another commit") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    SessionChange change = adding({{"n", 1}});
    for (const TransactionId id : {TransactionId{7, 1}, TransactionId{7, 2}, TransactionId{8, 2},
                                   TransactionId{0, 0}, TransactionId{0, 0}}) {
        change.transaction = id;
        commit(table, change);
    }
    CHECK(text_of(table.load(key_of(1), start)).starts_with("live v6 "));
    CHECK(table.load(key_of(1), start).record.attributes == Attributes{{"n", "5"}});
    // It belongs to its session.
    change.transaction = {7, 1};
    table.create(key_of(2), session_of(), start);
    CHECK(text_of(table.commit(key_of(2), change, start)) == "committed v2");
}

TEST_CASE("F:lost-answer a change asked again after others answers the version that it made") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    SessionChange change = based(setting({{"a", "x"}}, {"b"}), 1);
    change.increments = {{"n", 1}};
    change.transaction = {7, 1};
    REQUIRE(text_of(commit(table, change)) == "committed v2");
    for (std::uint64_t others = 1; others < known_changes_max; ++others) {
        CAPTURE(others);
        // What it set has changed since, what it added to as well; with a name and without.
        SessionChange other = setting({{"a", std::to_string(others)}});
        other.increments = {{"n", 10}};
        if (others % 2 == 0) other.transaction = {8, others};
        REQUIRE(commit(table, other).kind == Kind::committed);
        const std::string before = seen(table);
        CHECK(text_of(commit(table, change)) == "committed v2");
        // Whatever it asks the second time: no judgement is passed on it.
        SessionChange again = adding({{"a", integer_max}});
        again.transaction = {7, 1};
        CHECK(text_of(commit(table, again)) == "committed v2");
        CHECK(seen(table) == before);
        if (others % 2 == 0) CHECK(commit(table, other).record.version == others + 2);
    }
    // No more than so many are known.
    REQUIRE(commit(table, setting({})).kind == Kind::committed);
    CHECK(text_of(commit(table, change)) == "conflict v10 [a]");
    change.base.reset();
    CHECK(text_of(commit(table, change)) == "committed v11");
}

TEST_CASE("F:lost-answer names of one lane differ, and those of neighbouring lanes") {
    std::set<std::uint64_t> names;
    for (std::uint64_t lane = 1; lane <= 40; ++lane)
        for (std::uint64_t count = 1; count <= 250; ++count)
            names.insert(short_name({lane, count}));
    CHECK(names.size() == 10'000);
    CHECK(short_name({}) == 0);
}

TEST_CASE("a commit of nothing is a version, and keeps the session") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"a", "1"}}), start);
    CHECK(text_of(commit(table, based(setting({}), 0), start + second)) == "committed v2");
    CHECK(text_of(table.load(key_of(1), start + second)) ==
          "live v2 created=" + integer(start) + " id_age=1000 idle=60000 ttl=66000 a=1");
}

}  // namespace baton
