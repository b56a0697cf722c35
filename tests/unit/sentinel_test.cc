// Following a master by what scripted Sentinels say, do not say, and say wrongly.

#include "session/redis/sentinel.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/unit/redis_peer.h"

namespace baton {
namespace {

using namespace test;
using namespace std::chrono_literals;

const std::string noperm = resp_error("NOPERM this user has no permissions to run the command");
const std::string no_command =
    resp_error("ERR unknown command 'SENTINEL', with args beginning with: 'MASTER' ");

// What the events' log says as long as it lives.
class EventLines {
public:
    EventLines() : saved_(::dup(STDERR_FILENO)), file_(::memfd_create("events", 0)) {
        ::dup2(file_, STDERR_FILENO);
    }
    ~EventLines() {
        ::dup2(saved_, STDERR_FILENO);
        ::close(saved_);
        ::close(file_);
    }
    EventLines(const EventLines&) = delete;
    EventLines& operator=(const EventLines&) = delete;

    std::string text() const {
        std::string text(static_cast<std::size_t>(::lseek(file_, 0, SEEK_END)), '\0');
        const ssize_t size = ::pread(file_, text.data(), text.size(), 0);
        text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return text;
    }
    // How many times it says so.
    std::size_t count(std::string_view words) const {
        const std::string all = text();
        std::size_t count = 0;
        for (std::size_t at = all.find(words); at != all.npos; at = all.find(words, at + 1))
            ++count;
        return count;
    }

private:
    int saved_;
    int file_;
};

// A Sentinel that knows a master by the name of "m".
struct FakeSentinel {
    RedisPeer peer;
    std::string host = "10.0.0.1";
    unsigned epoch = 7;
    bool knows = true;
    bool tells_epoch = true;
    std::vector<Endpoint> others;
    std::string identity;                 // empty: it may not tell
    std::vector<std::string> identities;  // of the others

    explicit FakeSentinel(Loop& loop) : peer(loop) {
        peer.on("SENTINEL MASTER",
                [this](RedisPeer::Connection& connection, const RedisPeer::Command& asked) {
                    if (!tells_epoch) return connection.send(noperm);
                    if (!knows || asked[2] != "m")
                        return connection.send(resp_error("ERR No such master with that name"));
                    connection.send(resp_texts({"name", "m", "ip", host, "port", "6379", "flags",
                                                "master", "config-epoch", std::to_string(epoch),
                                                "num-slaves", "2", "num-other-sentinels",
                                                std::to_string(others.size()), "quorum", "2"}));
                });
        peer.on("SENTINEL GET-MASTER-ADDR-BY-NAME",
                [this](RedisPeer::Connection& connection, const RedisPeer::Command& asked) {
                    if (!knows || asked[2] != "m") return connection.send(resp_nil_array);
                    connection.send(resp_texts({host, "6379"}));
                });
        peer.on("SENTINEL SENTINELS",
                [this](RedisPeer::Connection& connection, const RedisPeer::Command& asked) {
                    if (!knows || asked[2] != "m")
                        return connection.send(resp_error("ERR No such master with that name"));
                    std::string bytes = "*" + std::to_string(others.size()) + "\r\n";
                    for (std::size_t i = 0; i < others.size(); ++i)
                        bytes += resp_texts({"name", "x", "ip", others[i].host, "port",
                                             std::to_string(others[i].port), "runid",
                                             i < identities.size() ? identities[i] : ""});
                    connection.send(bytes);
                });
        peer.on("SENTINEL MYID", [this](RedisPeer::Connection& connection, const auto&) {
            connection.send(identity.empty() ? noperm : resp_text(identity));
        });
    }
    void switches_to(std::string_view next) {
        const std::string message = "m " + host + " 6379 " + std::string{next} + " 6379";
        host = next;
        ++epoch;
        peer.publish("+switch-master", message);
    }
    std::size_t rounds() const { return peer.heard("SENTINEL GET-MASTER"); }
    bool is_listened_to() {
        for (RedisPeer::Connection* connection : peer.connections())
            if (connection->channels == sentinel_channels().size()) return true;
        return false;
    }
};

// Sentinels, and what a watch tells of them: "10.0.0.1 7", "unknown_name", "switched 10.0.0.1 to 10.0.0.2".
struct Site {
    Loop loop;
    TcpCounts counts;
    EventLines log;
    std::vector<std::unique_ptr<FakeSentinel>> sentinels;
    std::vector<std::string> told;
    Endpoint teller;  // of the last news
    std::function<void()> on_event;
    std::vector<Endpoint> configured;
    std::string master = "m", username, password;
    RedisPipe::Times times;
    bool discover = true;
    bool eager = false;  // round upon round, not one a second
    std::unique_ptr<SentinelWatch> watch;

