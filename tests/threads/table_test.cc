// Eight threads on one session table, and an account of it afterwards.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "session/memory/memory_table.h"
#include "tests/threads/together.h"
#include "tests/unit/memory_table_fixture.h"

namespace baton::test {

namespace {

constexpr unsigned threads = 8;
constexpr std::uint64_t operations = 4000;  // of each thread
constexpr std::uint64_t keys_max = threads * operations;

std::string value_of(std::uint64_t& random, std::size_t size_max) {
    return std::string(next_random(random) % size_max, 'x');
}

// What the table was asked to do and said that it did. A key is made once only, so that its commits
// belong to one session; threads take turns at the newest keys.
struct Account {
    std::atomic<std::uint64_t> next = 0;  // the key to be made next
    std::array<std::atomic<std::uint32_t>, keys_max> committed{};
    // (key, version) of each commit, by thread.
    std::array<std::vector<std::pair<std::uint64_t, std::uint64_t>>, threads> versions;
    Faults faults;
};

struct Mix {
    TableLimits limits;
    std::uint64_t newest = 0;  // so many keys are worked on
    std::size_t value_max = 0;
    bool kills = false;
};

void commit(MemoryTable& table, Account& account, unsigned thread, std::uint64_t key,
            Attributes set) {
    const StoreAnswer answer = table.commit(key_of(key), setting(std::move(set)), start);
    if (answer.kind == Kind::committed) {
        account.committed[key].fetch_add(1);
        account.versions[thread].emplace_back(key, answer.record.version);
    } else if (answer.kind != Kind::gone) {
        account.faults.add("a commit answered " + std::to_string(static_cast<int>(answer.kind)));
    }
}

void load(MemoryTable& table, Account& account, std::uint64_t key) {
    const StoreAnswer answer = table.load(key_of(key), start);
    if (answer.kind == Kind::live && answer.record.attributes.at(0).second != std::to_string(key))
        account.faults.add("key " + std::to_string(key) + " has another's session");
}

void work(MemoryTable& table, Account& account, const Mix& mix, unsigned thread) {
    std::uint64_t random = (thread + 1) * 0x9E37'79B9'7F4A'7C15;
    for (std::uint64_t i = 0; i < operations; ++i) {
        const std::uint64_t made = account.next.load();
        const std::uint64_t back = next_random(random) % mix.newest;
        const std::uint64_t key = made > back ? made - 1 - back : 0;
        switch (next_random(random) % 16) {
        case 0:
        case 1:
        case 2:
        case 3: {
            const std::uint64_t own = account.next.fetch_add(1);
            const StoreAnswer answer =
                table.create(key_of(own),
                             session_of({{"key", std::to_string(own)},
                                         {"value", value_of(random, mix.value_max)}}),
                             start);
            if (answer.kind != Kind::created || answer.record.version != 1)
                account.faults.add("key " + std::to_string(own) + " could not be made");
            break;
        }
        case 4:
        case 5:
        case 6:
        case 7:
        case 8: load(table, account, key); break;
        case 9: table.touch(key_of(key), 6 * second, start); break;
        case 10: table.sweep(start); break;
        case 11:
            if (mix.kills) table.kill(key_of(key), start);
            break;
        default: commit(table, account, thread, key, {{"value", value_of(random, mix.value_max)}});
        }
        if (table.memory() > mix.limits.memory_max || table.sessions() > mix.limits.sessions_max)
            account.faults.add("a limit was passed");
    }
}

// What a session with these attributes takes.
std::size_t bytes_of(const Attributes& attributes) {
    TableAttributes held;
    held.reserve(attributes.size());
    for (const auto& [name, value] : attributes) held.push_back(TableAttribute{name, value, 1});
    return TableShard::bytes_of(held);
}

// What is left, seen by loading.
struct Left {
    std::uint64_t sessions = 0;
    std::uint64_t tombstones = 0;
    std::size_t memory = 0;
};

Left left_in(MemoryTable& table, Account& account, std::uint64_t keys, std::int64_t now_ms) {
    Left left;
    for (std::uint64_t key = 0; key < keys; ++key) {
        const StoreAnswer answer = table.load(key_of(key), now_ms);
        if (answer.kind == Kind::dead) {
            ++left.tombstones;
            left.memory += TableShard::bytes_of({});
        }
        if (answer.kind != Kind::live) continue;
        ++left.sessions;
        left.memory += bytes_of(answer.record.attributes);
        if (answer.record.version != 1 + account.committed[key].load())
            account.faults.add("key " + std::to_string(key) + " has version " +
                               std::to_string(answer.record.version) + " after " +
                               std::to_string(account.committed[key].load()) + " commits");
    }
    return left;
}

// Each commit of a session was told a version of its own: 2, 3, 4 and so on, gone or not.
void check_versions(Account& account) {
    std::vector<std::vector<std::uint64_t>> told(keys_max);
    for (const auto& versions : account.versions)
        for (const auto& pair : versions) told[pair.first].push_back(pair.second);
    for (std::uint64_t key = 0; key < keys_max; ++key) {
        std::sort(told[key].begin(), told[key].end());
        for (std::size_t i = 0; i < told[key].size(); ++i) {
            if (told[key][i] == i + 2) continue;
            account.faults.add("key " + std::to_string(key) + " had no version " +
                               std::to_string(i + 2) + ", or twice");
            break;
        }
    }
}

void check_account(const Mix& mix) {
    MemoryTable table{mix.limits};
    Account account;
    in_threads(threads, [&](unsigned thread) { work(table, account, mix, thread); });
    const std::uint64_t made = account.next.load();
    const std::uint64_t evicted = table.evicted_unconfirmed() + table.evicted_confirmed();
    const Left left = left_in(table, account, made, start);
    check_versions(account);
    CHECK(account.faults.text() == "");
    CHECK(table.evicted_unconfirmed() > 0);
    CHECK(table.evicted_confirmed() > 0);
    CHECK((left.tombstones > 0) == mix.kills);
    CHECK(table.sessions() == left.sessions);
    CHECK(table.memory() == left.memory);
    CHECK(made == left.sessions + left.tombstones + evicted);
}

}  // namespace

TEST_CASE(
    "eight threads on a table full of sessions: each session made is left, ended or pushed out") {
    check_account(
        {.limits = {.sessions_max = 200}, .newest = 300, .value_max = 200, .kills = true});
}

// Nobody ends a session here: tombstones that are pushed out are not counted.
TEST_CASE("eight threads on a table full of bytes: each session made is left or pushed out") {
    check_account({.limits = {.memory_max = 200'000}, .newest = 200, .value_max = 2000});
}

TEST_CASE("eight threads make, end and make anew the same keys while time goes on") {
    constexpr std::uint64_t keys = 300;
    const TableLimits limits{.sessions_max = 150, .memory_max = 150'000};
    MemoryTable table{limits};
    Faults faults;
    std::atomic<std::int64_t> clock = start;
    in_threads(threads, [&](unsigned thread) {
        std::uint64_t random = (thread + 1) * 0x9E37'79B9'7F4A'7C15;
        for (std::uint64_t i = 0; i < operations; ++i) {
            const std::int64_t now = clock.fetch_add(10);
            const SessionKey key = key_of(next_random(random) % keys);
            switch (next_random(random) % 8) {
            case 0:
            case 1: table.create(key, session_of({{"value", value_of(random, 1000)}}), now); break;
            case 2: table.kill(key, now); break;
            case 3: table.sweep(now); break;
            case 4: table.touch(key, 6 * second, now); break;
            case 5:
            case 6:
                table.commit(key, setting({{"value", value_of(random, 1000)}}, {"none"}), now);
                break;
            default: table.load(key, now);
            }
            if (table.memory() > limits.memory_max || table.sessions() > limits.sessions_max)
                faults.add("a limit was passed");
        }
    });
    CHECK(faults.text() == "");
    const std::int64_t now = clock.load();
    sweep_all(table, now);
    std::uint64_t sessions = 0;
    std::size_t memory = 0;
    for (std::uint64_t n = 0; n < keys; ++n) {
        const StoreAnswer answer = table.load(key_of(n), now);
        if (answer.kind == Kind::none) continue;
        if (answer.kind == Kind::live) ++sessions;
        memory += bytes_of(answer.record.attributes);
    }
    CHECK(sessions > 0);
    CHECK(table.sessions() == sessions);
    CHECK(table.memory() == memory);
    sweep_all(table, now + 1000 * second);
    CHECK(table.sessions() == 0);
    CHECK(table.memory() == 0);
}

TEST_CASE("of eight threads that make the same session one does, and one tombstone is left of it") {
    constexpr std::uint64_t keys = 1000;
    MemoryTable table{{}};
    std::atomic<std::uint64_t> created = 0;
    std::atomic<std::uint64_t> existed = 0;
    in_threads(threads, [&](unsigned) {
        for (std::uint64_t n = 0; n < keys; ++n) {
            const StoreAnswer answer = table.create(key_of(n), session_of(), start);
            if (answer.kind == Kind::created) created.fetch_add(1);
            if (answer.kind == Kind::exists) existed.fetch_add(1);
        }
    });
    CHECK(created.load() == keys);
    CHECK(existed.load() == (threads - 1) * keys);
    CHECK(table.sessions() == keys);
    in_threads(threads, [&](unsigned) {
        for (std::uint64_t n = 0; n < keys; ++n) table.kill(key_of(n), start);
    });
    CHECK(table.sessions() == 0);
    CHECK(table.memory() == keys * TableShard::bytes_of({}));
}

}  // namespace baton::test
