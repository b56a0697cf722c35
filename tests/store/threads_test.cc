// Many threads at one table: no change is lost, nobody sees half of one, and of two who want the
// same one gets it.

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/store/table_fixture.h"
#include "tests/store/table_under_test.h"

namespace baton {
namespace {

template <class Work>
void in_threads(std::uint64_t count, Work work) {
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < count; ++thread) threads.emplace_back(work, thread);
    for (std::thread& thread : threads) thread.join();
}

const SessionId some_id = mint_session_id();

}  // namespace

TEST_CASE("S19 eight threads read, add one and commit for the version they read: exactly 800") {
    TableUnderTest table({});
    table.create(key_of(1), session_of({{"n", "0"}}), start);
    std::atomic<int> conflicts = 0;
    std::atomic<int> wrong = 0;
    in_threads(8, [&](std::uint64_t) {
        TableUser mine(table);
        for (int done = 0; done < 100;) {
            const StoreAnswer read = mine.load(key_of(1));
            const int n = std::stoi(read.record.attributes.at(0).second);
            std::this_thread::yield();
            SessionChange change = setting({{"n", std::to_string(n + 1)}});
            change.base = read.record.version;
            switch (mine.commit(key_of(1), change).kind) {
            case Kind::committed: ++done; break;
            case Kind::conflict: ++conflicts; break;
            default: ++wrong, ++done;
            }
        }
    });
    const StoreAnswer last = table.load(key_of(1), start);
    CHECK(last.record.attributes == Attributes{{"n", "800"}});
    CHECK(last.record.version == 801);
    CHECK(wrong == 0);
    MESSAGE("conflicts: " << conflicts.load());
}

TEST_CASE("S14 four threads' increments are all there, and no version is given twice") {
    TableUnderTest table({});
    table.create(key_of(1), session_of(), start);
    std::vector<std::atomic<int>> given(4'001);
    in_threads(4, [&](std::uint64_t thread) {
        TableUser mine(table);
        SessionChange change = {.increments = {{"all", 1}, {"t" + std::to_string(thread), 2}}};
        for (std::uint64_t i = 1; i <= 1'000; ++i) {
            change.transaction = {thread + 1, i};
            ++given.at(mine.commit(key_of(1), change).record.version - 1);
        }
    });
    const StoreAnswer last = table.load(key_of(1), start);
    CHECK(last.record.attributes ==
          Attributes{
              {"all", "4000"}, {"t0", "2000"}, {"t1", "2000"}, {"t2", "2000"}, {"t3", "2000"}});
    CHECK(last.record.version == 4'001);
    bool once_each = true;
    for (std::size_t i = 1; i < given.size(); ++i) once_each = once_each && given[i] == 1;
    CHECK(once_each);
}

TEST_CASE("who follows an old id finds the session, at any moment of its moving") {
    TableUnderTest table({});
    std::vector<SessionId> ids(2'000);
    for (SessionId& id : ids) id = mint_session_id();
    const auto key = [](const SessionId& id) { return session_key("s", "c", id); };
    table.create(key(ids[0]), session_of({{"n", "0"}}), start);
    std::atomic<bool> over = false;
    std::atomic<int> missed = 0;
    in_threads(4, [&](std::uint64_t thread) {
        TableUser mine(table);
        if (thread == 0) {
            for (std::size_t i = 1; i < ids.size(); ++i) {
                SessionChange change = {.increments = {{"n", 1}}};
                change.rotation = Rotation{key(ids[i]), ids[i]};
                if (mine.commit(key(ids[i - 1]), change).kind != Kind::committed) ++missed;
            }
            over = true;
            return;
        }
        SessionId id = ids[0];
        while (!over) {
            const StoreAnswer answer = mine.load(key(id));
            if (answer.kind == Kind::moved)
                id = answer.moved_to;
            else if (answer.kind != Kind::live)
                ++missed;
        }
    });
    CHECK(missed == 0);
    CHECK(table.load(key(ids.back()), start).record.attributes == Attributes{{"n", "1999"}});
    CHECK(table.sessions() == 1);
}

TEST_CASE("of two threads that give one session a new id one does") {
    for (int round = 0; round < traits.race_rounds; ++round) {
        TableUnderTest table({});
        table.create(key_of(0), session_of(), start);
        std::atomic<int> done = 0;
        std::atomic<int> moved = 0;
        in_threads(2, [&](std::uint64_t thread) {
            TableUser mine(table);
            SessionChange change = setting({});
            change.rotation = Rotation{key_of(thread + 1), some_id};
            const Kind kind = mine.commit(key_of(0), change).kind;
            if (kind == Kind::committed) ++done;
            if (kind == Kind::moved) ++moved;
        });
        REQUIRE(done == 1);
        REQUIRE(moved == 1);
        REQUIRE(table.sessions() == 1);
    }
}

TEST_CASE("of two sessions that get the same new id one does") {
    for (int round = 0; round < traits.race_rounds; ++round) {
        TableUnderTest table({});
        table.create(key_of(0), session_of({{"of", "0"}}), start);
        table.create(key_of(1), session_of({{"of", "1"}}), start);
        std::atomic<int> done = 0;
        in_threads(2, [&](std::uint64_t thread) {
            TableUser mine(table);
            SessionChange change = setting({});
            change.rotation = Rotation{key_of(2), {}};
            if (mine.commit(key_of(thread), change).kind == Kind::committed) ++done;
        });
        REQUIRE(done == 1);
        REQUIRE(table.sessions() == 2);
        REQUIRE(table.load(key_of(2), start).kind == Kind::live);
        REQUIRE(table.load(key_of(0), start).kind != table.load(key_of(1), start).kind);
    }
}

}  // namespace baton