    explicit Site(std::size_t count = 3) {
        for (std::size_t i = 0; i < count; ++i) configured.push_back(add().peer.endpoint());
    }
    FakeSentinel& add() {
        sentinels.push_back(std::make_unique<FakeSentinel>(loop));
        return *sentinels.back();
    }
    FakeSentinel& at(std::size_t place) { return *sentinels.at(place); }
    void open() {
        watch = std::make_unique<SentinelWatch>(SentinelNeeds{.loop = loop,
                                                              .counts = counts,
                                                              .sentinels = configured,
                                                              .master = master,
                                                              .username = username,
                                                              .password = password,
                                                              .times = times,
                                                              .discover = discover},
                                                this, events);
    }
    void tell(std::string what) {
        told.push_back(std::move(what));
        if (eager) watch->ask_now();
        if (on_event) on_event();
    }
    std::size_t count(std::string_view what) const {
        return static_cast<std::size_t>(std::count(told.begin(), told.end(), what));
    }
    // So many times more than until now.
    bool waits_for(std::string_view what, std::size_t times_more = 1) {
        const std::size_t before = count(what);
        return until([&] { return count(what) >= before + times_more; });
    }
    bool until(const std::function<bool()>& so) { return turns_until(loop, so); }
    bool is_listened_to() {
        return until([&] {
            return std::all_of(sentinels.begin(), sentinels.end(),
                               [](const auto& sentinel) { return sentinel->is_listened_to(); });
        });
    }

