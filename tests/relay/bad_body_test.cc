// What was done to a session stays done, whatever becomes of the response that asked for it.

#include <doctest/doctest.h>

#include <string>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

const std::string chunked_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";

// Beginnings of bodies that are no HTTP.
const char* const bad_bodies[] = {"x\r\n",
                                  "5\nhello\n",
                                  "-1\r\n",
                                  "5\r\nhellox",
                                  "ffffffffffffffffff\r\n",
                                  "0x5\r\nhello\r\n",
                                  "5 \r\nhello\r\n",
                                  " 5\r\nhello\r\n"};

}  // namespace

TEST_CASE("F:bad-body a body that is wrong from its beginning changes no session") {
    for (const char* body : bad_bodies) {
        for (const char* field : {"Rotate: login", "Destroy: 1", "Set: a=1"}) {
            for (const bool late : {false, true}) {
                CAPTURE(body);
                CAPTURE(field);
                Proxy proxy{{.sessions = true, .late_store = late}};
                const SessionId id = make_session(proxy, {{"cart", "3"}});
                Visit visit{proxy, cookie_of(id), "POST", "Content-Length: 0\r\n"};
                if (late) {
                    asked(proxy);
                    proxy.store_answers();
                }
                visit.told();
                visit.server->sends(chunked_head + "Baton-Session-" + field + "\r\n\r\n" + body);
                CHECK(visit.status() == "502");
                CHECK(visit.cookie() == "none");
                if (late) CHECK(proxy.late_store().questions.empty());
                CHECK(found(proxy, id).kind == Kind::live);
                CHECK(attributes_of(proxy, id) == Attributes{{"cart", "3"}});
                CHECK(proxy.server_faults(ServerFault::bad_response) == 1);
            }
        }
    }
}

TEST_CASE("F:bad-body the beginning of a good body waits for the store, and passes") {
    struct Case {
        const char* framing;
        std::string body;
        std::string rest;
        std::string sent;
    };
    const Case cases[] = {
        {"Content-Length: 5", "hello", "", "hello"},
        {"Content-Length: 5", "he", "llo", "hello"},
        {"Content-Length: 5", "", "hello", "hello"},
        {"Content-Length: 0", "", "", ""},
        {"Transfer-Encoding: chunked", "2\r\nhe\r\n", "3\r\nllo\r\n0\r\n\r\n",
         "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"},
        {"Transfer-Encoding: chunked", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "",
         "5\r\nhello\r\n0\r\n\r\n"},
        {"Transfer-Encoding: chunked", "2\r\nh", "e\r\n0\r\n\r\n", "1\r\nh\r\n1\r\ne\r\n0\r\n\r\n"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.framing);
        CAPTURE(c.body);
        Proxy proxy{{.sessions = true, .late_store = true}};
        const SessionId id = make_session(proxy);
        Visit visit{proxy, cookie_of(id)};
        asked(proxy);
        proxy.store_answers();
        visit.told();
        visit.server->sends("HTTP/1.1 200 OK\r\n" + std::string{c.framing} +
                            "\r\nBaton-Session-Set: a=1\r\n\r\n" + c.body);
        asked(proxy);
        visit.client.expects_nothing();
        proxy.store_answers();
        CHECK(visit.status() == "200");
        visit.server->sends(c.rest);
        CHECK(visit.client.bytes(c.sent.size()) == c.sent);
        visit.client.expects_nothing();
        CHECK(proxy.worker().lane().pools[0].idle() == 1);
    }
}

TEST_CASE("F:bad-body more than an answer, while its commit waits: the connection is not kept") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    const SessionId id = make_session(proxy);
    Visit visit{proxy, cookie_of(id)};
    asked(proxy);
    proxy.store_answers();
    visit.told();
    visit.server->sends(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nBaton-Session-Set: a=1\r\n\r\nokEVIL");
    asked(proxy);
    proxy.store_answers();
    CHECK(visit.status() == "200");
    CHECK(visit.client.bytes(2) == "ok");
    visit.client.expects_nothing();
    CHECK(visit.server->ended());
}

TEST_CASE("F:bad-body the tunnel's first bytes wait for the store, too") {
    Proxy proxy{{.sessions = true, .late_store = true}};
    const SessionId id = make_session(proxy);
    Visit visit{proxy, cookie_of(id), "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n"};
    asked(proxy);
    proxy.store_answers();
    visit.told();
    visit.server->sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Baton-Session-Set: a=1\r\n\r\nfirst");
    asked(proxy);
    proxy.store_answers();
    CHECK(visit.status() == "101");
    visit.client.expects("first");
}

TEST_CASE("F:bad-body a session that was made goes out with our own answer") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.routes[0].create = SessionCreate::always;
                     config.upstreams[0].retry_tries = 1;
                 }}};
    Visit visit{proxy, ""};
    CHECK(visit.told("State") == "new");
    SUBCASE("the server leaves") { visit.server->closes(); }
    SUBCASE("its head is no HTTP") { visit.server->sends("SMTP\r\n\r\n"); }
    SUBCASE("its body is no HTTP") { visit.server->sends(chunked_head + "\r\nx\r\n"); }
    SUBCASE("its session fields are refused") { visit.answers({"Create: maybe"}); }
    CHECK(visit.status() == "502");
    CHECK(visit.cookie() == visit.told("Id"));
    CHECK(field(visit.got(), "Cache-Control") == "no-store");
    CHECK(proxy.table().sessions() == 1);
}

TEST_CASE("F:bad-body a refused response to a client that is led on touches no cookie") {
    Proxy proxy{
        {.sessions = true, .change = [](Config& config) { config.session.renew_after = 10min; }}};
    const SessionId id = make_session(proxy, {}, 11 * 60'000);
    Visit renewed{proxy, cookie_of(id)};
    CHECK(renewed.answers().cookie() != "none");
    Visit led{proxy, cookie_of(id)};
    led.told();
    led.server->sends("SMTP\r\n\r\n");
    CHECK(led.status() == "502");
    CHECK(led.cookie() == "none");
}

}  // namespace baton::test
