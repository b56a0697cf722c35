// A session and the tunnels that begin in it.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

// The shortest there is: the session is looked after every second.
constexpr std::int64_t idle_ms = 10'000;

Setup short_lived(
    const std::function<void(Config&)>& change = [](Config&) {}, bool late = false) {
    return {.servers = 1, .sessions = true, .late_store = late, .change = [change](Config& config) {
                config.session.idle = Milliseconds{idle_ms};
                config.session.idle_min = 1s;
                config.session.absolute = 0s;
                change(config);
            }};
}

const auto closing = [](Config& config) { config.session.close_tunnels = true; };

class Tunnel {
public:
    Tunnel(Proxy& proxy, const std::string& cookies, const std::vector<std::string>& fields = {})
        : visit(proxy, cookies, "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n") {
        visit.told();
        std::string head =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        for (const std::string& one : fields) head += "Baton-Session-" + one + "\r\n";
        visit.server->sends(head + "\r\n");
    }
    void opens() { CHECK(visit.got().starts_with("HTTP/1.1 101 ")); }
    void carries(std::string_view data = "x") {
        visit.client.sends(data);
        CHECK(visit.server->bytes(data.size()) == data);
    }
    void answers(std::string_view data = "y") {
        visit.server->sends(data);
        CHECK(visit.client.bytes(data.size()) == data);
    }

    Visit visit;
};

std::int64_t ttl(Proxy& proxy, const SessionId& id) { return found(proxy, id).record.ttl_ms; }

}  // namespace