    static const SentinelWatch::Events events;
};

const SentinelWatch::Events Site::events = {
    .found =
        [](void* site, const SentinelRound& found) {
            auto& self = *static_cast<Site*>(site);
            if (!found.candidates.empty()) {
                const MasterChoice& choice = found.candidates[0];
                return self.tell(choice.master.host + " " +
                                 (choice.epoch ? std::to_string(*choice.epoch) : "-"));
            }
            constexpr std::string_view names[] = {"no_answer", "unknown_name", "only_older"};
            self.tell(std::string{names[static_cast<std::size_t>(found.why)]});
        },
    .told =
        [](void* site, const SentinelNews& news, const Endpoint& sentinel) {
            auto& self = *static_cast<Site*>(site);
            self.teller = sentinel;
            if (news.kind == SentinelNews::Kind::aborted) return self.tell("aborted");
            const bool switched = news.kind == SentinelNews::Kind::switched;
            self.tell((switched ? "switched " : "promoting ") + news.from.host + " to " +
                      news.to.host);
        },
};

TEST_CASE("the master that all Sentinels name is told, each second anew") {
    Site site;
    site.open();
    CHECK(site.told.empty());  // not before the loop turns
    REQUIRE(site.waits_for("10.0.0.1 7", 3));
    for (const auto& sentinel : site.sentinels) {
        CHECK(sentinel->rounds() >= 3);
        CHECK(sentinel->peer.accepted() == 2);
    }
    CHECK(site.is_listened_to());
    CHECK(site.log.count("sentinel connected") == 3);
    CHECK(site.log.count("sentinel lost") == 0);
}

TEST_CASE("answers come in any split") {
    Site site;
    for (const auto& sentinel : site.sentinels) sentinel->peer.dribble(true);
    site.eager = true;
    site.open();
    CHECK(site.waits_for("10.0.0.1 7", 2));
    CHECK(site.is_listened_to());
    site.at(1).switches_to("10.0.0.2");
    CHECK(site.waits_for("switched 10.0.0.1 to 10.0.0.2"));
}

// Rounds until there were two of them, or nothing if they took as long as it takes until one is due by itself.
std::optional<std::size_t> rounds_of_five_wishes() {
    Site site{1};
    const std::uint64_t begin = now_us();
    site.open();
    for (int i = 0; i < 5; ++i) site.watch->ask_now();
    REQUIRE(site.until([&] { return site.told.size() >= 2; }));
    turns_for(site.loop, 50ms);
    return now_us() - begin < 900'000 ? std::optional{site.at(0).rounds()} : std::nullopt;
}

TEST_CASE("who asks during a round gets one more, not one for each time") {
    std::optional<std::size_t> rounds;
    for (int tries = 0; tries < 10 && !rounds; ++tries) rounds = rounds_of_five_wishes();
    CHECK(rounds == 2);
}

TEST_CASE("a switch is told at once, and the new master follows") {
    Site site;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    REQUIRE(site.is_listened_to());
    site.watch->set_last({{{"10.0.0.1", 6379}, 7}, true, {}});
    for (const auto& sentinel : site.sentinels) sentinel->switches_to("10.0.0.2");
    REQUIRE(site.waits_for("10.0.0.2 8"));
    CHECK(site.count("switched 10.0.0.1 to 10.0.0.2") >= 1);
    const auto place = [&](std::string_view what) {
        return std::find(site.told.begin(), site.told.end(), what);
    };
    CHECK(place("switched 10.0.0.1 to 10.0.0.2") < place("10.0.0.2 8"));
    CHECK(site.until([&] { return site.count("switched 10.0.0.1 to 10.0.0.2") == 3; }));
    CHECK(site.log.count("word=+switch-master") == 1);
}

TEST_CASE("what was answered before a switch is not told after it") {
    Site site{2};
    // The second says nothing: the round is under way when the first tells of the switch.
    site.at(1).peer.silence(true);
    site.times = {20s, 20s};
    site.open();
    REQUIRE(site.until([&] { return site.at(0).is_listened_to(); }));
    // A round in which the first has answered, and the second has not.
    const std::size_t rounds = site.at(0).rounds();
    site.watch->ask_now();
    REQUIRE(site.until([&] {
        return site.at(0).rounds() > rounds &&
               site.at(0).peer.connections()[0]->asked.size() >= 4 * (rounds + 1);
    }));
    site.at(0).switches_to("10.0.0.2");
    REQUIRE(site.waits_for("switched 10.0.0.1 to 10.0.0.2"));
    const std::size_t told = site.told.size();
    REQUIRE(site.waits_for("10.0.0.2 8"));
    CHECK(std::count(site.told.begin() + static_cast<std::ptrdiff_t>(told), site.told.end(),
                     "10.0.0.1 7") == 0);
}

TEST_CASE("messages of other masters are nobody's business") {
    Site site{1};
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    REQUIRE(site.is_listened_to());
    for (const char* const text :
         {"mm 10.0.0.1 6379 10.0.0.2 6379", "m 10.0.0.1 6379 10.0.0.2 0", "m", ""})
        site.at(0).peer.publish("+switch-master", text);
    site.at(0).peer.publish("+sdown", "master other 10.0.0.1 6379");
    site.at(0).peer.publish("+odown", "master m 10.0.0.1 6379 #quorum 2/2");
    REQUIRE(site.until([&] { return site.log.count("word=+odown") == 1; }));
    CHECK(site.log.count("sentinel event") == 1);
    CHECK(std::none_of(site.told.begin(), site.told.end(),
                       [](const std::string& what) { return what.starts_with("switched"); }));
}

TEST_CASE("a reset, a new master to watch and a new Sentinel lead to a round at once") {
    for (const std::pair<std::string_view, std::string_view>& message :
         {std::pair<std::string_view, std::string_view>{"+reset-master", "master m 10.0.0.1 6379"},
          std::pair<std::string_view, std::string_view>{"+monitor",
                                                        "master m 10.0.0.1 6379 quorum 2"},
          std::pair<std::string_view, std::string_view>{
              "+sentinel", "sentinel 0a 10.0.0.5 26379 @ m 10.0.0.1 6379"}}) {
        CAPTURE(message.first);
        Site site{1};
        site.open();
        REQUIRE(site.waits_for("10.0.0.1 7"));
        REQUIRE(site.is_listened_to());
        // A second has a sign of life and a round of its own; these are more.
        constexpr std::size_t messages = 20;
        const std::size_t rounds = site.at(0).rounds();
        const std::size_t seconds = site.at(0).peer.heard("PING");
        for (std::size_t i = 0; i < messages; ++i) {
            site.at(0).peer.publish(message.first, message.second);
            REQUIRE(site.waits_for("10.0.0.1 7"));
        }
        CHECK(site.at(0).rounds() - rounds >=
              site.at(0).peer.heard("PING") - seconds + messages / 2);
    }
}

TEST_CASE("S42 Sentinels that allow no SUBSCRIBE are followed by asking") {
    Site site;
    for (const auto& sentinel : site.sentinels) sentinel->peer.on("SUBSCRIBE", noperm);
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    for (const auto& sentinel : site.sentinels) sentinel->switches_to("10.0.0.2");
    CHECK(site.waits_for("10.0.0.2 8"));
    CHECK(site.until([&] { return site.log.count("sentinel refuses events") == 3; }));
    CHECK(site.waits_for("10.0.0.2 8", 2));
    CHECK(site.log.count("sentinel lost") == 0);
    // Nor is it said again when the connections are made anew.
    for (const auto& sentinel : site.sentinels) sentinel->peer.close_all();
    REQUIRE(site.until([&] {
        return std::all_of(site.sentinels.begin(), site.sentinels.end(), [](const auto& sentinel) {
            return sentinel->peer.heard("SUBSCRIBE -odown") == 2;
        });
    }));
    CHECK(site.waits_for("10.0.0.2 8", 2));
    CHECK(site.log.count("sentinel refuses events") == 3);
}

TEST_CASE("S42 one channel that is refused takes no other away") {
    Site site{1};
    site.at(0).peer.on("SUBSCRIBE +SENTINEL", noperm);
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    REQUIRE(site.until([&] { return site.log.count("sentinel refuses events") == 1; }));
    site.at(0).switches_to("10.0.0.2");
    CHECK(site.waits_for("switched 10.0.0.1 to 10.0.0.2"));
}

TEST_CASE("Sentinels that tell nothing but the address are followed") {
    Site site;
    for (const auto& sentinel : site.sentinels) {
        sentinel->tells_epoch = false;
        sentinel->peer.on("SENTINEL SENTINELS", noperm);
        sentinel->peer.on("SUBSCRIBE", noperm);
    }
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 -"));
    site.watch->set_last({{{"10.0.0.1", 6379}, std::nullopt}, false, {}});
    // One is no majority of three.
    site.at(0).host = "10.0.0.2";
    REQUIRE(site.waits_for("10.0.0.1 -", 2));
    site.at(1).host = "10.0.0.2";
    CHECK(site.waits_for("10.0.0.2 -"));
}

TEST_CASE("S40 the address of a data node is named, and asked no more for events") {
    Site site;
    for (const std::size_t i : {0U, 1U})
        for (const char* const command : {"SENTINEL", "SENTINEL MASTER", "SENTINEL SENTINELS",
                                          "SENTINEL GET-MASTER-ADDR-BY-NAME"})
            site.at(i).peer.on(command, no_command);
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7", 3));
    for (const std::size_t i : {0U, 1U}) {
        CHECK(
            site.log.count("level=error event=\"sentinel address is a Redis data node\" sentinel=" +
                           site.at(i).peer.address().text() +
                           " hint=\"Sentinels usually listen on 26379\"") == 1);
        CHECK(site.at(i).peer.heard("SUBSCRIBE") == 0);
    }
    CHECK(site.log.count("Redis data node") == 2);
    const auto view = site.watch->view();
    CHECK_FALSE(view[0].answers);
    CHECK(view[2].answers);
}

TEST_CASE("S40 an address that becomes a data node's is not listened to any more") {
    Site site{2};
    site.eager = true;
    site.open();
    REQUIRE(site.is_listened_to());
    for (const char* const command :
         {"SENTINEL MASTER", "SENTINEL SENTINELS", "SENTINEL GET-MASTER-ADDR-BY-NAME"})
        site.at(0).peer.on(command, no_command);
    REQUIRE(site.until([&] { return site.log.count("Redis data node") == 1; }));
    CHECK(site.until([&] { return !site.at(0).is_listened_to(); }));
    CHECK(site.at(0).peer.heard("SUBSCRIBE") == sentinel_channels().size());
    CHECK(site.waits_for("10.0.0.1 7"));
}

TEST_CASE("S40 nothing but data nodes is no Sentinel at all") {
    Site site{2};
    for (const auto& sentinel : site.sentinels)
        for (const char* const command :
             {"SENTINEL MASTER", "SENTINEL SENTINELS", "SENTINEL GET-MASTER-ADDR-BY-NAME"})
            sentinel->peer.on(command, no_command);
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("no_answer", 3));
    CHECK(site.log.count("Redis data node") == 2);
    CHECK(site.told == std::vector<std::string>(site.told.size(), "no_answer"));
}

TEST_CASE("S41 a master's name that no Sentinel knows is named once a minute") {
    Site site;
    site.master = "other";
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("unknown_name", 3));
    CHECK(site.log.count("level=error event=\"no sentinel knows the master\" master=other") == 1);
    CHECK(site.log.count("sentinel lost") == 0);
    // One that knows it is enough.
    site.at(1).peer.on("SENTINEL GET-MASTER-ADDR-BY-NAME", resp_texts({"10.0.0.9", "6379"}));
    site.at(1).peer.on("SENTINEL SENTINELS", "*0\r\n");
    site.at(1).peer.on("SENTINEL MASTER",
                       resp_texts({"flags", "master", "config-epoch", "3", "quorum", "2",
                                   "num-slaves", "0", "num-other-sentinels", "0"}));
    CHECK(site.waits_for("10.0.0.9 3"));
}

