// Sessions that a server makes by other means than its response: by the proposed id, or by any other.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

std::string use(const SessionId& id) { return "Use: " + std::string{id.view()}; }

// Asks for `id` where there is no session, or that of `cookies`.
struct Ignored {
    std::string cookie;
    std::uint64_t counted;
};
Ignored ask_for(Proxy& proxy, const SessionId& id, const std::string& cookies = "") {
    const std::uint64_t before = proxy.counters().session_use_ignored.read();
    Visit visit{proxy, cookies};
    visit.answers({use(id)});
    CHECK(visit.status() == "200");
    return {visit.cookie(), proxy.counters().session_use_ignored.read() - before};
}

}  // namespace

TEST_CASE("S60 a session that was made with the proposed id is used by it") {
    Proxy proxy{{.sessions = true}};
    Visit visit{proxy, ""};
    CHECK(visit.told("State") == "none");
    const SessionId proposed = id_in(visit.told("Id"));
    CHECK(found(proxy, proposed).kind == Kind::none);
    NewSession session;
    session.idle_ms = 60'000;
    session.slack_ms = 6'000;
    session.attributes = {{"made", "elsewhere"}};
    proxy.table().create(key_of(proposed), session, now_of(proxy));
    CHECK(visit.answers({use(proposed)}).cookie() == proposed.view());
    Visit next{proxy, cookie_of(proposed)};
    CHECK(next.told("State") == "live");
    CHECK(next.told("Data") == "made=elsewhere");
    CHECK(proxy.counters().session_use_ignored.read() == 0);
}

TEST_CASE("S60 a proposal that is never used, and one of a request with an unknown id") {
    Proxy proxy{{.sessions = true}};
    const SessionId unknown = mint_session_id();
    std::string last;
    for (const std::string& cookies : {std::string{}, cookie_of(unknown), cookie_of("x")}) {
        Visit visit{proxy, cookies};
        CHECK(visit.told("Id").size() == 32);
        CHECK(visit.told("Id") != unknown.view());
        CHECK(visit.told("Id") != last);
        last = visit.told("Id");
        CHECK(visit.answers().cookie() == "none");
        CHECK(found(proxy, id_in(last)).kind == Kind::none);
    }
    CHECK(proxy.table().sessions() == 0);
    CHECK(proxy.table().memory() == 0);
    Visit page{proxy, cookie_of(unknown)};
    CHECK(page.answers({"Set: a=1"}).cookie() == page.told("Id"));
}

TEST_CASE("S61 a session that was just made or just got its id is used, an older one is not") {
    Proxy proxy{{.sessions = true}};
    const SessionId young = make_session(proxy, {}, 50'000);
    const SessionId old_one = make_session(proxy, {}, 61'000);
    CHECK(ask_for(proxy, young).cookie == young.view());
    const Ignored ignored = ask_for(proxy, old_one);
    CHECK(ignored.cookie == "none");
    CHECK(ignored.counted == 1);
    // It is as old as its id.
    const SessionId fresh = mint_session_id();
    proxy.table().commit(key_of(old_one), {.rotation = Rotation{key_of(fresh), {}}}, now_of(proxy));
    CHECK(ask_for(proxy, fresh).cookie == fresh.view());
    CHECK(ask_for(proxy, old_one).counted == 1);
    // Shown by a server only, neither is confirmed: a client has to come back with it.
    CHECK(proxy.counters().session_use_ignored.read() == 2);
}

TEST_CASE("S61 an id of another scope, a dead one, one that leads on, one that never was") {
    Proxy proxy{{.sessions = true}};
    const SessionId foreign = make_session(proxy, {}, 0, "other");
    const SessionId dead = make_session(proxy);
    proxy.table().kill(key_of(dead), now_of(proxy));
    const SessionId moved = make_session(proxy);
    const SessionId fresh = mint_session_id();
    proxy.table().commit(key_of(moved), {.rotation = Rotation{key_of(fresh), veiled(fresh, moved)}},
                         now_of(proxy));
    const SessionId mine = make_session(proxy, {{"a", "1"}});
    for (const SessionId& id : {foreign, dead, moved, mint_session_id()}) {
        for (const std::string& cookies : {std::string{}, cookie_of(mine)}) {
            const Ignored ignored = ask_for(proxy, id, cookies);
            CHECK(ignored.cookie == "none");
            CHECK(ignored.counted == 1);
        }
    }
    CHECK(attributes_of(proxy, mine) == Attributes{{"a", "1"}});
}

TEST_CASE("S61 a Use in a session takes the place of that session's cookie, and ends nothing") {
    Proxy proxy{{.sessions = true}};
    const SessionId mine = make_session(proxy, {{"a", "1"}});
    const SessionId other = make_session(proxy, {{"b", "2"}});
    CHECK(ask_for(proxy, other, cookie_of(mine)).cookie == other.view());
    CHECK(found(proxy, mine).kind == Kind::live);
    // Its own id asks for nothing, however old it is.
    passes(proxy, 100'000);
    const Ignored own = ask_for(proxy, mine, cookie_of(mine));
    CHECK(own.cookie == "none");
    CHECK(own.counted == 0);
}

TEST_CASE("S61 a Use with another field, twice, or of no id is a 502, and changes nothing") {
    Proxy proxy{{.sessions = true}};
    const SessionId mine = make_session(proxy, {{"a", "1"}});
    const SessionId other = make_session(proxy);
    for (const std::vector<std::string>& fields :
         {std::vector<std::string>{use(other), "Set: a=2"},
          std::vector<std::string>{use(other), use(other)},
          std::vector<std::string>{use(other), "Destroy: 1"}, std::vector<std::string>{"Use: 1"},
          std::vector<std::string>{"Use: "}}) {
        Visit visit{proxy, cookie_of(mine)};
        visit.answers(fields);
        CHECK(visit.status() == "502");
        CHECK(visit.cookie() == "none");
    }
    CHECK(proxy.faults(Fault::session_refused) == 5);
    CHECK(found(proxy, mine).record.version == 1);
    CHECK(attributes_of(proxy, mine) == Attributes{{"a", "1"}});
}

TEST_CASE("a session that a server only named is the first to go from a full table") {
    Proxy proxy{
        {.sessions = true, .change = [](Config& config) { config.session.sessions_max = 2; }}};
    const SessionId named = make_session(proxy);
    CHECK(ask_for(proxy, named).cookie == named.view());
    make_session(proxy);
    make_session(proxy);
    CHECK(found(proxy, named).kind == Kind::none);
    CHECK(proxy.table().evicted_unconfirmed() == 1);
}

}  // namespace baton::test
