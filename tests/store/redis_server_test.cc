// What a real server makes of it: changes whose answers are lost, refusals of its own, keys of others.

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "session/redis_store.h"
#include "tests/store/redis_process.h"
#include "tests/store/store_site.h"
#include "tests/store/table_fixture.h"
#include "tests/unit/redis_peer.h"

namespace baton {
namespace {

using namespace test;

// What becomes of a command and its answer.
enum class Fate : std::uint8_t { passes, lost_before, lost_after };

// A store that sees the server through a connection which breaks when a test wants it to.
struct ServerSite : StoreSite {
    PlainRedis behind{RedisProcess::running().port()};
    RedisPeer between{loop};
    std::function<Fate(const RedisPeer::Command&)> fate;  // of scripts and loads

    static RedisStore::Needs own_needs() {
        static int sites = 0;
        RedisStore::Needs needs = usual();
        needs.prefix = "site" + std::to_string(++sites);
        return needs;
    }
    explicit ServerSite(RedisStore::Needs needs = own_needs())
        : StoreSite(needs), prefix(needs.prefix) {
        for (const char* word : {"CLIENT", "INFO", "ROLE", "TIME", "SCRIPT", "PTTL"})
            between.on(word, [this](auto& connection, const auto& command) {
                connection.send(pass(command));
            });
        for (const char* word : {"HGETALL", "EVALSHA"})
            between.on(word, [this](auto& connection, const auto& command) {
                const Fate what = fate ? fate(command) : Fate::passes;
                if (what == Fate::lost_before) return connection.reset();
                const std::string reply = pass(command);
                what == Fate::passes ? connection.send(reply) : connection.reset();
            });
        follow(between.endpoint());
    }
    ~ServerSite() { RedisProcess::running().ask({"FLUSHALL"}); }
    ServerSite(const ServerSite&) = delete;
    ServerSite& operator=(const ServerSite&) = delete;

    std::string pass(const RedisPeer::Command& command) {
        return behind.ask_bytes(std::vector<std::string_view>{command.begin(), command.end()});
    }
    // Loses the answer of the next script, once it is there.
    void lose_next() {
        fate = [this](const auto& command) {
            if (command[0] != "EVALSHA") return Fate::passes;
            fate = nullptr;
            return Fate::lost_after;
        };
    }
    SessionRecord record(std::uint64_t key) {
        const StoreTicket ticket = load(key);
        REQUIRE(wait(ticket) == Kind::live);
        return answers[ticket][0].record;
    }
    std::string key(std::uint64_t number) { return redis_key(prefix, key_of(number)); }