TEST_CASE("S41 a wrong password is named once a minute, and never shown") {
    Site site;
    site.username = "watcher";
    site.password = "SESAME";
    // An error may repeat what was asked.
    const std::string answers[] = {
        resp_error("WRONGPASS invalid username-password pair or user is disabled."),
        resp_error("SESAME SESAME"),
        resp_error("ERR unknown command 'AUTH', with args beginning with: 'SESAME' ")};
    for (std::size_t i = 0; i < 3; ++i) {
        site.at(i).peer.on("AUTH", answers[i]);
        for (const char* const command :
             {"SENTINEL MASTER", "SENTINEL SENTINELS", "SENTINEL GET-MASTER-ADDR-BY-NAME"})
            site.at(i).peer.on(command, resp_error("NOAUTH Authentication required."));
    }
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("no_answer", 3));
    REQUIRE(site.until([&] { return site.at(0).peer.heard("AUTH watcher SESAME") >= 3; }));
    CHECK(site.log.count("level=error event=\"sentinel refuses the password\"") == 1);
    CHECK(site.log.count("sentinel lost") == 3);
    CHECK(site.log.count("SESAME") == 0);
    // It becomes the right one.
    for (std::size_t i = 0; i < 3; ++i) {
        site.at(i).peer.on("AUTH", resp_ok);
        site.at(i).peer.on("SENTINEL GET-MASTER-ADDR-BY-NAME", resp_texts({"10.0.0.1", "6379"}));
    }
    CHECK(site.waits_for("10.0.0.1 -"));
}

