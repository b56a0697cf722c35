// Many threads at one table: no change is lost, nobody sees half of one, and in the end every byte is
// accounted for.

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "session/memory_table.h"
#include "tests/unit/memory_table_fixture.h"

namespace baton {
namespace {

template <class Work>
void in_threads(std::uint64_t count, Work work) {
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < count; ++thread) threads.emplace_back(work, thread);
    for (std::thread& thread : threads) thread.join();
}

// The sum of all that `key_of(0)` to `key_of(end - 1)` are and take.
struct Sum {
    std::size_t sessions = 0;
    std::size_t memory = 0;
};
Sum sum_of(MemoryTable& table, std::uint64_t end, std::int64_t now) {
    Sum sum;
    for (std::uint64_t n = 0; n < end; ++n) {
        const StoreAnswer answer = table.load(key_of(n), now, ShownBy::server);
        if (answer.kind == Kind::none) continue;
        sum.memory += bytes_of(answer.record.attributes);
        if (answer.kind == Kind::live) ++sum.sessions;
    }
    return sum;
}

}  // namespace

TEST_CASE("S19 four threads read, add one and commit for the version they read: exactly 400") {
    MemoryTable table({});
    table.create(key_of(1), session_of({{"n", "0"}}), start);
    std::atomic<int> conflicts = 0;
    std::atomic<int> wrong = 0;
    in_threads(4, [&](std::uint64_t) {
        for (int done = 0; done < 100;) {
            const StoreAnswer read = table.load(key_of(1), start);
            const int n = std::stoi(read.record.attributes.at(0).second);
            std::this_thread::yield();
            SessionChange change = setting({{"n", std::to_string(n + 1)}});
            change.base = read.record.version;
            switch (table.commit(key_of(1), change, start).kind) {
            case Kind::committed: ++done; break;
            case Kind::conflict: ++conflicts; break;
            default: ++wrong;
            }
        }
    });
    const StoreAnswer last = table.load(key_of(1), start);
    CHECK(last.record.attributes == Attributes{{"n", "400"}});
    CHECK(last.record.version == 401);
    CHECK(wrong == 0);
    MESSAGE("conflicts: " << conflicts.load());
}

