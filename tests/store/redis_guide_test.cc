// Leading all stores to the master: after what was ended is ended there too, away from one that is none any more, and
// with an eye on what operators should know.

#include "session/redis_guide.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "session/redis_command.h"
#include "tests/store/fake_master.h"
#include "tests/store/shifted_clock.h"
#include "tests/store/table_fixture.h"

namespace baton {
namespace {

using namespace test;
using namespace std::chrono_literals;
using Report = RedisReport::Kind;

const std::string noreplicas = resp_error("NOREPLICAS Not enough good replicas to write.");

// A guide, what it says to all stores ("" where it says that there is no master), and masters.
struct Site {
    Loop loop;
    std::vector<std::string> led;
    std::vector<std::unique_ptr<FakeMaster>> masters;
    std::unique_ptr<RedisGuide> guide;

    explicit Site(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i)
            masters.push_back(std::make_unique<FakeMaster>(loop));
    }
    FakeMaster& at(std::size_t place) { return *masters[place]; }
    std::string name(std::size_t place) { return at(place).endpoint().text(); }

    RedisGuide::Needs needs() {
        RedisGuide::Needs needs;
        needs.access.client_name = "test";
        needs.access.times = {20s, 20s};
        needs.prefix = "p";
        needs.lead = [this](const RedisMaster& master) {
            led.push_back(master.address.port == 0 ? "" : master.address.text());
        };
        return needs;
    }
    // To the first of the masters, without a Sentinel.
    void start() {
        RedisGuide::Needs all = needs();
        all.address = at(0).endpoint();
        start(std::move(all));
    }
    void start(RedisGuide::Needs all) {
        guide = std::make_unique<RedisGuide>(loop, std::move(all));
        guide->start();
    }
    bool until(const std::function<bool()>& so) { return turns_until(loop, so); }
    bool is_led_to(std::size_t place) { return !led.empty() && led.back() == name(place); }
    void kills(std::uint64_t from, std::uint64_t end) {
        for (std::uint64_t n = from; n < end; ++n) guide->reported({Report::killed, key_of(n)});
    }
};

// And one Sentinel, which knows them by the name of "m".
struct SentinelSite : Site {
    RedisPeer sentinel{loop};
    std::size_t named = 0;  // the master
    unsigned epoch = 7;

    explicit SentinelSite(std::size_t count = 2) : Site(count) {
        sentinel.on("SENTINEL MASTER", [this](auto& connection, const auto&) {
            connection.send(
                resp_texts({"name", "m", "ip", "127.0.0.1", "port", port(named), "flags", "master",
                            "config-epoch", std::to_string(epoch), "num-slaves", "1",
                            "num-other-sentinels", "0", "quorum", "1"}));
        });
        sentinel.on("SENTINEL GET-MASTER-ADDR-BY-NAME", [this](auto& connection, const auto&) {
            connection.send(resp_texts({"127.0.0.1", port(named)}));
        });
        sentinel.on("SENTINEL SENTINELS", std::string_view{"*0\r\n"});
    }
    std::string port(std::size_t place) { return std::to_string(at(place).endpoint().port); }
    std::size_t rounds() const { return sentinel.heard("SENTINEL GET-MASTER"); }
    RedisGuide::Needs needs() {
        RedisGuide::Needs all = Site::needs();
        all.sentinels = {sentinel.endpoint()};
        all.master = "m";
        return all;
    }
    void start() { start(needs()); }
    using Site::start;
    bool is_listened_to() {
        return std::ranges::any_of(sentinel.connections(),
                                   [](const auto* connection) { return connection->channels > 0; });
    }
    void tells_of_switch(std::size_t from, std::size_t to) {
        sentinel.publish("+switch-master", "m 127.0.0.1 " + port(from) + " 127.0.0.1 " + port(to));
    }
};

std::string key_text(std::uint64_t n) { return redis_key("p", key_of(n)); }

// The keys that are killed there, in this order.
std::vector<std::string> killed(FakeMaster& master) {
    std::vector<std::string> keys;
    for (const auto& connection : master.peer.connections())
        for (const RedisPeer::Command& command : connection->asked)
            if (FakeMaster::is(command, RedisScript::kill)) keys.push_back(command[3]);
    return keys;
}

}  // namespace

