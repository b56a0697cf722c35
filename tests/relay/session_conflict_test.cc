// Two requests of one session at the same time: both changes, one of them, or one after the other.

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

struct Two {
    explicit Two(
        Attributes attributes, const std::string& method = "POST",
        const std::function<void(Config&)>& change = [](Config&) {})
        : proxy({.servers = 2, .sessions = true, .change = change}),
          id(make_session(proxy, std::move(attributes))),
          first(proxy, cookie_of(id), method, method == "POST" ? "Content-Length: 0\r\n" : ""),
          version(first.told("Version")),
          second(proxy, cookie_of(id), method, method == "POST" ? "Content-Length: 0\r\n" : "") {
        CHECK(second.told("Version") == version);
    }

    Proxy proxy;
    SessionId id;
    Visit first;
    std::string version;
    Visit second;
};

// The reply to a request whose change came too late.
void check_conflict(Visit& visit, bool head_only = false) {
    const std::string head = visit.got();
    CHECK(head.starts_with(
        "HTTP/1.1 409 Conflict\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
        "13\r\nCache-Control: no-store\r\nRetry-After: 0\r\nX-Request-Id: "));
    CHECK(head.find("Baton-") == std::string::npos);
    CHECK(cookie_in(head) == "none");
    if (!head_only) CHECK(visit.client.bytes(13) == "409 Conflict\n");
    visit.client.expects_nothing();
}

}  // namespace

TEST_CASE("S17 of two requests in flight one sets x, the other y: both are there") {
    for (const bool for_version : {true, false}) {
        CAPTURE(for_version);
        Two two{{{"z", "0"}}};
        std::vector<std::string> base;
        if (for_version) base = {"Base: " + two.version};
        auto x = base;
        auto y = base;
        x.push_back("Set: x=1");
        y.push_back("Set: y=2");
        CHECK(two.second.answers(y).status() == "200");
        CHECK(two.first.answers(x).status() == "200");
        CHECK(attributes_of(two.proxy, two.id) == Attributes{{"x", "1"}, {"y", "2"}, {"z", "0"}});
        CHECK(two.proxy.counters().session_overwrites.read() == 0);
    }
}

TEST_CASE("S18 both set x for the version they read: one 200, one 409, and x is that of the 200") {
    Two two{{{"x", "0"}}};
    CHECK(two.second.answers({"Set: x=second", "Base: " + two.version}).status() == "200");
    two.first.answers({"Set: x=first&y=1", "Incr: n=1", "Rotate: 1", "Base: " + two.version});
    check_conflict(two.first);
    two.first.server->until_end();
    CHECK(attributes_of(two.proxy, two.id) == Attributes{{"x", "second"}});
    CHECK(two.proxy.faults(Fault::session_conflict) == 1);
    CHECK(two.proxy.counters().session_overwrites.read() == 0);
    CHECK(two.proxy.counters().session_replays.read() == 0);
    CHECK(two.proxy.log().find("\"fault\":\"session_conflict\"") != std::string::npos);
    // The client's connection goes on.
    two.first.client.sends(head_of("GET", cookie_of(two.id)));
    Peer server = two.proxy.accept_at_any();
    CHECK(field(server.head(), "Baton-Session-Data") == "x=second");
}

TEST_CASE("S18 a conflict with a removal, and none with a change that the server was told of") {
    Two removed{{{"x", "0"}}};
    CHECK(removed.second.answers({"Unset: x", "Base: " + removed.version}).status() == "200");
    CHECK(removed.first.answers({"Set: y=1", "Base: " + removed.version}).status() == "409");
    Visit third{removed.proxy, cookie_of(removed.id), "POST", "Content-Length: 0\r\n"};
    CHECK(third.told("Version") == "2");
    CHECK(third.answers({"Set: x=3", "Base: 2"}).status() == "200");
    CHECK(attributes_of(removed.proxy, removed.id) == Attributes{{"x", "3"}});
}