TEST_CASE("S41 a password that is not wanted is named once a minute, and goes without") {
    Site site;
    site.password = "SESAME";
    for (const auto& sentinel : site.sentinels)
        sentinel->peer.on(
            "AUTH", resp_error("ERR AUTH <password> called without any password configured for the "
                               "default user. Are you sure your configuration is correct?"));
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7", 3));
    CHECK(site.is_listened_to());
    CHECK(site.log.count("sentinel has no password, but one is configured") == 1);
    CHECK(site.log.count("SESAME") == 0);
}

TEST_CASE("S41 a password that is wanted and not configured is named once a minute") {
    Site site;
    for (const auto& sentinel : site.sentinels)
        for (const char* const command :
             {"SENTINEL MASTER", "SENTINEL SENTINELS", "SENTINEL GET-MASTER-ADDR-BY-NAME"})
            sentinel->peer.on(command, resp_error("NOAUTH Authentication required."));
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("no_answer", 3));
    CHECK(site.log.count("level=error event=\"sentinel requires a password\"") == 1);
}

TEST_CASE("the password comes first, on every connection") {
    Site site{1};
    SUBCASE("alone") { site.password = "SESAME"; }
    SUBCASE("with a user") {
        site.username = "watcher";
        site.password = "SESAME";
    }
    const std::string expected = site.username.empty() ? "AUTH SESAME" : "AUTH watcher SESAME";
    site.at(0).peer.on("AUTH", resp_ok);
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    REQUIRE(site.is_listened_to());
    for (RedisPeer::Connection* connection : site.at(0).peer.connections()) {
        std::string first;
        for (const std::string& word : connection->asked.at(0))
            first += (first.empty() ? "" : " ") + word;
        CHECK(first == expected);
    }
    CHECK(site.at(0).peer.heard("AUTH") == 2);
    CHECK(site.log.count("SESAME") == 0);
}

TEST_CASE("Sentinels that others tell of are asked, too") {
    Site site{1};
    FakeSentinel& second = site.add();
    FakeSentinel& third = site.add();
    site.at(0).others = {second.peer.endpoint()};
    second.others = {third.peer.endpoint(), site.configured[0]};
    third.epoch = 9;
    SUBCASE("if that is wanted") {
        site.open();
        CHECK(site.waits_for("10.0.0.1 9"));
        CHECK(site.is_listened_to());
        const auto view = site.watch->view();
        REQUIRE(view.size() == 3);
        CHECK(view[0].configured);
        CHECK_FALSE(view[2].configured);
        CHECK(view[2].address == third.peer.address().text());
    }
    SUBCASE("else not") {
        site.discover = false;
        site.open();
        REQUIRE(site.waits_for("10.0.0.1 7", 2));
        CHECK(second.peer.accepted() == 0);
        CHECK(site.at(0).peer.heard("SENTINEL SENTINELS") == 0);
        CHECK(site.watch->view().size() == 1);
    }
}