TEST_CASE("stores are led to the one address once it is ready") {
    Site site(1);
    site.start();
    CHECK(site.guide->state() == StoreState::down);
    CHECK(site.led.empty());
    REQUIRE(site.until([&] { return !site.led.empty(); }));
    CHECK(site.led == std::vector<std::string>{site.name(0)});
    CHECK(site.guide->state() == StoreState::ready);
    const StoreView view = site.guide->view();
    CHECK(view.ever_ready);
    CHECK(view.master == site.name(0));
    CHECK(!view.epoch);
    CHECK(view.trouble.empty());
    CHECK(view.failovers == 0);
    CHECK(view.losses == 0);
    CHECK(site.at(0).heard(RedisScript::kill) == 0);
}

TEST_CASE("a store that has lost its connection is led there again at once") {
    for (const bool with_sentinel : {false, true}) {
        SentinelSite site;
        with_sentinel ? site.start() : site.Site::start();
        REQUIRE(site.until([&] { return site.is_led_to(0); }));
        const std::size_t before = site.led.size();
        site.guide->reported({Report::wants_master});
        REQUIRE(site.until([&] { return site.led.size() > before; }));
        CHECK(site.is_led_to(0));
        CHECK(site.at(0).peer.accepted() == 1);
    }
}

TEST_CASE("what a worker tells late of the master before is ended at the new one, too") {
    Site site(1);
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    site.kills(0, 2);
    REQUIRE(site.until([&] { return site.at(0).heard(RedisScript::kill) == 2; }));
    CHECK(killed(site.at(0)) == std::vector<std::string>{key_text(0), key_text(1)});
    // Long after, it was this master that did it.
    put_clock_forward(10s);
    site.kills(2, 3);
    turns_for(site.loop, 50ms);
    CHECK(site.at(0).heard(RedisScript::kill) == 2);
}

TEST_CASE("no answer brings a secret into what operators are told") {
    for (const std::string& error :
         {std::string{"ERR unknown command 'AUTH', with args beginning with: 'sesame' "},
          std::string{"sesame is wrong"}, std::string{"WRONGPASS sesame"}}) {
        CAPTURE(error);
        Site site(1);
        site.at(0).peer.on("AUTH", resp_error(error));
        RedisGuide::Needs all = site.needs();
        all.address = site.at(0).endpoint();
        all.access.password = "sesame";
        site.start(std::move(all));
        REQUIRE(site.until([&] { return !site.guide->view().trouble.empty(); }));
        CHECK(site.guide->view().trouble.starts_with("refused"));
        CHECK(site.guide->view().trouble.find("sesame") == std::string::npos);
    }
    RedisReply reply;
    reply.type = RedisReply::Type::error;
    reply.text = "ERR unknown command 'EVALSHA', with args beginning with: 'x' 'card number'";
    CHECK(log_text(reply) == "ERR unknown command 'EVALSHA'");
    reply.text = "NOPERM this user has no permissions to run the 'hgetall' command";
    CHECK(log_text(reply) == reply.text);
}

TEST_CASE("a master is announced only after what was ended is ended there, too") {
    Site site(1);
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    site.kills(0, 3);
    std::size_t asked = 0;
    FakeMaster::Connection* waits = nullptr;
    site.at(0).on_script(RedisScript::kill, [&](FakeMaster::Connection& connection, const auto&) {
        waits = &connection;
        ++asked;
    });
    site.led.clear();
    site.at(0).peer.reset_all();
    REQUIRE(site.until([&] { return asked == 3; }));
    // Nor if a store asks for it.
    site.guide->reported({Report::wants_master});
    turns_for(site.loop, 50ms);
    CHECK(site.led.empty());
    CHECK(site.guide->state() == StoreState::failover);
    CHECK(site.guide->view().revocations == 3);
    waits->send(resp_killed());
    waits->send(resp_killed());
    turns_for(site.loop, 50ms);
    CHECK(site.led.empty());
    waits->send(resp_killed());
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    CHECK(site.guide->state() == StoreState::ready);
    CHECK(site.guide->view().revocations == 0);
    CHECK(site.guide->view().losses == 1);
    const std::vector<std::string> keys = killed(site.at(0));
    CHECK(std::set(keys.begin(), keys.end()) == std::set{key_text(0), key_text(1), key_text(2)});
    CHECK(site.at(0).peer.heard("SCRIPT LOAD " + std::string{text_of(RedisScript::kill)}) == 3);
}

