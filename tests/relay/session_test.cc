// Managed sessions through a whole request; the store answering at once, later, or not at all.

#include <doctest/doctest.h>

#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

std::string get_with(const std::string& cookie) {
    return "GET / HTTP/1.1\r\nHost: h\r\nCookie: JSESSIONID=" + cookie + "\r\n\r\n";
}

std::string answer(const std::string& fields) {
    return "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 2\r\n\r\nok";
}

// The value of a field in a head, or "(none)".
std::string field(const std::string& head, const std::string& name) {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "(none)";
    const auto from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
}

std::string cookie_id(const std::string& head) {
    const std::string cookie = field(head, "Set-Cookie");
    return cookie.starts_with("JSESSIONID=") ? cookie.substr(11, 32) : cookie;
}

}  // namespace

TEST_CASE(
    "S60 the proposed id is the id of the session a Set makes, and a proposal never used leaves no "
    "trace") {
    Proxy proxy{{.sessions = true}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    CHECK(field(server.head(), "Baton-Session-State") == "none");
    server.sends(ok);
    CHECK(client.head().find("Set-Cookie") == std::string::npos);
    client.bytes(2);
    CHECK(proxy.table().sessions() == 0);
    client.sends(get);
    const std::string proposed = field(server.head(), "Baton-Session-Id");
    server.sends(answer("Baton-Session-Set: cart=3&user=al%20i\r\n"));
    const std::string head = client.head();
    CHECK(field(head, "Set-Cookie") ==
          "JSESSIONID=" + proposed + "; Path=/; HttpOnly; SameSite=Lax");
    CHECK(field(head, "Cache-Control") == "no-store");
    CHECK(head.find("Baton-") == std::string::npos);
    client.bytes(2);
    client.sends(get_with(proposed));
    const std::string next = server.head();
    CHECK(field(next, "Baton-Session-State") == "live");
    CHECK(field(next, "Baton-Session-Id") == proposed);
    CHECK(field(next, "Baton-Session-Version") == "1");
    CHECK(field(next, "Baton-Session-Data") == "cart=3&user=al+i");
    CHECK(next.find("Cookie") == std::string::npos);
}

TEST_CASE("S1 with create = always the first answer carries one cookie, and none follows") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    const std::string first = server.head();
    CHECK(field(first, "Baton-Session-State") == "new");
    server.sends("HTTP/1.1 200 OK\r\nCache-Control: private\r\nContent-Length: 2\r\n\r\nok");
    const std::string head = client.head();
    CHECK(cookie_id(head) == field(first, "Baton-Session-Id"));
    CHECK(field(head, "Cache-Control") == "private");
    client.bytes(2);
    client.sends(get_with("\"" + cookie_id(head) + "\""));
    const std::string second = server.head();
    CHECK(field(second, "Baton-Session-State") == "live");
    CHECK(field(second, "Baton-Session-Created") == field(first, "Baton-Session-Created"));
    server.sends(ok);
    CHECK(client.head().find("Set-Cookie") == std::string::npos);
}