TEST_CASE("no more than 32 Sentinels are asked") {
    Site site{1};
    site.at(0).peer.refuse();
    const Address nobody = site.at(0).peer.address();
    FakeSentinel& told = site.add();
    site.configured = {told.peer.endpoint()};
    for (std::uint16_t i = 0; i < 200; ++i)
        told.others.push_back({"127.0.0." + std::to_string(2 + i), nobody.port()});
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7", 3));
    CHECK(site.watch->view().size() == 32);
    // Those that were never reached are missed by no majority.
    told.tells_epoch = false;
    CHECK(site.waits_for("10.0.0.1 -"));
}

TEST_CASE("a Sentinel under two names has one vote") {
    Site site{2};
    site.configured.push_back({"localhost", site.at(0).peer.address().port()});
    site.configured.push_back(site.configured[0]);
    for (const auto& sentinel : site.sentinels) {
        sentinel->tells_epoch = false;
        sentinel->others = {site.configured[0], site.configured[1]};
    }
    site.at(1).host = "10.0.0.2";
    site.eager = true;
    site.open();
    // One says this and one says that: neither is a majority.
    REQUIRE(site.waits_for("only_older", 2));
    CHECK(site.watch->view().size() == 2);
    CHECK(std::none_of(site.told.begin(), site.told.end(),
                       [](const std::string& what) { return what.starts_with("10."); }));
}

TEST_CASE("F:sentinels-agree a Sentinel under two addresses counts once") {
    // It listens on two, as `bind 10.0.0.5 127.0.0.1` lets it: the same answers, and one identity.
    Site site{2};
    FakeSentinel& twin = site.add();
    site.at(0).identity = twin.identity = std::string(40, 'a');
    site.at(1).identity = std::string(40, 'b');
    for (const auto& sentinel : site.sentinels) sentinel->tells_epoch = false;
    site.eager = true;
    SUBCASE("both configured") {
        site.configured.push_back(twin.peer.endpoint());
        site.at(1).host = "10.0.0.2";
        site.open();
        REQUIRE(site.until([&] { return twin.rounds() >= 3 && site.at(1).rounds() >= 3; }));
        REQUIRE(site.waits_for("only_older", 2));  // one says this and one says that
        CHECK(site.watch->view().size() == 2);
        // If it is not reached by the one address, its vote comes by the other.
        site.at(1).host = "10.0.0.1";
        site.at(0).peer.refuse();
        site.at(0).peer.close_all();
        REQUIRE(site.until([&] { return site.log.count("sentinel lost") == 1; }));
        CHECK(site.waits_for("10.0.0.1 -"));
        CHECK(site.watch->view().size() == 2);
        CHECK(std::ranges::all_of(site.watch->view(),
                                  [](const SentinelView& view) { return view.answers; }));
    }
    SUBCASE("one of them told by another Sentinel") {
        site.at(1).others = {twin.peer.endpoint()};
        site.at(1).identities = {twin.identity};
        site.open();
        REQUIRE(site.waits_for("10.0.0.1 -", 3));
        REQUIRE(site.until([&] { return site.at(0).rounds() >= 3 && site.at(1).rounds() >= 3; }));
        CHECK(site.watch->view().size() == 2);
    }
    SUBCASE("told before its identity is known") {
        site.at(1).others = {twin.peer.endpoint()};
        site.open();
        REQUIRE(site.until([&] { return twin.rounds() >= 3; }));
        CHECK(site.watch->view().size() == 2);
    }
    SUBCASE("others have identities of their own") {
        twin.identity = std::string(40, 'c');
        site.at(1).others = {twin.peer.endpoint()};
        site.at(1).identities = {twin.identity};
        site.open();
        REQUIRE(site.until([&] { return twin.rounds() >= 3; }));
        CHECK(site.watch->view().size() == 3);
    }
}

TEST_CASE(
    "F:planned a promotion and its end are told, and each kind of message is logged once a "
    "minute") {
    Site site;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    REQUIRE(site.is_listened_to());
    const std::string slave = "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379";
    for (int i = 0; i < 5; ++i)
        for (const auto& sentinel : site.sentinels) {
            sentinel->peer.publish("+failover-state-send-slaveof-noone", slave);
            sentinel->peer.publish("+promoted-slave", slave);
            sentinel->peer.publish("-failover-abort-slave-timeout", "master m 10.0.0.1 6379");
            sentinel->peer.publish("+sdown", "master m 10.0.0.1 6379");
            sentinel->peer.publish("-sdown", "master m 10.0.0.1 6379");
        }
    REQUIRE(site.until([&] { return site.count("aborted") == 15; }));
    CHECK(site.count("promoting 10.0.0.1 to 10.0.0.2") == 30);
    CHECK(std::ranges::any_of(site.configured,
                              [&](const Endpoint& one) { return one == site.teller; }));
    CHECK(site.log.count("sentinel event") == 5);
    for (const char* const word :
         {"word=+failover-state-send-slaveof-noone", "word=+promoted-slave",
          "word=-failover-abort-slave-timeout", "word=+sdown", "word=-sdown"})
        CHECK(site.log.count(word) == 1);
}

