// The session cookie and caches that serve many people: it never rides on what they may keep.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

constexpr std::int64_t minute = 60'000;

Setup adding(SessionCreate create) {
    return {.servers = 2, .sessions = true, .change = [create](Config& config) {
                config.session.renew_after = 10min;
                config.routes[0].create = create;
            }};
}

std::string head_with(const std::string& fields) {
    return "HTTP/1.1 200 OK\r\n" + fields + "Connection: close\r\nContent-Length: 2\r\n\r\n";
}

// The answer with these fields; its head as the client gets it.
const std::string& answer(Visit& visit, const std::string& fields) {
    visit.told();
    visit.server->sends(head_with(fields) + "ok");
    return visit.got();
}

// Fields of the connection do not go on.
std::string kept(const std::string& fields) { return fields + "Content-Length: 2\r\n"; }

const std::string asset = "Cache-Control: public, max-age=3600\r\n";
const std::vector<std::string> shared = {
    asset,
    "cache-control: MAX-AGE=5\r\n",
    "Cache-Control: s-maxage=5\r\n",
    "Expires: Fri, 31 Dec 9999 23:59:59 GMT\r\n",
    "Cache-Control: private\r\nCDN-Cache-Control: max-age=5\r\n",
};
const std::vector<std::string> personal = {
    "",
    "Cache-Control: private, max-age=5\r\n",
    "Cache-Control: no-store\r\n",
    "Cache-Control: no-cache\r\n",
    "Expires: 0\r\n",
};

}  // namespace

TEST_CASE("F:cookie-cache a session made by itself keeps its cookie from answers that are shared") {
    for (const std::string& fields : shared) {
        CAPTURE(fields);
        Proxy proxy{adding(SessionCreate::always)};
        Visit visit{proxy, ""};
        CHECK(visit.told("State") == "new");
        CHECK(answer(visit, fields) == "HTTP/1.1 200 OK\r\n" + kept(fields) + "\r\n");
    }
    for (const std::string& fields : personal) {
        CAPTURE(fields);
        Proxy proxy{adding(SessionCreate::always)};
        Visit visit{proxy, ""};
        answer(visit, fields);
        CHECK(visit.cookie() == visit.told("Id"));
    }
}

TEST_CASE("F:cookie-cache a renewal waits for an answer that is not shared") {
    Proxy proxy{adding(SessionCreate::on_demand)};
    const SessionId id = make_session(proxy, {{"a", "1"}}, 11 * minute);
    for (const std::string& fields : shared) {
        CAPTURE(fields);
        Visit visit{proxy, cookie_of(id)};
        answer(visit, fields);
        CHECK(visit.cookie() == "none");
        CHECK(found(proxy, id).record.version == 1);
    }
    // Nor does a change bring one, nor what refreshes what a cache keeps.
    Visit change{proxy, cookie_of(id)};
    answer(change, asset + "Baton-Session-Set: a=2\r\n");
    CHECK(change.cookie() == "none");
    CHECK(field(change.got(), "Cache-Control") == "public, max-age=3600");
    CHECK(attributes_of(proxy, id) == Attributes{{"a", "2"}});
    Visit unchanged{proxy, cookie_of(id)};
    unchanged.told();
    unchanged.server->sends("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
    CHECK(unchanged.got() == "HTTP/1.1 304 Not Modified\r\n\r\n");
    Visit page{proxy, cookie_of(id)};
    answer(page, personal[0]);
    CHECK(found(proxy, id_in(page.cookie())).kind == Kind::live);
    CHECK(found(proxy, id).kind == Kind::moved);
    // Who is led there learns its new id when nobody else would.
    for (const std::string& fields : {asset, asset + "Baton-Session-Incr: n=1\r\n"}) {
        Visit led{proxy, cookie_of(id)};
        CHECK(led.told("Id") == page.cookie());
        answer(led, fields);
        CHECK(led.cookie() == "none");
    }
    Visit led{proxy, cookie_of(id)};
    answer(led, personal[1]);
    CHECK(led.cookie() == page.cookie());
}

TEST_CASE("F:cookie-cache a change that finds its session renewed leaves the cookie for later") {
    Proxy proxy{adding(SessionCreate::on_demand)};
    const SessionId id = make_session(proxy, {}, 11 * minute);
    Visit slow{proxy, cookie_of(id)};
    slow.told();
    Visit fast{proxy, cookie_of(id)};
    const SessionId fresh = id_in(fast.answers().cookie());
    answer(slow, asset + "Baton-Session-Set: a=1\r\n");
    CHECK(slow.cookie() == "none");
    CHECK(attributes_of(proxy, fresh) == Attributes{{"a", "1"}});
}

TEST_CASE("F:cookie-cache a cookie that a server asks for makes its answer private") {
    const std::vector<std::string> asking = {"Set: a=1", "Create: 1", "Rotate: login", "Destroy: 1",
                                             "Incr: n=1"};
    for (const SessionCreate create : {SessionCreate::on_demand, SessionCreate::always}) {
        for (const std::string& asked_for : asking) {
            const bool needs_session = asked_for == "Rotate: login" || asked_for == "Destroy: 1";
            CAPTURE(asked_for);
            Proxy proxy{adding(create)};
            const std::string cookies =
                needs_session ? cookie_of(make_session(proxy)) : std::string{};
            Visit visit{proxy, cookies};
            answer(visit,
                   "Cache-Control: public, s-maxage=60, max-age=3600\r\nSurrogate-Control: "
                   "max-age=60\r\nExpires: Fri, 31 Dec 9999 23:59:59 GMT\r\nBaton-Session-" +
                       asked_for + "\r\n");
            CHECK(visit.cookie() != "none");
            CHECK(field(visit.got(), "Cache-Control") == "private, max-age=3600");
            CHECK(field(visit.got(), "Surrogate-Control") == "(none)");
            CHECK(field(visit.got(), "Expires") == "Fri, 31 Dec 9999 23:59:59 GMT");
        }
    }
    Proxy proxy{adding(SessionCreate::on_demand)};
    const SessionId used = make_session(proxy);
    Visit visit{proxy, ""};
    answer(visit, asset + "Baton-Session-Use: " + std::string{used.view()} + "\r\n");
    CHECK(visit.cookie() == used.view());
    CHECK(field(visit.got(), "Cache-Control") == "private, max-age=3600");
    // With a 304, too: a cache refreshes what it keeps by its fields.
    Visit login{proxy, cookie_of(used)};
    login.told();
    login.server->sends(
        "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nConnection: close\r\nCache-Control: "
        "no-cache\r\nBaton-Session-Rotate: 1\r\n\r\n");
    CHECK(login.cookie() != "none");
    CHECK(field(login.got(), "Cache-Control") == "private, no-cache");
}

}  // namespace baton::test