TEST_CASE("a master that is lost while it is told of dead ids is told of all of them anew") {
    Site site(1);
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    site.kills(0, 20);
    int left = 12;
    site.at(0).on_script(RedisScript::kill, [&](FakeMaster::Connection& connection, const auto&) {
        if (--left == 0) return connection.reset();
        connection.send(resp_killed());
    });
    site.led.clear();
    site.at(0).peer.reset_all();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    CHECK(site.led.size() == 1);
    const std::vector<std::string> keys = killed(site.at(0));
    CHECK(keys.size() == 20);
    CHECK(std::set(keys.begin(), keys.end()).size() == 20);
}

TEST_CASE("ids that died 120 s ago are told no more") {
    Site site(1);
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    site.kills(0, 2);
    put_clock_forward(60s);
    site.loop.turn();
    site.kills(2, 3);
    put_clock_forward(60s);
    site.led.clear();
    site.at(0).peer.reset_all();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    CHECK(killed(site.at(0)) == std::vector{key_text(2)});
}

TEST_CASE("what a master refuses for now it is told again, until it takes it") {
    // More than are asked at once: some are refused, some are not.
    constexpr std::uint64_t count = 2'500;
    Site site(1);
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    site.kills(0, count);
    std::set<std::string> done;
    std::uint64_t asked = 0;
    site.at(0).on_script(RedisScript::kill, [&](FakeMaster::Connection& connection,
                                                const FakeMaster::Command& command) {
        const bool takes = ++asked > count || asked % 3 == 0;
        if (takes) done.insert(command[3]);
        connection.send(takes ? resp_killed() : noreplicas);
    });
    site.led.clear();
    site.at(0).peer.reset_all();
    // It is of use meanwhile.
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    CHECK(site.guide->view().revocations == count - count / 3);
    REQUIRE(site.until([&] { return site.guide->view().revocations == 0; }));
    CHECK(done.size() == count);
}

// ------------------------------------------------------------ Sentinels

TEST_CASE("a switch is obeyed at once, and the old master is no choice any more") {
    SentinelSite site;
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0) && site.is_listened_to(); }));
    CHECK(site.guide->view().epoch == 7);
    site.kills(0, 2);
    const std::size_t rounds = site.rounds();
    site.tells_of_switch(0, 1);
    REQUIRE(site.until([&] { return site.led.back().empty(); }));
    CHECK(site.guide->state() == StoreState::failover);
    REQUIRE(site.until([&] { return site.at(0).peer.connections().empty(); }));
    // The Sentinel still names the old one, under the old number.
    REQUIRE(site.until([&] { return site.rounds() >= rounds + 3; }));
    CHECK(site.led.back().empty());
    CHECK(site.at(0).peer.accepted() == 1);
    site.guide->reported({Report::wants_master});
    REQUIRE(site.until([&] { return site.rounds() >= rounds + 4; }));
    CHECK(site.at(0).peer.accepted() == 1);
    site.named = 1;
    ++site.epoch;
    REQUIRE(site.until([&] { return site.is_led_to(1); }));
    CHECK(killed(site.at(1)).size() == 2);
    const StoreView view = site.guide->view();
    CHECK(view.state == StoreState::ready);
    CHECK(view.master == site.name(1));
    CHECK(view.epoch == 8);
    CHECK(view.failovers == 1);
    CHECK(view.last_failover_ms > 0);
    CHECK(view.losses == 1);
}

