// Leading all stores to the master: after what was ended is ended there too, away from one that is none any more, and
// with an eye on what operators should know.

#include "session/redis/redis_guide.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "session/redis/redis_command.h"
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
    RedisMaster last_lead;
    std::size_t holds = 0;  // of all questions
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
            last_lead = master;
            if (master.all_wait_until_ms != 0) ++holds;
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
    bool waits_all() { return last_lead.all_wait_until_ms > loop.now(); }
    bool changes_wait() { return last_lead.changes_wait_until_ms > loop.now(); }
    void kills(std::uint64_t from, std::uint64_t end) {
        for (std::uint64_t n = from; n < end; ++n) guide->reported({Report::killed, key_of(n)});
    }
};

// A Sentinel that knows the masters of a site by the name of "m".
struct FakeSentinel {
    RedisPeer peer;
    std::string named;  // the port of the master
    unsigned epoch = 7;

    explicit FakeSentinel(Loop& loop) : peer(loop) {
        peer.on("SENTINEL MASTER", [this](auto& connection, const auto&) {
            connection.send(
                resp_texts({"name", "m", "ip", "127.0.0.1", "port", named, "flags", "master",
                            "config-epoch", std::to_string(epoch), "num-slaves", "1",
                            "num-other-sentinels", "0", "quorum", "1"}));
        });
        peer.on("SENTINEL GET-MASTER-ADDR-BY-NAME", [this](auto& connection, const auto&) {
            connection.send(resp_texts({"127.0.0.1", named}));
        });
        peer.on("SENTINEL SENTINELS", std::string_view{"*0\r\n"});
    }
    std::size_t rounds() const { return peer.heard("SENTINEL GET-MASTER"); }
    bool is_listened_to() {
        return std::ranges::any_of(peer.connections(), [](const auto* connection) {
            return connection->channels == sentinel_channels().size();
        });
    }
};

// And Sentinels.
struct SentinelSite : Site {
    std::vector<std::unique_ptr<FakeSentinel>> sentinels;