TEST_CASE("fields that cannot be carried out are refused: 502, named in the log, nothing written") {
    for (const char* name : {"Incr: a=b", "Base: x", "Rotate: yes", "Idle: soon",
                             "Use: 0123456789ABCDEF0123456789ABCDEF"}) {
        CAPTURE(name);
        Proxy proxy{{.sessions = true}};
        Peer client = proxy.connect_client();
        client.sends(get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(
            answer("Baton-Session-Set: x=1\r\nBaton-Session-" + std::string{name} + "\r\n"));
        client.expects("HTTP/1.1 502 Bad Gateway\r\n");
        CHECK(proxy.faults(Fault::session_refused) == 1);
        CHECK(proxy.table().sessions() == 0);
        CHECK(proxy.log().find("\"fault\":\"session_refused\"") != std::string::npos);
    }
}

TEST_CASE(
    "S26 a change that comes after the session's end is dropped; its answer passes without a "
    "cookie") {
    Proxy proxy{{.servers = 2, .sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer first = proxy.accept_at_any();
    first.head();
    first.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    const std::string id = cookie_id(client.head());
    client.bytes(2);
    Peer slow = proxy.connect_client();
    slow.sends(get_with(id));
    Peer slow_server = proxy.accept_at_any();
    slow_server.head();
    client.sends(get_with(id));
    Peer logout = proxy.accept_at_any();
    logout.head();
    logout.sends(answer("Baton-Session-Destroy: 1\r\n"));
    CHECK(field(client.head(), "Set-Cookie") ==
          "JSESSIONID=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; "
          "SameSite=Lax");
    client.bytes(2);
    slow_server.sends(answer("Baton-Session-Set: z=1\r\n"));
    const std::string late = slow.head();
    CHECK(late.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(late.find("Set-Cookie") == std::string::npos);
    slow.bytes(2);
    CHECK(proxy.counters().session_gone.read() == 1);
    // The dead id makes nothing by itself, although create = always.
    slow.sends(get_with(id));
    const std::string after = slow_server.head();
    CHECK(field(after, "Baton-Session-State") == "none");
    CHECK(after.find("Baton-Session-Data") == std::string::npos);
    slow_server.sends(ok);
    CHECK(slow.head().find("Set-Cookie") == std::string::npos);
}

TEST_CASE("Destroy with Set ends the old session and makes a new one: one cookie") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(answer("Baton-Session-Set: anonymous=1\r\n"));
    const std::string old_id = cookie_id(client.head());
    client.bytes(2);
    client.sends(get_with(old_id));
    server.head();
    server.sends(answer("Baton-Session-Destroy: 1\r\nBaton-Session-Set: user=bob\r\n"));
    const std::string head = client.head();
    const std::string new_id = cookie_id(head);
    CHECK(new_id != old_id);
    CHECK(head.find("Set-Cookie") == head.rfind("Set-Cookie"));
    client.bytes(2);
    client.sends(get_with(new_id));
    CHECK(field(server.head(), "Baton-Session-Data") == "user=bob");
    server.sends(ok);
    client.expects("ok").sends(get_with(old_id));
    CHECK(field(server.head(), "Baton-Session-State") == "none");
}

TEST_CASE("Destroy without a session clears a cookie only if the client sent one") {
    for (const bool sent : {true, false}) {
        Proxy proxy{{.sessions = true}};
        Peer client = proxy.connect_client();
        client.sends(sent ? get_with("whatever") : get);
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(answer("Baton-Session-Destroy: 1\r\n"));
        CHECK((client.head().find("Set-Cookie: JSESSIONID=; ") != std::string::npos) == sent);
    }
}

TEST_CASE("a store that answers later: found, made and changed sessions, each answer awaited") {
    Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    CHECK_FALSE(proxy.connects_to_server());  // the session is made before the server is asked
    CHECK(proxy.late_store().questions.at(0).what == "create");
    proxy.store_answers();
    Peer server = proxy.accept_at_server();
    const std::string first = server.head();
    CHECK(field(first, "Baton-Session-State") == "new");
    server.sends(answer("Baton-Session-Set: a=1\r\n"));
    proxy.turn();
    CHECK(proxy.late_store().questions.at(0).what == "commit");
    client.expects_nothing();  // not a byte before the change is written
    proxy.store_answers();
    const std::string id = cookie_id(client.head());
    CHECK(client.bytes(2) == "ok");
    client.sends(get_with(id));
    proxy.turn();
    CHECK(proxy.late_store().questions.at(0).what == "load");
    proxy.store_answers();
    CHECK(field(server.head(), "Baton-Session-Data") == "a=1");
    server.sends(answer("Baton-Session-Destroy: 1\r\nBaton-Session-Set: b=2\r\n"));
    proxy.turn();
    CHECK(proxy.late_store().questions.at(0).what == "create");  // and ends the old one
    client.expects_nothing();
    proxy.store_answers();
    CHECK(cookie_id(client.head()) != id);
}

TEST_CASE(
    "an answer that waits for its commit keeps what came with it, and the end that came "
    "meanwhile") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    const std::string first(30'000, 'w');
    const std::string second(20'000, 'x');
    server.sends(
        "HTTP/1.1 200 OK\r\nBaton-Session-Set: a=1\r\nX: y\r\nContent-Length: 50000\r\n\r\n" +
        first);
    proxy.turn();
    server.sends(second);
    server.closes();
    // Another client's bytes pass through the loop's buffer meanwhile.
    Peer other = proxy.connect_client();
    other.sends("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 55000\r\n\r\n" +
                std::string(55'000, 'o'));
    proxy.turn();
    client.expects_nothing();
    proxy.store_answers();
    CHECK(client.head().find("X: y\r\nContent-Length: 50000\r\n") != std::string::npos);
    CHECK(client.bytes(first.size()) == first);
    CHECK(client.bytes(second.size()) == second);
}

TEST_CASE("a client that leaves while the store is asked is forgotten there") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    Peer client = proxy.connect_client();
    client.sends(get_with("0123456789ABCDEF0123456789ABCDEF"));
    proxy.turn();
    CHECK(proxy.late_store().questions.size() == 1);
    client.resets();
    proxy.turn();
    CHECK(proxy.late_store().questions.empty());
    CHECK(proxy.late_store().forgotten == 1);
    CHECK(proxy.worker().clients() == 0);
}

TEST_CASE("a store that cannot be asked: state unavailable, no cookie touched, changes dropped") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    Peer client = proxy.connect_client();
    client.sends(get_with("0123456789ABCDEF0123456789ABCDEF"));
    proxy.turn();
    proxy.store_answers(StoreAnswer{StoreAnswer::Kind::unavailable, {}});
    Peer server = proxy.accept_at_server();
    const std::string head = server.head();
    CHECK(field(head, "Baton-Session-State") == "unavailable");
    CHECK(field(head, "Baton-Session-Id") == "(none)");
    server.sends(answer("Baton-Session-Destroy: 1\r\n"));
    const std::string passed = client.head();
    CHECK(passed.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(passed.find("Set-Cookie") == std::string::npos);
    CHECK(proxy.log().find("\"session\":\"unavailable\"") != std::string::npos);
}

TEST_CASE("a store that goes away between load and commit: 503, no cookie") {
    for (const char* fields : {"Baton-Session-Set: a=1\r\n", "Baton-Session-Destroy: 1\r\n"}) {
        CAPTURE(fields);
        Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                         config.routes[0].create = SessionCreate::always;
                     }}};
        Peer client = proxy.connect_client();
        client.sends(get);
        proxy.turn();
        proxy.store_answers();
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(answer(fields));
        proxy.turn();
        proxy.store_answers(StoreAnswer{StoreAnswer::Kind::unavailable, {}});
        const std::string head = client.head();
        CHECK(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        CHECK(head.find("Retry-After: 1\r\n") != std::string::npos);
        CHECK(head.find("Set-Cookie") == std::string::npos);
        CHECK(proxy.faults(Fault::store_unavailable) == 1);
    }
}

TEST_CASE("an id that is taken is minted anew") {
    Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    proxy.turn();
    proxy.store_answers(StoreAnswer{StoreAnswer::Kind::exists, {}});
    proxy.store_answers();
    Peer server = proxy.accept_at_server();
    CHECK(field(server.head(), "Baton-Session-State") == "new");
}

TEST_CASE("changes the table cannot take are a 502, not a lost change") {
    for (const auto kind : {StoreAnswer::Kind::limit, StoreAnswer::Kind::too_large}) {
        Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                         config.routes[0].create = SessionCreate::always;
                     }}};
        Peer client = proxy.connect_client();
        client.sends(get);
        proxy.turn();
        proxy.store_answers();
        Peer server = proxy.accept_at_server();
        server.head();
        server.sends(answer("Baton-Session-Set: a=1\r\n"));
        proxy.turn();
        proxy.store_answers(StoreAnswer{kind, {}});
        client.expects("HTTP/1.1 502 Bad Gateway\r\n");
        CHECK(proxy.faults(Fault::session_refused) == 1);
    }
    Proxy proxy{{.sessions = true, .late_store = true}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(answer("Baton-Session-Set: a=1\r\n"));
    proxy.turn();
    proxy.store_answers(StoreAnswer{StoreAnswer::Kind::too_large, {}});
    client.expects("HTTP/1.1 502 Bad Gateway\r\n");
}

TEST_CASE("S6 the first live cookie wins; a second live one is counted, a dead one passed over") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Peer client = proxy.connect_client();
    std::optional<Peer> server;
    std::string ids[2];
    for (std::string& id : ids) {
        client.sends(get);
        if (!server) server.emplace(proxy.accept_at_server());
        server->head();
        server->sends(ok);
        id = cookie_id(client.head());
        client.bytes(2);
    }
    client.sends(
        "GET / HTTP/1.1\r\nHost: h\r\nCookie: JSESSIONID=00000000000000000000000000000000; a=1; "
        "JSESSIONID=" +
        ids[1] + "; JSESSIONID=" + ids[0] + "\r\n\r\n");
    const std::string head = server->head();
    CHECK(field(head, "Baton-Session-Id") == ids[1]);
    CHECK(field(head, "Cookie") == "a=1");
    CHECK(proxy.counters().session_second_live.read() == 1);
    CHECK(proxy.counters().session_unknown_absent.read() == 1);
}

