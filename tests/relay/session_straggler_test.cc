// Requests that are answered after their session has gone on: what of it reaches the client, and
// who is to blame for a wait.

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {
constexpr std::int64_t minute = 60'000;
Setup renewing(bool late = false) {
    return {.servers = 2, .sessions = true, .late_store = late, .change = [](Config& config) {
                config.session.renew_after = 10min;
            }};
}
}  // namespace

TEST_CASE("S27 a straggler of a renewed session gets no cookie once that has logged in or out") {
    for (const bool led : {false, true}) {
        for (const char* end : {"Rotate: login", "Destroy: 1"}) {
            CAPTURE(led);
            CAPTURE(end);
            Proxy proxy{renewing()};
            const SessionId id = make_session(proxy, {}, 11 * minute);
            std::optional<Visit> straggler;
            if (!led) straggler.emplace(proxy, cookie_of(id)).told();
            const SessionId renewed = id_in(Visit{proxy, cookie_of(id)}.answers().cookie());
            if (led) straggler.emplace(proxy, cookie_of(id)).told();
            CHECK(straggler->told("State") == "live");
            Visit{proxy, cookie_of(renewed)}.answers({end}).status();
            CHECK(found(proxy, renewed).kind == Kind::dead);
            CHECK(straggler->answers().cookie() == "none");
        }
    }
}

TEST_CASE("F:straggler what comes with an ended id makes no session and touches no cookie") {
    for (const char* end : {"Rotate: login", "Destroy: 1", "kill"}) {
        for (const SessionCreate create : {SessionCreate::on_demand, SessionCreate::always}) {
            CAPTURE(end);
            Proxy proxy{{.sessions = true,
                         .change = [create](Config& config) { config.routes[0].create = create; }}};
            const SessionId id = make_session(proxy, {{"a", "1"}});
            const SessionId made = make_session(proxy);  // by other means, for Use
            if (end == std::string{"kill"})
                proxy.table().kill(key_of(id), now_of(proxy));
            else
                Visit{proxy, cookie_of(id)}.answers({end}).status();
            const std::size_t sessions = proxy.table().sessions();
            passes(proxy, 29'000);
            std::uint64_t dropped = 0;
            for (const std::vector<std::string>& fields :
                 std::vector<std::vector<std::string>>{{"Set: a=2"},
                                                       {"Incr: n=1"},
                                                       {"Create: 1"},
                                                       {"Rotate: login", "Set: user=eve"},
                                                       {"Destroy: 1"},
                                                       {"Destroy: 1", "Set: user=eve"},
                                                       {"Unset: a"},
                                                       {"Idle: 600"},
                                                       {"Use: " + std::string{made.view()}}}) {
                CAPTURE(fields[0]);
                Visit late{proxy, cookie_of(id)};
                CHECK(late.told("State") == "none");
                CHECK(late.answers(fields).status() == "200");
                CHECK(late.cookie() == "none");
                CHECK(proxy.counters().session_gone.read() == ++dropped);
                CHECK(proxy.table().sessions() == sessions);
            }
            CHECK(Visit{proxy, cookie_of(id)}.answers().cookie() == "none");
            CHECK(proxy.counters().session_gone.read() == dropped);
            // Beside a live one it is nothing but old.
            Visit both{proxy, cookie_of(id) + "; " + cookie_of(made)};
            both.answers({"Set: a=3"}).status();
            CHECK(attributes_of(proxy, made) == Attributes{{"a", "3"}});
            passes(proxy, 1'000);
            Visit later{proxy, cookie_of(id)};
            CHECK(later.answers({"Set: a=4"}).cookie() == later.told("Id"));
        }
    }
}

TEST_CASE("S29 a session that is used by its id lives its idle time from then on") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.session.idle = 60s;
                     config.session.idle_min = 1s;
                 }}};
    const SessionId made = make_session(proxy, {}, 59'000);
    Visit page{proxy, ""};
    CHECK(page.answers({"Use: " + std::string{made.view()}}).cookie() == made.view());
    passes(proxy, 20'000);
    Visit next{proxy, cookie_of(made)};
    CHECK(next.told("State") == "live");
    next.answers();
}

TEST_CASE("S4 guesses in front of a live id count") {
    Proxy proxy{
        {.sessions = true, .change = [](Config& config) { config.session.unknown_max = 1; }}};
    passes(proxy, 60'000 - now_of(proxy) % 60'000);
    const SessionId mine = make_session(proxy);
    std::size_t refused = 0;
    for (int i = 0; i < 10; ++i) {
        Visit visit{proxy, cookie_of(mint_session_id()) + "; " + cookie_of(mint_session_id()) +
                               "; " + cookie_of(mint_session_id()) + "; " + cookie_of(mine)};
        proxy.turn(4);
        if (visit.client.got().empty()) visit.answers();
        if (visit.status() == "429") ++refused;
    }
    CHECK(proxy.counters().session_unknown_absent.read() == 30);
    CHECK(refused > 0);
}

TEST_CASE("a store that does not answer in the time of the request is no fault of its server") {
    Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                     config.upstreams[0].timeouts.total = 300ms;
                 }}};
    Visit visit{proxy, ""};
    visit.answers({"Set: a=1"});
    asked(proxy);
    CHECK(visit.status() == "503");
    CHECK(proxy.server_faults(ServerFault::server_slow) == 0);
}

}  // namespace baton::test
