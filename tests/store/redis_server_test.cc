// What a real server makes of it: changes whose answers are lost, refusals of its own, keys of others.

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "session/redis/redis_store.h"
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

// ------------------------------------------------------------ a server that stands still

namespace {

// A store with a connection of its own to the server.
struct DirectSite : StoreSite {
    static RedisStore::Needs impatient(std::chrono::milliseconds answer) {
        RedisStore::Needs needs = ServerSite::own_needs();
        needs.access.times.answer = answer;
        return needs;
    }
    explicit DirectSite(RedisStore::Needs needs) : StoreSite(needs), prefix(needs.prefix) {
        follow(RedisProcess::running().endpoint());
    }
    ~DirectSite() {
        RedisProcess::running().wake();
        RedisProcess::running().ask({"FLUSHALL"});
    }
    DirectSite(const DirectSite&) = delete;
    DirectSite& operator=(const DirectSite&) = delete;

    std::string holds(std::uint64_t key) {
        std::string text;
        for (const RedisReply& one :
             RedisProcess::running().ask({"HGETALL", redis_key(prefix, key_of(key))}).elements)
            text += one.text + " ";
        return text;
    }
    const std::string prefix;
};

}  // namespace

TEST_CASE("F:late-write what was answered unavailable is not done when the server wakes up") {
    DirectSite site(DirectSite::impatient(std::chrono::milliseconds{300}));
    for (std::uint64_t key = 1; key <= 5; ++key)
        REQUIRE(site.wait(site.create(key)) == Kind::created);
    std::vector<std::string> before;
    for (std::uint64_t key = 0; key <= 20; ++key) before.push_back(site.holds(key));
    RedisProcess::running().freeze();
    site.on_wish = nullptr;
    std::vector<StoreTicket> asked;
    // The last ones shortly before the connection is given up for the first ones' sake.
    for (const bool last : {false, true}) {
        if (last) turns_for(site.loop, std::chrono::milliseconds{250});
        asked.push_back(site.commit(last ? 2 : 1, adding_one(), 0));
        SessionChange rotation = adding_one();
        rotation.rotation = Rotation{key_of(last ? 12 : 11), {}};
        asked.push_back(site.commit(3, rotation, 0));
        asked.push_back(site.kill(last ? 5 : 4, 0));
        asked.push_back(site.create(last ? 14 : 13, 0));
        site.touch(1);
    }
    for (const StoreTicket ticket : asked) {
        CHECK(site.wait(ticket) == Kind::unavailable);
        CHECK(site.answers[ticket].size() == 1);
    }
    RedisProcess::running().wake();
    // It has read all that it was sent once the connections that sent it are gone.
    while (RedisProcess::running().ask({"CLIENT", "LIST"}).text.find("name=test") !=
           std::string::npos)
        continue;
    for (std::uint64_t key = 0; key <= 20; ++key) CHECK(site.holds(key) == before[key]);
}

TEST_CASE("F:late-write what waits through a standstill is done once") {
    DirectSite site(DirectSite::impatient(std::chrono::milliseconds{150}));
    REQUIRE(site.wait(site.create(1)) == Kind::created);
    RedisProcess::running().freeze();
    std::vector<StoreTicket> asked;
    for (int i = 0; i < 12; ++i) {
        SessionChange change = adding_one();
        if (i % 3 == 0) change.base = 1;  // "n" was not there then, and nothing was removed
        if (i > 0) change.base.reset();
        asked.push_back(site.commit(1, change));
        if (i == 6) turns_for(site.loop, std::chrono::milliseconds{200});
    }
    turns_for(site.loop, std::chrono::milliseconds{300});
    RedisProcess::running().wake();
    for (const StoreTicket ticket : asked) CHECK(site.wait(ticket) == Kind::committed);
    const StoreTicket load = site.load(1);
    CHECK(site.wait(load) == Kind::live);
    CHECK(site.answers[load][0].record.version == 13);
    CHECK(site.answers[load][0].record.attributes == Attributes{{"a", "1"}, {"n", "12"}});
}

// ------------------------------------------------------------ what does not fit