TEST_CASE("an old master that is elected again is one") {
    SentinelSite site;
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0) && site.is_listened_to(); }));
    site.tells_of_switch(0, 1);
    REQUIRE(site.until([&] { return site.led.back().empty(); }));
    site.epoch = 9;
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    CHECK(site.at(0).peer.accepted() == 2);
    // It was no failover: the master is who it was.
    CHECK(site.guide->view().failovers == 0);
}

TEST_CASE("a master that is found to be another one is gone to, and the stores leave the first") {
    SentinelSite site;
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    site.named = 1;
    ++site.epoch;
    REQUIRE(site.until([&] { return site.is_led_to(1); }));
    CHECK(std::ranges::count(site.led, "") == 1);
    CHECK(site.at(0).peer.connections().empty());
    CHECK(site.guide->view().failovers == 1);
}

TEST_CASE("the last master goes on while no Sentinel answers, if that is wanted") {
    for (const bool wanted : {true, false}) {
        CAPTURE(wanted);
        SentinelSite site;
        RedisGuide::Needs needs = site.needs();
        needs.last_known = wanted;
        needs.access.times = {100ms, 100ms};
        site.start(std::move(needs));
        REQUIRE(site.until([&] { return site.is_led_to(0); }));
        site.sentinel.refuse();
        site.sentinel.close_all();
        REQUIRE(site.until([&] { return site.sentinel.connections().empty(); }));
        // Those who have it keep it.
        CHECK(site.guide->state() == StoreState::ready);
        site.at(0).peer.reset_all();
        REQUIRE(site.until([&] { return site.guide->state() == StoreState::failover; }));
        if (wanted) {
            REQUIRE(site.until([&] { return site.guide->state() == StoreState::ready; }));
            CHECK(site.at(0).peer.accepted() == 2);
        } else {
            turns_for(site.loop, 1500ms);
            CHECK(site.at(0).peer.accepted() == 1);
            site.sentinel.listen();
            REQUIRE(site.until([&] { return site.guide->state() == StoreState::ready; }));
        }
    }
}

TEST_CASE("a server that is no master is tried again, and is none until it says so") {
    SentinelSite site(1);
    site.at(0).role = "slave";
    site.start();
    REQUIRE(site.until([&] { return site.at(0).peer.accepted() >= 2; }));
    CHECK(site.led.empty());
    CHECK(site.guide->state() == StoreState::down);
    CHECK(site.guide->view().trouble == "not a master: slave");
    CHECK(!site.guide->view().ever_ready);
    site.at(0).role = "master";
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
}

TEST_CASE("a wrong password is not tried again and again") {
    for (const bool with_sentinel : {true, false}) {
        CAPTURE(with_sentinel);
        SentinelSite site(1);
        RedisGuide::Needs needs = site.needs();
        needs.access.password = "wrong";
        if (!with_sentinel) needs.address = site.at(0).endpoint();
        site.at(0).peer.on("AUTH", resp_error("WRONGPASS invalid username-password pair"));
        site.start(std::move(needs));
        REQUIRE(site.until([&] { return !site.guide->view().trouble.empty(); }));
        CHECK(site.guide->view().trouble == "refused: WRONGPASS");
        CHECK(site.guide->state() == StoreState::down);
        // Whoever asks for it, and though each round finds it.
        for (int i = 0; i < 15; ++i) {
            site.guide->reported({Report::wants_master});
            turns_for(site.loop, 100ms);
        }
        CHECK(site.at(0).peer.accepted() == 1);
        CHECK(site.led.empty());
        if (with_sentinel) CHECK(site.rounds() >= 2);
    }
}

TEST_CASE("a server that is too old is refused by its version") {
    Site site(1);
    site.at(0).peer.on("INFO SERVER", resp_text("# Server\r\nredis_version:6.2.14\r\n"));
    site.start();
    REQUIRE(site.until([&] { return !site.guide->view().trouble.empty(); }));
    CHECK(site.guide->view().trouble == "redis 7.0 or newer is required: 6.2.14");
    CHECK(site.led.empty());
}