TEST_CASE("S14 four threads' increments are all there, and no version is given twice") {
    MemoryTable table({});
    table.create(key_of(1), session_of(), start);
    std::vector<std::atomic<int>> given(4'001);
    in_threads(4, [&](std::uint64_t thread) {
        SessionChange change = {.increments = {{"all", 1}, {"t" + std::to_string(thread), 2}}};
        for (std::uint64_t i = 1; i <= 1'000; ++i) {
            change.transaction = {thread + 1, i};
            ++given.at(table.commit(key_of(1), change, start).record.version - 1);
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
    MemoryTable table({});
    std::vector<SessionId> ids(2'000);
    for (SessionId& id : ids) id = mint_session_id();
    const auto key = [](const SessionId& id) { return session_key("s", "c", id); };
    table.create(key(ids[0]), session_of({{"n", "0"}}), start);
    std::atomic<bool> over = false;
    std::atomic<int> missed = 0;
    in_threads(4, [&](std::uint64_t thread) {
        if (thread == 0) {
            for (std::size_t i = 1; i < ids.size(); ++i) {
                SessionChange change = {.increments = {{"n", 1}}};
                change.rotation = Rotation{key(ids[i]), ids[i]};
                if (table.commit(key(ids[i - 1]), change, start).kind != Kind::committed) ++missed;
            }
            over = true;
            return;
        }
        SessionId id = ids[0];
        while (!over) {
            const StoreAnswer answer = table.load(key(id), start);
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
    for (int round = 0; round < 500; ++round) {
        MemoryTable table({});
        table.create(key_of(0), session_of(), start);
        std::atomic<int> done = 0;
        std::atomic<int> moved = 0;
        in_threads(2, [&](std::uint64_t thread) {
            SessionChange change = setting({});
            change.rotation = Rotation{key_of(thread + 1), SessionId{}};
            const Kind kind = table.commit(key_of(0), change, start).kind;
            if (kind == Kind::committed) ++done;
            if (kind == Kind::moved) ++moved;
        });
        REQUIRE(done == 1);
        REQUIRE(moved == 1);
        REQUIRE(table.sessions() == 1);
    }
}

TEST_CASE("of two sessions that get the same new id one does") {
    for (int round = 0; round < 500; ++round) {
        MemoryTable table({});
        table.create(key_of(0), session_of({{"of", "0"}}), start);
        table.create(key_of(1), session_of({{"of", "1"}}), start);
        std::atomic<int> done = 0;
        in_threads(2, [&](std::uint64_t thread) {
            SessionChange change = setting({});
            change.rotation = Rotation{key_of(2), {}};
            if (table.commit(key_of(thread), change, start).kind == Kind::committed) ++done;
        });
        REQUIRE(done == 1);
        REQUIRE(table.sessions() == 2);
        REQUIRE(is_there(table, key_of(2), start));
        REQUIRE(table.load(key_of(0), start).kind != table.load(key_of(1), start).kind);
    }
}

TEST_CASE("eight threads commit, give new ids, kill and let expire: the account is exact") {
    constexpr std::uint64_t shared = 40;  // that all of them work on
    constexpr std::uint64_t each = 4'000;
    for (const bool tight : {false, true}) {
        CAPTURE(tight);
        TableLimits limits;
        if (tight) limits.memory_max = 60 * bytes_of({{"v", std::string(500, 'x')}});
        MemoryTable table(limits);
        std::atomic<bool> within = true;
        std::atomic<int> wrong = 0;
        std::atomic<std::int64_t> clock = start;
        in_threads(8, [&](std::uint64_t thread) {
            std::uint64_t random = (thread + 1) * 0x9E37'79B9'7F4A'7C15;
            std::uint64_t fresh = shared + thread * each;
            for (std::uint64_t i = 0; i < each; ++i) {
                const std::uint64_t n = next_random(random) % shared;
                const std::int64_t now = clock.fetch_add(7);
                const std::size_t size = next_random(random) % 1'000;
                SessionChange change = setting({{"v", std::string(size, 'x')}});
                switch (next_random(random) % 8) {
                case 0:
                case 1: table.create(key_of(n), session_of({{"n", "0"}}), now); break;
                case 2: table.commit(key_of(n), change, now); break;
                case 3:
                    change.set.clear();
                    change.increments = {{"n", 1}};
                    change.unset = {"v"};
                    table.commit(key_of(n), change, now);
                    break;
                case 4: {
                    const bool led_on = next_random(random) % 2 == 0;
                    change.rotation = Rotation{key_of(fresh), {}};
                    if (led_on) change.rotation->alias = SessionId{};
                    const Kind kind = table.commit(key_of(n), change, now).kind;
                    if (kind != Kind::committed) break;
                    if (++fresh == shared + (thread + 1) * each) ++wrong;
                    break;
                }
                case 5: table.kill(key_of(n), now); break;
                case 6: table.touch(key_of(n), 6 * second, now); break;
                default: table.load(key_of(n), now);
                }
                if (i % 50 == 0) table.sweep(now);
                if (table.memory() > limits.memory_max) within = false;
            }
        });
        CHECK(within);
        CHECK(wrong == 0);
        const std::int64_t now = clock;
        sweep_all(table, now);
        const Sum sum = sum_of(table, shared + 8 * each, now);
        CHECK(sum.sessions > 0);
        CHECK(table.sessions() == sum.sessions);
        CHECK(table.memory() == sum.memory);
        sweep_all(table, now + 1'000 * second);
        CHECK(table.sessions() == 0);
        CHECK(table.memory() == 0);
    }
}

}  // namespace baton