TEST_CASE("S7 a quoted value is the session's id, and no server gets it") {
    Proxy proxy{{.sessions = true}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(answer("Baton-Session-Set: user=bob\r\n"));
    const std::string id = cookie_id(client.head());
    client.bytes(2);
    const std::string quoted = "JSESSIONID=\"" + id + "\"";
    for (const std::string& cookies :
         {quoted, "a=1; " + quoted + "; b=\"2\"",
          "JSESSIONID=\"00000000000000000000000000000000\"; " + quoted}) {
        CAPTURE(cookies);
        client.sends("GET / HTTP/1.1\r\nHost: h\r\nCookie: " + cookies + "\r\n\r\n");
        const std::string head = server.head();
        CHECK(field(head, "Baton-Session-State") == "live");
        CHECK(field(head, "Baton-Session-Id") == id);
        CHECK(field(head, "Baton-Session-Data") == "user=bob");
        CHECK(field(head, "Cookie") == (cookies.starts_with("a=") ? "a=1; b=\"2\"" : "(none)"));
        server.sends(ok);
        CHECK(client.head().find("Set-Cookie") == std::string::npos);
        client.bytes(2);
    }
    CHECK(proxy.counters().session_unknown_malformed.read() == 0);
    // One pair, and a whole one.
    const std::string others[] = {"\"" + id, id + "\"", "\"\"" + id + "\"\"", "'" + id + "'"};
    for (const std::string& other : others) {
        CAPTURE(other);
        client.sends(get_with(other));
        CHECK(field(server.head(), "Baton-Session-State") == "none");
        server.sends(ok);
        client.head();
        client.bytes(2);
    }
    CHECK(proxy.counters().session_unknown_malformed.read() == std::size(others));
}

TEST_CASE("S15 session fields of a client reach no server, with sessions or without") {
    for (const bool sessions : {true, false}) {
        Proxy proxy{{.sessions = sessions}};
        Peer client = proxy.connect_client();
        client.sends(
            "POST / HTTP/1.1\r\nHost: h\r\nBaton-Session-Data: admin=1\r\nBATON-SESSION-ID: "
            "x\r\nbaton_session_data: admin=1\r\n"
            "Baton-Other: y\r\nConnection: Baton-Session-State\r\nTransfer-Encoding: "
            "chunked\r\n\r\n"
            "2\r\nhi\r\n0\r\nBaton-Session-Data: admin=1\r\n\r\n");
        Peer server = proxy.accept_at_server();
        const std::string head = server.head();
        CHECK(head.find("admin") == std::string::npos);
        CHECK(head.find("BATON") == std::string::npos);
        CHECK(head.find("Baton-Other") == std::string::npos);
        CHECK((head.find("Baton-Session-State: none") != std::string::npos) ==
              sessions);  // our own, once
        CHECK(server.bytes(12) == "2\r\nhi\r\n0\r\n\r\n");
        CHECK(proxy.counters().session_fields_dropped.read() == 4);
        server.sends(answer("Baton-Session-Set: a=1\r\n"));
        const std::string passed = client.head();
        CHECK(passed.find("Baton-") == std::string::npos);
        CHECK((passed.find("Set-Cookie") != std::string::npos) == sessions);
    }
}

TEST_CASE("S9 a server's own cookie of the name reaches no client, on an interim answer neither") {
    Proxy proxy{{.sessions = true}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 103 Early Hints\r\nSet-Cookie: JSESSIONID=EVIL\r\n\r\n" +
                 answer("Set-Cookie: JSESSIONID=EVIL; Path=/\r\nSet-Cookie: other=1\r\n"));
    CHECK(client.head() == "HTTP/1.1 103 Early Hints\r\n\r\n");
    CHECK(client.head() == "HTTP/1.1 200 OK\r\nSet-Cookie: other=1\r\nContent-Length: 2\r\n\r\n");
    CHECK(proxy.counters().session_cookies_dropped.read() == 1);
}

TEST_CASE("a change on a 101 is committed before the tunnel begins") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
        "Upgrade\r\nBaton-Session-Create: 1\r\n\r\nfirst");
    proxy.turn();
    client.expects_nothing();
    proxy.store_answers();
    CHECK(client.head().find("Set-Cookie: JSESSIONID=") != std::string::npos);
    CHECK(client.bytes(5) == "first");
    client.sends("ping");
    CHECK(server.bytes(4) == "ping");
}