TEST_CASE("S20 without Base the last one wins, which is counted and warned of") {
    Two two{{{"x", "0"}, {"y", "0"}}};
    Lane& lane = two.proxy.worker().lane();
    CHECK(two.second.answers({"Set: x=second&y=second"}).status() == "200");
    CHECK(two.proxy.counters().session_overwrites.read() == 0);
    CHECK(two.first.answers({"Set: x=first", "Unset: y"}).status() == "200");
    CHECK(two.first.cookie() == "none");
    CHECK(attributes_of(two.proxy, two.id) == Attributes{{"x", "first"}});
    CHECK(two.proxy.counters().session_overwrites.read() == 2);
    CHECK(!lane.overwrite_warning.due(lane.loop.now()));
    CHECK(two.proxy.faults(Fault::session_conflict) == 0);
    CHECK(found(two.proxy, two.id).record.version == 3);
}

TEST_CASE("S14 increments in flight together are neither lost nor counted as overwrites") {
    Two two{{}};
    CHECK(two.second.answers({"Incr: n=2"}).status() == "200");
    CHECK(two.first.answers({"Incr: n=3", "Base: " + two.version}).status() == "200");
    CHECK(attributes_of(two.proxy, two.id) == Attributes{{"n", "5"}});
    CHECK(two.proxy.counters().session_overwrites.read() == 0);
}

TEST_CASE(
    "S18 a GET in conflict is asked again, for the session as it is, and that answer is given") {
    for (const char* method : {"GET", "HEAD"}) {
        CAPTURE(method);
        Two two{{{"x", "0"}}, method};
        CHECK(two.second.answers({"Set: x=second", "Base: " + two.version}).status() == "200");
        two.first.answers({"Set: x=first", "Base: " + two.version});
        two.first.server->until_end();
        two.first.client.expects_nothing();
        two.first.asks();
        CHECK(two.first.told("State") == "live");
        CHECK(two.first.told("Version") == "2");
        CHECK(two.first.told("Data") == "x=second");
        CHECK(two.first.told().starts_with(std::string{method} + " / HTTP/1.1\r\n"));
        CHECK(two.first.answers({"Set: x=third", "Base: 2"}).status() == "200");
        CHECK(two.first.cookie() == "none");
        if (method == std::string{"GET"}) CHECK(two.first.client.bytes(2) == "ok");
        two.first.client.expects_nothing();
        CHECK(attributes_of(two.proxy, two.id) == Attributes{{"x", "third"}});
        CHECK(two.proxy.counters().session_replays.read() == 1);
        CHECK(two.proxy.counters().retries.read() == 0);
        CHECK(two.proxy.faults(Fault::session_conflict) == 0);
        CHECK(two.proxy.requests() == 2);
        CHECK(two.proxy.server_faults(ServerFault::server_gone, 0) +
                  two.proxy.server_faults(ServerFault::server_gone, 1) ==
              0);
    }
}

TEST_CASE("S18 a request is asked again once only") {
    Two two{{{"x", "0"}}, "GET"};
    CHECK(two.second.answers({"Set: x=second", "Base: " + two.version}).status() == "200");
    two.first.answers({"Set: x=first", "Base: " + two.version});
    two.first.asks().answers({"Set: x=first", "Base: " + two.version});
    check_conflict(two.first);
    CHECK(attributes_of(two.proxy, two.id) == Attributes{{"x", "second"}});
    CHECK(two.proxy.counters().session_replays.read() == 1);
    CHECK(two.proxy.faults(Fault::session_conflict) == 1);
    CHECK(two.proxy.log().find("\"tries\":2") != std::string::npos);
}

TEST_CASE("S18 what may not be asked again is not: another method, replay_safe = false") {
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "GET", "HEAD"}) {
        CAPTURE(method);
        Two two{{{"x", "0"}}, method, [](Config& config) { config.session.replay_safe = false; }};
        two.second.answers({"Set: x=second"});
        two.first.answers({"Set: x=first", "Base: " + two.version});
        check_conflict(two.first, method == std::string{"HEAD"});
        CHECK(!two.proxy.connects_to_server(0));
        CHECK(!two.proxy.connects_to_server(1));
    }
    for (const char* method : {"PUT", "DELETE", "OPTIONS"}) {
        Two two{{{"x", "0"}}, method};
        two.second.answers({"Set: x=second"});
        CHECK(two.first.answers({"Set: x=first", "Base: " + two.version}).status() == "409");
    }
}

