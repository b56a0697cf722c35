// The heads that clients are sent, byte by byte.

#include <doctest/doctest.h>

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "proxy/head/reply.h"
#include "proxy/http1/head_text.h"
#include "tests/unit/forward_fixture.h"

namespace baton::test {
namespace {

// The fields of a 200 without body that are left of these.
std::string passed(const std::string& fields, const Answering& how = {},
                   std::size_t* dropped = nullptr) {
    const std::string out =
        answered("HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 0\r\n\r\n", how, dropped);
    const std::string begin = "HTTP/1.1 200 OK\r\n";
    const std::string end = "Content-Length: 0\r\n";
    REQUIRE(out.starts_with(begin));
    const std::size_t at = out.find(end);
    REQUIRE(at != out.npos);
    return out.substr(begin.size(), at - begin.size());
}

}  // namespace

TEST_CASE("an answer's head is rebuilt, other fields keep name, value and order") {
    CHECK(answered("HTTP/1.1 404 Nothing  here\r\nDate:  now \r\nSERVER: s\r\nX: 1\r\nX: "
                   "2\r\nEmpty:\r\nContent-Length: 007\r\n\r\n") ==
          "HTTP/1.1 404 Nothing  here\r\nDate: now\r\nSERVER: s\r\nX: 1\r\nX: 2\r\nEmpty: "
          "\r\nContent-Length: 7\r\n\r\n");
    CHECK(answered("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n") ==
          "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n");
    CHECK(answered("HTTP/1.0 200 \r\nContent-Length: 0\r\n\r\n") ==
          "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("an answer's framing is what follows, not what the server said") {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const Body chunked{Framing::chunked, 0};
    const Body until_close{Framing::until_close, 0};
    CHECK(answered(ok + "Transfer-Encoding: CHUNKED\r\n\r\n") ==
          ok + "Transfer-Encoding: chunked\r\n\r\n");
    CHECK(answered(ok + "Transfer-Encoding: chunked\r\n\r\n",
                   {.body = until_close, .close = true}) == ok + "Connection: close\r\n\r\n");
    CHECK(answered(ok + "A: b\r\n\r\n", {.body = chunked}) ==
          ok + "A: b\r\nTransfer-Encoding: chunked\r\n\r\n");
    CHECK(answered(ok + "Content-Length: 5\r\n\r\n") == ok + "Content-Length: 5\r\n\r\n");
    CHECK(answered("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n") ==
          "HTTP/1.1 204 No Content\r\n\r\n");
    CHECK(answered("HTTP/1.1 103 Early Hints\r\nLink: x\r\nTransfer-Encoding: chunked\r\n\r\n") ==
          "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

TEST_CASE("the length of a body that is not sent is passed on where it may be") {
    const std::string not_modified = "HTTP/1.1 304 Not Modified\r\n";
    CHECK(answered(not_modified + "Content-Length: 5\r\nA: b\r\n\r\n", {.keep_length = true}) ==
          not_modified + "Content-Length: 5\r\nA: b\r\n\r\n");
    CHECK(answered(not_modified + "Transfer-Encoding: chunked\r\n\r\n", {.keep_length = true}) ==
          not_modified + "\r\n");
    CHECK(answered(not_modified + "\r\n", {.keep_length = true}) == not_modified + "\r\n");
    const std::string ok = "HTTP/1.1 200 OK\r\n";  // to a HEAD
    CHECK(answered(ok + "Connection: Content-Length\r\nContent-Length: 5\r\n\r\n",
                   {.body = Body{}, .keep_length = true}) == ok + "Content-Length: 5\r\n\r\n");
    CHECK(answered(ok + "Transfer-Encoding: chunked\r\n\r\n",
                   {.body = Body{}, .keep_length = true}) == ok + "\r\n");
}

TEST_CASE("an answer says how its connection goes on") {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const std::string length = "Content-Length: 0\r\n";
    CHECK(answered(ok + length + "\r\n", {.close = true}) ==
          ok + length + "Connection: close\r\n\r\n");
    CHECK(answered(ok + length + "\r\n", {.client_is_1_0 = true}) ==
          ok + length + "Connection: keep-alive\r\n\r\n");
    CHECK(answered(ok + length + "\r\n", {.client_is_1_0 = true, .close = true}) ==
          ok + length + "Connection: close\r\n\r\n");
    CHECK(answered(ok + "Connection: close\r\n" + length + "\r\n") == ok + length + "\r\n");
    CHECK(answered("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: "
                   "upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n",
                   {.body = Body{}, .close = true, .upgrade = true}) ==
          "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nConnection: "
          "Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST_CASE("fields of the server's connection do not reach the client") {
    CHECK(passed("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: "
                 "x\r\nTrailer: X\r\nUpgrade: h2\r\nHost: x\r\n") == "");
    CHECK(passed("Connection: X-One, close\r\nX-One: 1\r\nX-Two: 2\r\n") == "X-Two: 2\r\n");
    CHECK(passed(
              "X-One: 1\r\nConnection: x-one\r\nConnection: X-Two\r\nX-Two: 2\r\nX-Three: 3\r\n") ==
          "X-Three: 3\r\n");
    const std::string stay = "Set-Cookie: a=b\r\nCache-Control: no-cache\r\n";
    CHECK(passed("Connection: Set-Cookie, Cache-Control, Content-Length\r\n" + stay) == stay);
}

TEST_CASE("session fields of a server stay here, in all spellings") {
    CHECK(passed("Baton-Session-Set: a=b\r\nbaton_session_set: a\r\nBATON-SESSION-CREATE: "
                 "1\r\nBaton-Anything: x\r\nA: b\r\n") == "A: b\r\n");
    CHECK(passed("X-Sess-Set: a=b\r\nx_sess_set: a\r\nBaton-Session-Set: x\r\nX-Sess: 1\r\n",
                 {.prefix = "X-Sess-"}) == "X-Sess: 1\r\n");
    // Others may have an underscore: only requests are read by servers that fold names.
    CHECK(passed("X_Y: 1\r\n") == "X_Y: 1\r\n");
}

TEST_CASE("a Set-Cookie of the session cookie's name is dropped and counted, others stay") {
    std::size_t dropped = 0;
    CHECK(passed("Set-Cookie: a=b; Path=/\r\nSet-Cookie: JSESSIONID=x; Path=/\r\nset-cookie: "
                 "c=JSESSIONID\r\n",
                 {}, &dropped) == "Set-Cookie: a=b; Path=/\r\nset-cookie: c=JSESSIONID\r\n");
    CHECK(dropped == 1);
    CHECK(passed("Set-Cookie: JSESSIONID=x\r\nSET-COOKIE:  JSESSIONID = y\r\nSet-Cookie: "
                 "JSESSIONIDX=z\r\n",
                 {}, &dropped) == "Set-Cookie: JSESSIONIDX=z\r\n");
    CHECK(dropped == 2);
    CHECK(passed("Set-Cookie: JSESSIONID=x\r\n", {.cookie = ""}, &dropped) ==
          "Set-Cookie: JSESSIONID=x\r\n");
    CHECK(dropped == 0);
}

TEST_CASE("F:cookie-cache an answer with our cookie is one that no shared cache keeps") {
    const std::string set_cookie = "JSESSIONID=1; Path=/";
    const std::string cookie = "Set-Cookie: " + set_cookie + "\r\n";
    const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    struct Case {
        std::string came;
        std::string goes;
    };
    const Case cases[] = {
        {"Cache-Control: private\r\n", "Cache-Control: private\r\n"},
        {"cache-control: No-Store , max-age=5\r\n", "cache-control: No-Store , max-age=5\r\n"},
        {"cache-control: max-age=5\r\n", "cache-control: private, max-age=5\r\n"},
        {"Cache-Control: public\r\n", "Cache-Control: private\r\n"},
        {"Cache-Control: PUBLIC,S-MaxAge = 60 ,, max-age=0\r\n",
         "Cache-Control: private, max-age=0\r\n"},
        {"Cache-Control: s-maxage=\"60\"\r\nExpires: 0\r\n",
         "Cache-Control: private\r\nExpires: 0\r\n"},
        // Arguments: only what they name is private, or is not to be used again.
        {"Cache-Control: max-age=9, private=\"x, public\"\r\n",
         "Cache-Control: private, max-age=9\r\n"},
        {"Cache-Control: no-cache=\"Set-Cookie, a\", public\r\n",
         "Cache-Control: private, no-cache=\"Set-Cookie, a\"\r\n"},
        // A cache may keep it to ask again, and then give it to others.
        {"Cache-Control: no-cache\r\n", "Cache-Control: private, no-cache\r\n"},
        {"Cache-Control:\r\n", "Cache-Control: private\r\n"},
        // Words within words, and quotes that never end.
        {"Cache-Control: x=\"a,private,b\"\r\n", "Cache-Control: private, x=\"a,private,b\"\r\n"},
        {"Cache-Control: x=\"\\\", no-store, public\r\n",
         "Cache-Control: private, x=\"\\\", no-store, public\r\n"},
        {"Cache-Control: publicly\r\n", "Cache-Control: private, publicly\r\n"},
        // Several fields are one list.
        {"Cache-Control: public\r\nA: b\r\nCACHE-CONTROL: s-maxage=1\r\nCache-Control: "
         "max-age=1\r\n",
         "Cache-Control: private\r\nA: b\r\nCache-Control: max-age=1\r\n"},
        {"Cache-Control: public\r\nCache-Control: private\r\n",
         "Cache-Control: public\r\nCache-Control: private\r\n"},
        // Those of shared caches alone hold against any Cache-Control.
        {"CDN-Cache-Control: max-age=9\r\ncloudflare-cdn-cache-control: x\r\nSurrogate-Control: "
         "max-age=9\r\nCache-Control: private\r\nX-Cache-Controls: 1\r\n",
         "Cache-Control: private\r\nX-Cache-Controls: 1\r\n"},
        {"Connection: Cache-Control\r\nCache-Control: public\r\n", "Cache-Control: private\r\n"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.came);
        CHECK(answered(ok + c.came + "\r\n", {.set_cookie = set_cookie}) ==
              ok + c.goes + cookie + "\r\n");
    }
    CHECK(answered(ok + "\r\n", {.set_cookie = set_cookie}) ==
          ok + cookie + "Cache-Control: no-store\r\n\r\n");
    CHECK(answered(ok + "Surrogate-Control: x\r\n\r\n", {.set_cookie = set_cookie}) ==
          ok + cookie + "Cache-Control: no-store\r\n\r\n");
    // Without a cookie it is the server's word alone.
    const std::string all = "Cache-Control: public, s-maxage=1\r\nCDN-Cache-Control: public\r\n";
    CHECK(answered(ok + all + "\r\n") == ok + all + "\r\n");
    CHECK(answered(ok + "\r\n") == ok + "\r\n");
}

TEST_CASE("F:date an answer without a Date gets ours, one with its own keeps it") {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const std::string length = "Content-Length: 0\r\n";
    const std::string ours = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    CHECK(answered(ok + length + "\r\n", {.date_line = ours}) == ok + length + ours + "\r\n");
    for (const std::string theirs : {"Date: Mon, 07 Nov 1994 08:49:37 GMT\r\n", "date: x\r\n"}) {
        CAPTURE(theirs);
        CHECK(answered(ok + theirs + length + "\r\n", {.date_line = ours}) ==
              ok + theirs + length + "\r\n");
        CHECK(answered(ok + theirs + "Connection: Date\r\n" + length + "\r\n",
                       {.date_line = ours}) == ok + theirs + length + "\r\n");
    }
    CHECK(answered(ok + "X-Date: x\r\n" + length + "\r\n", {.date_line = ours}) ==
          ok + "X-Date: x\r\n" + length + ours + "\r\n");
}

TEST_CASE("F:date our own answers say when, and how a 1.0 client's connection goes on") {
    const std::string ours = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    const auto end = [&](bool close, bool client_is_1_0) {
        std::string out;
        append_reply(
            out, fault_reply(Fault::no_route, "the-id", {}),
            {.date_line = ours, .client_is_1_0 = client_is_1_0, .close = close, .head_only = true});
        return out.substr(out.find("Date: "));
    };
    const std::string rest = ours + "Cache-Control: no-store\r\nX-Request-Id: the-id\r\n";
    CHECK(end(false, false) == rest + "\r\n");
    CHECK(end(true, false) == rest + "Connection: close\r\n\r\n");
    CHECK(end(true, true) == rest + "Connection: close\r\n\r\n");
    CHECK(end(false, true) == rest + "Connection: keep-alive\r\n\r\n");
}

TEST_CASE("F:max-forwards what an OPTIONS is answered that goes no further") {
    std::string out;
    append_reply(out, options_reply("the-id"), {.date_line = "Date: x\r\n"});
    CHECK(out ==
          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: x\r\nCache-Control: no-store\r\n"
          "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\nX-Request-Id: the-id\r\n\r\n");
}

TEST_CASE("our own answers") {
    struct Case {
        Fault fault;
        const char* line;
        const char* special;
    };
    const Case cases[] = {
        {Fault::client_slow, "408 Request Timeout", ""},
        {Fault::bad_request, "400 Bad Request", ""},
        {Fault::target_too_long, "414 URI Too Long", ""},
        {Fault::head_too_large, "431 Request Header Fields Too Large", ""},
        {Fault::body_too_large, "413 Content Too Large", ""},
        {Fault::method_refused, "405 Method Not Allowed",
         "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"},
        {Fault::method_unknown, "501 Not Implemented", ""},
        {Fault::coding_unknown, "501 Not Implemented", ""},
        {Fault::version_unknown, "505 HTTP Version Not Supported", ""},
        {Fault::expectation_unknown, "417 Expectation Failed", ""},
        {Fault::no_route, "404 Not Found", ""},
        {Fault::loop, "508 Loop Detected", ""},
        {Fault::no_server, "503 Service Unavailable", "Retry-After: 1\r\n"},
        {Fault::server_gone, "502 Bad Gateway", ""},
        {Fault::server_slow, "504 Gateway Timeout", ""},
        {Fault::bad_response, "502 Bad Gateway", ""},
        {Fault::session_refused, "502 Bad Gateway", ""},
        {Fault::session_conflict, "409 Conflict", "Retry-After: 0\r\n"},
        {Fault::session_guessed, "429 Too Many Requests", "Retry-After: 60\r\n"},
        {Fault::store_unavailable, "503 Service Unavailable", "Retry-After: 1\r\n"},
        {Fault::stopping, "503 Service Unavailable", "Retry-After: 1\r\n"},
    };
    CHECK(std::size(cases) == fault_count - 1);  // all but client_gone, which nobody reads
    for (const Case& c : cases) {
        CAPTURE(name(c.fault));
        const std::string body = std::string{c.line} + "\n";
        const std::string head = std::string{"HTTP/1.1 "} + c.line +
                                 "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
                                 std::to_string(body.size()) + "\r\nCache-Control: no-store\r\n" +
                                 c.special + "X-Request-Id: the-id\r\n";
        const Reply reply = fault_reply(c.fault, "the-id", {});
        std::string out;
        append_reply(out, reply, {});
        CHECK(out == head + "\r\n" + body);
        out = "before ";
        append_reply(out, reply, {.close = true});
        CHECK(out == "before " + head + "Connection: close\r\n\r\n" + body);
        out.clear();
        append_reply(out, reply, {.close = true, .head_only = true});
        CHECK(out == head + "Connection: close\r\n\r\n");
    }
    CHECK(reason_of(599) == "Internal Server Error");
}

TEST_CASE("nothing that is received can end a line of ours") {
    // Each place of a head where bytes are taken over, with each way to end a line in it.
    const std::string ends[] = {"\r\n", "\n", "\r", std::string{"\0", 1}, "\r\n\r\n", "\n\n"};
    for (const std::string& end : ends) {
        const std::string evil = "a" + end + "Evil: 1";
        const std::string requests[] = {
            "GET /" + evil + " HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET http://" + evil + "/ HTTP/1.1\r\nHost: h\r\n\r\n",
            "G" + evil + " / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: " + evil + "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX" + evil + "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX: " + evil + "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nCookie: " + evil + "; JSESSIONID=1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: " + evil + "\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: " + evil + "\r\n\r\n",
        };
        for (const std::string& request : requests) {
            CAPTURE(request);
            const Received received{HeadGuard::Kind::request, request};
            if (!received.accepted) continue;
            // A whole line end makes a field of its own of it, as it would for any reader.
            CHECK(end == "\r\n");
            CHECK(received.head.fields.back().id == FieldName::other);
            const std::string out = sent(request, {.trusted = true});
            CHECK(out.find("\r\nEvil: 1") != std::string::npos);
            CHECK(out.find("\r\n\r\n") == out.size() - 4);
        }
        const std::string responses[] = {
            "HTTP/1.1 200 " + evil + "\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX" + evil + "\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: " + evil + "\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nSet-Cookie: " + evil + "\r\nContent-Length: 0\r\n\r\n",
        };
        for (const std::string& response : responses) {
            CAPTURE(response);
            const Received received{HeadGuard::Kind::response, response};
            if (!received.accepted) continue;
            CHECK(end == "\r\n");
            CHECK(answered(response).find("\r\n\r\n") == answered(response).size() - 4);
        }
    }
    // What the guard lets through in a value goes on as it is, and ends nothing.
    const std::string odd = "X: a\tb\xff %0d%0a \\r\\n\r\n";
    CHECK(sent("GET / HTTP/1.1\r\nHost: h\r\n" + odd + "\r\n")
              .starts_with("GET / HTTP/1.1\r\nHost: h\r\n" + odd));
}

}  // namespace baton::test