TEST_CASE("a Sentinel that was cut off moves nothing back") {
    Site site;
    site.at(0).host = "10.0.0.9";
    site.at(0).epoch = 6;
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    site.watch->set_last({{{"10.0.0.1", 6379}, 7}, true, {}});
    site.at(1).peer.refuse();
    site.at(2).peer.refuse();
    site.at(1).peer.close_all();
    site.at(2).peer.close_all();
    REQUIRE(site.waits_for("only_older", 2));
    site.watch->set_last({{{"10.0.0.1", 6379}, 7}, false, {}});
    REQUIRE(site.waits_for("only_older", 2));
    CHECK(site.count("10.0.0.9 6") == 0);
    // Two that have begun anew are a majority, while the last master is lost.
    site.at(1).host = "10.0.0.9";
    site.at(1).epoch = 0;
    site.at(1).peer.listen();
    CHECK(site.waits_for("10.0.0.9 6"));
}

TEST_CASE("a Sentinel that goes and comes back is logged once each, and never given up") {
    Site site;
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    FakeSentinel& first = site.at(0);
    for (std::size_t time = 1; time <= 3; ++time) {
        CAPTURE(time);
        first.peer.refuse();
        if (time == 2)
            first.peer.reset_all();
        else
            first.peer.close_all();
        REQUIRE(site.waits_for("10.0.0.1 7", 2));
        CHECK(site.log.count("sentinel lost") == time);
        first.peer.listen();
        REQUIRE(site.until([&] { return site.log.count("sentinel connected") == 3 + time; }));
        REQUIRE(site.until([&] { return first.is_listened_to(); }));
    }
}

TEST_CASE("Sentinels that come later are found") {
    Site site;
    for (const auto& sentinel : site.sentinels) sentinel->peer.refuse();
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("no_answer", 3));
    CHECK(site.log.count("sentinel lost") == 3);
    site.at(2).peer.listen();
    CHECK(site.waits_for("10.0.0.1 7"));
}

TEST_CASE("a Sentinel that hears and says nothing holds nothing up") {
    Site site;
    site.at(0).peer.silence(true);
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7", 3));
    REQUIRE(site.until([&] { return site.log.count("sentinel lost") == 1; }));
    CHECK(site.log.count("reason=\"no answer in time\"") == 1);
    // Each connection to it lasts as long as an answer may take; rounds go on meanwhile.
    const std::size_t connections = site.at(0).peer.accepted();
    const std::size_t rounds = site.at(1).rounds();
    REQUIRE(site.until([&] { return site.at(0).peer.accepted() == connections + 2; }));
    CHECK(site.at(1).rounds() - rounds > 12);
    site.at(0).peer.silence(false);
    CHECK(site.until([&] { return site.log.count("sentinel connected") == 3; }));
}

TEST_CASE("all Sentinels silent is no answer, told again and again") {
    Site site;
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    for (const auto& sentinel : site.sentinels) sentinel->peer.silence(true);
    CHECK(site.waits_for("no_answer", 3));
    for (const auto& sentinel : site.sentinels) sentinel->peer.silence(false);
    CHECK(site.waits_for("10.0.0.1 7"));
}

TEST_CASE("a connection for events that has died unseen is made anew") {
    Site site{1};
    site.open();
    REQUIRE(site.is_listened_to());
    RedisPeer::Connection* listening = nullptr;
    for (RedisPeer::Connection* connection : site.at(0).peer.connections())
        if (connection->channels > 0) listening = connection;
    REQUIRE(listening != nullptr);
    listening->silent = true;
    CHECK(site.until([&] { return site.at(0).peer.heard("SUBSCRIBE +switch-master") == 2; }));
    REQUIRE(site.is_listened_to());
    site.at(0).switches_to("10.0.0.2");
    CHECK(site.waits_for("switched 10.0.0.1 to 10.0.0.2"));
    CHECK(site.log.count("sentinel lost") == 0);  // it answered all the time
}

