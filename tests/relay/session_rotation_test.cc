// A session's id changes: at a login, with its end, and with time.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

constexpr std::int64_t minute = 60'000;

Setup renewing(bool late = false) {
    return {.servers = 2, .sessions = true, .late_store = late, .change = [](Config& config) {
                config.session.renew_after = 10min;
                config.routes[0].create = SessionCreate::always;
            }};
}

}  // namespace

TEST_CASE("S27 a login: a new id in the cookie, the attributes intact, the old id dead at once") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    const SessionId old_id = make_session(proxy, {{"cart", "3"}}, 5'000);
    const std::int64_t created = found(proxy, old_id).record.created_ms;
    Visit straggler{proxy, cookie_of(old_id)};
    CHECK(straggler.told("State") == "live");
    Visit login{proxy, cookie_of(old_id), "POST", "Content-Length: 0\r\n"};
    login.answers({"Rotate: login"});
    const SessionId new_id = id_in(login.cookie());
    CHECK(new_id != old_id);
    CHECK(field(login.got(), "Cache-Control") == "no-store");
    CHECK(found(proxy, old_id).kind == Kind::dead);
    Visit next{proxy, cookie_of(new_id)};
    CHECK(next.told("State") == "live");
    CHECK(next.told("Id") == new_id.view());
    CHECK(next.told("Version") == "2");
    CHECK(next.told("Created") == std::to_string(created));
    CHECK(next.told("Data") == "cart=3");
    CHECK(next.answers().cookie() == "none");
    // What was under way with the old id changes nothing, and overwrites no cookie.
    CHECK(straggler.answers({"Set: cart=9"}).status() == "200");
    CHECK(straggler.cookie() == "none");
    CHECK(proxy.counters().session_gone.read() == 1);
    // Nor does what comes with it within 30 s, although create = always.
    passes(proxy, 25'000);
    Visit late{proxy, cookie_of(old_id)};
    CHECK(late.told("State") == "none");
    CHECK(late.told("Data") == "(none)");
    CHECK(late.answers().cookie() == "none");
    CHECK(proxy.table().sessions() == 1);
    passes(proxy, 5'000);
    Visit later{proxy, cookie_of(old_id)};
    CHECK(later.told("State") == "new");
    CHECK(later.answers().cookie() == later.told("Id"));
    CHECK(attributes_of(proxy, new_id) == Attributes{{"cart", "3"}});
}

TEST_CASE("S28 an id planted on a victim is dead once the victim has logged in") {
    Proxy proxy{{.sessions = true}};
    Visit attacker{proxy, ""};
    const std::string planted = attacker.answers({"Set: anonymous=1"}).cookie();
    Visit victim{proxy, cookie_of(planted)};
    const std::string fresh = victim.answers({"Rotate: login", "Set: user=victim"}).cookie();
    CHECK(fresh != planted);
    Visit again{proxy, cookie_of(planted)};
    CHECK(again.told("State") == "none");
    CHECK(again.told("Data") == "(none)");
    CHECK(again.answers({"Unset: user", "Rotate: 1"}).cookie() == "none");
    CHECK(again.status() == "200");
    CHECK(attributes_of(proxy, id_in(fresh)) == Attributes{{"anonymous", "1"}, {"user", "victim"}});
    // Not even an id that the attacker makes a session of his own.
    Visit other{proxy, cookie_of(planted)};
    CHECK(other.answers({"Set: a=1"}).cookie() != planted);
}

TEST_CASE("S27 a login and its attributes are one commit") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    const SessionId id = make_session(proxy, {{"n", "1"}});
    Visit login{proxy, cookie_of(id)};
    asked(proxy);
    proxy.store_answers();
    login.answers({"Rotate: login", "Set: user=bob", "Incr: n=1", "Idle: 600", "Base: 1"});
    CHECK(asked(proxy).what == "commit");
    login.client.expects_nothing();
    proxy.store_answers();
    const SessionId fresh = id_in(login.cookie());
    CHECK(proxy.late_store().questions.empty());
    const SessionRecord record = found(proxy, fresh).record;
    CHECK(record.version == 2);
    CHECK(record.idle_ms == 600'000);
    CHECK(record.attributes == Attributes{{"n", "2"}, {"user", "bob"}});
    CHECK(proxy.table().sessions() == 1);
}

TEST_CASE("S27 of two logins at once one gives the new id, the other no cookie") {
    Proxy proxy{{.servers = 2, .sessions = true}};
    const SessionId id = make_session(proxy);
    Visit one{proxy, cookie_of(id)};
    one.told();
    Visit two{proxy, cookie_of(id)};
    two.told();
    const SessionId fresh = id_in(one.answers({"Rotate: login", "Set: user=one"}).cookie());
    CHECK(two.answers({"Rotate: login", "Set: user=two"}).status() == "200");
    CHECK(two.cookie() == "none");
    CHECK(attributes_of(proxy, fresh) == Attributes{{"user", "one"}});
    CHECK(proxy.table().sessions() == 1);
}

TEST_CASE(
    "S25 Destroy with Create: the old session is gone, a new one with only this Set follows") {
    Proxy proxy{{.sessions = true}};
    const SessionId id = make_session(proxy, {{"cart", "3"}});
    Visit login{proxy, cookie_of(id)};
    const SessionId fresh =
        id_in(login.answers({"Destroy: 1", "Set: user=bob", "Idle: 120"}).cookie());
    CHECK(fresh != id);
    CHECK(found(proxy, id).kind == Kind::dead);
    CHECK(attributes_of(proxy, fresh) == Attributes{{"user", "bob"}});
    CHECK(found(proxy, fresh).record.version == 1);
    CHECK(found(proxy, fresh).record.idle_ms == 120'000);
    Visit empty{proxy, cookie_of(fresh)};
    const SessionId last = id_in(empty.answers({"Destroy: 1", "Create: 1"}).cookie());
    CHECK(attributes_of(proxy, last).empty());
    CHECK(proxy.table().sessions() == 1);
    // A session made for this very request has left nothing at the client.
    Proxy always{{.sessions = true, .change = [](Config& config) {
                      config.routes[0].create = SessionCreate::always;
                  }}};
    Visit first{always, ""};
    CHECK(first.answers({"Destroy: 1"}).cookie() == "none");
    CHECK(always.table().sessions() == 0);
}

TEST_CASE("a session whose id is old enough gets a new one with its next response") {
    Proxy proxy{renewing()};
    const SessionId id = make_session(proxy, {{"a", "1"}}, 10 * minute - 10'000);
    Visit young{proxy, cookie_of(id)};
    CHECK(young.answers().cookie() == "none");
    passes(proxy, 10'000);
    Visit old{proxy, cookie_of(id)};
    CHECK(old.told("Id") == id.view());
    const SessionId fresh = id_in(old.answers().cookie());
    CHECK(fresh != id);
    CHECK(found(proxy, fresh).record.version == 2);
    CHECK(attributes_of(proxy, fresh) == Attributes{{"a", "1"}});
    Visit next{proxy, cookie_of(fresh)};
    CHECK(next.told("Id") == fresh.view());
    CHECK(next.answers().cookie() == "none");
    // The old id leads there for a minute, and each response says so.
    for (int i = 0; i < 2; ++i) {
        passes(proxy, 25'000);
        Visit led{proxy, cookie_of(id)};
        CHECK(led.told("Id") == fresh.view());
        CHECK(led.told("State") == "live");
        CHECK(led.answers({"Incr: n=1"}).cookie() == fresh.view());
    }
    CHECK(attributes_of(proxy, fresh) == Attributes{{"a", "1"}, {"n", "2"}});
    // Both at once are one session, not two.
    Visit both{proxy, cookie_of(id) + "; " + cookie_of(fresh)};
    CHECK(both.told("Id") == fresh.view());
    CHECK(both.answers().cookie() == fresh.view());
    CHECK(proxy.counters().session_second_live.read() == 0);
    passes(proxy, 10'000);
    Visit after{proxy, cookie_of(id)};
    CHECK(after.told("State") == "new");
    CHECK(after.told("Id") != fresh.view());
    CHECK(proxy.counters().session_unknown_absent.read() == 1);
}

TEST_CASE("two requests at once whose session's id is old end with the same new one") {
    for (const bool late : {false, true}) {
        CAPTURE(late);
        Proxy proxy{renewing(late)};
        const auto store_answers = [&] {
            proxy.turn();
            while (late && !proxy.late_store().questions.empty()) proxy.store_answers();
        };
        const SessionId id = make_session(proxy, {}, 11 * minute);
        Visit one{proxy, cookie_of(id)};
        store_answers();
        one.told();
        Visit two{proxy, cookie_of(id)};
        store_answers();
        two.told();
        one.answers();
        two.answers();
        store_answers();
        const std::string fresh = one.cookie();
        CHECK(two.cookie() == fresh);
        CHECK(found(proxy, id_in(fresh)).kind == Kind::live);
        CHECK(proxy.table().sessions() == 1);
    }
}

TEST_CASE("a change that finds its session renewed is made there, and the cookie says where") {
    Proxy proxy{renewing()};
    const SessionId id = make_session(proxy, {{"x", "0"}}, 11 * minute);
    Visit slow{proxy, cookie_of(id)};
    slow.told();
    Visit fast{proxy, cookie_of(id)};
    const SessionId fresh = id_in(fast.answers({"Set: y=1"}).cookie());
    CHECK(slow.answers({"Set: x=1", "Base: 1"}).cookie() == fresh.view());
    CHECK(attributes_of(proxy, fresh) == Attributes{{"x", "1"}, {"y", "1"}});
    CHECK(found(proxy, fresh).record.version == 3);
}

TEST_CASE("a logout that finds its session renewed ends it there") {
    for (const bool login : {false, true}) {
        CAPTURE(login);
        Proxy proxy{renewing()};
        const SessionId id = make_session(proxy, {{"x", "0"}}, 11 * minute);
        Visit slow{proxy, cookie_of(id)};
        slow.told();
        Visit fast{proxy, cookie_of(id)};
        const SessionId fresh = id_in(fast.answers().cookie());
        CHECK(slow.answers({login ? "Rotate: login" : "Destroy: 1"}).status() == "200");
        CHECK(found(proxy, fresh).kind == Kind::dead);
        if (login)
            CHECK(found(proxy, id_in(slow.cookie())).kind == Kind::live);
        else
            CHECK(slow.cookie() == "ended");
        CHECK(proxy.table().sessions() == (login ? 1 : 0));
        // The old id leads nowhere now, and makes nothing by itself.
        Visit after{proxy, cookie_of(id)};
        CHECK(after.told("State") == "none");
        CHECK(after.answers().cookie() == "none");
    }
}

TEST_CASE("a conflict of a request whose session was renewed is asked again by the new id") {
    Proxy proxy{renewing()};
    const SessionId id = make_session(proxy, {{"x", "0"}}, 11 * minute);
    Visit slow{proxy, cookie_of(id)};
    slow.told();
    Visit fast{proxy, cookie_of(id)};
    const SessionId fresh = id_in(fast.answers({"Set: x=1"}).cookie());
    slow.answers({"Set: x=2", "Base: 1"}).asks();
    CHECK(slow.told("Id") == fresh.view());
    CHECK(slow.told("Data") == "x=1");
    CHECK(slow.answers({"Set: x=2", "Base: 2"}).cookie() == fresh.view());
    CHECK(attributes_of(proxy, fresh) == Attributes{{"x", "2"}});
}

TEST_CASE("neither the end of an old session nor a Use in it makes a new id") {
    Proxy proxy{renewing()};
    const SessionId id = make_session(proxy, {}, 11 * minute);
    CHECK(Visit{proxy, cookie_of(id)}.answers({"Destroy: 1"}).cookie() == "ended");
    CHECK(found(proxy, id).kind == Kind::dead);
    CHECK(proxy.table().sessions() == 0);
    const SessionId old_one = make_session(proxy, {}, 11 * minute);
    const SessionId used = make_session(proxy);
    CHECK(Visit{proxy, cookie_of(old_one)}.answers({"Use: " + std::string{used.view()}}).cookie() ==
          used.view());
    CHECK(found(proxy, old_one).kind == Kind::live);
}

}  // namespace baton::test
