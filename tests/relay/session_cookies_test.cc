// Requests that show many cookies of the session's name.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

std::string planted(std::size_t count) {
    std::string cookies;
    for (std::size_t i = 0; i < count; ++i) cookies += cookie_of(mint_session_id()) + "; ";
    return cookies;
}

}  // namespace

TEST_CASE("F:many-cookies the live one is found, first or last, among any number of others") {
    for (const std::size_t others : {0U, 1U, 3U, 4U, 7U, 15U, 16U, 100U, 500U}) {
        for (const bool first : {true, false}) {
            CAPTURE(others);
            CAPTURE(first);
            Proxy proxy{{.sessions = true}};
            const std::string mine = cookie_of(make_session(proxy, {{"a", "1"}}));
            Visit visit{proxy, first ? mine + "; " + planted(others) : planted(others) + mine};
            CHECK(visit.told("State") == "live");
            CHECK(visit.told("Data") == "a=1");
            CHECK(visit.answers({"Rotate: login"}).cookie() != "none");
            CHECK(proxy.counters().session_cookies_passed_over.read() ==
                  (others > 15 ? others - 15 : 0));
            CHECK(proxy.counters().session_unknown_absent.read() ==
                  std::min(others, std::size_t{15}));
        }
    }
}

TEST_CASE("F:many-cookies what is no id, or stands twice, takes no place") {
    Proxy proxy{{.sessions = true}};
    const std::string mine = cookie_of(make_session(proxy));
    const std::string twice = cookie_of(mint_session_id()) + "; ";
    std::string cookies;
    for (int i = 0; i < 50; ++i) cookies += "JSESSIONID=node" + std::to_string(i) + "; " + twice;
    Visit visit{proxy, planted(6) + cookies + mine + "; " + planted(6)};
    CHECK(visit.told("State") == "live");
    CHECK(proxy.counters().session_unknown_malformed.read() == 50);
    CHECK(proxy.counters().session_cookies_passed_over.read() == 0);
    visit.answers();
}

TEST_CASE("F:many-cookies all are asked in one question, and the first live one wins") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    const SessionId one = make_session(proxy, {{"of", "one"}});
    const SessionId two = make_session(proxy, {{"of", "two"}});
    Visit visit{proxy, planted(3) + cookie_of(one) + "; " + planted(3) + cookie_of(two)};
    CHECK(asked(proxy).what == "load several");
    CHECK(asked(proxy).keys.size() == 8);
    CHECK(proxy.late_store().questions.size() == 1);
    proxy.store_answers();
    CHECK(proxy.late_store().questions.empty());
    CHECK(visit.told("Data") == "of=one");
    CHECK(proxy.counters().session_second_live.read() == 1);
    visit.answers();
}

TEST_CASE("F:many-cookies each unknown id counts against who shows it") {
    Proxy proxy{
        {.sessions = true, .change = [](Config& config) { config.session.unknown_max = 20; }}};
    passes(proxy, 60'000 - now_of(proxy) % 60'000);
    Visit first{proxy, planted(16)};
    CHECK(first.answers().status() == "200");
    Visit second{proxy, planted(16)};
    CHECK(second.status() == "429");
}

TEST_CASE("F:many-cookies ids that lead on are followed, each in its place") {
    Proxy proxy{{.sessions = true}};
    const SessionId old_id = make_session(proxy, {{"of", "old"}});
    const SessionId fresh = mint_session_id();
    proxy.table().commit(key_of(old_id),
                         {.rotation = Rotation{key_of(fresh), veiled(fresh, old_id)}},
                         now_of(proxy));
    const SessionId other = make_session(proxy, {{"of", "other"}});
    Visit visit{proxy, planted(5) + cookie_of(old_id) + "; " + cookie_of(other)};
    CHECK(visit.told("Data") == "of=old");
    CHECK(visit.answers().cookie() == fresh.view());
    CHECK(proxy.counters().session_second_live.read() == 1);
}

}  // namespace baton::test