TEST_CASE("session fields on a 101 are committed before it is released") {
    struct Case {
        std::vector<std::string> fields;
        const char* question;
    };
    for (const Case& c : std::vector<Case>{{{"Set: a=1"}, "commit"},
                                           {{"Rotate: 1"}, "commit"},
                                           {{"Destroy: 1", "Create: 1"}, "create"}}) {
        CAPTURE(c.question);
        Proxy proxy{short_lived([](Config&) {}, true)};
        const SessionId id = make_session(proxy, {{"x", "0"}});
        Visit visit{proxy, cookie_of(id), "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n"};
        asked(proxy);
        proxy.store_answers();
        visit.told();
        std::string head =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        for (const std::string& one : c.fields) head += "Baton-Session-" + one + "\r\n";
        visit.server->sends(head + "\r\nfirst");
        CHECK(asked(proxy).what == c.question);
        visit.client.expects_nothing();
        while (!proxy.late_store().questions.empty()) proxy.store_answers();
        CHECK(visit.got().starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
        CHECK((visit.cookie() == "none") == (c.fields[0] == "Set: a=1"));
        CHECK(visit.client.bytes(5) == "first");
    }
}

TEST_CASE("a 101 whose session fields cannot be carried out is no 101") {
    Proxy proxy{short_lived()};
    Tunnel refused{proxy, "", {"Set: a=%"}};
    CHECK(refused.visit.status() == "502");
    refused.visit.server->until_end();
}

TEST_CASE("S29 a tunnel that begins is a use of its session") {
    Proxy proxy{short_lived()};
    const SessionId id = make_session(proxy, {}, idle_ms);
    CHECK(ttl(proxy, id) <= 1'000);
    Tunnel tunnel{proxy, cookie_of(id)};
    tunnel.opens();
    CHECK(ttl(proxy, id) > idle_ms);
    passes(proxy, idle_ms);
    CHECK(found(proxy, id).kind == Kind::live);
}

TEST_CASE(
    "S29 a session lives while its tunnel carries data, either way; a silent one keeps none") {
    Proxy proxy{short_lived()};
    const SessionId silent_id = make_session(proxy);
    const SessionId sending_id = make_session(proxy);
    const SessionId receiving_id = make_session(proxy);
    Tunnel silent{proxy, cookie_of(silent_id)};
    silent.opens();
    Tunnel sending{proxy, cookie_of(sending_id)};
    sending.opens();
    Tunnel receiving{proxy, cookie_of(receiving_id)};
    receiving.opens();
    passes(proxy, idle_ms / 2);
    CHECK(ttl(proxy, sending_id) <= idle_ms / 2 + 1'000);
    proxy.turn_until(
        [&] {
            sending.carries();
            receiving.answers();
            return ttl(proxy, sending_id) > idle_ms && ttl(proxy, receiving_id) > idle_ms;
        },
        "a touch");
    CHECK(ttl(proxy, silent_id) <= idle_ms / 2 + 1'000);
    passes(proxy, idle_ms);
    CHECK(found(proxy, silent_id).kind == Kind::none);
    CHECK(found(proxy, sending_id).kind == Kind::live);
    // The tunnels themselves go on, with a session or without.
    silent.carries();
    sending.carries();
}

TEST_CASE("S29 a session that begins, or is used, with the tunnel lives while that carries data") {
    for (const bool made_here : {true, false}) {
        CAPTURE(made_here);
        Proxy proxy{short_lived()};
        const SessionId other = make_session(proxy);
        Tunnel tunnel{proxy, "", {made_here ? "Create: 1" : "Use: " + std::string{other.view()}}};
        tunnel.opens();
        const SessionId id = id_in(tunnel.visit.cookie());
        passes(proxy, idle_ms / 2);
        proxy.turn_until(
            [&] {
                tunnel.carries();
                return ttl(proxy, id) > idle_ms;
            },
            "a touch");
    }
}

TEST_CASE("close_tunnels: a tunnel ends with its session, however that ends") {
    for (const char* how : {"kill", "expiry", "login"}) {
        CAPTURE(how);
        Proxy proxy{short_lived(closing)};
        const SessionId id = make_session(proxy);
        const SessionId other = make_session(proxy);
        Tunnel tunnel{proxy, cookie_of(id)};
        tunnel.opens();
        Tunnel lasting{proxy, cookie_of(other)};
        lasting.opens();
        if (how == std::string{"kill"}) {
            proxy.table().kill(key_of(id), now_of(proxy));
        } else if (how == std::string{"login"}) {
            const SessionId fresh = mint_session_id();
            proxy.table().commit(key_of(id), {.rotation = Rotation{key_of(fresh), {}}},
                                 now_of(proxy));
        } else {
            passes(proxy, idle_ms + 1'000);
            proxy.table().create(key_of(other),
                                 {.idle_ms = idle_ms, .slack_ms = 1'000, .attributes = {}},
                                 now_of(proxy));
        }
        tunnel.carries();
        CHECK(tunnel.visit.client.until_end() == "");
        tunnel.visit.server->until_end();
        CHECK(proxy.worker().clients() == 1);
        lasting.carries();
        lasting.answers();
        CHECK(proxy.log().find("\"fault\"") == std::string::npos);
    }
}

TEST_CASE("F:tunnel-logout a logout here closes the tunnel within a second") {
    for (const std::vector<std::string>& how :
         {std::vector<std::string>{"Destroy: 1"}, std::vector<std::string>{"Rotate: login"},
          std::vector<std::string>{"Destroy: 1", "Set: a=1"}}) {
        CAPTURE(how.back());
        Proxy proxy{{.sessions = true, .change = [](Config& config) {
                         config.session.close_tunnels = true;
                         config.session.close_tunnels_check = 1h;
                     }}};
        const SessionId id = make_session(proxy);
        const SessionId other = make_session(proxy);
        Tunnel tunnel{proxy, cookie_of(id)};
        tunnel.opens();
        Tunnel lasting{proxy, cookie_of(other)};
        lasting.opens();
        const std::int64_t begun = now_of(proxy);
        Visit{proxy, cookie_of(id)}.answers(how).status();
        CHECK(tunnel.visit.client.until_end() == "");
        CHECK(now_of(proxy) - begun <= 1'000);
        lasting.carries();
        lasting.answers();
    }
}

TEST_CASE("F:tunnel-logout so does one right after a renewal, though that gave another id") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.session.close_tunnels = true;
                     config.session.close_tunnels_check = 1h;
                     config.session.renew_after = 10min;
                 }}};
    const SessionId id = make_session(proxy, {}, 599'000);
    Tunnel tunnel{proxy, cookie_of(id)};
    tunnel.opens();
    passes(proxy, 1'000);
    const std::string fresh = Visit{proxy, cookie_of(id)}.answers().cookie();
    REQUIRE(fresh != "none");
    const std::int64_t begun = now_of(proxy);
    tunnel.carries();
    proxy.turn_until([&] { return now_of(proxy) >= begun + 700; }, "a look");
    tunnel.carries();
    Visit{proxy, cookie_of(fresh)}.answers({"Destroy: 1"}).status();
    CHECK(tunnel.visit.client.until_end() == "");
    CHECK(now_of(proxy) - begun <= 2'000);
}

TEST_CASE(
    "F:tunnel-logout one elsewhere does within close_tunnels_check, though sessions live long") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.session.close_tunnels = true;
                     config.session.close_tunnels_check = 1s;
                 }}};
    const SessionId id = make_session(proxy);
    Tunnel tunnel{proxy, cookie_of(id)};
    tunnel.opens();
    const std::int64_t begun = now_of(proxy);
    proxy.table().kill(key_of(id), begun);
    CHECK(tunnel.visit.client.until_end() == "");
    CHECK(now_of(proxy) - begun <= 2'000);
}

TEST_CASE("F:tunnel-logout what has ended is remembered, and more than that is said to be") {
    EndedSessions ended;
    const SessionKey mine = key_of(mint_session_id());
    CHECK_FALSE(ended.has_since(mine, ended.count()));
    ended.add(mine);
    CHECK(ended.has_since(mine, 0));
    CHECK_FALSE(ended.has_since(mine, 1));
    for (int i = 0; i < 1023; ++i) ended.add(key_of(mint_session_id()));
    CHECK(ended.count() == 1024);
    CHECK(ended.has_since(mine, 0));
    CHECK_FALSE(ended.has_since(mine, 1));
    ended.add(key_of(mint_session_id()));
    CHECK_FALSE(ended.has_since(mine, 1));
    CHECK(ended.has_since(mine, 0));  // it cannot be told any more
}

TEST_CASE("close_tunnels: what a client sends while the last bytes leave destroys none of them") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy{short_lived(closing)};
    const SessionId id = make_session(proxy);
    Tunnel tunnel{proxy, cookie_of(id)};
    tunnel.opens();
    // More than the kernel takes for a client that does not read.
    const std::string block(100'000, 'y');
    const int server = tunnel.visit.server->fd();
    for (int idle = 0; idle < 50; proxy.turn(2))
        idle = ::send(server, block.data(), block.size(), MSG_NOSIGNAL) > 0 ? 0 : idle + 1;
    proxy.table().kill(key_of(id), now_of(proxy));
    tunnel.visit.server->until_end();
    tunnel.visit.client.sends("x");
    proxy.turn();
    tunnel.visit.client.sends("x");
    CHECK(tunnel.visit.client.until_end().size() > 1'000'000);
    tunnel.visit.client.sends("x");
    proxy.turn();
    CHECK_FALSE(tunnel.visit.client.was_reset());
    CHECK(proxy.worker().clients() == 1);
    tunnel.visit.client.shuts();
    proxy.turn_until([&] { return proxy.worker().clients() == 0; }, "the end of lingering");
}

TEST_CASE("close_tunnels: a tunnel that began with its session's end, or without one") {
    Proxy proxy{short_lived(closing)};
    const SessionId id = make_session(proxy);
    Tunnel without{proxy, ""};
    without.opens();
    Tunnel ending{proxy, cookie_of(id), {"Destroy: 1"}};
    ending.opens();
    CHECK(ending.visit.cookie() == "ended");
    CHECK(ending.visit.client.until_end() == "");
    without.carries();
    CHECK(proxy.worker().clients() == 1);
}

TEST_CASE("without close_tunnels a tunnel outlives its session") {
    Proxy proxy{short_lived()};
    const SessionId id = make_session(proxy);
    const SessionId other = make_session(proxy);
    Tunnel tunnel{proxy, cookie_of(id)};
    tunnel.opens();
    Tunnel live{proxy, cookie_of(other)};
    live.opens();
    proxy.table().kill(key_of(id), now_of(proxy));
    passes(proxy, idle_ms / 2);
    // Once the later one has been looked after, so has the earlier one.
    proxy.turn_until(
        [&] {
            tunnel.carries();
            live.carries();
            return ttl(proxy, other) > idle_ms;
        },
        "a touch");
    tunnel.carries();
    tunnel.answers();
    CHECK(found(proxy, id).kind == Kind::dead);
}

TEST_CASE("a tunnel follows its session to the new id that time has given it") {
    for (const bool closes : {true, false}) {
        CAPTURE(closes);
        Proxy proxy{short_lived([closes](Config& config) {
            config.session.close_tunnels = closes;
            config.session.renew_after = 10min;
        })};
        const SessionId id = make_session(proxy);
        Tunnel tunnel{proxy, cookie_of(id)};
        tunnel.opens();
        const SessionId fresh = mint_session_id();
        proxy.table().commit(key_of(id), {.rotation = Rotation{key_of(fresh), veiled(fresh, id)}},
                             now_of(proxy));
        passes(proxy, idle_ms / 2);
        proxy.turn_until(
            [&] {
                tunnel.carries();
                return ttl(proxy, fresh) > idle_ms;
            },
            "a touch");
        CHECK(found(proxy, id).kind == Kind::moved);
        // It needs the old id no longer.
        passes(proxy, 58'000);
        proxy.table().create(key_of(fresh), {.idle_ms = idle_ms, .slack_ms = 1'000}, now_of(proxy));
        passes(proxy, 5'000);
        CHECK(found(proxy, id).kind == Kind::none);
        proxy.turn_until(
            [&] {
                tunnel.carries();
                return ttl(proxy, fresh) > idle_ms;
            },
            "a touch");
    }
}

TEST_CASE("close_tunnels over a slow store: one question at a time, and no answer is no end") {
    Proxy proxy{short_lived(closing, true)};
    const SessionId id = make_session(proxy);
    Visit visit{proxy, cookie_of(id), "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n"};
    asked(proxy);
    proxy.store_answers();
    visit.told();
    visit.server->sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    CHECK(visit.status() == "101");
    CHECK(proxy.late_store().touches == 1);
    const auto exchange = [&] {
        visit.client.sends("x");
        return visit.server->bytes(1) == "x";
    };
    // Silent: looked up, not touched.
    CHECK(asked(proxy).what == "load");
    CHECK(exchange());
    CHECK(proxy.late_store().questions.size() == 1);
    StoreAnswer away;
    proxy.store_answers(away);
    CHECK(proxy.late_store().touches == 1);
    CHECK(exchange());
    // In use since: touched.
    CHECK(asked(proxy).what == "load");
    proxy.store_answers();
    CHECK(proxy.late_store().touches == 2);
    const SessionId fresh = make_session(proxy);
    StoreAnswer moved;
    moved.kind = Kind::moved;
    moved.moved_to = veiled(fresh, id);
    CHECK(asked(proxy).key == key_of(id));
    proxy.store_answers(moved);
    CHECK(asked(proxy).key == key_of(fresh));
    CHECK(exchange());
    proxy.store_answers();
    // A client that leaves meanwhile.
    CHECK(asked(proxy).key == key_of(fresh));
    visit.client.resets();
    proxy.turn_until([&] { return proxy.worker().clients() == 0; }, "the end");
    CHECK(proxy.late_store().forgotten == 1);
    CHECK(proxy.late_store().questions.empty());
    CHECK(proxy.late_store().touches == 2);
}

}  // namespace baton::test
