// Who guesses ids shows many that nobody has.

#include <doctest/doctest.h>

#include <string>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

Setup limited(std::size_t most, bool late = false) {
    return {.sessions = true, .late_store = late, .change = [most](Config& config) {
                config.session.unknown_max = most;
                config.listeners[0].trusted_proxies = {*parse_network("127.0.0.1")};
            }};
}

// So that no minute ends within a test.
void begin_minute(Proxy& proxy) { passes(proxy, 60'000 - now_of(proxy) % 60'000); }

std::string guess() { return cookie_of(mint_session_id()); }

std::string from(const std::string& address) { return "X-Forwarded-For: " + address + "\r\n"; }

// Whether such a request reaches the server.
bool is_served(Proxy& proxy, const std::string& cookies, const std::string& fields = "") {
    Visit visit{proxy, cookies, "GET", fields};
    proxy.turn(4);
    if (visit.client.got().empty()) {
        CHECK(visit.answers().status() == "200");
        return true;
    }
    CHECK(visit.status() == "429");
    return false;
}

}  // namespace

TEST_CASE("S4 one unknown id too many is a 429, without a server") {
    Proxy proxy{limited(2)};
    begin_minute(proxy);
    CHECK(is_served(proxy, guess()));
    CHECK(is_served(proxy, guess()));
    Visit visit{proxy, guess()};
    const std::string head = visit.got();
    CHECK(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
    CHECK(field(head, "Retry-After") == "60");
    CHECK(field(head, "Cache-Control") == "no-store");
    CHECK(cookie_in(head) == "none");
    CHECK(!proxy.connects_to_server());
    CHECK(proxy.faults(Fault::session_guessed) == 1);
    CHECK(proxy.counters().session_unknown_absent.read() == 3);
    CHECK(proxy.table().sessions() == 0);
    // What shows no unknown id is served as ever, and a minute later all is forgotten.
    visit.client.bytes(22);
    visit.client.sends(head_of("GET", ""));
    Peer server = proxy.accept_at_any();
    server.head();
    server.sends(ok);
    CHECK(visit.client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    server.closes();
    CHECK(is_served(proxy, cookie_of("x")));
    CHECK(is_served(proxy, cookie_of(make_session(proxy))));
    passes(proxy, 60'000);
    CHECK(is_served(proxy, guess()));
}

TEST_CASE("S4 each unknown id of a request counts") {
    Proxy proxy{limited(4)};
    begin_minute(proxy);
    const std::string three = guess() + "; " + guess() + "; " + guess();
    CHECK(is_served(proxy, three));
    CHECK(!is_served(proxy, guess() + "; " + guess()));
    const std::string same = guess();
    Proxy other{limited(1)};
    begin_minute(other);
    CHECK(is_served(other, same + "; " + same));
}

TEST_CASE("S4 each client by its address, also behind a proxy that is trusted") {
    Proxy proxy{limited(1)};
    begin_minute(proxy);
    CHECK(is_served(proxy, guess(), from("192.0.2.1")));
    CHECK(!is_served(proxy, guess(), from("192.0.2.1")));
    CHECK(!is_served(proxy, guess(), from("::ffff:192.0.2.1")));
    CHECK(is_served(proxy, guess(), from("192.0.2.2")));
    CHECK(is_served(proxy, guess(), from("::ffff:192.0.2.3")));
    CHECK(is_served(proxy, guess(), from("2001:db8::1")));
    CHECK(!is_served(proxy, guess(), from("2001:db8::2")));
    CHECK(is_served(proxy, guess(), from("2001:db8:0:1::2")));
    CHECK(is_served(proxy, guess()));
    CHECK(!is_served(proxy, guess()));
}

TEST_CASE(
    "S4 a dead id is no guess, nor one that leads on, nor one of no session but live beside") {
    Proxy proxy{limited(1)};
    begin_minute(proxy);
    const SessionId dead = make_session(proxy);
    proxy.table().kill(key_of(dead), now_of(proxy));
    const SessionId moved = make_session(proxy);
    const SessionId fresh = mint_session_id();
    proxy.table().commit(key_of(moved), {.rotation = Rotation{key_of(fresh), veiled(fresh, moved)}},
                         now_of(proxy));
    for (int i = 0; i < 3; ++i) {
        CHECK(is_served(proxy, cookie_of(dead)));
        CHECK(is_served(proxy, cookie_of(moved)));
        CHECK(is_served(proxy, guess() + "; " + cookie_of(fresh)));
    }
}

TEST_CASE("S4 with no limit nobody is refused") {
    Proxy proxy{limited(0)};
    begin_minute(proxy);
    for (int i = 0; i < 20; ++i) CHECK(is_served(proxy, guess()));
}

TEST_CASE("S4 the limit holds where the store answers later, and nothing is made") {
    Proxy proxy{limited(1, true)};
    begin_minute(proxy);
    for (int i = 0; i < 2; ++i) {
        Visit visit{proxy, guess()};
        asked(proxy);
        proxy.store_answers();
        if (i == 0)
            visit.answers();
        else
            CHECK(visit.status() == "429");
    }
    CHECK(proxy.late_store().questions.empty());
}

}  // namespace baton::test