TEST_CASE(
    "the keys of [session] reach the request: cookie, attributes of the cookie, prefix, limits") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.session.cookie = "sid";
                     config.session.same_site = SameSite::strict;
                     config.session.secure = SecureCookie::always;
                     config.session.header_prefix = "My-";
                     config.session.header_limit = 10;
                     config.session_api.listener.address = *parse_address("127.0.0.1:1");
                     config.session.attribute_max = 20;
                     config.session.attributes_max = 2;
                     config.session.data_max = 30;
                 }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    const std::string id = field(server.head(), "My-Id");
    server.sends(answer("My-Set: a=" + std::string(20, 'x') + "\r\n"));
    CHECK(field(client.head(), "Set-Cookie") ==
          "sid=" + id + "; Path=/; HttpOnly; SameSite=Strict; Secure");
    client.bytes(2);
    const std::string mine = "GET / HTTP/1.1\r\nHost: h\r\nCookie: sid=" + id + "\r\n\r\n";
    client.sends(mine);
    CHECK(field(server.head(), "My-Data-Omitted") == "22");
    // Over a limit of one response, or of the session with what it has.
    for (const std::string& fields :
         {"My-Set: b=" + std::string(21, 'x'), std::string{"My-Set: b=1&c=2"},
          "My-Set: b=" + std::string(10, 'x')}) {
        server.sends(answer(fields + "\r\n"));
        client.expects("HTTP/1.1 502 Bad Gateway\r\n").expects("\n\r\n");
        client.bytes(16);
        client.sends(mine);
        Peer next = proxy.accept_at_server();
        CHECK(field(next.head(), "My-Version") == "1");
        next.sends(ok);
        client.expects("ok").sends(mine);
        server = std::move(next);
        server.head();
    }
}

