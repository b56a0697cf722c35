// What the memory table counts: the bytes of what it holds, to the byte.

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "session/memory/memory_table.h"
#include "tests/unit/memory_table_fixture.h"
#include "tests/unit/store_text.h"

namespace baton {
namespace {

SessionChange rotating(const SessionKey& to) {
    SessionChange change = setting({});
    change.rotation = Rotation{to, {}};
    return change;
}

std::string seen(MemoryTable& table, const SessionKey& key = key_of(1)) {
    return text_of(table.load(key, start, ShownBy::server)) + " in " +
           std::to_string(table.memory());
}

// Keys of one shard and of two, the second one before the first and behind it.
struct Pair {
    SessionKey from;
    SessionKey to;
};
const Pair pairs[] = {
    {neighbour_of(1), neighbour_of(2)}, {key_of(1), key_of(2)}, {key_of(2), key_of(1)}};

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

TEST_CASE("a session with a new id and its tombstone take what they take, to the byte") {
    for (const auto& [from, to] : pairs) {
        const Attributes small = {{"a", "1"}};
        const Attributes large = {{"a", std::string(1000, 'x')}};
        MemoryTable table({});
        table.create(from, session_of(small), start);
        SessionChange change = rotating(to);
        change.set = large;
        table.commit(from, change, start);
        CHECK(table.memory() == bytes_of(large) + bytes_of({}));
        change = rotating(key_of(5));
        change.unset = {"a"};
        table.commit(to, change, start);
        CHECK(table.memory() == 3 * bytes_of({}));
        CHECK(table.sessions() == 1);
        sweep_all(table, start + 30 * second);
        CHECK(table.memory() == bytes_of({}));
        CHECK(table.sessions() == 1);
        table.kill(key_of(5), start);
        CHECK(table.sessions() == 0);
        sweep_all(table, start + 100 * second);
        CHECK(table.memory() == 0);
    }
}

TEST_CASE("for the tombstone of a new id there must be room, and room is made among the others") {
    const Attributes some = {{"a", std::string(300, 'x')}};
    const std::size_t needed = bytes_of(some) + bytes_of({});
    for (const auto& [from, to] : pairs) {
        MemoryTable fits({.memory_max = needed});
        fits.create(from, session_of(some), start);
        CHECK(fits.commit(from, rotating(to), start).kind == Kind::committed);
        CHECK(fits.memory() == needed);
        CHECK(fits.load(from, start).kind == Kind::dead);
        // The old tombstone makes room for the new one.
        CHECK(fits.commit(to, rotating(key_of(4)), start).kind == Kind::committed);
        CHECK(fits.load(from, start).kind == Kind::none);
        CHECK(fits.load(to, start).kind == Kind::dead);
        CHECK(fits.load(key_of(4), start).kind == Kind::live);

        MemoryTable small({.memory_max = needed - 1});
        small.create(from, session_of(some), start);
        const std::string before = seen(small, from);
        CHECK(small.commit(from, rotating(to), start).kind == Kind::too_large);
        CHECK(seen(small, from) == before);
        CHECK(small.memory() == bytes_of(some));

        MemoryTable shared({.memory_max = needed + bytes_of({}) - 1});
        shared.create(from, session_of(some), start);
        shared.create(key_of(9), session_of(), start);
        shared.load(key_of(9), start);
        CHECK(shared.commit(from, rotating(to), start).kind == Kind::committed);
        CHECK(shared.load(key_of(9), start).kind == Kind::none);
        CHECK(shared.evicted_confirmed() == 1);
        CHECK(shared.memory() == needed);
    }
}

TEST_CASE("a taken id, and a refused commit, take nothing") {
    MemoryTable table({.attributes_max = 1});
    table.create(key_of(1), session_of({{"a", "1"}}), start);
    const std::size_t memory = table.memory();
    CHECK(table.create(key_of(1), session_of({{"b", "2"}}), start).kind == Kind::exists);
    CHECK(table.memory() == memory);
    CHECK(table.commit(key_of(1), setting({{"b", "2"}}), start).kind == Kind::limit);
    CHECK(table.memory() == memory);
    // An expired one is not there any more, and its room is given back.
    const std::int64_t later = start + 66 * second;
    CHECK(table.create(key_of(1), session_of({{"b", "2"}}), later).kind == Kind::created);
    CHECK(table.memory() == memory);
}

TEST_CASE("a tombstone takes less than its session did") {
    MemoryTable table({});
    table.create(key_of(1), session_of({{"a", std::string(1000, 'x')}}), start);
    const std::size_t alive = table.memory();
    table.kill(key_of(1), start);
    CHECK(table.memory() > 0);
    CHECK(table.memory() < alive - 1000);
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