    const std::string prefix;
};

SessionChange adding_one() { return {.increments = {{"n", 1}}, .slack_ms = 6 * second}; }

}  // namespace

TEST_CASE("a session is made once, though its answer was lost") {
    ServerSite site;
    site.lose_next();
    const StoreTicket create = site.create(1);
    CHECK(site.wait(create) == Kind::created);
    CHECK(site.answers[create][0].record.attributes == Attributes{{"a", "1"}});
    CHECK(site.between.heard("EVALSHA") == 2);
    CHECK(site.record(1).version == 1);
    CHECK(site.record(1).created_ms == site.answers[create][0].record.created_ms);
    // Another one of the same id is not made.
    CHECK(site.wait(site.create(1)) == Kind::exists);
}

TEST_CASE("a commit is made once, though its answer was lost") {
    for (const bool named : {false, true}) {
        ServerSite site;
        site.wait(site.create(1));
        site.lose_next();
        SessionChange change = adding_one();
        if (named) change.transaction = {7, 1};
        const StoreTicket commit = site.commit(1, change);
        CHECK(site.wait(commit) == Kind::committed);
        CHECK(site.answers[commit][0].record.version == 2);
        CHECK(site.between.heard("EVALSHA") == 3);
        CHECK(site.record(1).version == 2);
        CHECK(site.record(1).attributes == Attributes{{"a", "1"}, {"n", "1"}});
    }
}

TEST_CASE("a new id is given once, though its answer was lost") {
    for (const bool leads_on : {false, true}) {
        ServerSite site;
        site.wait(site.create(1));
        site.lose_next();
        SessionChange change = adding_one();
        change.rotation = Rotation{key_of(2), {}};
        if (leads_on) change.rotation->alias = mint_session_id();
        const StoreTicket commit = site.commit(1, change);
        CHECK(site.wait(commit) == Kind::committed);
        CHECK(site.answers[commit][0].record.version == 2);
        CHECK(site.between.heard("EVALSHA") == 3);
        CHECK(site.record(2).attributes == Attributes{{"a", "1"}, {"n", "1"}});
        CHECK(site.wait(site.load(1)) == (leads_on ? Kind::moved : Kind::dead));
        CHECK(site.reported(RedisReport::Kind::killed) == (leads_on ? 0 : 1));
    }
}

TEST_CASE(
    "F:lost-answer changes of one session whose answers are lost together are made once each") {
    for (const std::uint64_t count : {2U, 3U, 8U}) {
        CAPTURE(count);
        ServerSite site;
        site.wait(site.create(1));
        std::uint64_t lost = 0;
        site.fate = [&](const auto& command) {
            return command[0] == "EVALSHA" && ++lost <= count ? Fate::lost_after : Fate::passes;
        };
        // All of them made for what they were told: with `base`, as a POST with Base is, and adding.
        std::vector<StoreTicket> asked;
        for (std::uint64_t n = 0; n < count; ++n) {
            SessionChange change = adding_one();
            change.set = {{"s" + std::to_string(n), "x"}};
            change.base = 1;
            asked.push_back(site.commit(1, change));
        }
        for (std::uint64_t n = 0; n < count; ++n) {
            CAPTURE(n);
            CHECK(site.wait(asked[n]) == Kind::committed);
            CHECK(site.answers[asked[n]][0].record.version == n + 2);
        }
        CHECK(site.between.heard("EVALSHA") == 1 + 2 * count);
        const SessionRecord record = site.record(1);
        CHECK(record.version == count + 1);
        CHECK(record.attributes.size() == count + 2);
        CHECK(record.attributes[1] == Attributes::value_type{"n", std::to_string(count)});
    }
}

TEST_CASE("F:lost-answer a session is made once, though it was changed before that was known") {
    ServerSite site;
    std::size_t lost = 0;
    site.fate = [&](const auto& command) {
        return command[0] == "EVALSHA" && ++lost <= 2 ? Fate::lost_after : Fate::passes;
    };
    const StoreTicket create = site.create(1);
    const StoreTicket commit = site.commit(1, adding_one());
    CHECK(site.wait(create) == Kind::created);
    CHECK(site.wait(commit) == Kind::committed);
    CHECK(site.record(1).version == 2);
}

TEST_CASE("F:lost-answer what an earlier version of baton has noted is understood") {
    ServerSite site;
    site.wait(site.create(1));
    RedisProcess::running().ask({"HSET", site.key(1), "_w", "c0ffee0123456789.1a"});
    for (const std::uint64_t count : {1U, 2U, 1U, 2U}) {
        SessionChange change = adding_one();
        change.transaction = {7, count};
        const StoreTicket commit = site.commit(1, change);
        CHECK(site.wait(commit) == Kind::committed);
        CHECK(site.answers[commit][0].record.version == count + 1);
    }
    CHECK(site.record(1).version == 3);
}

TEST_CASE("a session is ended, though the answer was lost") {
    ServerSite site;
    site.wait(site.create(1));
    site.lose_next();
    CHECK(site.wait(site.kill(1)) == Kind::done);
    CHECK(site.between.heard("EVALSHA") == 3);
    CHECK(site.wait(site.load(1)) == Kind::dead);
    CHECK(site.reported(RedisReport::Kind::killed) == 1);
}

TEST_CASE("whatever is lost, each increment is there exactly once") {
    ServerSite site;
    site.wait(site.create(1));
    std::uint64_t random = 7;
    site.fate = [&](const auto&) {
        switch (next_random(random) % 8) {
        case 0: return Fate::lost_before;
        case 1: return Fate::lost_after;
        default: return Fate::passes;
        }
    };
    // Four at a time: a session knows its last eight changes.
    for (int i = 0; i < 50; ++i) {
        std::vector<StoreTicket> asked;
        for (int n = 0; n < 4; ++n) asked.push_back(site.commit(1, adding_one()));
        for (const StoreTicket ticket : asked) REQUIRE(site.wait(ticket) == Kind::committed);
    }
    site.fate = nullptr;
    CHECK(site.record(1).attributes == Attributes{{"a", "1"}, {"n", "200"}});
    CHECK(site.record(1).version == 201);
    CHECK(site.store->counters().retries.read() > 10);
}

TEST_CASE("a server that has forgotten the scripts is taught them") {
    ServerSite site;
    site.wait(site.create(1));
    RedisProcess::running().ask({"SCRIPT", "FLUSH"});
    const StoreTicket commit = site.commit(1, adding_one());
    const StoreTicket create = site.create(2);
    site.touch(1);
    const StoreTicket kill = site.kill(2);
    CHECK(site.wait(commit) == Kind::committed);
    CHECK(site.wait(create) == Kind::created);
    CHECK(site.wait(kill) == Kind::done);
    CHECK(site.record(1).attributes == Attributes{{"a", "1"}, {"n", "1"}});
    CHECK(site.between.accepted() == 1);
}

TEST_CASE("a server without memory refuses what takes some, and ends sessions all the same") {
    ServerSite site;
    site.wait(site.create(1));
    site.wait(site.create(2));
    RedisProcess::running().ask({"CONFIG", "SET", "maxmemory", "1"});
    CHECK(site.wait(site.create(3)) == Kind::unavailable);
    CHECK(site.wait(site.commit(1, adding_one())) == Kind::unavailable);
    CHECK(site.record(1).version == 1);
    CHECK(site.record(1).attributes == Attributes{{"a", "1"}});
    CHECK(site.reported(RedisReport::Kind::refused) == 1);
    CHECK(site.wait(site.kill(2)) == Kind::done);
    RedisProcess::running().ask({"CONFIG", "SET", "maxmemory", "0"});
    CHECK(site.wait(site.load(2)) == Kind::dead);
    CHECK(site.wait(site.commit(1, adding_one())) == Kind::committed);
}

TEST_CASE("a server that has too few replicas refuses writes, and a patient one waits") {
    ServerSite site;
    site.wait(site.create(1));
    RedisProcess::running().ask({"CONFIG", "SET", "min-replicas-to-write", "1"});
    const StoreTicket patient = site.commit(1, adding_one());
    CHECK(site.wait(site.commit(1, adding_one(), 0)) == Kind::unavailable);
    CHECK(site.wait(site.load(1)) == Kind::live);
    REQUIRE(site.until([&] { return site.store->counters().refusals.read() >= 3; }));
    CHECK(site.count(patient) == 0);
    RedisProcess::running().ask({"CONFIG", "SET", "min-replicas-to-write", "0"});
    CHECK(site.wait(patient) == Kind::committed);
    CHECK(site.record(1).attributes == Attributes{{"a", "1"}, {"n", "1"}});
}

TEST_CASE("keys of others are no sessions, and stay as they are") {
    ServerSite site;
    RedisProcess::running().ask({"SET", site.key(1), "text"});
    CHECK(site.wait(site.load(1)) == Kind::none);
    CHECK(site.wait(site.create(1)) == Kind::exists);
    CHECK(site.wait(site.commit(1, adding_one())) == Kind::gone);
    CHECK(site.wait(site.kill(1)) == Kind::done);
    site.touch(1);
    CHECK(site.wait(site.load(1)) == Kind::none);
    CHECK(RedisProcess::running().ask({"GET", site.key(1)}).text == "text");
    CHECK(site.store->counters().foreign.read() == 6);
    // A hash that never expires is none of ours, nor is one of other fields.
    RedisProcess::running().ask({"HSET", site.key(2), "_v", "1", "_i", "1000"});
    CHECK(site.wait(site.load(2)) == Kind::none);
    RedisProcess::running().ask({"HSET", site.key(3), "name", "value"});
    RedisProcess::running().ask({"PEXPIRE", site.key(3), "60000"});
    CHECK(site.wait(site.load(3)) == Kind::none);
    CHECK(site.wait(site.commit(3, adding_one())) == Kind::gone);
    CHECK(site.wait(site.kill(3)) == Kind::done);
    CHECK(RedisProcess::running().ask({"HGET", site.key(3), "name"}).text == "value");
}

TEST_CASE("what a session is made of, as it lies there") {
    ServerSite site;
    site.wait(site.create(1));
    SessionChange change = adding_one();
    change.transaction = {0xA, 0xB};
    site.wait(site.commit(1, change));
    const auto field = [&](std::string_view name) {
        return RedisProcess::running().ask({"HGET", site.key(1), name}).text;
    };
    CHECK(RedisProcess::running().ask({"HLEN", site.key(1)}).integer == 10);
    CHECK(field("_v") == "2");
    CHECK(field("_dv") == "0");
    CHECK(field("_i") == "60000");
    CHECK(field("_x") == "0");
    const auto name = redis_name({0xA, 0xB});
    CHECK(field("_w").size() == 16);
    CHECK(field("_w").starts_with(std::string_view{name.data(), name.size()}));
    CHECK(field("_n") == "4");
    CHECK(field("_r") == field("_c"));
    CHECK(field("a:a") == "1:1");
    CHECK(field("a:n") == "2:1");
    // However often it changes, nothing grows but what it holds.
    for (int i = 0; i < 20; ++i) site.wait(site.commit(1, adding_one()));
    CHECK(field("_w").size() == 64);
    CHECK(RedisProcess::running().ask({"OBJECT", "ENCODING", site.key(1)}).text == "listpack");
    site.wait(site.kill(1));
    CHECK(RedisProcess::running().ask({"HLEN", site.key(1)}).integer == 1);
    CHECK(field("_to").empty());
}

}  // namespace baton