TEST_CASE("S18 a request that is asked again finds its session ended") {
    Two two{{{"x", "0"}}, "GET"};
    two.second.answers({"Set: x=second"}).got();
    two.first.answers({"Set: x=first", "Base: " + two.version});
    // The second look-up comes in the same turn as the refused commit; so the session ends in between
    // for another request only if the store is slow.
    CHECK(two.first.asks().told("State") == "live");
    two.proxy.table().kill(key_of(two.id), now_of(two.proxy));
    CHECK(two.first.answers({"Set: x=third", "Base: 2"}).status() == "200");
    CHECK(two.first.cookie() == "none");
    CHECK(found(two.proxy, two.id).kind == Kind::dead);
    CHECK(two.proxy.counters().session_gone.read() == 1);
}

TEST_CASE("S18 a body that is at hand goes along with the request that is asked again") {
    Proxy proxy{{.sessions = true}};
    const SessionId id = make_session(proxy, {{"x", "0"}});
    Visit visit{proxy, cookie_of(id), "GET", "Content-Length: 4\r\n", "body"};
    CHECK(visit.told().find("Content-Length: 4\r\n") != std::string::npos);
    CHECK(visit.server->bytes(4) == "body");
    proxy.table().commit(key_of(id), {.set = {{"x", "1"}}}, now_of(proxy));
    visit.answers({"Set: x=2", "Base: 1"}).asks();
    CHECK(visit.server->bytes(4) == "body");
    CHECK(visit.answers({"Set: x=2", "Base: 2"}).status() == "200");
    CHECK(attributes_of(proxy, id) == Attributes{{"x", "2"}});
}