TEST_CASE("a server that loads its data is waited for") {
    Site site(1);
    site.at(0).peer.on("ROLE", [&](FakeMaster::Connection& connection, const auto&) {
        const bool loads = site.at(0).peer.accepted() < 3;
        connection.send(loads ? resp_error("LOADING Redis is loading the dataset in memory")
                              : resp_array({resp_text("master"), resp_integer(0), "*0\r\n"}));
    });
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    CHECK(site.at(0).peer.accepted() == 3);
}

// ------------------------------------------------------------ for operators

TEST_CASE("a store is ready, read only, looked for, or down") {
    Site site(1);
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    site.guide->reported({Report::refused});
    CHECK(site.guide->state() == StoreState::read_only);
    site.guide->reported({Report::written});
    CHECK(site.guide->state() == StoreState::ready);
    site.at(0).peer.refuse();
    site.at(0).peer.reset_all();
    REQUIRE(site.until([&] { return site.guide->state() == StoreState::failover; }));
    CHECK(!site.guide->view().trouble.empty());
    put_clock_forward(60s);
    site.loop.turn();
    CHECK(site.guide->state() == StoreState::down);
    CHECK(site.guide->view().ever_ready);
    site.at(0).peer.listen();
    REQUIRE(site.until([&] { return site.guide->state() == StoreState::ready; }));
    CHECK(site.guide->view().trouble.empty());
    CHECK(text_of(StoreState::ready) == "ready");
    CHECK(text_of(StoreState::read_only) == "readonly");
    CHECK(text_of(StoreState::failover) == "failover");
    CHECK(text_of(StoreState::down) == "down");
}

TEST_CASE("most keys gone from one second to the next are a loss of data, fewer are none") {
    Site site(1);
    const std::vector<std::int64_t> keys = {99, 0, 100, 50, 1000, 499, 499};
    std::size_t asked = 0;
    site.at(0).peer.on("DBSIZE", [&](FakeMaster::Connection& connection, const auto&) {
        connection.send(resp_integer(keys[std::min(asked++, keys.size() - 1)]));
    });
    site.start();
    REQUIRE(site.until([&] { return asked >= 5; }));
    CHECK(site.guide->view().data_losses == 0);
    REQUIRE(site.until([&] { return asked >= 7; }));
    CHECK(site.guide->view().data_losses == 1);
    // What another connection finds was not lost from one second to the next.
    site.led.clear();
    asked = 4;
    REQUIRE(site.until([&] { return asked == 5; }));
    site.at(0).peer.reset_all();
    REQUIRE(site.until([&] { return site.is_led_to(0) && asked >= 7; }));
    CHECK(site.guide->view().data_losses == 1);
}

TEST_CASE("the replicas of the master are known, and its settings are asked once") {
    SentinelSite site;
    site.at(0).peer.on("INFO REPLICATION",
                       resp_text("# Replication\r\nrole:master\r\nconnected_slaves:1\r\n"
                                 "slave0:ip=10.0.0.2,port=6380,state=online,offset=1,lag=1\r\n"));
    site.start();
    REQUIRE(site.until([&] { return site.guide->view().replicas.size() == 1; }));
    CHECK(site.guide->view().replicas[0].address == "10.0.0.2:6380");
    CHECK(site.at(0).peer.heard("CONFIG GET") == 4);
    site.at(0).peer.reset_all();
    const std::size_t infos = site.at(0).peer.heard("INFO replication");
    // Asked for behind the settings.
    REQUIRE(site.until([&] {
        return site.at(0).peer.accepted() == 2 && site.at(0).peer.heard("INFO replication") > infos;
    }));
    CHECK(site.at(0).peer.heard("CONFIG GET") == 4);
    site.named = 1;
    ++site.epoch;
    REQUIRE(site.until([&] { return site.is_led_to(1); }));
    REQUIRE(site.until([&] { return site.at(1).peer.heard("CONFIG GET") == 4; }));
    CHECK(site.guide->view().replicas.empty());
    CHECK(site.guide->view().sentinels.size() == 1);
}