TEST_CASE("a table without room for one session refuses it, and serves on") {
    Proxy proxy{
        {.sessions = true, .change = [](Config& config) { config.session.memory_max = 64; }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(answer("Baton-Session-Set: a=1\r\n"));
    client.expects("HTTP/1.1 502 Bad Gateway\r\n").expects("502 Bad Gateway\n");
    CHECK(proxy.table().sessions() == 0);
    client.sends(get);
    proxy.accept_at_server().expects("GET / ");
}

TEST_CASE("a live session is touched only when that is due") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                     config.session.idle = 3s;  // slack 1 s
                     config.session.absolute = 0s;
                 }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(ok);
    const std::string id = cookie_id(client.head());
    client.bytes(2);
    const SessionKey key = session_key("app", "JSESSIONID", *parse_session_id(id));
    Lane& lane = proxy.worker().lane();
    const auto ttl = [&] { return proxy.table().load(key, lane.epoch_now_ms()).record.ttl_ms; };
    CHECK(ttl() > 3'000);
    lane.epoch_offset_ms += 500;  // half a slack later: no touch
    client.sends(get_with(id));
    server.head();
    server.sends(ok);
    client.expects("ok");
    CHECK(ttl() <= 3'500);
    lane.epoch_offset_ms += 1'000;
    client.sends(get_with(id));
    server.head();
    server.sends(ok);
    client.expects("ok");
    CHECK(ttl() > 3'500);
    lane.epoch_offset_ms += 4'100;
    client.sends(get_with(id));
    CHECK(field(server.head(), "Baton-Session-State") == "new");
}

}  // namespace baton::test
