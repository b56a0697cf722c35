#pragma once

// A RedisStore on a loop of its own, with all that it tells.

#include <doctest/doctest.h>

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/loop.h"
#include "session/redis/redis_store.h"
#include "tests/store/table_fixture.h"
#include "tests/unit/redis_peer.h"

namespace baton::test {

struct StoreSite {
    Loop loop;
    std::map<StoreTicket, std::vector<StoreAnswer>> answers;
    std::vector<RedisReport> reports;
    std::function<void()> on_wish;  // for a master
    std::function<void(StoreTicket)> on_answer;
    std::optional<RedisStore> store;
    bool asking = false;
    StoreTicket last = 0;

    static RedisStore::Needs usual() {
        RedisStore::Needs needs;
        needs.access.client_name = "test";
        needs.access.times = {std::chrono::seconds{20}, std::chrono::seconds{20}};
        return needs;
    }
    explicit StoreSite(RedisStore::Needs needs = usual()) {
        needs.report = [this](const RedisReport& report) {
            reports.push_back(report);
            if (report.kind == RedisReport::Kind::wants_master && on_wish) on_wish();
        };
        store.emplace(loop, std::move(needs));
        store->attach(this, {[](void* site, StoreTicket ticket, StoreAnswer answer) {
                          static_cast<StoreSite*>(site)->told(ticket, std::move(answer));
                      }});
    }
    // And stays with it.
    void follow(const Endpoint& master) {
        on_wish = [this, master] { store->follow({master, 0}); };
        store->follow({master, 0});
        REQUIRE(until([&] { return store->is_ready(); }));
    }

    bool until(const std::function<bool()>& so) { return turns_until(loop, so); }
    std::size_t count(StoreTicket ticket) const {
        const auto at = answers.find(ticket);
        return at == answers.end() ? 0 : at->second.size();
    }
    Kind wait(StoreTicket ticket) {
        REQUIRE(until([&] { return count(ticket) > 0; }));
        return answers[ticket].front().kind;
    }
    std::size_t reported(RedisReport::Kind kind) const {
        std::size_t count = 0;
        for (const RedisReport& report : reports)
            if (report.kind == kind) ++count;
        return count;
    }

    StoreTicket load(std::uint64_t key, std::int64_t wait_ms = 20'000) {
        return ask(wait_ms, [&](const StoreAsk& how) {
            return store->load(key_of(key), ShownBy::client, how);
        });
    }
    StoreTicket load_several(const std::vector<SessionKey>& keys, std::int64_t wait_ms = 20'000) {
        return ask(wait_ms, [&](const StoreAsk& how) {
            return store->load_several(keys, ShownBy::client, how);
        });
    }
    StoreTicket create(std::uint64_t key, std::int64_t wait_ms = 20'000) {
        return ask(wait_ms, [&](const StoreAsk& how) {
            return store->create(key_of(key), session_of({{"a", "1"}}), how);
        });
    }
    StoreTicket commit(std::uint64_t key, const SessionChange& change = setting({{"a", "2"}}),
                       std::int64_t wait_ms = 20'000) {
        return ask(wait_ms,
                   [&](const StoreAsk& how) { return store->commit(key_of(key), change, how); });
    }
    StoreTicket kill(std::uint64_t key, std::int64_t wait_ms = 20'000) {
        return ask(wait_ms, [&](const StoreAsk& how) { return store->kill(key_of(key), how); });
    }
    void touch(std::uint64_t key) { store->touch(key_of(key), 6 * second, 0); }

private:
    template <class Question>
    StoreTicket ask(std::int64_t wait_ms, Question question) {
        asking = true;
        const StoreTicket ticket = ++last;
        auto now = question(StoreAsk{.ticket = ticket, .now_ms = 0, .wait_ms = wait_ms});
        asking = false;
        if (now) answers[ticket].push_back(std::move(*now));
        return ticket;
    }
    void told(StoreTicket ticket, StoreAnswer answer) {
        CHECK(!asking);  // never from within a question
        answers[ticket].push_back(std::move(answer));
        if (on_answer) on_answer(ticket);
    }
};

}  // namespace baton::test