TEST_CASE("what INFO replication tells of replicas") {
    struct Row {
        std::string_view info;
        std::vector<std::string> replicas;
    };
    const std::vector<Row> rows = {
        {"", {}},
        {"# "
         "Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-"
         "failover\r\n",
         {}},
        {"slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=0\r\n",
         {"127.0.0.1:6380 online 0"}},
        {"slave0:ip=a,port=1,state=online,offset=4,lag=1\r\n"
         "slave1:ip=b,port=2,state=wait_bgsave,offset=0,lag=12\r\n",
         {"a:1 online 1", "b:2 wait_bgsave 12"}},
        {"slave10:ip=redis-2,port=6379,state=send_bulk,offset=0,lag=3",
         {"redis-2:6379 send_bulk 3"}},
        {"slave0:ip=::1,port=6380,state=online,offset=42,lag=0\n", {"::1:6380 online 0"}},
        // Not told, or no number.
        {"slave0:ip=a,port=1,state=online\r\n", {"a:1 online -1"}},
        {"slave0:ip=a,port=1,state=online,lag=x\r\n", {"a:1 online -1"}},
        {"slave0:\r\n", {":  -1"}},
        {"slave0\r\n", {":  -1"}},
        {"slave0:lagging=5,lag=6,ip=c,port=3,state=online\r\n", {"c:3 online 6"}},
        // Other lines that begin so.
        {"slave_repl_offset:5\r\nslave_priority:100\r\nslaves:1\r\nslave\r\n", {}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.info);
        std::vector<std::string> found;
        for (const StoreView::Replica& replica : read_replicas(row.info))
            found.push_back(replica.address + " " + replica.state + " " +
                            std::to_string(replica.lag));
        CHECK(found == row.replicas);
    }
}

TEST_CASE("which settings are unwise") {
    struct Row {
        std::map<std::string, std::string, std::less<>> settings;
        bool with_sentinel;
        std::vector<std::string_view> words;
    };
    const std::vector<Row> rows = {
        {{{"maxmemory-policy", "noeviction"},
          {"min-replicas-to-write", "1"},
          {"appendonly", "yes"},
          {"save", ""}},
         true,
         {}},
        {{{"maxmemory-policy", "volatile-lru"}}, true, {}},
        {{{"maxmemory-policy", "allkeys-lru"}}, true, {"allkeys-lru"}},
        {{{"maxmemory-policy", "allkeys-random"}}, false, {"allkeys-random"}},
        {{{"min-replicas-to-write", "0"}}, true, {"min-replicas-to-write"}},
        {{{"min-replicas-to-write", "0"}}, false, {}},
        {{{"min-replicas-to-write", "2"}}, true, {}},
        {{{"appendonly", "no"}, {"save", ""}}, false, {"no persistence"}},
        {{{"appendonly", "no"}, {"save", "3600 1"}}, false, {}},
        {{{"appendonly", "yes"}, {"save", ""}}, false, {}},
        // What may not be asked is not judged.
        {{{"appendonly", "no"}}, false, {}},
        {{{"save", ""}}, false, {}},
        {{}, true, {}},
        {{{"maxmemory-policy", "allkeys-lfu"},
          {"min-replicas-to-write", "0"},
          {"appendonly", "no"},
          {"save", ""}},
         true,
         {"allkeys-lfu", "min-replicas-to-write", "no persistence"}},
    };
    for (const Row& row : rows) {
        const auto warnings = setting_warnings(
            [&](std::string_view name) -> std::optional<std::string> {
                const auto at = row.settings.find(name);
                if (at == row.settings.end()) return std::nullopt;
                return at->second;
            },
            row.with_sentinel);
        REQUIRE(warnings.size() == row.words.size());
        for (std::size_t i = 0; i < warnings.size(); ++i) {
            CAPTURE(warnings[i]);
            CHECK(warnings[i].find(row.words[i]) != std::string::npos);
        }
    }
}

}  // namespace baton