    explicit SentinelSite(std::size_t count = 2, std::size_t sentinel_count = 1) : Site(count) {
        for (std::size_t i = 0; i < sentinel_count; ++i)
            sentinels.push_back(std::make_unique<FakeSentinel>(loop));
        for (std::size_t i = 0; i < sentinel_count; ++i) name_at(i, 0, 7);
    }
    FakeSentinel& sentinel(std::size_t place = 0) { return *sentinels[place]; }
    // What one of them, or all, say from now on.
    void name_at(std::size_t place, std::size_t master, unsigned epoch) {
        sentinel(place).named = port(master);
        sentinel(place).epoch = epoch;
    }
    void name_all(std::size_t master, unsigned epoch) {
        for (std::size_t i = 0; i < sentinels.size(); ++i) name_at(i, master, epoch);
    }
    std::string port(std::size_t place) { return std::to_string(at(place).endpoint().port); }
    std::size_t rounds() const { return sentinels[0]->rounds(); }
    // Whole rounds from now on, without the second between two of them.
    bool rounds_more(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t before = rounds();
            guide->reported({Report::wants_master});
            if (!until([&] { return rounds() > before; })) return false;
            turns_for(loop, 20ms);
        }
        return true;
    }
    RedisGuide::Needs needs() {
        RedisGuide::Needs all = Site::needs();
        for (const auto& one : sentinels) all.sentinels.push_back(one->peer.endpoint());
        all.master = "m";
        return all;
    }
    void start() { start(needs()); }
    using Site::start;
    bool is_listened_to() {
        return std::ranges::all_of(sentinels,
                                   [](const auto& one) { return one->is_listened_to(); });
    }
    bool serves() {
        return until([&] { return is_led_to(0) && is_listened_to(); });
    }
    void tells_of_switch(std::size_t from, std::size_t to, std::size_t by = 0) {
        sentinel(by).peer.publish("+switch-master",
                                  "m 127.0.0.1 " + port(from) + " 127.0.0.1 " + port(to));
    }
    void tells_of_promotion(std::size_t from, std::size_t to, std::size_t by = 0) {
        sentinel(by).peer.publish("+promoted-slave", "slave 127.0.0.1:" + port(to) + " 127.0.0.1 " +
                                                         port(to) + " @ m 127.0.0.1 " + port(from));
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

TEST_CASE("a failover: what was ended is ended at the new master, too") {
    SentinelSite site;
    site.start();
    REQUIRE(site.serves());
    CHECK(site.guide->view().epoch == 7);
    site.kills(0, 2);
    site.name_all(1, 8);
    site.tells_of_switch(0, 1);
    REQUIRE(site.until([&] { return site.is_led_to(1); }));
    CHECK(std::ranges::count(site.led, "") == 1);  // the first was left
    CHECK(killed(site.at(1)).size() == 2);
    CHECK(!site.waits_all());
    CHECK(!site.changes_wait());
    REQUIRE(site.until([&] { return site.at(0).peer.connections().empty(); }));
    const StoreView view = site.guide->view();
    CHECK(view.state == StoreState::ready);
    CHECK(view.master == site.name(1));
    CHECK(view.epoch == 8);
    CHECK(view.failovers == 1);
    CHECK(view.last_failover_ms > 0);
    CHECK(view.losses == 1);
}

TEST_CASE("F:one-liar a message of a switch closes nothing, and holds questions up for a round") {
    SentinelSite site(2, 4);
    site.start();
    REQUIRE(site.serves());
    const std::size_t leads = site.led.size();
    // It lies once, and says the truth when it is asked.
    site.tells_of_switch(0, 1, 3);
    REQUIRE(site.until([&] { return site.led.size() > leads; }));
    CHECK(site.is_led_to(0));
    CHECK(site.waits_all());
    CHECK(site.last_lead.all_wait_until_ms <= site.loop.now() + 1000);
    CHECK(site.changes_wait());
    REQUIRE(site.until([&] { return !site.waits_all() && !site.changes_wait(); }));
    REQUIRE(site.rounds_more(3));
    CHECK(std::ranges::count(site.led, "") == 0);
    CHECK(site.at(0).peer.accepted() == 1);
    CHECK(site.at(1).peer.accepted() == 0);
    CHECK(site.guide->state() == StoreState::ready);
    CHECK(site.guide->view().losses == 0);
    // It is not believed again: it would hold everybody up all the time.
    CHECK(site.holds == 1);
    for (int i = 0; i < 20; ++i) {
        site.tells_of_switch(0, 1, 3);
        turns_for(site.loop, 10ms);
    }
    CHECK(site.holds == 1);
    // Others are.
    site.tells_of_switch(0, 1, 1);
    CHECK(site.until([&] { return site.holds == 2; }));
}

TEST_CASE("F:one-liar a higher epoch is followed only to a server that is a master") {
    enum class There { nobody, replica, hangs, refuses, loads, no_name };
    for (const There there : {There::nobody, There::replica, There::hangs, There::refuses,
                              There::loads, There::no_name}) {
        CAPTURE(static_cast<int>(there));
        SentinelSite site(2, 3);
        RedisGuide::Needs needs = site.needs();
        needs.access.times = {200ms, 200ms};
        FakeMaster& other = site.at(1);
        if (there == There::nobody) other.peer.refuse();
        if (there == There::replica) other.role = "slave";
        if (there == There::hangs) other.peer.silence(true);
        if (there == There::refuses)
            other.peer.on("INFO SERVER", resp_error("NOPERM no permissions to run the 'info'"));
        if (there == There::loads) other.peer.on("SCRIPT", resp_error("LOADING Redis is loading"));
        site.start(std::move(needs));
        REQUIRE(site.serves());
        site.name_at(2, 1, 99);
        if (there == There::no_name)
            site.sentinel(2).peer.on("SENTINEL GET-MASTER-ADDR-BY-NAME",
                                     resp_texts({"nobody.invalid", "1"}));
        site.tells_of_switch(0, 1, 2);
        REQUIRE(site.until([&] { return site.waits_all(); }));
        REQUIRE(site.until([&] { return !site.waits_all(); }));
        REQUIRE(site.rounds_more(2));
        CHECK(std::ranges::count(site.led, "") == 0);
        CHECK(site.is_led_to(0));
        CHECK(site.at(0).peer.accepted() == 1);
        StoreView view = site.guide->view();
        CHECK(view.state == StoreState::ready);
        CHECK(view.master == site.name(0));
        CHECK(view.trouble.empty());
        REQUIRE(site.until([&] { return !site.guide->view().other_trouble.empty(); }));
        // It becomes a master: it is one, then, as by a failover that the others have not heard of.
        if (there != There::replica) continue;
        other.role = "master";
        REQUIRE(site.until([&] { return site.is_led_to(1); }));
        CHECK(site.guide->view().epoch == 99);
        CHECK(site.guide->view().other_trouble.empty());
    }
}

TEST_CASE("F:one-liar a lie does not hide a failover, nor the master that was lost") {
    SentinelSite site(3, 4);
    RedisGuide::Needs needs = site.needs();
    needs.access.times = {200ms, 200ms};
    site.at(2).role = "slave";
    site.start(std::move(needs));
    REQUIRE(site.serves());
    site.name_at(3, 2, 99);
    site.tells_of_switch(0, 2, 3);
    REQUIRE(site.until([&] { return site.at(2).peer.accepted() > 0; }));
    // Its connections break: it is found again.
    site.at(0).peer.reset_all();
    REQUIRE(site.until([&] { return site.at(0).peer.accepted() == 2 && site.is_led_to(0); }));
    for (const std::size_t i : {0U, 1U, 2U}) site.name_at(i, 1, 8);
    site.tells_of_switch(0, 1, 0);
    REQUIRE(site.until([&] { return site.is_led_to(1); }));
    CHECK(site.guide->view().epoch == 8);
}

TEST_CASE("F:one-liar a switch that is true and slow to be answered is followed when it is") {
    SentinelSite site(2, 3);
    site.at(1).peer.silence(true);
    site.start();
    REQUIRE(site.serves());
    site.name_all(1, 8);
    for (const std::size_t i : {0U, 1U, 2U}) site.tells_of_switch(0, 1, i);
    REQUIRE(site.until([&] { return site.waits_all(); }));
    REQUIRE(site.until([&] { return !site.waits_all(); }));  // no longer than a second
    CHECK(site.is_led_to(0));
    // A majority has a newer one: what is changed at the old one would be lost.
    REQUIRE(site.until([&] { return site.changes_wait(); }));
    site.at(1).peer.reset_all();
    site.at(1).peer.silence(false);
    REQUIRE(site.until([&] { return site.is_led_to(1); }));
    CHECK(!site.changes_wait());
}

TEST_CASE("F:sentinels-agree a lower epoch is followed after ten seconds, or at once") {
    SentinelSite site(2, 3);
    site.start();
    REQUIRE(site.serves());
    // SENTINEL REMOVE and MONITOR at two of three; the old master still answers.
    site.name_at(0, 1, 0);
    site.name_at(1, 1, 0);
    SUBCASE("after ten seconds of agreement") {
        REQUIRE(site.rounds_more(2));
        put_clock_forward(9s);
        REQUIRE(site.rounds_more(1));
        CHECK(site.is_led_to(0));
        CHECK(site.at(1).peer.accepted() == 0);
        put_clock_forward(2s);
        REQUIRE(site.until([&] { return site.is_led_to(1); }));
        CHECK(site.guide->view().epoch == 0);
        CHECK(site.guide->view().failovers == 1);
        // The third still names the old one, with its high epoch: no news.
        REQUIRE(site.rounds_more(3));
        CHECK(site.is_led_to(1));
        // The next failover counts from the new epoch on.
        site.name_at(1, 0, 1);
        REQUIRE(site.until([&] { return site.is_led_to(0); }));
        CHECK(site.guide->view().epoch == 7);
    }
    SUBCASE("a Sentinel that is slow now and then ends no agreement") {
        REQUIRE(site.rounds_more(2));
        site.sentinel(1).peer.refuse();
        site.sentinel(1).peer.close_all();
        REQUIRE(site.until([&] { return site.sentinel(1).peer.connections().empty(); }));
        REQUIRE(site.rounds_more(2));
        site.sentinel(1).peer.listen();
        put_clock_forward(11s);
        CHECK(site.until([&] { return site.is_led_to(1); }));
    }
    SUBCASE("an agreement that ended begins anew") {
        REQUIRE(site.rounds_more(2));
        put_clock_forward(9s);
        site.name_at(0, 0, 7);
        REQUIRE(site.rounds_more(2));
        site.name_at(0, 1, 0);
        put_clock_forward(9s);
        REQUIRE(site.rounds_more(2));
        CHECK(site.is_led_to(0));
    }
    SUBCASE("to a server that is a master only") {
        site.at(1).role = "slave";
        REQUIRE(site.rounds_more(1));
        put_clock_forward(11s);
        REQUIRE(site.until([&] { return site.at(1).peer.accepted() > 0; }));
        REQUIRE(site.rounds_more(2));
        CHECK(site.is_led_to(0));
        CHECK(site.guide->state() == StoreState::ready);
        site.at(1).role = "master";
        CHECK(site.until([&] { return site.is_led_to(1); }));
    }
    SUBCASE("at once, if the old one cannot be reached") {
        site.at(0).peer.refuse();
        site.at(0).peer.reset_all();
        CHECK(site.until([&] { return site.is_led_to(1); }));
    }
    SUBCASE("at once, if the old one says that it is a replica") {
        site.at(0).role = "slave";
        CHECK(site.until([&] { return site.is_led_to(1); }));
    }
}

TEST_CASE("F:sentinels-agree less than a majority is shown, and not followed") {
    SentinelSite site(2, 3);
    site.start();
    REQUIRE(site.serves());
    site.name_at(2, 1, 3);
    REQUIRE(site.rounds_more(2));
    CHECK(!site.guide->view().dissent);  // they may be about to agree
    put_clock_forward(4s);
    REQUIRE(site.until([&] { return site.guide->view().dissent.has_value(); }));
    const SentinelDissent dissent = *site.guide->view().dissent;
    CHECK(dissent.master.text() == site.name(1));
    CHECK(dissent.sentinels == 1);
    CHECK(dissent.known == 3);
    CHECK(!dissent.is_majority());
    put_clock_forward(60s);
    REQUIRE(site.rounds_more(3));
    CHECK(site.is_led_to(0));
    CHECK(site.at(1).peer.accepted() == 0);
    site.name_at(2, 0, 7);
    CHECK(site.until([&] { return !site.guide->view().dissent; }));
}

TEST_CASE("F:way-back a master that was left is a master when it is named again") {
    SentinelSite site(2, 3);
    site.start();
    REQUIRE(site.serves());
    site.name_all(1, 8);
    site.tells_of_switch(0, 1);
    SUBCASE("while the new one refuses us") {
        // Our user is missing there; the old one becomes its replica.
        site.at(1).peer.on("INFO SERVER", resp_error("NOPERM no permissions to run the 'info'"));
        REQUIRE(site.until([&] { return site.at(1).peer.accepted() > 0; }));
        site.at(0).role = "slave";
        REQUIRE(site.until([&] { return site.guide->state() == StoreState::failover; }));
        CHECK(site.until(
            [&] { return site.guide->view().trouble.find("NOPERM") != std::string::npos; }));
        // The operators lead back by hand: the epochs begin anew.
        site.at(0).role = "master";
        site.name_all(0, 0);
    }
    SUBCASE("after the new one was used") {
        REQUIRE(site.until([&] { return site.is_led_to(1); }));
        site.at(1).role = "slave";
        site.name_all(0, 0);
    }
    const std::uint64_t begun = now_us();
    REQUIRE(site.until(
        [&] { return site.guide->view().epoch == 0 && site.guide->state() == StoreState::ready; }));
    CHECK(now_us() - begun < 3'000'000);
    CHECK(site.is_led_to(0));
    // And again by a failover.
    site.at(1).role = "master";
    site.at(1).peer.on("INFO SERVER", resp_text("# Server\r\nredis_version:7.0.15\r\n"));
    site.name_all(1, 1);
    CHECK(site.until([&] { return site.is_led_to(1); }));
}

TEST_CASE("F:way-back each kind of trouble ends within seconds of its cause") {
    struct Trouble {
        const char* name;
        std::function<void(FakeMaster&)> begin;
        std::function<void(FakeMaster&)> end;
    };
    const auto says = [](const char* command, const char* error) {
        return [=](FakeMaster& master) { master.peer.on(command, resp_error(error)); };
    };
    const std::string info = resp_text("# Server\r\nredis_version:7.0.15\r\n");
    const auto takes = [](const char* command, std::string reply) {
        return [=](FakeMaster& master) { master.peer.on(command, reply); };
    };
    const std::string loaded = resp_text("0000000000000000000000000000000000000000");
    const std::vector<Trouble> troubles = {
        {"WRONGPASS", says("AUTH", "WRONGPASS invalid"), takes("AUTH", std::string{resp_ok})},
        {"NOAUTH", says("INFO SERVER", "NOAUTH Authentication required."),
         takes("INFO SERVER", info)},
        {"NOPERM", says("INFO SERVER", "NOPERM no permissions"), takes("INFO SERVER", info)},
        {"NOPERM of a script", says("SCRIPT", "NOPERM no permissions"), takes("SCRIPT", loaded)},
        {"LOADING", says("SCRIPT", "LOADING Redis is loading"), takes("SCRIPT", loaded)},
        {"BUSY", says("SCRIPT", "BUSY Redis is busy"), takes("SCRIPT", loaded)},
        {"MASTERDOWN", says("SCRIPT", "MASTERDOWN Link with MASTER is down"),
         takes("SCRIPT", loaded)},
        {"READONLY", says("SCRIPT", "READONLY You can't write"), takes("SCRIPT", loaded)},
        {"ERR", says("SCRIPT", "ERR something"), takes("SCRIPT", loaded)},
        {"a replica", [](FakeMaster& master) { master.role = "slave"; },
         [](FakeMaster& master) { master.role = "master"; }},
        {"too old", takes("INFO SERVER", resp_text("redis_version:6.2.14\r\n")),
         takes("INFO SERVER", info)},
        {"garbage", takes("INFO SERVER", "HTTP/1.1 400 Bad Request\r\n\r\n"),
         takes("INFO SERVER", info)},
        {"refused", [](FakeMaster& master) { master.peer.refuse(); },
         [](FakeMaster& master) { master.peer.listen(); }},
        {"silent", [](FakeMaster& master) { master.peer.silence(true); },
         [](FakeMaster& master) { master.peer.silence(false); }},
    };
    for (const bool with_sentinel : {true, false}) {
        SentinelSite site(1);
        RedisGuide::Needs needs = site.needs();
        if (!with_sentinel) needs.address = site.at(0).endpoint();
        needs.access.password = "sesame";
        needs.access.times = {300ms, 300ms};
        site.start(std::move(needs));
        for (const Trouble& trouble : troubles) {
            CAPTURE(trouble.name);
            CAPTURE(with_sentinel);
            REQUIRE(site.until([&] { return site.guide->state() == StoreState::ready; }));
            trouble.begin(site.at(0));
            site.at(0).peer.reset_all();
            REQUIRE(site.until([&] { return !site.guide->view().trouble.empty(); }));
            if (!with_sentinel) turns_for(site.loop, 200ms);  // several tries
            trouble.end(site.at(0));
            const std::uint64_t ended = now_us();
            REQUIRE(site.until([&] { return site.guide->state() == StoreState::ready; }));
            CHECK(now_us() - ended < 3'000'000);
        }
    }
}

TEST_CASE("F:planned changes wait from a promotion on until the new master is named") {
    SentinelSite site(2, 3);
    site.at(1).role = "slave";
    site.start();
    REQUIRE(site.serves());
    site.tells_of_promotion(0, 1, 1);
    REQUIRE(site.until([&] { return site.changes_wait(); }));
    CHECK(!site.waits_all());
    CHECK(site.is_led_to(0));
    // Rounds that name the old one end nothing.
    REQUIRE(site.rounds_more(2));
    CHECK(site.changes_wait());
    SUBCASE("it is named") {
        site.at(1).role = "master";
        site.name_at(1, 1, 8);
        site.tells_of_switch(0, 1, 1);
        REQUIRE(site.until([&] { return site.is_led_to(1); }));
        CHECK(!site.changes_wait());
    }
    SUBCASE("it never is: no longer than some seconds, and not again by that Sentinel") {
        put_clock_forward(4s);
        site.loop.turn();
        CHECK(!site.changes_wait());
        REQUIRE(site.rounds_more(2));
        site.tells_of_promotion(0, 1, 1);
        turns_for(site.loop, 50ms);
        CHECK(!site.changes_wait());
        site.tells_of_promotion(0, 1, 0);
        CHECK(site.until([&] { return site.changes_wait(); }));
    }
    SUBCASE("the Sentinel gives it up") {
        site.sentinel(0).peer.publish("-failover-abort-slave-timeout",
                                      "master m 127.0.0.1 " + site.port(0));
        turns_for(site.loop, 50ms);
        CHECK(site.changes_wait());  // another one does
        site.sentinel(1).peer.publish("-failover-abort-slave-timeout",
                                      "master m 127.0.0.1 " + site.port(0));
        CHECK(site.until([&] { return !site.changes_wait(); }));
    }
    SUBCASE("a promotion under another master is none of ours") {
        put_clock_forward(4s);
        site.loop.turn();
        site.tells_of_promotion(1, 1, 0);
        turns_for(site.loop, 50ms);
        CHECK(!site.changes_wait());
    }
}

TEST_CASE("a master that is found to be another one is gone to, and the stores leave the first") {
    SentinelSite site;
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    site.name_all(1, 8);
    REQUIRE(site.until([&] { return site.is_led_to(1); }));
    CHECK(std::ranges::count(site.led, "") == 1);
    CHECK(site.until([&] { return site.at(0).peer.connections().empty(); }));
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
        site.sentinel().peer.refuse();
        site.sentinel().peer.close_all();
        REQUIRE(site.until([&] { return site.sentinel().peer.connections().empty(); }));
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
            site.sentinel().peer.listen();
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

TEST_CASE("F:redis-says what Redis says is shown, and recovered from") {
    for (const std::string_view password : {"", "sesame"})
        for (const auto& [line, shown] :
             {std::pair<const char*, const char*>{
                  "DENIED Redis is running in protected mode.",
                  "refused: DENIED Redis is running in protected mode."},
              {"ERR max number of clients reached",
               "no connection: ERR max number of clients reached"},
              {"LOADING Redis is loading", "busy: LOADING Redis is loading"},
              {"MASTERDOWN Link with MASTER is down",
               "not a master: MASTERDOWN Link with MASTER is down"},
              {"NOPERM no", "refused: NOPERM no"},
              {"ERR sesame",
               password.empty() ? "no connection: ERR sesame" : "no connection: ERR"}}) {
            const std::string text = line;
            CAPTURE(text);
            CAPTURE(password);
            Site site(1);
            RedisGuide::Needs needs = site.needs();
            needs.address = site.at(0).endpoint();
            needs.access.password = password;
            site.at(0).peer.turn_away(resp_error(line));
            site.start(std::move(needs));
            REQUIRE(site.until([&] { return !site.guide->view().trouble.empty(); }));
            CHECK(site.guide->view().trouble == shown);
            site.at(0).peer.turn_away("");
            const std::uint64_t ended = now_us();
            REQUIRE(site.until([&] { return site.guide->state() == StoreState::ready; }));
            CHECK(now_us() - ended < 3'000'000);
        }
}

TEST_CASE("F:redis-says and while no master is known, why") {
    SentinelSite site;
    const auto becomes = [&](std::string_view text) {
        CAPTURE(text);
        CHECK(site.until([&] { return site.guide->view().trouble == text; }));
    };
    auto& sentinel = site.sentinel().peer;
    sentinel.refuse();
    site.start();
    becomes("no sentinel answers");
    CHECK(site.guide->state() == StoreState::down);
    sentinel.on("SENTINEL MASTER", resp_error("ERR No such master with that name"));
    sentinel.on("SENTINEL GET-MASTER-ADDR-BY-NAME", std::string_view{"*-1\r\n"});
    sentinel.listen();
    becomes("no sentinel knows the master");
    sentinel.on("SENTINEL GET-MASTER-ADDR-BY-NAME", resp_texts({"127.0.0.1", site.port(0)}));
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    becomes("");
}

TEST_CASE("F:redis-says what went wrong is said once") {
    Site site(1);
    RedisGuide::Needs needs = site.needs();
    needs.address = site.at(0).endpoint();
    needs.access.times = {100ms, 100ms};
    const auto becomes = [&](std::string_view text) {
        site.at(0).peer.reset_all();
        const bool so = site.until([&] { return site.guide->view().trouble == text; });
        CAPTURE(site.guide->view().trouble);
        CHECK(so);
    };
    site.at(0).peer.silence(true);
    site.start(std::move(needs));
    becomes("no answer in time");
    site.at(0).peer.silence(false);
    site.at(0).peer.on("INFO SERVER", std::string_view{"HTTP/1.1 400 Bad Request\r\n\r\n"});
    becomes("bad reply: not what the protocol allows");
    site.at(0).peer.refuse();
    becomes("no connection: connection refused");
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
}

TEST_CASE(
    "F:alarm a master that comes back empty has lost its keys, one that says nothing has not") {
    Site site(1);
    std::string keys = resp_integer(300);
    const std::string info =
        resp_text("# Replication\r\nrole:master\r\n\r\n# Stats\r\nexpired_keys:7\r\n");
    std::string stats = info;
    std::size_t asked = 0;
    site.at(0).peer.on("INFO REPLICATION", [&](FakeMaster::Connection& connection, const auto&) {
        connection.send(stats);
    });
    site.at(0).peer.on("DBSIZE", [&](FakeMaster::Connection& connection, const auto&) {
        connection.send(keys);
        ++asked;
    });
    const auto look = [&] {
        asked = 0;
        REQUIRE(site.until([&] { return asked >= 2; }));
        return site.guide->view().data_losses;
    };
    site.start();
    CHECK(look() == 0);
    for (const char* error : {"BUSY Redis is busy running a script.", "NOPERM this user"}) {
        keys = resp_error(error);
        CHECK(look() == 0);
        keys = resp_integer(300);
        stats = resp_error(error);
        CHECK(look() == 0);
        stats = info;
    }
    CHECK(look() == 0);
    keys = resp_integer(0);
    site.at(0).peer.reset_all();
    CHECK(look() == 1);
    // Whoever was away for long cannot say.
    keys = resp_integer(300);
    CHECK(look() == 1);
    keys = resp_integer(0);
    site.at(0).peer.refuse();
    site.at(0).peer.reset_all();
    REQUIRE(site.until([&] { return site.guide->state() == StoreState::failover; }));
    put_clock_forward(61s);
    REQUIRE(site.until([&] { return site.guide->state() == StoreState::down; }));
    site.at(0).peer.listen();
    CHECK(look() == 1);
}

TEST_CASE("F:alarm keys that the server has dropped by itself are not lost") {
    struct Second {
        std::int64_t keys;
        std::int64_t expired;
        std::int64_t evicted;
    };
    const auto losses = [](const std::vector<Second>& seconds) {
        Site site(1);
        std::size_t asked = 0;
        const auto now = [&] { return seconds[std::min(asked, seconds.size() - 1)]; };
        site.at(0).peer.on(
            "INFO REPLICATION", [&](FakeMaster::Connection& connection, const auto&) {
                connection.send(resp_text(
                    "# Replication\r\nrole:master\r\n\r\n# Stats\r\nexpired_keys:" +
                    std::to_string(now().expired) + "\r\nexpired_stale_perc:0.00\r\nevicted_keys:" +
                    std::to_string(now().evicted) + "\r\n"));
            });
        site.at(0).peer.on("DBSIZE", [&](FakeMaster::Connection& connection, const auto&) {
            connection.send(resp_integer(now().keys));
            ++asked;
        });
        site.start();
        REQUIRE(site.until([&] { return asked > seconds.size(); }));
        return site.guide->view().data_losses;
    };
    CHECK(losses({{300, 7, 0}, {0, 307, 0}}) == 0);
    CHECK(losses({{300, 7, 2}, {10, 157, 142}}) == 0);
    // Some had expired, but most are gone.
    CHECK(losses({{300, 7, 0}, {0, 107, 0}}) == 1);
    CHECK(losses({{300, 1'000'000, 0}, {0, 1'000'000, 0}}) == 1);
    // Somebody has set the counts to 0 meanwhile.
    CHECK(losses({{300, 1'000'000, 0}, {0, 300, 0}}) == 0);
    CHECK(losses({{300, 1'000'000, 0}, {0, 20, 0}}) == 1);
}

TEST_CASE("F:full writes count as refused until one is not, be it our own") {
    const std::string oom = resp_error("OOM command not allowed when used memory > 'maxmemory'.");
    Site site(1);
    site.at(0).on_script(RedisScript::create, oom);
    site.start();
    REQUIRE(site.until([&] { return site.is_led_to(0); }));
    // Nobody writes as long as nothing is refused.
    turns_for(site.loop, std::chrono::milliseconds{1100});
    CHECK(site.at(0).heard(RedisScript::create) == 0);
    site.guide->reported({Report::refused});
    REQUIRE(site.until([&] { return site.at(0).heard(RedisScript::create) >= 2; }));
    CHECK(site.guide->state() == StoreState::read_only);
    put_clock_forward(60s);
    REQUIRE(site.until([&] { return site.at(0).heard(RedisScript::create) >= 3; }));
    CHECK(site.guide->state() == StoreState::read_only);
    // Another connection to the same server is no proof, nor is a key that is there already.
    site.at(0).peer.reset_all();
    REQUIRE(site.until([&] { return site.at(0).peer.accepted() >= 2 && site.is_led_to(0); }));
    site.at(0).on_script(RedisScript::create, resp_array({resp_text("EXISTS")}));
    const std::size_t before = site.at(0).heard(RedisScript::create);
    REQUIRE(site.until([&] { return site.at(0).heard(RedisScript::create) >= before + 2; }));
    CHECK(site.guide->state() == StoreState::read_only);
    site.at(0).peer.on("EVALSHA", FakeMaster::answer);
    REQUIRE(site.until([&] { return site.guide->state() == StoreState::ready; }));
    // With a key of its own below the prefix that soon expires.
    for (const auto& connection : site.at(0).peer.connections())
        for (const FakeMaster::Command& command : connection->asked)
            if (FakeMaster::is(command, RedisScript::create)) {
                CHECK(command[3].starts_with("p:s:probe-"));
                CHECK(command[4] == "500");
            }
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
    site.name_all(1, 8);
    REQUIRE(site.until([&] { return site.is_led_to(1); }));
    REQUIRE(site.until([&] { return site.at(1).peer.heard("CONFIG GET") == 4; }));
    CHECK(site.guide->view().replicas.empty());
    CHECK(site.guide->view().sentinels.size() == 1);
}

}  // namespace baton