TEST_CASE("a Sentinel whose answer is none has not answered") {
    const std::vector<std::pair<const char*, std::string>> bad = {
        {"SENTINEL GET-MASTER-ADDR-BY-NAME", resp_texts({"10.0.0.9", "0"})},
        {"SENTINEL GET-MASTER-ADDR-BY-NAME", resp_texts({"10.0.0.9"})},
        {"SENTINEL GET-MASTER-ADDR-BY-NAME", "+10.0.0.9\r\n"},
        {"SENTINEL GET-MASTER-ADDR-BY-NAME", "*5000\r\n"},
        {"SENTINEL GET-MASTER-ADDR-BY-NAME", "HTTP/1.1 400 Bad Request\r\n\r\n"},
        {"SENTINEL MASTER", resp_texts({"config-epoch"})},
        {"SENTINEL MASTER", "*-1\r\n"},
        {"SENTINEL SENTINELS", ":1\r\n"},
        {"SENTINEL SENTINELS", resp_array({resp_texts({"ip", "a"})})},
    };
    for (const auto& pair : bad) {
        CAPTURE(std::string{pair.first});
        CAPTURE(pair.second);
        Site site;
        site.at(0).epoch = 99;
        site.at(0).host = "10.0.0.9";
        site.at(0).peer.on(pair.first, pair.second);
        site.open();
        CHECK(site.waits_for("10.0.0.1 7"));
        CHECK(site.until([&] { return site.log.count("sentinel lost") == 1; }));
        CHECK(site.count("10.0.0.9 99") == 0);
        CHECK_FALSE(site.watch->view()[0].answers);
    }
}

TEST_CASE("bytes nobody asked for end a connection, no more") {
    Site site{1};
    site.eager = true;
    site.open();
    REQUIRE(site.waits_for("10.0.0.1 7"));
    REQUIRE(site.is_listened_to());
    for (RedisPeer::Connection* connection : site.at(0).peer.connections())
        connection->send(resp_texts({"10.0.0.9", "6379"}));
    REQUIRE(site.until([&] { return site.at(0).peer.accepted() == 4; }));
    CHECK(site.waits_for("10.0.0.1 7", 2));
    CHECK(std::none_of(site.told.begin(), site.told.end(),
                       [](const std::string& what) { return what.starts_with("10.0.0.9"); }));
}

TEST_CASE("the view shows what each said last") {
    Site site{2};
    site.at(0).others = {site.configured[1]};
    site.at(1).tells_epoch = false;
    site.open();
    auto view = site.watch->view();
    REQUIRE(view.size() == 2);
    CHECK(view[0].address == site.configured[0].text());
    CHECK_FALSE(view[0].answers);
    CHECK(view[0].answered_at_ms == 0);
    REQUIRE(site.until([&] {
        view = site.watch->view();
        return view[0].answers && view[1].answers;
    }));
    CHECK(view[0].configured);
    CHECK(view[0].master == "10.0.0.1:6379");
    CHECK(view[0].epoch == 7);
    CHECK(view[0].quorum == 2);
    CHECK(view[0].others == 1);
    CHECK(view[0].replicas == 2);
    CHECK(view[0].answered_at_ms > 1'600'000'000'000);
    CHECK_FALSE(view[1].epoch);
    CHECK_FALSE(view[1].quorum);
    site.at(0).peer.refuse();
    site.at(0).peer.close_all();
    REQUIRE(site.until([&] { return !site.watch->view()[0].answers; }));
    CHECK(site.watch->view()[0].master == "10.0.0.1:6379");
}

TEST_CASE("a watch may be destroyed during each of its events, and at any point") {
    for (const char* const last :
         {"10.0.0.1 7", "switched 10.0.0.1 to 10.0.0.2", "no_answer", "unknown_name"}) {
        CAPTURE(std::string{last});
        Site site;
        if (last == std::string_view{"unknown_name"}) site.master = "other";
        if (last == std::string_view{"no_answer"})
            for (const auto& sentinel : site.sentinels) sentinel->peer.refuse();
        bool ended = false;
        site.on_event = [&] {
            ended = ended || site.told.back() == last;
            if (ended) site.watch.reset();
        };
        site.open();
        if (last == std::string_view{"switched 10.0.0.1 to 10.0.0.2"}) {
            REQUIRE(site.is_listened_to());
            site.at(0).switches_to("10.0.0.2");
        }
        REQUIRE(site.until([&] { return site.watch == nullptr; }));
        const std::size_t told = site.told.size();
        turns_for(site.loop, 10ms);
        CHECK(site.told.size() == told);
    }
    for (int turns = 0; turns < 12; ++turns) {
        Site site;
        site.open();
        for (int i = 0; i < turns; ++i) site.loop.turn();
    }
}

}  // namespace
}  // namespace baton