TEST_CASE("F:full a session that is to be replaced lives on if the new one finds no memory") {
    ServerSite site;
    site.wait(site.create(1));
    const auto replace = [&] {
        NewSession fresh = session_of({{"b", "2"}});
        fresh.replaces = key_of(1);
        const StoreTicket ticket = ++site.last;
        site.store->create(key_of(2), fresh, {.ticket = ticket, .now_ms = 0, .wait_ms = 0});
        return ticket;
    };
    RedisProcess::running().ask({"CONFIG", "SET", "maxmemory", "1"});
    CHECK(site.wait(replace()) == Kind::unavailable);
    RedisProcess::running().ask({"CONFIG", "SET", "maxmemory", "0"});
    CHECK(site.record(1).attributes == Attributes{{"a", "1"}});
    CHECK(site.wait(site.load(2)) == Kind::none);
    CHECK(site.reported(RedisReport::Kind::killed) == 0);
    // The answer is lost: it is done once all the same, and the dead id is reported.
    site.lose_next();
    const StoreTicket patient = ++site.last;
    NewSession fresh = session_of({{"b", "2"}});
    fresh.replaces = key_of(1);
    site.store->create(key_of(2), fresh, {.ticket = patient, .now_ms = 0, .wait_ms = 20'000});
    CHECK(site.wait(patient) == Kind::created);
    CHECK(site.wait(site.load(1)) == Kind::dead);
    CHECK(site.record(2).attributes == Attributes{{"b", "2"}});
    REQUIRE(site.reported(RedisReport::Kind::killed) == 1);
    CHECK(site.reports.back().key == key_of(1));
    // Every key expires.
    for (const std::uint64_t key : {1U, 2U})
        CHECK(RedisProcess::running().ask({"PTTL", site.key(key)}).integer > 0);
    // A key of somebody else's is left alone.
    RedisProcess::running().ask({"SET", site.key(5), "text"});
    fresh.replaces = key_of(5);
    const StoreTicket other = ++site.last;
    site.store->create(key_of(6), fresh, {.ticket = other, .now_ms = 0, .wait_ms = 0});
    CHECK(site.wait(other) == Kind::created);
    CHECK(RedisProcess::running().ask({"GET", site.key(5)}).text == "text");
}

TEST_CASE("F:poison a planted session of any size is none, and nobody else waits") {
    DirectSite site(DirectSite::impatient(std::chrono::seconds{20}));
    for (std::uint64_t key = 1; key <= 4; ++key)
        REQUIRE(site.wait(site.create(key)) == Kind::created);
    // 100,000 fields, a value of 20 MB, and many values of 1 MB.
    RedisProcess::running().ask({"EVAL",
                                 "for i=1,100000 do redis.call('HSET',KEYS[1],'a:n'..i,'1:x') end "
                                 "redis.call('HSET',KEYS[2],'a:v','1:'..string.rep('x',20000000)) "
                                 "for i=1,18 do redis.call('HSET',KEYS[3],'a:v'..i,"
                                 "'1:'..string.rep('x',1000000)) end",
                                 "3", redis_key(site.prefix, key_of(1)),
                                 redis_key(site.prefix, key_of(2)),
                                 redis_key(site.prefix, key_of(3))});
    for (int round = 0; round < 2; ++round) {
        std::vector<StoreTicket> poisoned;
        for (std::uint64_t key = 1; key <= 3; ++key) poisoned.push_back(site.load(key));
        const StoreTicket other = site.load(4);
        CHECK(site.wait(other) == Kind::live);
        for (const StoreTicket ticket : poisoned) CHECK(site.wait(ticket) == Kind::none);
    }
    CHECK(site.store->counters().too_large.read() == 3);
    CHECK(site.store->counters().losses.read() == 0);
    CHECK(site.store->counters().retries.read() == 0);
    // They can be ended.
    CHECK(site.wait(site.kill(1)) == Kind::done);
    CHECK(site.wait(site.load(1)) == Kind::dead);
}

TEST_CASE(
    "F:no-abort fields that nobody could have set harm neither their session nor a change of it") {
    ServerSite site;
    site.wait(site.create(1));
    RedisProcess::running().ask(
        {"HSET", site.key(1), "a:\xff\xfe", "1:x", "a:", "", "other", "x", "a:b c", "1:y"});
    CHECK(site.record(1).attributes == Attributes{{"a", "1"}});
    CHECK(site.store->counters().foreign.read() == 4);
    RedisProcess::running().ask({"HSET", site.key(1), "a:odd", "no version"});
    // A name that is there with a value of somebody else's is set, added to, and removed.
    SessionChange change = setting({{"odd", "1"}});
    change.base = 1;
    CHECK(site.wait(site.commit(1, change)) == Kind::committed);
    CHECK(site.record(1).attributes == Attributes{{"a", "1"}, {"odd", "1"}});
    RedisProcess::running().ask({"HSET", site.key(1), "a:odd", "no version"});
    CHECK(site.wait(site.commit(1, SessionChange{.increments = {{"odd", 1}}})) ==
          Kind::not_integer);
    CHECK(site.wait(site.commit(1, setting({}, {"odd"}))) == Kind::committed);
    CHECK(site.record(1).attributes == Attributes{{"a", "1"}});
}

}  // namespace baton
