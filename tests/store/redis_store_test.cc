// What only the table in Redis has: a connection that can be lost at any moment, a server that refuses, and questions
// that wait.

#include "session/redis/redis_store.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "session/ended_sessions.h"
#include "tests/store/fake_master.h"
#include "tests/store/shifted_clock.h"
#include "tests/store/store_site.h"
#include "tests/store/table_fixture.h"

namespace baton {
namespace {

using namespace test;
using namespace std::chrono_literals;
using Report = RedisReport::Kind;

const std::string noreplicas = resp_error("NOREPLICAS Not enough good replicas to write.");
const std::string oom = resp_error("OOM command not allowed when used memory > 'maxmemory'.");
const std::string noscript = resp_error("NOSCRIPT No matching script. Please use EVAL.");
const std::string wrong_type =
    resp_error("WRONGTYPE Operation against a key holding the wrong kind of value");

// A store that is ready, with its server.
struct ReadySite : StoreSite {
    FakeMaster master{loop};
    explicit ReadySite(RedisStore::Needs needs = usual()) : StoreSite(std::move(needs)) {
        follow(master.endpoint());
    }
};

// Whoever asks for `key` is answered with `bytes`, for any other one with a session.
void poison(ReadySite& site, const std::string& key, const std::string& bytes) {
    site.master.peer.on("HGETALL", [=](auto& connection, const RedisPeer::Command& command) {
        connection.send(command[1] == key ? bytes : resp_session());
    });
}

std::vector<std::string> commands(const RedisPeer& peer, std::string_view beginning) {
    std::vector<std::string> all;
    for (const std::string& line : peer.heard())
        if (line.starts_with(beginning)) all.push_back(line);
    return all;
}

}  // namespace

TEST_CASE("questions are answered, each by its own answer") {
    ReadySite site;
    const StoreTicket load = site.load(1);
    const StoreTicket create = site.create(2);
    const StoreTicket commit = site.commit(3);
    const StoreTicket kill = site.kill(4);
    CHECK(site.wait(kill) == Kind::done);
    CHECK(site.wait(load) == Kind::live);
    CHECK(site.answers[load][0].record.attributes == Attributes{{"a", "1"}});
    CHECK(site.wait(create) == Kind::created);
    CHECK(site.wait(commit) == Kind::committed);
    CHECK(site.answers[commit][0].record.version == 2);
    CHECK(site.store->counters().commands.read() == 5);
    CHECK(site.store->counters().retries.read() == 0);
}

TEST_CASE("all that is asked in one turn of the loop leaves in one write") {
    ReadySite site;
    site.wait(site.load(0));
    const std::uint64_t before = site.store->tcp().writes;
    StoreTicket last = 0;
    for (std::uint64_t n = 0; n < 5; ++n) {
        site.load(n);
        site.create(n);
        site.commit(n);
        site.touch(n);
        last = site.kill(n);
    }
    site.wait(last);
    CHECK(site.store->tcp().writes == before + 1);
}

TEST_CASE(
    "F:many-cookies several sessions are asked for in one write, and each has its own answer") {
    ReadySite site;
    site.wait(site.load(0));
    const std::uint64_t writes = site.store->tcp().writes;
    const std::uint64_t commands = site.store->counters().commands.read();
    std::vector<SessionKey> keys;
    for (std::uint64_t n = 1; n <= 16; ++n) keys.push_back(key_of(n));
    const StoreTicket several = site.load_several(keys);
    CHECK(site.wait(several) == Kind::several);
    CHECK(site.store->tcp().writes == writes + 1);
    CHECK(site.store->counters().commands.read() == commands + 32);
    REQUIRE(site.answers[several][0].each.size() == 16);
    for (const StoreAnswer& one : site.answers[several][0].each) {
        CHECK(one.kind == Kind::live);
        CHECK(one.record.attributes == Attributes{{"a", "1"}});
    }
}

TEST_CASE("F:many-cookies a key that holds no session hides none beside it") {
    ReadySite site;
    int asked = 0;
    site.master.peer.on("HGETALL",
                        [&](RedisPeer::Connection& connection, const RedisPeer::Command&) {
                            connection.send(++asked == 2 ? wrong_type : resp_session());
                        });
    const StoreTicket several = site.load_several({key_of(1), key_of(2), key_of(3)});
    REQUIRE(site.wait(several) == Kind::several);
    std::vector<Kind> kinds;
    for (const StoreAnswer& one : site.answers[several][0].each) kinds.push_back(one.kind);
    CHECK(kinds == std::vector<Kind>{Kind::live, Kind::none, Kind::live});
    CHECK(site.store->counters().foreign.read() == 1);
}

TEST_CASE("F:many-cookies several are asked again with their connection, and answered once") {
    ReadySite site;
    int asked = 0;
    site.master.peer.on("HGETALL",
                        [&](RedisPeer::Connection& connection, const RedisPeer::Command&) {
                            if (++asked == 2) return connection.close();
                            connection.send(resp_session());
                        });
    const StoreTicket several = site.load_several({key_of(1), key_of(2), key_of(3)});
    CHECK(site.wait(several) == Kind::several);
    CHECK(site.answers[several][0].each.size() == 3);
    CHECK(site.count(several) == 1);
}

TEST_CASE(
    "who is killed is reported, and an id that is dead by a rotation, but none that leads on") {
    ReadySite site;
    site.wait(site.kill(1));
    SessionChange change = setting({});
    change.rotation = Rotation{key_of(3), {}};
    site.wait(site.commit(2, change));
    change.rotation = Rotation{key_of(5), mint_session_id()};
    site.wait(site.commit(4, change));
    site.master.on_script(RedisScript::kill, resp_texts({"MOVED", std::string(32, 'A')}));
    CHECK(site.wait(site.kill(6)) == Kind::moved);
    site.master.on_script(RedisScript::commit, resp_array({resp_text("LIMIT")}));
    change.rotation = Rotation{key_of(8), {}};
    CHECK(site.wait(site.commit(7, change)) == Kind::limit);
    REQUIRE(site.reported(Report::killed) == 2);
    CHECK(site.reports[0].key == key_of(1));
    CHECK(site.reports[1].key == key_of(2));
}

// ------------------------------------------------------------ connections lost

TEST_CASE("every question is answered exactly once, whatever is lost at whatever moment") {
    const char* given = std::getenv("BATON_SEED");
    const std::uint64_t first = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
    for (std::uint64_t seed = first; seed < first + 60; ++seed) {
        CAPTURE(seed);
        std::uint64_t random = seed * 0x9E37'79B9'7F4A'7C15;
        const auto roll = [&](std::uint64_t sides) { return next_random(random) % sides; };
        RedisStore::Needs needs = StoreSite::usual();
        needs.access.times.answer = 30ms;
        needs.wait_queue_max = 10;
        StoreSite site(needs);
        FakeMaster master(site.loop);
        FakeMaster other(site.loop);
        bool healthy = false;
        const auto disturb = [&](RedisPeer::Connection& connection, const std::string& good) {
            if (healthy) return connection.send(good);
            switch (roll(24)) {
            case 0: return connection.close();
            case 1: return connection.reset();
            case 2: connection.silent = true; return;
            case 3: connection.send(good.substr(0, roll(good.size()))); return connection.close();
            case 4: return connection.send(resp_error("LOADING Redis is loading the dataset"));
            case 5:
                return connection.send(resp_error("READONLY You can't write against a replica"));
            case 6: return connection.send(noscript);
            case 7: return connection.send(noreplicas);
            case 8: return connection.send(resp_status("what"));
            case 9: return connection.send("no protocol at all\r\n");
            case 10: connection.send(good); return connection.close();
            default: return connection.send(good);
            }
        };
        for (FakeMaster* each : {&master, &other}) {
            each->peer.on("HGETALL",
                          [&](auto& connection, auto&) { disturb(connection, resp_session()); });
            each->peer.on("EVALSHA", [&](auto& connection, const RedisPeer::Command& command) {
                if (FakeMaster::is(command, RedisScript::create))
                    disturb(connection, resp_created());
                else if (FakeMaster::is(command, RedisScript::commit))
                    disturb(connection, resp_committed());
                else if (FakeMaster::is(command, RedisScript::kill))
                    disturb(connection, resp_killed());
                else
                    disturb(connection, resp_integer(1));
            });
        }
        const auto follow_one = [&] {
            site.store->follow({roll(4) == 0 ? other.endpoint() : master.endpoint(), 0});
        };
        site.on_wish = follow_one;
        follow_one();
        std::set<StoreTicket> forgotten;
        for (int step = 0; step < 120; ++step) {
            const std::uint64_t key = roll(5);
            const std::int64_t wait_ms = std::vector<std::int64_t>{0, 20, 20'000}[roll(3)];
            switch (roll(12)) {
            case 0:
            case 1: site.load(key, wait_ms); break;
            case 2: site.create(key, wait_ms); break;
            case 3:
            case 4: site.commit(key, setting({{"a", "2"}}), wait_ms); break;
            case 5: site.kill(key, wait_ms); break;
            case 6: site.touch(key); break;
            case 7: {
                const StoreTicket ticket = site.last == 0 ? 0 : 1 + roll(site.last);
                if (site.count(ticket) > 0 || ticket == 0) break;
                site.store->forget(ticket);
                forgotten.insert(ticket);
                break;
            }
            case 8:
                if (roll(8) == 0) site.store->follow({});
                if (roll(8) == 0) follow_one();
                break;
            case 9: master.peer.reset_all(); break;
            default:
                for (std::uint64_t turns = roll(6); turns > 0; --turns) site.loop.turn();
            }
        }
        healthy = true;
        master.peer.silence(false);
        other.peer.silence(false);
        follow_one();
        const auto all_answered = [&] {
            for (StoreTicket ticket = 1; ticket <= site.last; ++ticket)
                if (site.count(ticket) == 0 && !forgotten.contains(ticket)) return false;
            return site.store->counters().waiting.read() == 0;
        };
        REQUIRE(site.until(all_answered));
        // Nothing comes behind that.
        site.wait(site.load(1));
        for (StoreTicket ticket = 1; ticket <= site.last; ++ticket)
            REQUIRE(site.count(ticket) == (forgotten.contains(ticket) ? 0 : 1));
    }
}

TEST_CASE("what was not answered in time is asked again, or nobody knows") {
    RedisStore::Needs needs = StoreSite::usual();
    needs.access.times.answer = 50ms;
    ReadySite site(needs);
    site.master.peer.silence(true);
    const StoreTicket patient = site.load(1);
    const StoreTicket hurried = site.load(2, 0);
    const StoreTicket commit = site.commit(3);
    CHECK(site.wait(hurried) == Kind::unavailable);
    CHECK(site.count(patient) == 0);
    site.master.peer.silence(false);
    CHECK(site.wait(patient) == Kind::live);
    CHECK(site.wait(commit) == Kind::committed);
    CHECK(site.store->counters().retries.read() >= 2);
    CHECK(site.store->counters().losses.read() >= 1);
    CHECK(site.store->counters().unavailable.read() == 1);
}

TEST_CASE("a change whose answer was lost is asked again under the same name") {
    for (const RedisScript script : {RedisScript::create, RedisScript::commit, RedisScript::kill}) {
        ReadySite site;
        site.master.on_script(script, [&](RedisPeer::Connection& connection, const auto&) {
            site.master.peer.on("EVALSHA", FakeMaster::answer);
            connection.close();
        });
        const StoreTicket ticket = script == RedisScript::create   ? site.create(1)
                                   : script == RedisScript::commit ? site.commit(1)
                                                                   : site.kill(1);
        const Kind kind = site.wait(ticket);
        CHECK((kind == Kind::created || kind == Kind::committed || kind == Kind::done));
        // But for the time until which it may be made.
        const auto heard = commands(site.master.peer, "EVALSHA");
        REQUIRE(heard.size() == 2);
        CHECK(heard[0].substr(0, heard[0].rfind(' ')) == heard[1].substr(0, heard[1].rfind(' ')));
        CHECK(site.store->counters().retries.read() == 1);
    }
}

TEST_CASE("no two changes have one name") {
    ReadySite site;
    ReadySite other;
    std::set<std::string> names;
    for (ReadySite* each : {&site, &other}) {
        for (int i = 0; i < 20; ++i) {
            each->create(1);
            each->wait(each->commit(1));
        }
        const auto& peer = each->master.peer;
        for (const auto& connection : each->master.peer.connections())
            for (const RedisPeer::Command& command : connection->asked) {
                if (FakeMaster::is(command, RedisScript::create)) names.insert(command[7]);
                if (FakeMaster::is(command, RedisScript::commit)) names.insert(command[9]);
            }
        CHECK(peer.heard("EVALSHA") == 40);
    }
    CHECK(names.size() == 80);
}

TEST_CASE("a commit that has a name keeps it, in any store") {
    ReadySite site;
    SessionChange change = setting({{"a", "1"}});
    change.transaction = {0xABC, 0x10};
    site.wait(site.commit(1, change));
    const auto name = redis_name({0xABC, 0x10});
    CHECK(site.master.peer.connections()[0]->asked.back()[9] ==
          std::string(name.data(), name.size()));
}

TEST_CASE("questions that were asked go before those that waited, in their order") {
    ReadySite site;
    site.master.peer.silence(true);
    const StoreTicket first = site.commit(1);
    const StoreTicket second_one = site.load(2);
    REQUIRE(site.until([&] { return site.master.peer.heard("HGETALL") == 1; }));
    site.on_wish = nullptr;
    site.master.peer.reset_all();
    REQUIRE(site.until([&] { return !site.store->is_ready(); }));
    const StoreTicket third = site.kill(3);
    CHECK(site.store->counters().waiting.read() == 3);
    FakeMaster next(site.loop);
    std::vector<StoreTicket> order;
    site.on_answer = [&](StoreTicket ticket) { order.push_back(ticket); };
    site.follow(next.endpoint());
    site.wait(third);
    CHECK(order == std::vector<StoreTicket>{first, second_one, third});
    CHECK(site.store->counters().waiting.read() == 0);
}

TEST_CASE("touches are not asked again, and another one may follow") {
    ReadySite site;
    site.master.peer.silence(true);
    site.touch(1);
    REQUIRE(site.until([&] { return site.master.heard(RedisScript::touch) == 1; }));
    site.master.peer.silence(false);
    site.master.peer.reset_all();
    REQUIRE(site.until([&] { return site.store->counters().connections.read() == 2; }));
    site.wait(site.load(1));
    CHECK(site.master.heard(RedisScript::touch) == 1);
    CHECK(site.store->counters().touches_dropped.read() == 1);
    site.touch(1);
    site.wait(site.load(1));
    CHECK(site.master.heard(RedisScript::touch) == 2);
}

// ------------------------------------------------------------ who follows

TEST_CASE("told that there is no master a store leaves at once, and what was asked waits") {
    ReadySite site;
    site.master.peer.silence(true);
    const StoreTicket patient = site.load(1);
    const StoreTicket hurried = site.load(2, 0);
    REQUIRE(site.until([&] { return site.master.peer.heard("HGETALL") == 2; }));
    site.store->follow({});
    CHECK(!site.store->is_ready());
    CHECK(site.count(hurried) == 1);
    CHECK(site.count(patient) == 0);
    CHECK(site.answers[site.load(3, 0)][0].kind == Kind::unavailable);
    REQUIRE(site.until([&] { return site.master.peer.connections().empty(); }));
    FakeMaster next(site.loop);
    site.follow(next.endpoint());
    CHECK(site.wait(patient) == Kind::live);
    CHECK(site.master.peer.accepted() == 1);
}

TEST_CASE("told of the same master again a store keeps its connection") {
    ReadySite site;
    site.store->follow({site.master.endpoint(), 7});
    site.wait(site.load(1));
    CHECK(site.master.peer.accepted() == 1);
    CHECK(site.store->counters().connections.read() == 1);
}

TEST_CASE("a server that is no master is left, and the next one is asked") {
    for (const char* text :
         {"READONLY You can't write against a read only replica.",
          "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
          "ERR Error running script: READONLY You can't write against a read only replica."}) {
        CAPTURE(text);
        ReadySite site;
        FakeMaster next(site.loop);
        site.on_wish = [&] { site.store->follow({next.endpoint(), 0}); };
        site.master.peer.on("EVALSHA", resp_error(text));
        const StoreTicket patient = site.commit(1);
        const StoreTicket hurried = site.commit(2, setting({}), 0);
        CHECK(site.wait(hurried) == Kind::unavailable);
        CHECK(site.wait(patient) == Kind::committed);
        CHECK(site.reported(Report::wants_master) == 1);
        CHECK(next.heard(RedisScript::commit) == 1);
        REQUIRE(site.until([&] { return site.master.peer.connections().empty(); }));
    }
}

TEST_CASE("a server that was made a replica is left by its own word") {
    ReadySite site;
    FakeMaster next(site.loop);
    site.on_wish = [&] { site.store->follow({next.endpoint(), 0}); };
    site.master.role = "slave";
    REQUIRE(site.until([&] { return next.peer.accepted() == 1; }));
    CHECK(site.wait(site.load(1)) == Kind::live);
    CHECK(next.peer.heard("HGETALL") == 1);
}

TEST_CASE("a server that loads its data or runs a script is left and tried again") {
    for (const char* text : {"LOADING Redis is loading the dataset in memory",
                             "BUSY Redis is busy running a script."}) {
        CAPTURE(text);
        ReadySite site;
        site.master.peer.on("HGETALL", [&](RedisPeer::Connection& connection, const auto&) {
            site.master.peer.on("HGETALL", resp_session());
            connection.send(resp_error(text));
        });
        const StoreTicket patient = site.load(1);
        const StoreTicket hurried = site.load(2, 0);
        CHECK(site.wait(hurried) == Kind::unavailable);
        CHECK(site.wait(patient) == Kind::live);
        CHECK(site.master.peer.accepted() == 2);
        CHECK(site.store->counters().losses.read() == 1);
    }
}

TEST_CASE("a wait after each loss: none, then longer and longer, up to a second") {
    for (const std::uint64_t seed : {0U, 1U, 2U, 77U}) {
        BackOff back_off(seed);
        CHECK(back_off.next() == 0ms);
        auto before = 0ms;
        for (int i = 0; i < 4; ++i) {
            const auto next = back_off.next();
            CHECK(next > before);
            CHECK(next < 1000ms);
            before = next;
        }
        for (int i = 0; i < 100; ++i) {
            const auto next = back_off.next();
            CHECK(next >= 500ms);
            CHECK(next <= 1000ms);
        }
        back_off.reset();
        CHECK(back_off.next() == 0ms);
    }
    CHECK(BackOff(1).next() == 0ms);
    BackOff one(1);
    BackOff other(99);
    std::vector<std::chrono::milliseconds> waits_of_one;
    std::vector<std::chrono::milliseconds> waits_of_other;
    for (int i = 0; i < 10; ++i) {
        waits_of_one.push_back(one.next());
        waits_of_other.push_back(other.next());
    }
    CHECK(waits_of_one != waits_of_other);
}

TEST_CASE("a store without a connection wants a master, once for each attempt") {
    ReadySite site;
    site.master.peer.refuse();
    site.master.peer.reset_all();
    REQUIRE(site.until([&] { return site.reported(Report::wants_master) >= 4; }));
    CHECK(site.store->counters().losses.read() >= 4);
    CHECK(site.answers[site.load(1, 0)][0].kind == Kind::unavailable);
    site.master.peer.listen();
    CHECK(site.wait(site.load(1)) == Kind::live);
}

// ------------------------------------------------------------ what a server refuses

TEST_CASE("a script that the server does not know is loaded, and asked again") {
    ReadySite site;
    const std::size_t loads = site.master.peer.heard("SCRIPT LOAD");
    site.master.on_script(RedisScript::commit, [&](RedisPeer::Connection& connection, const auto&) {
        site.master.peer.on("EVALSHA", FakeMaster::answer);
        connection.send(noscript);
    });
    CHECK(site.wait(site.commit(1)) == Kind::committed);
    const auto loaded = commands(site.master.peer, "SCRIPT LOAD");
    REQUIRE(loaded.size() == loads + 1);
    CHECK(loaded.back() == "SCRIPT LOAD " + std::string{text_of(RedisScript::commit)});
    const auto asked = commands(site.master.peer, "EVALSHA");
    REQUIRE(asked.size() == 2);
    CHECK(asked[0].substr(0, asked[0].rfind(' ')) == asked[1].substr(0, asked[1].rfind(' ')));
    CHECK(site.master.peer.accepted() == 1);
}

TEST_CASE("a server that never knows a script is not asked for ever") {
    ReadySite site;
    site.master.on_script(RedisScript::commit, noscript);
    const StoreTicket commit = site.commit(1);
    const StoreTicket behind = site.load(2);
    CHECK(site.wait(commit) == Kind::unavailable);
    CHECK(site.wait(behind) == Kind::live);
    CHECK(site.master.heard(RedisScript::commit) == 4);
    CHECK(site.master.peer.accepted() == 1);
}

TEST_CASE("in the first 10 s of a new master a write waits for its replicas") {
    ReadySite site;
    site.master.on_script(RedisScript::commit, noreplicas);
    const StoreTicket patient = site.commit(1);
    const StoreTicket hurried = site.commit(2, setting({}), 0);
    CHECK(site.wait(hurried) == Kind::unavailable);
    REQUIRE(site.until([&] { return site.master.heard(RedisScript::commit) >= 4; }));
    CHECK(site.count(patient) == 0);
    CHECK(site.reported(Report::refused) == 1);
    CHECK(site.reported(Report::written) == 0);
    // Reads go on meanwhile.
    CHECK(site.wait(site.load(1)) == Kind::live);
    site.master.peer.on("EVALSHA", FakeMaster::answer);
    CHECK(site.wait(patient) == Kind::committed);
    CHECK(site.reported(Report::written) == 1);
    CHECK(site.store->counters().refusals.read() >= 3);
    CHECK(site.master.peer.accepted() == 1);
    // As long as it may.
    site.master.on_script(RedisScript::commit, noreplicas);
    CHECK(site.wait(site.commit(1, setting({}), 150)) == Kind::unavailable);
}

TEST_CASE("after the first 10 s of a master a refused write is told at once") {
    ReadySite site;
    put_clock_forward(10s);
    site.wait(site.load(1));
    site.master.on_script(RedisScript::commit, noreplicas);
    CHECK(site.wait(site.commit(1)) == Kind::unavailable);
    CHECK(site.master.heard(RedisScript::commit) == 1);
    // Another master begins anew, the same one does not.
    site.store->follow({site.master.endpoint(), 9});
    CHECK(site.wait(site.commit(1)) == Kind::unavailable);
    CHECK(site.master.heard(RedisScript::commit) == 2);
    FakeMaster next(site.loop);
    next.on_script(RedisScript::commit, noreplicas);
    site.follow(next.endpoint());
    const StoreTicket patient = site.commit(1);
    REQUIRE(site.until([&] { return next.heard(RedisScript::commit) >= 2; }));
    CHECK(site.count(patient) == 0);
    next.peer.on("EVALSHA", FakeMaster::answer);
    CHECK(site.wait(patient) == Kind::committed);
}

TEST_CASE("a server without memory, or that cannot save, refuses writes and answers reads") {
    for (const std::string& text :
         {oom, resp_error("MISCONF Redis is configured to save RDB snapshots")}) {
        CAPTURE(text);
        ReadySite site;
        site.master.peer.on("EVALSHA", text);
        CHECK(site.wait(site.commit(1)) == Kind::unavailable);
        CHECK(site.wait(site.create(1)) == Kind::unavailable);
        CHECK(site.wait(site.kill(1)) == Kind::unavailable);
        CHECK(site.wait(site.load(1)) == Kind::live);
        CHECK(site.reported(Report::refused) == 1);
        CHECK(site.reported(Report::killed) == 0);
        CHECK(site.master.peer.accepted() == 1);
        site.master.peer.on("EVALSHA", FakeMaster::answer);
        CHECK(site.wait(site.commit(1)) == Kind::committed);
        CHECK(site.reported(Report::written) == 1);
    }
}

TEST_CASE("F:full what takes no memory is no sign that writes are done again") {
    ReadySite site;
    site.master.peer.on("EVALSHA", oom);
    CHECK(site.wait(site.commit(1)) == Kind::unavailable);
    site.master.on_script(RedisScript::kill, resp_killed());
    CHECK(site.wait(site.kill(1)) == Kind::done);
    put_clock_forward(1s);
    site.master.on_script(RedisScript::touch, resp_integer(1));
    site.touch(2);
    site.wait(site.load(2));
    CHECK(site.master.heard(RedisScript::touch) == 1);
    CHECK(site.reported(Report::written) == 0);
    CHECK(site.wait(site.create(3)) == Kind::created);
    CHECK(site.reported(Report::written) == 1);
}

TEST_CASE("touches rest while writes are refused") {
    ReadySite site;
    site.master.peer.on("EVALSHA", oom);
    site.touch(1);
    site.wait(site.load(1));
    CHECK(site.master.heard(RedisScript::touch) == 1);
    CHECK(site.store->counters().touches_dropped.read() == 1);
    for (std::uint64_t n = 1; n < 5; ++n) site.touch(n);
    site.wait(site.load(1));
    CHECK(site.master.heard(RedisScript::touch) == 1);
    CHECK(site.store->counters().touches_dropped.read() == 5);
    // For a second.
    put_clock_forward(1s);
    site.master.peer.on("EVALSHA", FakeMaster::answer);
    site.touch(1);
    site.wait(site.load(1));
    CHECK(site.master.heard(RedisScript::touch) == 2);
    site.touch(1);
    site.wait(site.load(1));
    CHECK(site.master.heard(RedisScript::touch) == 3);
}

TEST_CASE("of each key one touch is under way, at most") {
    ReadySite site;
    std::vector<RedisPeer::Connection*> asked;
    site.master.on_script(RedisScript::touch, [&](RedisPeer::Connection& connection, const auto&) {
        asked.push_back(&connection);
    });
    for (int i = 0; i < 3; ++i) site.touch(1);
    site.touch(2);
    REQUIRE(site.until([&] { return asked.size() == 2; }));
    for (int i = 0; i < 3; ++i) site.touch(1);
    for (RedisPeer::Connection* connection : asked) connection->send(resp_integer(1));
    site.wait(site.load(1));
    CHECK(asked.size() == 2);
    CHECK(site.store->counters().touches_dropped.read() == 0);
    site.touch(1);
    REQUIRE(site.until([&] { return asked.size() == 3; }));
}

TEST_CASE("a key that holds something else is no session, and is left alone") {
    ReadySite site;
    site.master.peer.on("HGETALL", wrong_type);
    site.master.peer.on("EVALSHA", wrong_type);
    CHECK(site.wait(site.load(1)) == Kind::none);
    CHECK(site.wait(site.create(1)) == Kind::exists);
    CHECK(site.wait(site.commit(1)) == Kind::gone);
    CHECK(site.wait(site.kill(1)) == Kind::done);
    site.touch(1);
    CHECK(site.wait(site.load(1)) == Kind::none);
    CHECK(site.store->counters().foreign.read() == 6);
    CHECK(site.reported(Report::killed) == 0);
    CHECK(site.master.peer.accepted() == 1);
}

TEST_CASE("an answer that nobody understands is none, and harms no other") {
    for (const std::string& what :
         {resp_integer(5), resp_status("what"), std::string{resp_nil}, std::string{"*0\r\n"},
          resp_array({resp_text("OK")}), resp_texts({"MOVED", "no id"}), resp_texts({"OH", "NO"}),
          resp_error("ERR something"), resp_error("NOPERM this user has no permissions")}) {
        CAPTURE(what);
        ReadySite site;
        site.master.peer.on("EVALSHA", what);
        const StoreTicket create = site.create(1);
        const StoreTicket commit = site.commit(1);
        const StoreTicket kill = site.kill(1);
        const StoreTicket load = site.load(1);
        CHECK(site.wait(load) == Kind::live);
        CHECK(site.wait(create) == Kind::unavailable);
        CHECK(site.wait(commit) == Kind::unavailable);
        CHECK(site.wait(kill) == Kind::unavailable);
        CHECK(site.reported(Report::killed) == 0);
        CHECK(site.master.peer.accepted() == 1);
    }
    for (const std::string& what : {resp_integer(5), resp_texts({"_v"}), std::string{resp_nil},
                                    resp_texts({"_to", "no id"}), resp_texts({"a:a", "1"})}) {
        CAPTURE(what);
        ReadySite site;
        site.master.peer.on("HGETALL", what);
        CHECK(site.wait(site.load(1)) == Kind::unavailable);
    }
}

// ------------------------------------------------------------ what comes too late

namespace {

constexpr std::int64_t server_ms = 1'700'000'000'000;  // as the scripted server tells
std::string resp_late(std::int64_t now_ms) {
    return resp_array({resp_text("LATE"), resp_integer(now_ms)});
}
std::int64_t latest_of(const RedisPeer::Command& command) { return std::stoll(command.back()); }

StoreTicket ask_change(StoreSite& site, RedisScript script, std::int64_t wait_ms = 20'000) {
    switch (script) {
    case RedisScript::create: return site.create(1, wait_ms);
    case RedisScript::commit: return site.commit(1, setting({{"a", "2"}}), wait_ms);
    default: return site.kill(1, wait_ms);
    }
}
constexpr RedisScript changing[] = {RedisScript::create, RedisScript::commit, RedisScript::kill};

}  // namespace

TEST_CASE("F:late-write each change says until when it may be made, by the server's clock") {
    RedisStore::Needs needs = StoreSite::usual();
    needs.access.times.answer = 7000ms;
    ReadySite site(needs);
    std::vector<std::int64_t> latest;
    site.master.peer.on("EVALSHA", [&](auto& connection, const RedisPeer::Command& command) {
        latest.push_back(latest_of(command));
        FakeMaster::answer(connection, command);
    });
    for (const RedisScript script : changing) site.wait(ask_change(site, script));
    site.touch(2);
    site.wait(site.load(2));
    REQUIRE(latest.size() == 4);
    for (const std::int64_t at : latest) {
        CHECK(at >= server_ms + 7000);
        CHECK(at < server_ms + 7000 + 20'000);  // the server's clock does not go on
    }
    // A clock that has jumped is noticed within a second; this process' own has nothing to do with it.
    site.master.peer.on("TIME", resp_texts({"1800000000", "500000"}));
    const std::size_t beats = site.master.peer.heard("TIME");
    REQUIRE(site.until([&] { return site.master.peer.heard("TIME") > beats; }));
    site.wait(site.load(2));
    site.wait(site.commit(1));
    CHECK(latest.back() >= 1'800'000'007'500);
}

TEST_CASE("F:late-write a change that came too late is sent again by the clock that it met") {
    for (const RedisScript script : changing) {
        ReadySite site;
        std::vector<RedisPeer::Command> asked;
        site.master.on_script(script, [&](auto& connection, const RedisPeer::Command& command) {
            asked.push_back(command);
            if (asked.size() > 2) return FakeMaster::answer(connection, command);
            connection.send(resp_late(server_ms + 1'000'000));
        });
        const Kind kind = site.wait(ask_change(site, script));
        CHECK((kind == Kind::created || kind == Kind::committed || kind == Kind::done));
        REQUIRE(asked.size() == 3);
        CHECK(latest_of(asked[0]) < server_ms + 1'000'000);
        CHECK(latest_of(asked[1]) >= server_ms + 1'000'000 + 20'000);
        // The same change, by its name.
        for (auto* command : {&asked[0], &asked[1], &asked[2]}) command->pop_back();
        CHECK(asked[0] == asked[1]);
        CHECK(asked[0] == asked[2]);
        CHECK(site.master.peer.accepted() == 1);
    }
}

TEST_CASE("F:late-write a change that always comes too late is not sent for ever, nor is a touch") {
    ReadySite site;
    site.master.peer.on("EVALSHA", resp_late(server_ms));
    const StoreTicket commit = site.commit(1);
    const StoreTicket behind = site.load(2);
    site.touch(3);
    CHECK(site.wait(commit) == Kind::unavailable);
    CHECK(site.wait(behind) == Kind::live);
    CHECK(site.master.heard(RedisScript::commit) == 4);
    CHECK(site.master.heard(RedisScript::touch) == 1);
    CHECK(site.reported(Report::killed) == 0);
}

TEST_CASE("F:late-write nobody is told that a change was not made while it still may be") {
    for (const bool times_out : {false, true}) {
        for (const RedisScript script : changing) {
            CAPTURE(times_out);
            RedisStore::Needs needs = StoreSite::usual();
            needs.access.times.answer = 400ms;
            ReadySite site(needs);
            site.on_wish = nullptr;
            site.master.peer.silence(true);
            // An older question, whose time is over while that of the change is not.
            const StoreTicket older = site.load(9, 0);
            REQUIRE(site.until([&] { return site.master.peer.heard("HGETALL") == 1; }));
            if (times_out) turns_for(site.loop, 200ms);
            const std::uint64_t sent_ms = site.loop.now();
            const StoreTicket change = ask_change(site, script, 0);
            REQUIRE(site.until([&] { return site.master.heard(script) == 1; }));
            if (!times_out) site.master.peer.reset_all();
            CHECK(site.wait(older) == Kind::unavailable);
            CHECK(site.count(change) == 0);
            CHECK(site.wait(change) == Kind::unavailable);
            CHECK(site.loop.now() >= sent_ms + 400);
            CHECK(site.answers[change].size() == 1);
            // Sent no second time: who asked does not wait.
            CHECK(site.master.heard(script) == 1);
            CHECK(site.store->counters().waiting.read() == 0);
        }
    }
}

TEST_CASE("F:late-write who is gone is not told, and what was never sent is told at once") {
    RedisStore::Needs needs = StoreSite::usual();
    needs.access.times.answer = 300ms;
    ReadySite site(needs);
    site.on_wish = nullptr;
    site.master.peer.silence(true);
    const StoreTicket gone = site.commit(1, setting({}), 0);
    REQUIRE(site.until([&] { return site.master.heard(RedisScript::commit) == 1; }));
    site.master.peer.reset_all();
    REQUIRE(site.until([&] { return !site.store->is_ready(); }));
    site.store->forget(gone);
    const StoreTicket not_sent = site.commit(1, setting({}), 0);
    CHECK(site.count(not_sent) == 1);
    turns_for(site.loop, 400ms);
    CHECK(site.count(gone) == 0);
}

// ------------------------------------------------------------ ids that end

TEST_CASE("F:tunnel-logout an id that is no session's any more is noted, whatever took it away") {
    ReadySite site;
    EndedSessions ended;
    site.store->share(&ended);
    CHECK(site.wait(site.commit(1)) == Kind::committed);
    CHECK(ended.count() == 0);
    SessionChange change;
    change.rotation = Rotation{key_of(2), {}};
    CHECK(site.wait(site.commit(1, change)) == Kind::committed);
    CHECK(ended.has_since(key_of(1), 0));
    change.rotation->alias = mint_session_id();
    CHECK(site.wait(site.commit(3, change)) == Kind::committed);
    CHECK(ended.has_since(key_of(3), 1));
    CHECK(site.wait(site.kill(5)) == Kind::done);
    CHECK(ended.has_since(key_of(5), 2));
    CHECK(ended.count() == 3);
    // One that goes on under another id is not dead.
    CHECK(site.reported(RedisReport::Kind::killed) == 2);
}

// ------------------------------------------------------------ what is too large

TEST_CASE(
    "F:poison a session too large to be read is none, alone, and is left alone for a minute") {
    ReadySite site;
    std::string large = "*4098\r\n";
    for (int i = 0; i < 4098; ++i) large += "$1\r\nx\r\n";
    const std::string key = redis_key("baton", key_of(1));
    poison(site, key, large);
    const StoreTicket before = site.load(2);
    const StoreTicket poisoned = site.load(1);
    const StoreTicket behind = site.load(3);
    const StoreTicket commit = site.commit(4);
    CHECK(site.wait(commit) == Kind::committed);
    CHECK(site.wait(poisoned) == Kind::none);
    CHECK(site.wait(before) == Kind::live);
    CHECK(site.wait(behind) == Kind::live);
    CHECK(site.master.peer.accepted() == 1);
    CHECK(site.store->counters().losses.read() == 0);
    CHECK(site.store->counters().too_large.read() == 1);
    const std::size_t heard = site.master.peer.heard("HGETALL");
    for (int i = 0; i < 5; ++i) CHECK(site.wait(site.load(1)) == Kind::none);
    CHECK(site.wait(site.load(2)) == Kind::live);
    CHECK(site.master.peer.heard("HGETALL") == heard + 1);
    put_clock_forward(60s);
    CHECK(site.wait(site.load(1)) == Kind::none);
    CHECK(site.store->counters().too_large.read() == 2);
    // It was ended, and is what it is.
    CHECK(site.wait(site.kill(1)) == Kind::done);
    site.master.peer.on("HGETALL", resp_texts({"_to", ""}));
    CHECK(site.wait(site.load(1)) == Kind::dead);
}

TEST_CASE("F:poison an answer too large to be read is that change's alone") {
    ReadySite site;
    std::string large = "*5000\r\n$8\r\nCONFLICT\r\n:7\r\n";
    for (int i = 2; i < 5000; ++i) large += "$2\r\nxy\r\n";
    site.master.peer.on("EVALSHA", large);
    const StoreTicket commit = site.commit(1);
    const StoreTicket behind = site.load(1);
    CHECK(site.wait(commit) == Kind::unavailable);
    CHECK(site.wait(behind) == Kind::live);
    CHECK(site.master.heard(RedisScript::commit) == 1);
    CHECK(site.master.peer.accepted() == 1);
}

TEST_CASE("F:poison a reply beyond all limits ends the connection once, and nobody else waits") {
    const std::string key = redis_key("baton", key_of(1));
    for (const std::string_view large :
         {"$70000000\r\n", "*30000000\r\n", "*2\r\n$1\r\na\r\n$70000000\r\n"}) {
        CAPTURE(large);
        ReadySite site;
        poison(site, key, std::string{large});
        const StoreTicket before = site.load(2);
        const StoreTicket poisoned = site.load(1);
        const StoreTicket again = site.load(1);
        const StoreTicket behind = site.load(3);
        CHECK(site.wait(behind) == Kind::live);
        CHECK(site.wait(before) == Kind::live);
        CHECK(site.wait(poisoned) == Kind::none);
        CHECK(site.wait(again) == Kind::none);
        CHECK(site.wait(site.load(1)) == Kind::none);
        CHECK(site.store->counters().too_large.read() == 1);
        CHECK(site.store->counters().losses.read() == 1);
        // One that is asked together with others.
        put_clock_forward(60s);
        const StoreTicket several = site.load_several({key_of(2), key_of(1)});
        const StoreTicket other = site.load(3);
        CHECK(site.wait(several) == Kind::unavailable);
        CHECK(site.wait(other) == Kind::live);
        CHECK(site.store->counters().losses.read() == 2);
    }
}

TEST_CASE("F:poison nonsense in place of an answer ends two connections, and nobody else waits") {
    const std::string key = redis_key("baton", key_of(1));
    for (const std::string_view nonsense : {"garbage\r\n", "*1000000000\r\n", "$99999999999\r\n"}) {
        CAPTURE(nonsense);
        ReadySite site;
        poison(site, key, std::string{nonsense});
        const StoreTicket before = site.load(2);
        const StoreTicket nowhere = site.load(1);
        const StoreTicket behind = site.load(3);
        CHECK(site.wait(behind) == Kind::live);
        CHECK(site.wait(before) == Kind::live);
        CHECK(site.wait(nowhere) == Kind::unavailable);
        CHECK(site.store->counters().losses.read() == 2);
        // Once is nothing.
        bool again = false;
        site.master.peer.on("HGETALL", [&](auto& connection, const RedisPeer::Command&) {
            connection.send(std::exchange(again, true) ? resp_session() : std::string{nonsense});
        });
        CHECK(site.wait(site.load(1)) == Kind::live);
    }
}

TEST_CASE("F:poison many keys rest at once, each for its minute, and not all for ever") {
    RestingKeys keys;
    for (std::uint64_t n = 0; n < 2000; ++n) keys.add(key_of(n), 1000 + n);
    CHECK(!keys.contains(key_of(0), 3000));
    CHECK(keys.contains(key_of(1999), 3000));
    CHECK(keys.contains(key_of(1000), 61'999));
    CHECK(!keys.contains(key_of(1000), 62'000));
    keys.remove(key_of(1999));
    CHECK(!keys.contains(key_of(1999), 3000));
    keys.add(key_of(1999), 4000);
    keys.add(key_of(3), 62'999);
    CHECK(keys.contains(key_of(1999), 63'999));
    CHECK(!keys.contains(key_of(1999), 64'000));
}

TEST_CASE("F:no-abort a field that is none of ours is passed over and counted") {
    for (const std::string_view name :
         {"a:\xff\xfe", "a:", "a:with blank", "a:new\nline", "other", "", "_", "_z", "_long",
          "a:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}) {
        CAPTURE(name);
        ReadySite site;
        site.master.peer.on("HGETALL", resp_texts({"_v",  "1",
                                                   "_dv", "0",
                                                   "_c",  "1700000000000",
                                                   "_i",  "60000",
                                                   name,  "1:x",
                                                   "_x",  "0",
                                                   "_r",  "1700000000000",
                                                   "_w",  "x",
                                                   "_n",  "2",
                                                   "a:a", "1:1",
                                                   "odd", ""}));
        const StoreTicket load = site.load(1);
        CHECK(site.wait(load) == Kind::live);
        CHECK(site.answers[load][0].record.attributes == Attributes{{"a", "1"}});
        CHECK(site.store->counters().foreign.read() == 2);
    }
}

// ------------------------------------------------------------ waiting

TEST_CASE("F:queue-fair what was asked when the connection is lost keeps the queue's limit") {
    RedisStore::Needs needs = StoreSite::usual();
    needs.wait_queue_max = 5;
    ReadySite site(needs);
    site.wait(site.load(100));  // is known from now on
    site.master.peer.silence(true);
    std::vector<StoreTicket> unknown;
    for (std::uint64_t n = 0; n < 20; ++n) unknown.push_back(site.load(n));
    const StoreTicket known = site.load(100);
    const StoreTicket change = site.commit(50);
    REQUIRE(site.until([&] { return site.master.heard(RedisScript::commit) == 1; }));
    std::vector<StoreTicket> order;
    site.on_answer = [&](StoreTicket ticket) { order.push_back(ticket); };
    site.store->follow({});
    CHECK(site.store->counters().waiting.read() == 5);
    // The newest unknown ones are told, in the order they were asked.
    CHECK(order == std::vector<StoreTicket>(unknown.begin() + 3, unknown.end()));
    FakeMaster next(site.loop);
    site.follow(next.endpoint());
    CHECK(site.wait(change) == Kind::committed);
    CHECK(site.wait(known) == Kind::live);
    for (std::size_t n = 0; n < 3; ++n) CHECK(site.wait(unknown[n]) == Kind::live);
}

TEST_CASE("F:queue-fair invented ids do not keep those out who were here before") {
    RedisStore::Needs needs = StoreSite::usual();
    needs.wait_queue_max = 4;
    ReadySite site(needs);
    for (std::uint64_t n = 100; n < 106; ++n) site.wait(site.load(n));
    site.store->follow({});
    std::vector<StoreTicket> invented;
    for (std::uint64_t n = 0; n < 10; ++n) invented.push_back(site.load(n));
    for (std::size_t n = 4; n < 10; ++n) CHECK(site.count(invented[n]) == 1);
    std::vector<StoreTicket> users;
    for (std::uint64_t n = 100; n < 104; ++n) users.push_back(site.load(n));
    // From the newest on they give way; each is told, once.
    for (const std::size_t n : {3U, 2U, 1U, 0U}) CHECK(site.wait(invented[n]) == Kind::unavailable);
    for (const StoreTicket ticket : users) CHECK(site.count(ticket) == 0);
    CHECK(site.store->counters().waiting.read() == 4);
    // Among equals who came first stays.
    CHECK(site.count(site.load(104)) == 1);
    CHECK(site.count(site.load(7)) == 1);
    FakeMaster next(site.loop);
    site.follow(next.endpoint());
    for (const StoreTicket ticket : users) CHECK(site.wait(ticket) == Kind::live);
    CHECK(next.peer.heard("HGETALL") == 4);
    for (const StoreTicket ticket : invented) CHECK(site.count(ticket) == 1);
}

TEST_CASE("F:queue-fair only what was met alive is known, and one key is not taken for another") {
    SeenKeys seen;
    for (std::uint64_t n = 0; n < 100; ++n) seen.add(key_of(n));
    std::size_t known = 0;
    for (std::uint64_t n = 0; n < 100; ++n) known += seen.contains(key_of(n)) ? 1 : 0;
    CHECK(known > 0);
    for (std::uint64_t n = 100; n < 100'000; ++n) CHECK(!seen.contains(key_of(n)));
    CHECK(!SeenKeys{}.contains(SessionKey{}));
    RedisStore::Needs needs = StoreSite::usual();
    needs.wait_queue_max = 1;
    ReadySite other(needs);
    other.master.peer.on("HGETALL", std::string_view{"*0\r\n"});
    CHECK(other.wait(other.load(1)) == Kind::none);
    other.store->follow({});
    other.load(2);
    CHECK(other.count(other.load(1)) == 1);
}

TEST_CASE("so many questions wait, and no more") {
    RedisStore::Needs needs = StoreSite::usual();
    needs.wait_queue_max = 3;
    StoreSite site(needs);
    std::vector<StoreTicket> waiting;
    for (std::uint64_t n = 0; n < 3; ++n) waiting.push_back(site.commit(n));
    CHECK(site.answers[site.load(4)][0].kind == Kind::unavailable);
    CHECK(site.store->counters().waiting.read() == 3);
    site.store->forget(waiting[0]);  // a change waits on
    CHECK(site.answers[site.load(4)][0].kind == Kind::unavailable);
    FakeMaster master(site.loop);
    site.follow(master.endpoint());
    CHECK(site.wait(waiting[2]) == Kind::committed);
    CHECK(site.wait(waiting[1]) == Kind::committed);
    CHECK(master.heard(RedisScript::commit) == 3);
    CHECK(site.count(waiting[0]) == 0);
    CHECK(site.store->counters().waited.read() == 3);
    CHECK(site.store->counters().waiting.read() == 0);
}

TEST_CASE("who has waited as long as it may is told, in the order of asking") {
    StoreSite site;
    const StoreTicket longer = site.load(1);
    const StoreTicket first = site.load(2, 60);
    const StoreTicket next = site.commit(3, setting({}), 60);
    std::vector<StoreTicket> order;
    site.on_answer = [&](StoreTicket ticket) { order.push_back(ticket); };
    CHECK(site.wait(next) == Kind::unavailable);
    CHECK(order == std::vector<StoreTicket>{first, next});
    CHECK(site.count(longer) == 0);
    CHECK(site.store->counters().waiting.read() == 1);
}

TEST_CASE("forgotten questions are not answered: reads that wait are dropped, changes are made") {
    StoreSite site;
    const StoreTicket load = site.load(1);
    const StoreTicket commit = site.commit(2);
    site.store->forget(load);
    site.store->forget(commit);
    CHECK(site.store->counters().waiting.read() == 1);
    FakeMaster master(site.loop);
    site.follow(master.endpoint());
    const StoreTicket asked = site.load(3);
    const StoreTicket last = site.load(4);
    site.store->forget(asked);
    site.wait(last);
    CHECK(master.peer.heard("HGETALL") == 2);
    CHECK(master.heard(RedisScript::commit) == 1);
    CHECK(site.answers.size() == 1);
}

TEST_CASE("a question is forgotten while another one, lost in the same moment, is answered") {
    for (const bool asked : {true, false}) {
        CAPTURE(asked);
        StoreSite site;
        FakeMaster master(site.loop);
        if (asked) site.follow(master.endpoint());
        master.peer.silence(true);
        const std::int64_t wait_ms = asked ? 0 : 60;
        const StoreTicket first = site.load(1, wait_ms);
        const StoreTicket next = site.load(2, wait_ms);
        site.on_answer = [&](StoreTicket) { site.store->forget(next); };
        if (asked) {
            REQUIRE(site.until([&] { return master.peer.heard("HGETALL") == 2; }));
            site.store->follow({});
        }
        CHECK(site.wait(first) == Kind::unavailable);
        turns_for(site.loop, 100ms);
        CHECK(site.count(next) == 0);
    }
}

TEST_CASE("who is answered may ask at once, whatever the answer is") {
    StoreSite site;
    StoreTicket again = 0;
    const StoreTicket first = site.load(1, 60);
    const StoreTicket second_one = site.load(2, 60);
    site.on_answer = [&](StoreTicket ticket) {
        if (ticket == first) again = site.load(3);
        site.asking = false;
    };
    CHECK(site.wait(second_one) == Kind::unavailable);
    CHECK(site.store->counters().waiting.read() == 1);
    FakeMaster master(site.loop);
    site.follow(master.endpoint());
    CHECK(site.wait(again) == Kind::live);
}

}  // namespace baton
