// The life of a session through whole requests: its attributes from server to server, its times, its
// end.

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "session/form_encoding.h"
#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

std::string encoded(std::string_view text) {
    std::string out;
    append_encoded(out, text);
    return out;
}

Setup idling(Milliseconds idle, Milliseconds absolute = 0s) {
    return {.sessions = true, .change = [=](Config& config) {
                config.session.idle = idle;
                config.session.absolute = absolute;
                config.session.idle_min = 10s;
                config.session.idle_max = 1h;
            }};
}

std::string state_of(Proxy& proxy, const SessionId& id) {
    Visit visit{proxy, cookie_of(id)};
    const std::string state = visit.told("State");
    visit.answers().got();
    return state;
}

}  // namespace

TEST_CASE("S14 Unset, Incr and all 256 bytes go from server to server to server") {
    Proxy proxy{{.servers = 3, .sessions = true}};
    std::string bytes;
    for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
    Visit a{proxy, ""};
    const std::string id = a.answers({"Set: gone=1&bin=" + encoded(bytes), "Incr: n=1"}).cookie();
    Visit b{proxy, cookie_of(id)};
    CHECK(b.told("Data") == "bin=" + encoded(bytes) + "&gone=1&n=1");
    CHECK(b.answers({"Unset: gone", "Incr: n=1"}).cookie() == "none");
    Visit c{proxy, cookie_of(id)};
    CHECK(c.told("Data") == "bin=" + encoded(bytes) + "&n=2");
    CHECK(c.told("Version") == "2");
    CHECK(attributes_of(proxy, id_in(id)) == Attributes{{"bin", bytes}, {"n", "2"}});
}

