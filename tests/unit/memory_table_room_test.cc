// How the table keeps to its limits: what goes first, what goes with time, and many threads at
// once.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "session/memory/memory_table.h"
#include "tests/unit/memory_table_fixture.h"

namespace baton {

TEST_CASE("full of sessions: the least recently used unconfirmed one goes, wherever it lies") {
    MemoryTable table({.sessions_max = 3});
    for (std::uint64_t n = 1; n <= 3; ++n) table.create(key_of(n), session_of(), start);
    CHECK(table.sessions() == 3);
    CHECK(table.evicted_unconfirmed() == 0);
    table.load(key_of(1), start);  // confirmed: it is out of the race
    table.load(key_of(2), start, ShownBy::server);
    table.commit(key_of(3), setting({{"a", "1"}}), start);
    CHECK(table.create(key_of(4), session_of(), start).kind == Kind::created);
    CHECK(table.sessions() == 3);
    CHECK(table.evicted_unconfirmed() == 1);
    CHECK(table.evicted_confirmed() == 0);
    CHECK(is_there(table, key_of(1), start));
    CHECK(!is_there(table, key_of(2), start));
    CHECK(is_there(table, key_of(3), start));
    CHECK(is_there(table, key_of(4), start));
}

TEST_CASE("full of confirmed sessions: the least recently used one goes") {
    MemoryTable table({.sessions_max = 4});
    for (std::uint64_t n = 1; n <= 4; ++n) {
        table.create(key_of(n), session_of(), start);
        table.load(key_of(n), start);
    }
    table.load(key_of(1), start);
    table.commit(key_of(2), setting({}), start);
    CHECK(table.create(key_of(5), session_of(), start).kind == Kind::created);
    CHECK(table.evicted_confirmed() == 1);
    CHECK(!is_there(table, key_of(3), start));
    // The new one is unconfirmed: it goes before any of the others.
    CHECK(table.create(key_of(6), session_of(), start).kind == Kind::created);
    CHECK(!is_there(table, key_of(5), start));
    CHECK(table.evicted_unconfirmed() == 1);
    table.load(key_of(6), start);
    CHECK(table.create(key_of(7), session_of(), start).kind == Kind::created);
    CHECK(!is_there(table, key_of(4), start));
    CHECK(table.evicted_confirmed() == 2);
    CHECK(is_there(table, key_of(1), start));
    CHECK(is_there(table, key_of(2), start));
    CHECK(table.sessions() == 4);
}

TEST_CASE("within one shard, too, the least recently used session and the oldest tombstone go") {
    MemoryTable table({.sessions_max = 3});
    for (std::uint64_t n = 1; n <= 3; ++n) table.create(neighbour_of(n), session_of(), start);
    for (const std::uint64_t n : {1U, 2U, 3U, 2U, 1U}) table.load(neighbour_of(n), start);
    table.create(neighbour_of(4), session_of(), start);
    CHECK(!is_there(table, neighbour_of(3), start));
    table.load(neighbour_of(4), start);
    table.create(neighbour_of(5), session_of(), start);
    CHECK(!is_there(table, neighbour_of(2), start));
    CHECK(is_there(table, neighbour_of(1), start));

    MemoryTable small({.memory_max = 3 * bytes_of({})});
    for (std::uint64_t n = 1; n <= 3; ++n) small.create(neighbour_of(n), session_of(), start);
    small.kill(neighbour_of(2), start);
    small.kill(neighbour_of(1), start);
    small.create(neighbour_of(4), session_of(), start);
    CHECK(small.load(neighbour_of(2), start).kind == Kind::none);
    CHECK(small.load(neighbour_of(1), start).kind == Kind::dead);
}

TEST_CASE("what has expired goes before what is alive, and is no eviction") {
    MemoryTable table({.sessions_max = 2});
    table.create(key_of(1), session_of(), start);
    table.load(key_of(1), start);  // confirmed, and soon expired
    table.create(key_of(2), session_of(), start + 10 * second);
    CHECK(table.create(key_of(3), session_of(), start + 66 * second).kind == Kind::created);
    CHECK(is_there(table, key_of(2), start + 66 * second));
    CHECK(table.sessions() == 2);
    CHECK(table.evicted_unconfirmed() + table.evicted_confirmed() == 0);
}

TEST_CASE("a table for one session holds the newest, and one for none holds none") {
    MemoryTable one({.sessions_max = 1});
    for (std::uint64_t n = 0; n < 100; ++n) {
        REQUIRE(one.create(key_of(n), session_of(), start).kind == Kind::created);
        REQUIRE(one.load(key_of(n), start).kind == Kind::live);
        REQUIRE(one.sessions() == 1);
    }
    MemoryTable none({.sessions_max = 0});
    CHECK(none.create(key_of(1), session_of(), start).kind == Kind::too_large);
}

TEST_CASE("full of bytes: what goes first are tombstones, then sessions") {
    const std::size_t each = bytes_of({});
    MemoryTable table({.memory_max = 4 * each});
    for (std::uint64_t n = 1; n <= 4; ++n) table.create(key_of(n), session_of(), start);
    CHECK(table.memory() == 4 * each);
    CHECK(table.evicted_unconfirmed() == 0);
    table.kill(key_of(3), start);
    table.kill(key_of(2), start);
    CHECK(table.memory() == 4 * each);  // an empty session is as large as its tombstone
    table.create(key_of(5), session_of(), start);
    CHECK(table.load(key_of(3), start).kind == Kind::none);
    CHECK(table.load(key_of(2), start).kind == Kind::dead);
    CHECK(table.evicted_unconfirmed() == 0);
    table.create(key_of(6), session_of(), start);
    CHECK(table.load(key_of(2), start).kind == Kind::none);
    CHECK(table.evicted_unconfirmed() == 0);
    table.create(key_of(7), session_of(), start);
    CHECK(!is_there(table, key_of(1), start));
    CHECK(table.evicted_unconfirmed() == 1);
    CHECK(table.memory() == 4 * each);
    CHECK(table.sessions() == 4);
}

TEST_CASE("full of sessions but not of bytes: tombstones stay") {
    MemoryTable table({.sessions_max = 2});
    for (std::uint64_t n = 1; n <= 2; ++n) table.create(key_of(n), session_of(), start);
    table.kill(key_of(1), start);
    table.create(key_of(3), session_of(), start);
    table.create(key_of(4), session_of(), start);
    CHECK(table.load(key_of(1), start).kind == Kind::dead);
    CHECK(!is_there(table, key_of(2), start));
}

TEST_CASE("a session that fits alone is created, one byte less and it is too large") {
    const Attributes attributes = {{"a", std::string(1000, 'x')}};
    const std::size_t bytes = bytes_of(attributes);
    MemoryTable fits({.memory_max = bytes});
    CHECK(fits.create(key_of(1), session_of(attributes), start).kind == Kind::created);
    CHECK(fits.create(key_of(2), session_of(attributes), start).kind == Kind::created);
    CHECK(fits.sessions() == 1);
    MemoryTable small({.memory_max = bytes - 1});
    small.create(key_of(1), session_of(), start);
    CHECK(small.create(key_of(2), session_of(attributes), start).kind == Kind::too_large);
    CHECK(is_there(small, key_of(1), start));
    CHECK(small.commit(key_of(1), setting(attributes), start).kind == Kind::too_large);
    CHECK(small.load(key_of(1), start).record.attributes.empty());
    CHECK(small.load(key_of(1), start).record.version == 1);
}

TEST_CASE("a commit makes room among the others, never by its own session") {
    const std::size_t each = bytes_of({});
    const Attributes large = {{"a", std::string(10 * each, 'x')}};
    for (const bool confirmed : {false, true}) {
        CAPTURE(confirmed);
        MemoryTable table({.memory_max = bytes_of(large) + each});
        for (std::uint64_t n = 0; n < 6; ++n) {
            // Two of them share the first one's shard.
            const SessionKey key = n < 3 ? neighbour_of(n) : key_of(n);
            table.create(key, session_of(), start);
            if (confirmed || n > 0) table.load(key, start);
        }
        CHECK(table.commit(neighbour_of(0), setting(large), start).kind == Kind::committed);
        CHECK(table.load(neighbour_of(0), start).record.attributes == large);
        CHECK(table.sessions() == 2);
        CHECK(is_there(table, key_of(5), start));
        CHECK(table.evicted_confirmed() == 4);
        CHECK(table.evicted_unconfirmed() == 0);
    }
}

TEST_CASE("a flood of 100,000 clients without cookies leaves the confirmed sessions") {
    MemoryTable table({.sessions_max = 1000});
    for (std::uint64_t n = 0; n < 900; ++n) {
        table.create(key_of(n), session_of(), start);
        table.load(key_of(n), start);
    }
    for (std::uint64_t n = 1000; n < 101'000; ++n) {
        REQUIRE(table.create(key_of(n), session_of(), start).kind == Kind::created);
    }
    CHECK(table.sessions() == 1000);
    CHECK(table.evicted_confirmed() == 0);
    CHECK(table.evicted_unconfirmed() == 99'900);
    CHECK(table.memory() == 1000 * bytes_of({}));
    std::size_t left = 0;
    for (std::uint64_t n = 0; n < 900; ++n) left += is_there(table, key_of(n), start) ? 1 : 0;
    CHECK(left == 900);
    // Of the flood, exactly the last hundred are left.
    for (std::uint64_t n = 100'900; n < 101'000; ++n) REQUIRE(is_there(table, key_of(n), start));
}

TEST_CASE("a flood that fills the memory leaves the confirmed session") {
    MemoryTable table({.memory_max = std::size_t{1} << 20});
    table.create(key_of(0), session_of({{"user", "bob"}}), start);
    table.load(key_of(0), start);
    for (std::uint64_t n = 1; n < 20'000; ++n) {
        REQUIRE(
            table.create(key_of(n), session_of({{"a", std::string(n % 2000, 'x')}}), start).kind ==
            Kind::created);
        REQUIRE(table.memory() <= std::size_t{1} << 20);
    }
    CHECK(table.evicted_confirmed() == 0);
    CHECK(table.load(key_of(0), start).record.attributes == Attributes{{"user", "bob"}});
}

TEST_CASE("each create and commit drops eight expired entries of its shard") {
    MemoryTable table({});
    for (std::uint64_t n = 0; n < 20; ++n) table.create(neighbour_of(n), session_of(), start);
    NewSession lasting = session_of();
    lasting.idle_ms = 1000 * second;
    table.create(neighbour_of(20), lasting, start);
    table.create(key_of(1), lasting, start);
    const std::int64_t late = start + 66 * second;
    CHECK(table.create(neighbour_of(21), lasting, late - 1).kind == Kind::created);
    CHECK(table.sessions() == 23);
    CHECK(table.create(neighbour_of(22), lasting, late).kind == Kind::created);
    CHECK(table.sessions() == 24 - 8);
    CHECK(table.commit(neighbour_of(20), setting({}), late).kind == Kind::committed);
    CHECK(table.sessions() == 24 - 16);
    CHECK(table.commit(key_of(1), setting({}), late).kind == Kind::committed);  // another shard
    CHECK(table.sessions() == 24 - 16);
    CHECK(table.commit(neighbour_of(20), setting({}), late).kind == Kind::committed);
    CHECK(table.sessions() == 4);
}

TEST_CASE("a sweep drops what has expired, a shard at a time, and nothing else") {
    MemoryTable table({});
    for (std::uint64_t n = 0; n < 256 * 10; ++n) table.create(key_of(n), session_of(), start);
    for (std::uint64_t n = 0; n < 600; ++n)
        table.create(neighbour_of(1000 + n), session_of(), start);
    NewSession lasting = session_of();
    lasting.idle_ms = 1000 * second;
    table.create(key_of(100'000), lasting, start);
    const std::int64_t late = start + 66 * second;
    sweep_all(table, late - 1);
    CHECK(table.sessions() == 256 * 10 + 600 + 1);
    std::vector<std::size_t> dropped;
    for (std::size_t i = 0; i < shards; ++i) {
        const std::size_t before = table.sessions();
        table.sweep(late);
        dropped.push_back(before - table.sessions());
    }
    CHECK(table.sessions() == 1);
    std::sort(dropped.begin(), dropped.end());
    CHECK(dropped.front() == 40);
    CHECK(dropped.back() == 640);
    CHECK(is_there(table, key_of(100'000), late));
    sweep_all(table, std::numeric_limits<std::int64_t>::max());
    CHECK(table.sessions() == 0);
    CHECK(table.memory() == 0);
}

TEST_CASE("through random operations the totals keep to their limits and return to nothing") {
    const TableLimits limits{.sessions_max = 300, .memory_max = 400'000};
    MemoryTable table(limits);
    std::uint64_t random = 88'172'645'463'325'252;
    std::int64_t now = start;
    for (int i = 0; i < 200'000; ++i) {
        const SessionKey key = key_of(next_random(random) % 1000);
        const std::size_t size = next_random(random) % 1800;
        now += static_cast<std::int64_t>(next_random(random) % 10);
        switch (next_random(random) % 16) {
        case 0: table.create(key, session_of({{"v", std::string(size, 'x')}}), now); break;
        case 1:
            table.create(key, session_of({{"v", std::string(size, 'z')}}), now);
            table.load(key, now);
            break;
        case 2: table.commit(key, setting({{"v", std::string(size, 'y')}}), now); break;
        case 3: table.commit(key, setting({{"w", "1"}}, {"v"}), now); break;
        case 4: table.kill(key, now); break;
        case 5: table.touch(key, 6 * second, now); break;
        case 6: table.sweep(now); break;
        default: table.load(key, now);
        }
        REQUIRE(table.memory() <= limits.memory_max);
        REQUIRE(table.sessions() <= limits.sessions_max);
    }
    CHECK(table.evicted_unconfirmed() > 0);
    CHECK(table.evicted_confirmed() > 0);
    CHECK(table.sessions() > 0);
    sweep_all(table, now + 1000 * second);
    CHECK(table.sessions() == 0);
    CHECK(table.memory() == 0);
}

TEST_CASE("four threads share a table that is always full") {
    const TableLimits limits{.sessions_max = 200, .memory_max = 200'000};
    MemoryTable table(limits);
    std::atomic<bool> within = true;
    std::atomic<std::uint64_t> wrong = 0;
    const auto work = [&](std::uint64_t seed) {
        std::uint64_t random = seed * 0x9E37'79B9'7F4A'7C15;
        for (int i = 0; i < 20'000; ++i) {
            const std::uint64_t n = next_random(random) % 400;
            const SessionKey key = key_of(n);
            const std::int64_t now = start + i;
            switch (next_random(random) % 6) {
            case 0: table.create(key, session_of({{"n", std::to_string(n)}}), now); break;
            case 1:
                table.commit(key, setting({{"v", std::string(next_random(random) % 2000, 'x')}}),
                             now);
                break;
            case 2:
                table.kill(key, now + static_cast<std::int64_t>(next_random(random) % 40'000));
                break;
            case 3: table.touch(key, 6 * second, now); break;
            case 4: table.sweep(now); break;
            default: {
                const StoreAnswer loaded = table.load(key, now);
                if (loaded.kind != Kind::live) break;
                if (loaded.record.attributes.at(0).second != std::to_string(n)) wrong.fetch_add(1);
            }
            }
            if (table.memory() > limits.memory_max || table.sessions() > limits.sessions_max)
                within = false;
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) threads.emplace_back(work, seed);
    for (std::thread& thread : threads) thread.join();
    CHECK(within);
    CHECK(wrong == 0);
    sweep_all(table, start + 1000 * second);
    CHECK(table.sessions() == 0);
    CHECK(table.memory() == 0);
}

TEST_CASE("four threads raise one session's version, and no commit is lost") {
    MemoryTable table({});
    table.create(key_of(1), session_of(), start);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&table, t] {
            for (int i = 0; i < 1000; ++i) {
                table.commit(key_of(1), setting({{"t" + std::to_string(t), std::to_string(i)}}),
                             start);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    const StoreAnswer loaded = table.load(key_of(1), start);
    CHECK(loaded.record.version == 4001);
    CHECK(loaded.record.attributes ==
          Attributes{{"t0", "999"}, {"t1", "999"}, {"t2", "999"}, {"t3", "999"}});
}

}  // namespace baton