TEST_CASE("S18 a body that is gone, or not yet whole, is a 409") {
    for (const bool whole : {true, false}) {
        CAPTURE(whole);
        Proxy proxy{{.sessions = true}};
        const SessionId id = make_session(proxy, {{"x", "0"}});
        const std::string body(300'000, 'b');
        Visit visit{proxy, cookie_of(id), "GET",
                    "Content-Length: " + std::to_string(body.size() + (whole ? 0 : 1)) + "\r\n",
                    body};
        visit.told();
        visit.server->bytes(body.size());
        proxy.table().commit(key_of(id), {.set = {{"x", "1"}}}, now_of(proxy));
        CHECK(visit.answers({"Set: x=2", "Base: 1"}).status() == "409");
        CHECK(!proxy.connects_to_server());
        CHECK(proxy.counters().session_replays.read() == 0);
    }
}

TEST_CASE("a session whose change was refused is kept alive by its request all the same") {
    const std::vector<std::vector<std::string>> all = {
        {"Unset: x", "Base: 1"}, {"Incr: x=1"}, {"Set: y=%"}};
    for (const auto& refused : all) {
        CAPTURE(refused[0]);
        Proxy proxy{{.sessions = true, .late_store = true}};
        const SessionId id = make_session(proxy, {{"x", "no"}}, 200'000);
        Visit visit{proxy, cookie_of(id), "POST", "Content-Length: 0\r\n"};
        asked(proxy);
        proxy.store_answers();
        visit.told();
        proxy.table().commit(key_of(id), {.set = {{"x", "no"}}}, now_of(proxy) - 200'000);
        visit.answers(refused);
        proxy.turn();
        while (!proxy.late_store().questions.empty()) proxy.store_answers();
        CHECK(visit.status() != "200");
        proxy.turn_until([&] { return proxy.late_store().touches > 0; }, "a touch");
    }
}

TEST_CASE("S18 a slow store: the second look-up is awaited, and what comes of it is told") {
    struct Case {
        Kind kind;
        const char* state;
    };
    for (const Case& c : std::vector<Case>{{Kind::live, "live"},
                                           {Kind::none, "none"},
                                           {Kind::dead, "none"},
                                           {Kind::unavailable, "unavailable"},
                                           {Kind::moved, "live"}}) {
        CAPTURE(c.state);
        Proxy proxy{{.sessions = true, .late_store = true}};
        const SessionId id = make_session(proxy, {{"x", "0"}});
        const SessionId other = make_session(proxy, {{"of", "the other"}});
        Visit visit{proxy, cookie_of(id)};
        asked(proxy);
        proxy.store_answers();
        visit.answers({"Set: x=1", "Base: 0"});
        CHECK(asked(proxy).answer.kind == Kind::conflict);
        proxy.store_answers();
        visit.server->until_end();
        CHECK(asked(proxy).what == "load");
        CHECK(asked(proxy).key == key_of(id));
        visit.client.expects_nothing();
        CHECK(!proxy.connects_to_server());
        if (c.kind == Kind::live) {
            proxy.store_answers();
        } else {
            StoreAnswer answer;
            answer.kind = c.kind;
            answer.moved_to = veiled(other, id);
            proxy.store_answers(answer);
        }
        if (c.kind == Kind::moved) {
            CHECK(asked(proxy).key == key_of(other));
            proxy.store_answers();
        }
        visit.asks();
        CHECK(visit.told("State") == c.state);
        const bool is_told = c.kind == Kind::live || c.kind == Kind::moved;
        CHECK(visit.told("Data") == (c.kind == Kind::live    ? "x=0"
                                     : c.kind == Kind::moved ? "of=the+other"
                                                             : "(none)"));
        CHECK((visit.told("Version") != "(none)") == is_told);
        visit.answers();
        if (c.kind == Kind::moved) {
            CHECK(asked(proxy).what == "load");
            proxy.store_answers();
        }
        CHECK(visit.status() == "200");
        CHECK(visit.cookie() == (c.kind == Kind::moved ? std::string{other.view()} : "none"));
        CHECK(proxy.late_store().questions.empty());
    }
}

TEST_CASE("a client that leaves while its request is to be asked again") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    const SessionId id = make_session(proxy, {{"x", "0"}});
    Visit visit{proxy, cookie_of(id)};
    asked(proxy);
    proxy.store_answers();
    visit.answers({"Set: x=1", "Base: 0"});
    asked(proxy);
    proxy.store_answers();
    asked(proxy);
    visit.client.resets();
    proxy.turn_until([&] { return proxy.worker().clients() == 0; }, "the end");
    CHECK(proxy.late_store().questions.empty());
    CHECK(proxy.late_store().forgotten == 1);
    CHECK(!proxy.connects_to_server());
}

TEST_CASE(
    "S18 a session made for this request, in conflict: asked again, and its cookie is given") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Visit visit{proxy, ""};
    const std::string id = visit.told("Id");
    CHECK(visit.told("State") == "new");
    proxy.table().commit(key_of(id_in(id)), {.set = {{"x", "0"}}}, now_of(proxy));
    visit.answers({"Set: x=1", "Base: 1"});
    CHECK(visit.asks().told("Id") == id);
    CHECK(visit.told("State") == "live");
    CHECK(visit.told("Data") == "x=0");
    visit.answers({"Set: x=1", "Base: 2"});
    CHECK(visit.cookie() == id);
    CHECK(proxy.table().sessions() == 1);
}

TEST_CASE("S18 a switch of protocols is not asked for again") {
    Proxy proxy{{.sessions = true}};
    const SessionId id = make_session(proxy, {{"x", "0"}});
    Visit visit{proxy, cookie_of(id), "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n"};
    visit.told();
    visit.server->sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Baton-Session-Set: x=1\r\nBaton-Session-Base: 0\r\n\r\n");
    check_conflict(visit);
    visit.server->until_end();
    CHECK(!proxy.connects_to_server());
    CHECK(attributes_of(proxy, id) == Attributes{{"x", "0"}});
}

}  // namespace baton::test