TEST_CASE("S14 an Incr without a session makes one, and adds to 0") {
    Proxy proxy{{.sessions = true}};
    Visit visit{proxy, ""};
    visit.answers({"Incr: m=-3&z=7", "Set: n=1", "Idle: 600"});
    const SessionId id = id_in(visit.cookie());
    CHECK(id.view() == visit.told("Id"));
    CHECK(attributes_of(proxy, id) == Attributes{{"m", "-3"}, {"n", "1"}, {"z", "7"}});
    CHECK(found(proxy, id).record.version == 1);
    CHECK(found(proxy, id).record.idle_ms == 600'000);
}

TEST_CASE("S22 what cannot be stored is a 502, nothing of it is stored, and the version stays") {
    Proxy proxy{{.sessions = true}};
    const SessionId id = make_session(proxy, {{"n", "x"}, {"z", "9007199254740991"}});
    const std::string before = std::to_string(found(proxy, id).record.version);
    std::string many = "Set: ok=1";
    for (int i = 0; i < 65; ++i) many += "&a" + std::to_string(i) + "=";
    const std::vector<std::vector<std::string>> all = {
        {"Set: ok=1&a=" + std::string(9 << 10, 'v')},
        {many},
        {"Set: ok=1&a+b=1"},
        {"Set: ok=1", "Incr: n=1"},
        {"Set: ok=1", "Incr: z=1"},
        {"Set: ok=1", "Incr: ok=1"},
        {"Set: ok=1", "Unset: ok"},
        {"Set: ok=1", "Incr: m=1&m=1"},
        {"Set: ok=1", "Base: 1", "Base: 1"},
        {"Set: ok=1", "Idle: 60", "Idle: 60"},
        {"Set: ok=1", "Rotate: no"},
        {"Rotate: 1", "Incr: n=1"},
        {"Destroy: 1", "Rotate: 1"},
        {"Destroy: 1", "Unset: n"},
        {"Destroy: 1", "Incr: z=-1"},
        {"Destroy: 1", "Base: 1"},
    };
    for (const auto& fields : all) {
        CAPTURE(fields.back().substr(0, 50));
        Visit visit{proxy, cookie_of(id)};
        CHECK(visit.told("Version") == before);
        CHECK(visit.answers(fields).status() == "502");
        CHECK(visit.cookie() == "none");
        visit.server->until_end();
    }
    CHECK(proxy.faults(Fault::session_refused) == all.size());
    CHECK(attributes_of(proxy, id) == Attributes{{"n", "x"}, {"z", "9007199254740991"}});
}

TEST_CASE("S22 a session that is full, by Set or by Incr") {
    Proxy proxy{
        {.sessions = true, .change = [](Config& config) { config.session.attributes_max = 2; }}};
    const SessionId id = make_session(proxy, {{"a", "1"}, {"b", "2"}});
    CHECK(Visit{proxy, cookie_of(id)}.answers({"Incr: c=1"}).status() == "502");
    CHECK(Visit{proxy, cookie_of(id)}.answers({"Set: c=1"}).status() == "502");
    CHECK(Visit{proxy, cookie_of(id)}.answers({"Incr: a=1"}).status() == "200");
    CHECK(Visit{proxy, cookie_of(id)}.answers({"Incr: c=1", "Unset: b"}).status() == "200");
    CHECK(attributes_of(proxy, id) == Attributes{{"a", "2"}, {"c", "1"}});
    CHECK(Visit{proxy, ""}.answers({"Set: a=1&b=1", "Incr: c=1"}).status() == "502");
    CHECK(proxy.table().sessions() == 1);
}

TEST_CASE("S25 a logout clears the cookie, and its id is nobody's from then on") {
    Proxy proxy{{.sessions = true}};
    const SessionId id = make_session(proxy, {{"user", "bob"}});
    Visit logout{proxy, cookie_of(id)};
    CHECK(logout.answers({"Destroy: 1"}).cookie() == "ended");
    Visit after{proxy, cookie_of(id)};
    CHECK(after.told("State") == "none");
    CHECK(after.told("Data") == "(none)");
    CHECK(after.answers().cookie() == "none");
    CHECK(proxy.table().sessions() == 0);
    CHECK(found(proxy, id).kind == Kind::dead);
    // Later a Set makes a session, of another id.
    passes(proxy, 30'000);
    Visit anew{proxy, cookie_of(id)};
    CHECK(anew.answers({"Set: user=eve"}).cookie() == anew.told("Id"));
    CHECK(anew.told("Id") != id.view());
}

TEST_CASE("S26 no change brings a session back that has ended meanwhile") {
    for (const std::vector<std::string>& fields :
         {std::vector<std::string>{"Set: z=1"}, std::vector<std::string>{"Incr: z=1"},
          std::vector<std::string>{"Unset: a"}, std::vector<std::string>{"Idle: 600"},
          std::vector<std::string>{"Rotate: 1"}, std::vector<std::string>{"Set: a=2", "Base: 0"}}) {
        CAPTURE(fields[0]);
        Proxy proxy{{.servers = 2, .sessions = true}};
        const SessionId id = make_session(proxy, {{"a", "1"}});
        Visit slow{proxy, cookie_of(id), "POST", "Content-Length: 0\r\n"};
        slow.told();
        Visit logout{proxy, cookie_of(id)};
        CHECK(logout.answers({"Destroy: 1"}).cookie() == "ended");
        CHECK(slow.answers(fields).status() == "200");
        CHECK(slow.cookie() == "none");
        CHECK(found(proxy, id).kind == Kind::dead);
        CHECK(proxy.table().sessions() == 0);
        CHECK(proxy.counters().session_gone.read() == 1);
    }
}

TEST_CASE("S26 a second logout clears the cookie as the first one did") {
    Proxy proxy{{.servers = 2, .sessions = true}};
    const SessionId id = make_session(proxy);
    Visit one{proxy, cookie_of(id)};
    one.told();
    Visit two{proxy, cookie_of(id)};
    CHECK(two.answers({"Destroy: 1"}).cookie() == "ended");
    CHECK(one.answers({"Destroy: 1"}).cookie() == "ended");
    CHECK(found(proxy, id).kind == Kind::dead);
}

TEST_CASE("S29 idle: alive 59 s after the last request, dead 67 s after it") {
    Proxy proxy{idling(60s)};
    const SessionId id = make_session(proxy);
    passes(proxy, 59'000);
    CHECK(state_of(proxy, id) == "live");
    passes(proxy, 59'000);
    CHECK(state_of(proxy, id) == "live");
    passes(proxy, 67'000);
    CHECK(state_of(proxy, id) == "none");
}

TEST_CASE("S29 one request every 10 s for 5 minutes") {
    Proxy proxy{idling(60s)};
    const SessionId id = make_session(proxy);
    for (int i = 0; i < 30; ++i) {
        passes(proxy, 10'000);
        REQUIRE(state_of(proxy, id) == "live");
        // Never less than the idle time is left, and never more than a slack longer.
        REQUIRE(found(proxy, id).record.ttl_ms >= 60'000 - 5'000);
        REQUIRE(found(proxy, id).record.ttl_ms <= 66'000);
    }
}

TEST_CASE("S29 a server sets the idle time, within its limits, and a shorter one holds at once") {
    struct Case {
        const char* asked;
        std::int64_t idle_ms;
        std::int64_t slack_ms;
    };
    for (const Case& c : std::vector<Case>{{"900", 900'000, 60'000},
                                           {"20", 20'000, 2'000},
                                           {"10", 10'000, 1'000},
                                           {"9", 10'000, 1'000},
                                           {"0", 10'000, 1'000},
                                           {"3600", 3'600'000, 60'000},
                                           {"3601", 3'600'000, 60'000},
                                           {"9007199254740991", 3'600'000, 60'000}}) {
        CAPTURE(c.asked);
        for (const bool has_session : {true, false}) {
            Proxy proxy{idling(60s)};
            std::optional<SessionId> id;
            if (has_session) id = make_session(proxy);
            Visit visit{proxy, id ? cookie_of(*id) : ""};
            visit.answers({std::string{"Idle: "} + c.asked, "Create: 1"});
            const std::string cookie = visit.cookie();
            CHECK((cookie == "none") == has_session);
            if (!id) id = id_in(cookie);
            const SessionRecord record = found(proxy, *id).record;
            CHECK(record.idle_ms == c.idle_ms);
            CHECK(record.ttl_ms > c.idle_ms + c.slack_ms - 1'000);
            CHECK(record.ttl_ms <= c.idle_ms + c.slack_ms);
            // It holds for later requests as well: touched by its own slack.
            passes(proxy, c.slack_ms + 1'000);
            CHECK(state_of(proxy, *id) == "live");
            CHECK(found(proxy, *id).record.ttl_ms > c.idle_ms);
            passes(proxy, c.idle_ms + c.slack_ms);
            CHECK(state_of(proxy, *id) == "none");
        }
    }
}

TEST_CASE("S30 absolute 20 s with a request per second: dead at 20 s") {
    Proxy proxy{idling(60s, 20s)};
    const SessionId id = make_session(proxy);
    for (int i = 1; i <= 15; ++i) {
        passes(proxy, 1'000);
        REQUIRE(state_of(proxy, id) == "live");
    }
    passes(proxy, 5'000);
    CHECK(state_of(proxy, id) == "none");
}

TEST_CASE("S31 one touch a slack, and none in the last idle time before the absolute deadline") {
    Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                     config.session.idle = 60s;
                     config.session.absolute = 90s;
                 }}};
    const SessionId id = make_session(proxy);
    const auto visits = [&](int count, std::int64_t every_ms) {
        const std::size_t before = proxy.late_store().touches;
        for (int i = 0; i < count; ++i) {
            passes(proxy, every_ms);
            Visit visit{proxy, cookie_of(id)};
            asked(proxy);
            proxy.store_answers();
            REQUIRE(visit.answers().status() == "200");
            REQUIRE(visit.told("State") == "live");
            visit.client.bytes(2);
            proxy.turn(2);
        }
        return proxy.late_store().touches - before;
    };
    // Each moves the expiry on by 6 s or more, until it can move no further.
    const std::size_t early = visits(46, 500);
    CHECK(early >= 2);
    CHECK(early <= 4);
    CHECK(visits(75, 100) <= 1);
    CHECK(visits(80, 500) == 0);
    CHECK(found(proxy, id).record.capped);
}

TEST_CASE("S59 HEAD is told of the session, makes one and changes it as GET does") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Visit first{proxy, "", "HEAD"};
    CHECK(first.told("State") == "new");
    const SessionId id = id_in(first.answers({"Set: a=1"}).cookie());
    CHECK(id.view() == first.told("Id"));
    Visit get{proxy, cookie_of(id), "GET"};
    get.told();
    Visit head{proxy, cookie_of(id), "HEAD"};
    head.told();
    const std::vector<std::string> fields = {"State", "Id", "Version", "Created", "Data"};
    std::vector<std::string> told;
    for (const std::string& one : fields) told.push_back(head.told(one));
    CHECK(told == std::vector<std::string>{"live", std::string{id.view()}, "2", get.told("Created"),
                                           "a=1"});
    CHECK(head.answers({"Rotate: login", "Incr: n=1"}).status() == "200");
    const SessionId fresh = id_in(head.cookie());
    CHECK(field(head.got(), "Content-Length") == "2");
    head.client.expects_nothing();
    CHECK(attributes_of(proxy, fresh) == Attributes{{"a", "1"}, {"n", "1"}});
    CHECK(Visit{proxy, cookie_of(fresh), "HEAD"}.answers({"Destroy: 1"}).cookie() == "ended");
    CHECK(found(proxy, fresh).kind == Kind::dead);
    // Refused without a body, as all there is to a HEAD.
    Visit refused{proxy, "", "HEAD"};
    CHECK(refused.answers({"Set: %"}).status() == "502");
    refused.client.expects_nothing();
}

TEST_CASE("F:long-request a session does not expire under its request, nor right after it") {
    for (const char* phase : {"waiting", "answering", "made here"}) {
        CAPTURE(phase);
        Proxy proxy{{.sessions = true, .change = [](Config& config) {
                         config.session.idle = 2s;
                         config.session.idle_min = 1s;
                     }}};
        const bool made_here = phase == std::string{"made here"};
        std::optional<SessionId> id;
        if (!made_here) id = make_session(proxy);
        Visit slow{proxy, id ? cookie_of(*id) : std::string{}};
        slow.told();
        if (made_here || phase == std::string{"answering"}) {
            slow.server->sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n" +
                               std::string{made_here ? "Baton-Session-Set: a=1\r\n" : ""} + "\r\n");
            if (made_here) id = id_in(slow.cookie());
        }
        // Its clock stands where the loop's does: this takes the time it takes.
        const std::int64_t begun = now_of(proxy);
        proxy.turn_until([&] { return now_of(proxy) >= begun + 4'500; }, "a long time");
        REQUIRE(found(proxy, *id).kind == Kind::live);
        if (slow.client.got().empty())
            slow.answers().status();
        else
            slow.server->sends("ok");
        proxy.turn();
        CHECK(found(proxy, *id).record.ttl_ms > 2'000);
    }
}

TEST_CASE("F:long-request who comes back late is not logged out by a slow page") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) { config.session.idle = 60s; }}};
    const SessionId id = make_session(proxy, {}, 65'500);
    CHECK(found(proxy, id).record.ttl_ms <= 500);
    Visit slow{proxy, cookie_of(id)};
    slow.told();
    passes(proxy, 10'000);
    CHECK(found(proxy, id).kind == Kind::live);
    slow.answers().status();
    passes(proxy, 59'000);
    CHECK(found(proxy, id).kind == Kind::live);
}

TEST_CASE("F:long-request the idle time counts from the request's end, whatever it did before") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) { config.session.idle = 60s; }}};
    const SessionId id = make_session(proxy);
    Visit slow{proxy, cookie_of(id)};
    slow.told();
    slow.server->sends(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nBaton-Session-Set: "
        "a=1\r\n\r\n");
    slow.got();
    passes(proxy, 20'000);
    slow.server->sends("ok");
    slow.client.expects("ok");
    CHECK(found(proxy, id).record.ttl_ms >= 60'000);
    // One that has ended stays so.
    Visit last{proxy, cookie_of(id)};
    last.told();
    last.server->sends(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nBaton-Session-Destroy: "
        "1\r\n\r\n");
    last.got();
    passes(proxy, 20'000);
    last.server->sends("ok");
    last.client.expects("ok");
    CHECK(found(proxy, id).kind == Kind::dead);
}

TEST_CASE("F:long-request a session lives on under the id that another request has brought it") {
    const auto renewing = [](Config& config) {
        config.session.idle = 2s;
        config.session.idle_min = 1s;
        config.session.renew_after = 1s;
    };
    for (const char* phase : {"waiting", "answering"}) {
        CAPTURE(phase);
        Proxy proxy{{.sessions = true, .change = renewing}};
        const SessionId id = make_session(proxy);
        Visit slow{proxy, cookie_of(id)};
        slow.told();
        if (phase == std::string{"answering"}) {
            slow.server->sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
            slow.got();
        }
        const SessionId fresh = mint_session_id();
        proxy.table().commit(key_of(id), {.rotation = Rotation{key_of(fresh), veiled(fresh, id)}},
                             now_of(proxy));
        const std::int64_t begun = now_of(proxy);
        proxy.turn_until([&] { return now_of(proxy) >= begun + 4'500; }, "a long time");
        CHECK(found(proxy, fresh).kind == Kind::live);
        // The old id is not needed any longer.
        proxy.table().kill(key_of(id), now_of(proxy));
        if (phase == std::string{"waiting"}) {
            // And the client learns the new one, in case nobody else has told it.
            slow.answers();
            CHECK(slow.cookie() == fresh.view());
        } else {
            slow.server->sends("ok");
            slow.client.expects("ok");
        }
        proxy.turn();
        CHECK(found(proxy, fresh).record.ttl_ms > 2'000);
    }
}

namespace {

// A request that has lasted until its session is looked after, over a store that takes its time.
struct Lasting {
    explicit Lasting(std::int64_t id_age_ms = 0) : id(make_session(proxy, {}, id_age_ms)) {
        asked(proxy);
        proxy.store_answers();
        visit.told();
        passes(proxy, 29'900);
        wakes();
        CHECK(proxy.late_store().questions.empty());
        passes(proxy, 100);
        wakes();
        CHECK(asked(proxy).what == "load");
        CHECK(asked(proxy).key == key_of(id));
    }
    // The clock of sessions has jumped, the timer has not.
    void wakes() {
        visit.client.sends("\r\n");
        proxy.turn();
    }
    void store_says(Kind kind, const SessionId& moved_to = {}) {
        StoreAnswer answer = asked(proxy).answer;
        answer.kind = kind;
        answer.moved_to = moved_to;
        proxy.store_answers(answer);
    }

    Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                     config.session.renew_after = 10min;
                 }}};
    SessionId id;
    Visit visit{proxy, cookie_of(id)};
};

}  // namespace

TEST_CASE("F:long-request the answer comes while the store is asked: it does not wait for that") {
    for (const bool changes : {false, true}) {
        CAPTURE(changes);
        Lasting lasting;
        if (changes) {
            lasting.visit.answers({"Set: a=1"});
            lasting.proxy.turn();
            CHECK(lasting.proxy.late_store().questions.size() == 1);
            CHECK(asked(lasting.proxy).what == "commit");
            lasting.proxy.store_answers();
        } else {
            lasting.visit.answers();
        }
        CHECK(lasting.visit.status() == "200");
        CHECK(lasting.visit.cookie() == "none");
        CHECK(lasting.proxy.late_store().forgotten == 1);
        CHECK(lasting.proxy.late_store().questions.empty());
    }
}

TEST_CASE("F:long-request it is looked for again while the answer lasts") {
    Lasting lasting;
    lasting.visit.server->sends(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
    CHECK(lasting.visit.status() == "200");
    CHECK(lasting.proxy.late_store().forgotten == 1);
    for (int i = 0; i < 2; ++i) {
        passes(lasting.proxy, 30'000);
        lasting.wakes();
        CHECK(asked(lasting.proxy).what == "load");
        lasting.store_says(Kind::live);
    }
    lasting.visit.server->sends("ok");
    lasting.visit.client.expects("ok");
}

TEST_CASE("F:long-request the session is followed from id to id, and its answer leads the client") {
    // Its own id would be due for a renewal.
    Lasting lasting{600'000};
    const SessionId b = mint_session_id();
    const SessionId c = mint_session_id();
    lasting.store_says(Kind::moved, veiled(b, lasting.id));
    CHECK(asked(lasting.proxy).key == key_of(b));
    lasting.store_says(Kind::moved, veiled(c, b));
    CHECK(asked(lasting.proxy).key == key_of(c));
    lasting.store_says(Kind::live);
    CHECK(lasting.proxy.late_store().questions.empty());
    lasting.visit.answers();
    CHECK(asked(lasting.proxy).what == "load");
    CHECK(asked(lasting.proxy).key == key_of(c));
    lasting.store_says(Kind::live);
    CHECK(lasting.visit.status() == "200");
    CHECK(lasting.visit.cookie() == c.view());
}

TEST_CASE("F:long-request a session that has ended meanwhile is looked for no more") {
    for (const Kind kind : {Kind::dead, Kind::none, Kind::unavailable}) {
        CAPTURE(static_cast<int>(kind));
        Lasting lasting;
        lasting.store_says(kind);
        passes(lasting.proxy, 30'000);
        lasting.wakes();
        CHECK(lasting.proxy.late_store().questions.size() == (kind == Kind::unavailable ? 1 : 0));
        CHECK(lasting.visit.answers().status() == "200");
        CHECK(lasting.visit.cookie() == "none");
    }
}

TEST_CASE("F:long-request a client that leaves while its session is looked for is forgotten") {
    Lasting lasting;
    lasting.visit.client.resets();
    lasting.proxy.turn_until([&] { return lasting.proxy.worker().clients() == 0; }, "the end");
    CHECK(lasting.proxy.late_store().forgotten == 1);
    CHECK(lasting.proxy.late_store().questions.empty());
}

TEST_CASE("F:strangers a session of which nobody is known to want it lives two minutes") {
    const auto always = [](Config& config) { config.routes[0].create = SessionCreate::always; };
    for (const char* wanted : {"", "client", "server", "longer"}) {
        CAPTURE(wanted);
        Proxy proxy{{.sessions = true, .change = [&](Config& config) {
                         always(config);
                         if (wanted == std::string{"longer"}) config.session.idle = 60s;
                     }}};
        Visit first{proxy, ""};
        CHECK(first.told("State") == "new");
        if (wanted == std::string{"server"})
            first.answers({"Set: a=1"});
        else
            first.answers();
        const SessionId id = id_in(first.cookie());
        passes(proxy, 60'000);
        if (wanted == std::string{"client"}) Visit{proxy, cookie_of(id)}.answers().status();
        passes(proxy, 59'000);
        // With a shorter idle time that counts.
        CHECK(found(proxy, id).kind == (wanted == std::string{"longer"} ? Kind::none : Kind::live));
        passes(proxy, 1'000);
        const bool known = wanted == std::string{"client"} || wanted == std::string{"server"};
        CHECK(found(proxy, id).kind == (known ? Kind::live : Kind::none));
        passes(proxy, known ? 28 * 60'000 : 0);
        CHECK(found(proxy, id).kind == (known ? Kind::live : Kind::none));
    }
    // A server that writes later, by other means, wants it, too.
    Proxy proxy{{.sessions = true, .change = always}};
    const SessionId id = id_in(Visit{proxy, ""}.answers().cookie());
    proxy.table().commit(key_of(id), {.set = {{"a", "1"}}, .slack_ms = 60'000}, now_of(proxy));
    passes(proxy, 29 * 60'000);
    CHECK(found(proxy, id).kind == Kind::live);
}

TEST_CASE("F:strangers who asks what may be asked gets no session") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Visit options{proxy, "", "OPTIONS"};
    CHECK(options.told("State") == "none");
    CHECK(options.answers().cookie() == "none");
    CHECK(proxy.table().sessions() == 0);
    // Unless its server asks for one.
    Visit asking{proxy, "", "OPTIONS"};
    CHECK(asking.answers({"Set: a=1"}).cookie() == asking.told("Id"));
    for (const char* method : {"GET", "HEAD", "POST"}) {
        Visit visit{proxy, "", method, "Content-Length: 0\r\n"};
        CHECK(visit.told("State") == "new");
        visit.answers();
    }
}

TEST_CASE("S57 a session of another scope is none, and nothing changes it from here") {
    Proxy proxy{{.sessions = true}};
    const SessionId foreign = make_session(proxy, {{"a", "1"}}, 0, "admin");
    for (const std::vector<std::string>& fields :
         {std::vector<std::string>{}, std::vector<std::string>{"Unset: a"},
          std::vector<std::string>{"Destroy: 1"}, std::vector<std::string>{"Rotate: 1"}}) {
        Visit visit{proxy, cookie_of(foreign)};
        CHECK(visit.told("State") == "none");
        CHECK(visit.told("Id") != foreign.view());
        visit.answers(fields);
        CHECK(visit.cookie() ==
              (fields == std::vector<std::string>{"Destroy: 1"} ? "ended" : "none"));
    }
    CHECK(proxy.table().load(key_of(foreign, "admin"), now_of(proxy)).record.version == 1);
    CHECK(proxy.counters().session_unknown_absent.read() == 4);
    CHECK(proxy.table().sessions() == 1);
}

TEST_CASE("S17 the session of one request is not that of the next on the same connections") {
    Proxy proxy{{.sessions = true}};
    const SessionId one = make_session(proxy, {{"of", "one"}});
    const SessionId two = make_session(proxy, {{"of", "two"}});
    Peer client = proxy.connect_client();
    client.sends(head_of("GET", cookie_of(one)));
    Peer server = proxy.accept_at_server();
    CHECK(field(server.head(), "Baton-Session-Data") == "of=one");
    server.sends("HTTP/1.1 200 OK\r\nBaton-Session-Rotate: 1\r\nContent-Length: 2\r\n\r\nok");
    CHECK(cookie_in(client.head()) != "none");
    client.bytes(2);
    for (const std::string& cookies : {cookie_of(two), std::string{}, cookie_of(one)}) {
        client.sends(head_of("GET", cookies));
        const std::string told = server.head();
        CHECK(field(told, "Baton-Session-Data") ==
              (cookies == cookie_of(two) ? "of=two" : "(none)"));
        server.sends(ok);
        CHECK(cookie_in(client.head()) == "none");
        client.bytes(2);
    }
}

}  // namespace baton::test
