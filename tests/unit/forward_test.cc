// The heads that servers are sent, byte by byte, and who the client is.

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1/head_text.h"
#include "tests/unit/forward_fixture.h"

namespace baton::test {
namespace {

// The fields of a GET with these fields that stand before our own; Host is the first.
std::string kept(const std::string& fields, const Situation& situation = {},
                 std::size_t* dropped = nullptr) {
    const std::string out =
        sent("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n", situation, dropped);
    const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\n";
    REQUIRE(out.starts_with(begin));
    const std::size_t end = out.find("X-Forwarded-For: ");
    REQUIRE(end != out.npos);
    return out.substr(begin.size(), end - begin.size());
}

// Our own fields behind the client's, to the end of the head.
std::string own(const std::string& fields, const Situation& situation = {}) {
    const std::string out = sent("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n", situation);
    return out.substr(out.find("X-Forwarded-For: "));
}

const std::string own_fields =
    "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
    "X-Forwarded-Port: 8080\r\nX-Request-Id: the-id\r\n";

}  // namespace

TEST_CASE("a request head is rebuilt, other fields keep name, value and order") {
    CHECK(sent("GET /a?b=c HTTP/1.1\r\nX-One:  two \t\r\nhOST: Example.com:80\r\nACCEPT: "
               "*/*\r\nX-One: again\r\nEmpty:\r\n\r\n") ==
          "GET /a?b=c HTTP/1.1\r\nHost: Example.com:80\r\nX-One: two\r\nACCEPT: */*\r\nX-One: "
          "again\r\nEmpty: \r\n"
          "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "
          "Example.com:80\r\n"
          "X-Forwarded-Port: 8080\r\nX-Request-Id: the-id\r\n\r\n");
}

TEST_CASE("a request's framing is written from what was parsed") {
    const std::string begin = "POST / HTTP/1.1\r\nHost: h\r\n";
    CHECK(sent(begin + "Content-Length: 005\r\nA: b\r\n\r\n") ==
          begin + "A: b\r\n" + own_fields + "Content-Length: 5\r\n\r\n");
    CHECK(sent(begin + "content-length: 0\r\n\r\n") ==
          begin + own_fields + "Content-Length: 0\r\n\r\n");
    CHECK(sent(begin + "Transfer-Encoding: Chunked\r\n\r\n") ==
          begin + own_fields + "Transfer-Encoding: chunked\r\n\r\n");
    CHECK(sent(begin + "\r\n") == begin + own_fields + "\r\n");
    const std::string largest = "18446744073709551615";
    CHECK(sent(begin + "Content-Length: " + largest + "\r\n\r\n") ==
          begin + own_fields + "Content-Length: " + largest + "\r\n\r\n");
}

TEST_CASE("a 1.0 request goes on as 1.1, with a Host") {
    CHECK(sent("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
              .starts_with("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "));
}

TEST_CASE("F:no-host a request without a Host has the listener's, and no forwarded one") {
    for (const std::string host : {"", "Host:\r\n", "Host: \t\r\n"}) {
        for (const bool trusted : {false, true}) {
            CAPTURE(host);
            CAPTURE(trusted);
            const std::string out =
                sent("GET / HTTP/1.0\r\n" + host + "\r\n", {.trusted = trusted});
            CHECK(out ==
                  "GET / HTTP/1.1\r\nHost: 10.0.0.9:8080\r\nX-Forwarded-For: 192.0.2.1\r\n"
                  "X-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n"
                  "X-Request-Id: the-id\r\n\r\n");
        }
    }
    // What a trusted proxy was asked for is known all the same.
    CHECK(sent("GET / HTTP/1.0\r\nX-Forwarded-Host: a:81\r\n\r\n", {.trusted = true})
              .find("X-Forwarded-Host: a:81\r\nX-Forwarded-Port: 81\r\n") != std::string::npos);
    CHECK(sent("GET / HTTP/1.0\r\nX-Forwarded-Host: a:81\r\n\r\n").find("X-Forwarded-Host") ==
          std::string::npos);
}

TEST_CASE("Expect passes, but not from a client that cannot wait") {
    CHECK(kept("Expect: 100-continue\r\n") == "Expect: 100-continue\r\n");
    CHECK(sent("POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
              .find("Expect") == std::string::npos);
}

TEST_CASE("targets") {
    struct Case {
        const char* line;
        const char* out;
    };
    const Case cases[] = {
        {"GET http://a.example/x?y HTTP/1.1", "GET /x?y HTTP/1.1\r\nHost: a.example\r\n"},
        {"GET https://a.example:81 HTTP/1.1", "GET / HTTP/1.1\r\nHost: a.example:81\r\n"},
        {"GET http://a.example?q HTTP/1.1", "GET /?q HTTP/1.1\r\nHost: a.example\r\n"},
        {"GET http://[::1]:80/x HTTP/1.1", "GET /x HTTP/1.1\r\nHost: [::1]:80\r\n"},
        {"GET http://a/http://b/ HTTP/1.1", "GET /http://b/ HTTP/1.1\r\nHost: a\r\n"},
        {"OPTIONS http://a.example HTTP/1.1", "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n"},
        {"OPTIONS http://a.example/ HTTP/1.1", "OPTIONS / HTTP/1.1\r\nHost: a.example\r\n"},
        {"OPTIONS http://a.example?q HTTP/1.1", "OPTIONS /?q HTTP/1.1\r\nHost: a.example\r\n"},
        {"OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1\r\nHost: other\r\n"},
        {"GET //evil/x HTTP/1.1", "GET //evil/x HTTP/1.1\r\nHost: other\r\n"},
        {"GET /http://b/ HTTP/1.1", "GET /http://b/ HTTP/1.1\r\nHost: other\r\n"},
        {"M-SEARCH /x HTTP/1.1", "M-SEARCH /x HTTP/1.1\r\nHost: other\r\n"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.line);
        const std::string out = sent(std::string{c.line} + "\r\nHost: other\r\n\r\n");
        CHECK(out.starts_with(std::string{c.out} + "X-Forwarded-For: "));
        CHECK(out.find("\r\nHost: ") == out.rfind("\r\nHost: "));
    }
    // The authority that counts is the one the server is told of, too.
    CHECK(sent("GET http://a.example/ HTTP/1.1\r\nHost: other\r\n\r\n")
              .find("X-Forwarded-Host: a.example\r\n") != std::string::npos);
}

TEST_CASE("fields of one connection do not go on") {
    CHECK(kept("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: "
               "trailers\r\nTrailer: X\r\nUpgrade: h2c\r\n") == "");
    CHECK(kept("CONNECTION: close\r\nkeep-alive: 5\r\nproxy-connection: x\r\nte: x\r\nTRAILER: "
               "X\r\nupgrade: a\r\n") == "");
    CHECK(kept("Keep: x\r\nTEE: x\r\nTrailers: x\r\nUpgrades: x\r\n") ==
          "Keep: x\r\nTEE: x\r\nTrailers: x\r\nUpgrades: x\r\n");
}

TEST_CASE("fields that Connection names do not go on") {
    CHECK(kept("Connection: X-One\r\nX-One: 1\r\nX-Two: 2\r\n") == "X-Two: 2\r\n");
    CHECK(
        kept(
            "X-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\nConnection: keep-alive, x-ONE ,\tX-Three\r\n") ==
        "X-Two: 2\r\n");
    CHECK(kept("Connection: X-One\r\nConnection: close\r\nX-One: 1\r\nX-Two: 2\r\n") ==
          "X-Two: 2\r\n");
    CHECK(kept("Connection: close\r\nConnection: X-Two\r\nX-One: 1\r\nX-Two: 2\r\n") ==
          "X-One: 1\r\n");
    CHECK(kept("Connection: X-One\r\nX-One: 1\r\nX-One: 2\r\nX-OneMore: 3\r\n") ==
          "X-OneMore: 3\r\n");
    CHECK(kept("Connection:\r\nX-One: 1\r\n") == "X-One: 1\r\n");
}

TEST_CASE("F:list-cost Connection may have 32 elements of any kind, no more") {
    const auto too_many = [](const std::string& fields) {
        const Received received{HeadGuard::Kind::request,
                                "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n"};
        REQUIRE(received.accepted);
        const ConnectionOptions options{received.head};
        // Whoever is refused does not go on.
        CHECK_FALSE((options.persistent && options.too_many));
        return options.too_many;
    };
    const auto repeated = [](const std::string& text, int count) {
        std::string all;
        for (int i = 0; i < count; ++i) all += text;
        return all;
    };
    for (const std::string element : {"", " ", "x", "keep-alive", "upgrade", "\t"}) {
        CAPTURE(element);
        CHECK_FALSE(too_many("Connection: " + repeated(element + ",", 31) + element + "\r\n"));
        CHECK(too_many("Connection: " + repeated(element + ",", 32) + element + "\r\n"));
        CHECK_FALSE(too_many(repeated("Connection: " + element + "\r\n", 32)));
        CHECK(too_many(repeated("connection: " + element + "\r\n", 33)));
        CHECK(too_many(repeated("Connection: " + element + "," + element + "\r\n", 17)));
    }
    std::string list = "Connection: close";
    std::string fields;
    for (int i = 0; i < 31; ++i) {
        list += ",X-" + std::to_string(i);
        fields += "X-" + std::to_string(i) + ": x\r\n";
    }
    CHECK_FALSE(too_many(list + "\r\n"));
    CHECK(kept(list + "\r\n" + fields + "X-31: y\r\n") == "X-31: y\r\n");
    CHECK(too_many(list + ",\r\n"));
}

TEST_CASE(
    "Connection cannot take away what says who sent a message, where it goes, and how it is "
    "framed") {
    const std::string fields =
        "Cookie: a=b\r\nAuthorization: Basic x\r\nCache-Control: no-cache\r\nExpect: "
        "100-continue\r\n";
    CHECK(
        kept("Connection: Cookie, Authorization, X-Forwarded-For, Host, Cache-Control, Expect\r\n" +
             fields) == fields);
    CHECK(own("Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Port, "
              "X-Request-Id\r\n") == own_fields + "\r\n");
    const std::string begin = "POST / HTTP/1.1\r\nHost: h\r\n";
    CHECK(sent(begin + "Connection: Content-Length, Host\r\nContent-Length: 5\r\n\r\n") ==
          begin + own_fields + "Content-Length: 5\r\n\r\n");
    CHECK(sent(begin + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n") ==
          begin + own_fields + "Transfer-Encoding: chunked\r\n\r\n");
    const std::string trusted = "Forwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n";
    CHECK(kept("Connection: Forwarded, X-Real-IP\r\n" + trusted, {.trusted = true}) == trusted);
}

TEST_CASE("Connection cannot take away the session fields that we write") {
    const std::string session = "Baton-Session-State: live\r\nBaton-Session-Id: 0123\r\n";
    const std::string out =
        own("Connection: Baton-Session-Id, Baton-Session-State\r\nBaton-Session-Id: forged\r\n",
            {.session_fields = session});
    CHECK(out == own_fields + session + "\r\n");
}

TEST_CASE("forwarding fields of a peer that is not trusted are written anew") {
    const std::string forged =
        "X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\nX-Forwarded-Proto: "
        "https\r\nX-Forwarded-Host: evil\r\n"
        "X-Forwarded-Port: 443\r\nX-Request-Id: forged\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: "
        "1.2.3.4\r\n";
    CHECK(kept(forged) == "");
    CHECK(own(forged) == own_fields + "\r\n");
    CHECK(own(forged, {.secure = true}).find("X-Forwarded-Proto: https\r\n") != std::string::npos);
}

TEST_CASE("forwarding fields of a trusted peer are believed") {
    const Situation trusted{.trusted = true};
    CHECK(own("", trusted) == own_fields + "\r\n");
    CHECK(own("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
              "a:81\r\nX-Forwarded-Port: 443\r\n",
              trusted) ==
          "X-Forwarded-For: 1.2.3.4, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: "
          "a:81\r\n"
          "X-Forwarded-Port: 443\r\nX-Request-Id: the-id\r\n\r\n");
    // All lines in their order, in one; empty ones say nothing.
    CHECK(own("X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nA: b\r\nX-Forwarded-For:\r\nx-forwarded-for: "
              "3.3.3.3\r\n",
              trusted)
              .starts_with(
                  "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1\r\nX-Forwarded-Proto: "));
    CHECK(own("X-Forwarded-Proto:\r\nX-Forwarded-Host:\r\nX-Forwarded-Port:\r\n", trusted) ==
          own_fields + "\r\n");
    CHECK(kept("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Request-Id: x\r\n",
               trusted) == "");
    CHECK(kept("Forwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n", trusted) ==
          "Forwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n");
}

TEST_CASE(
    "F:forwarded-port the port follows from what a trusted peer says, not from our listener") {
    struct Row {
        const char* fields;
        const char* port;
    };
    const Row rows[] = {
        {"", "8080"},  // it says nothing
        {"X-Forwarded-For: 1.2.3.4\r\n", "8080"},
        {"X-Forwarded-Proto: https\r\n", "443"},
        {"X-Forwarded-Proto: http\r\n", "80"},
        {"X-Forwarded-Proto: wss\r\n", "443"},
        {"X-Forwarded-Proto: https,http\r\n", "443"},
        {"X-Forwarded-Host: a\r\n", "80"},
        {"X-Forwarded-Host: a:81\r\n", "81"},
        {"X-Forwarded-Host: a:\r\n", "80"},
        {"X-Forwarded-Host: a:0\r\n", "80"},
        {"X-Forwarded-Host: a:65536\r\n", "80"},
        {"X-Forwarded-Host: [::1]\r\n", "80"},
        {"X-Forwarded-Host: [::1]:81\r\n", "81"},
        {"X-Forwarded-Host: a:81, b:82\r\n", "81"},
        {"X-Forwarded-Proto: https\r\nX-Forwarded-Host: a\r\n", "443"},
        {"X-Forwarded-Proto: https\r\nX-Forwarded-Host: a:8443\r\n", "8443"},
        {"X-Forwarded-Proto: https\r\nX-Forwarded-Port: 444\r\n", "444"},
        {"X-Forwarded-Proto: https\r\nX-Forwarded-Port: 444, 80\r\n", "444"},
        {"X-Forwarded-Proto: https\r\nX-Forwarded-Port: x\r\n", "443"},
        {"X-Forwarded-Port: 444\r\n", "444"},
        {"X-Forwarded-Port: 0\r\n", "8080"},
        {"X-Forwarded-Port:\r\n", "8080"},
        {"X-Forwarded-Proto: gopher\r\n", "8080"},
        {"X-Forwarded-Proto: ,https\r\nX-Forwarded-Host: , a:81, b\r\n", "81"},
        {"X-Forwarded-Proto:\r\nX-Forwarded-Proto: https\r\n", "443"},
        {"X-Forwarded-Host:\r\nX-Forwarded-Host: a:81\r\n", "81"},
        {"X-Forwarded-Port: ,444\r\n", "444"},
        {"X-Forwarded-Port:\r\nX-Forwarded-Port: 444\r\nX-Forwarded-Port: 80\r\n", "444"},
        {"X-Forwarded-Host: ,\r\nX-Forwarded-Port: ,\r\n", "8080"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.fields);
        const std::string out = own(row.fields, {.trusted = true});
        const std::string line = "\r\nX-Forwarded-Port: ";
        const std::size_t begin = out.find(line) + line.size();
        CHECK(out.substr(begin, out.find('\r', begin) - begin) == row.port);
        CHECK(out.find(line, begin) == out.npos);
        // Nobody else is believed.
        CHECK(own(row.fields).find("X-Forwarded-Port: 8080\r\n") != out.npos);
    }
    // The Host's own port, where the peer has told the scheme only.
    CHECK(sent("GET / HTTP/1.1\r\nHost: a:8443\r\nX-Forwarded-Proto: https\r\n\r\n",
               {.trusted = true})
              .find("X-Forwarded-Port: 8443\r\n") != std::string::npos);
}

TEST_CASE("F:forwarded-proto of a list the first word is understood, and that is what is sent") {
    struct Row {
        const char* value;
        const char* sent;
    };
    const Row rows[] = {
        {"https", "https"},
        {"http", "http"},
        {"HTTPS", "https"},
        {"wss", "https"},
        {"ws", "http"},
        {"WSS", "https"},
        {"https,http", "https"},
        {"https, http", "https"},
        {"https\t,\thttp", "https"},
        {"http, https", "http"},
        {"wss,http", "https"},
        {"ws, https", "http"},
        {"https, http, http", "https"},
        {"https,", "https"},
        {"", "http"},
        {",https", "https"},
        {" ,\t, wss , http", "https"},
        {",", "http"},
        {"httpss", "http"},
        {"https http", "http"},
        {"gopher", "http"},
        {"\"https\"", "http"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.value);
        const std::string field = std::string{"X-Forwarded-Proto: "} + row.value + "\r\n";
        const std::string out = own(field, {.trusted = true});
        CHECK(out.find("\r\nX-Forwarded-Proto: " + std::string{row.sent} + "\r\n") != out.npos);
        const Received received{HeadGuard::Kind::request,
                                "GET / HTTP/1.1\r\nHost: h\r\n" + field + "\r\n"};
        // An empty field before it says nothing, one behind it is of a later proxy.
        CHECK(
            own("X-Forwarded-Proto:\r\n" + field + "X-Forwarded-Proto: http\r\n", {.trusted = true})
                .find("\r\nX-Forwarded-Proto: " + std::string{row.sent} + "\r\n") != out.npos);
        const bool https = std::string_view{row.sent} == "https";
        CHECK(is_secure(peer_of({.trusted = true}), received.head) == https);
        CHECK_FALSE(is_secure(peer_of({}), received.head));
        CHECK(own(field).find("\r\nX-Forwarded-Proto: http\r\n") != out.npos);
    }
}

TEST_CASE("F:via a request names us behind those before, whatever Connection says") {
    const std::string line = "Via: 1.1 baton-0123456789abcdef\r\n";
    CHECK(own("", {.via_line = line}) == own_fields + line + "\r\n");
    CHECK(own("", {.trusted = true, .via_line = line}) == own_fields + line + "\r\n");
    for (const bool trusted : {false, true}) {
        const Situation situation{.trusted = trusted, .via_line = line};
        const std::string before = "Via: 1.0 fred, 1.1 p.example.net\r\nvia: 1.1 baton-x\r\n";
        CHECK(kept(before, situation) == before);
        CHECK(kept(before + "Connection: Via\r\n", situation) == before);
        CHECK(own(before, situation).ends_with(line + "\r\n"));
    }
}

TEST_CASE("F:via who has been here before is known by the pseudonym") {
    const auto loops = [](const std::string& fields) {
        const Received received{HeadGuard::Kind::request,
                                "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n"};
        return is_loop(received.head, "baton-0123456789abcdef");
    };
    CHECK(loops("Via: 1.1 baton-0123456789abcdef\r\n"));
    CHECK(loops("VIA: 1.1 a, 1.0 baton-0123456789abcdef, 1.1 b\r\n"));
    CHECK(loops("Via: 1.1 a\r\nX: y\r\nVia: HTTP/1.1 baton-0123456789abcdef (c)\r\n"));
    CHECK_FALSE(loops(""));
    CHECK_FALSE(loops("Via:\r\n"));
    CHECK_FALSE(loops("Via: 1.1 baton-0123456789abcdee\r\n"));
    CHECK_FALSE(loops("X-Via: 1.1 baton-0123456789abcdef\r\n"));
}

TEST_CASE("F:max-forwards an OPTIONS goes one step less, other methods as they came") {
    struct Row {
        const char* value;
        const char* sent;  // null: as it came
    };
    const Row rows[] = {{"5", "4"},
                        {"1", "0"},
                        {"007", "6"},
                        {"18446744073709551615", "18446744073709551614"},
                        {"18446744073709551616", "18446744073709551614"},
                        {"99999999999999999999999", "18446744073709551614"},
                        {"0x5", nullptr},
                        {"-1", nullptr},
                        {"+5", nullptr},
                        {"5 5", nullptr},
                        {"5, 5", nullptr},
                        {"x", nullptr},
                        {"", nullptr}};
    for (const Row& row : rows) {
        CAPTURE(row.value);
        const std::string field = std::string{"Max-Forwards: "} + row.value + "\r\n";
        const std::string fields = "Host: h\r\n" + field + "Connection: Max-Forwards\r\n\r\n";
        const std::string out = sent("OPTIONS /a HTTP/1.1\r\n" + fields);
        const std::string begin = "OPTIONS /a HTTP/1.1\r\nHost: h\r\n";
        const std::string now =
            row.sent == nullptr ? field : std::string{"Max-Forwards: "} + row.sent + "\r\n";
        CHECK(out == begin + now + own_fields + "\r\n");
        CHECK(sent("GET /a HTTP/1.1\r\n" + fields) ==
              "GET /a HTTP/1.1\r\nHost: h\r\n" + field + own_fields + "\r\n");
    }
    const std::string twice = "Max-Forwards: 5\r\nMax-Forwards: 0\r\n";
    CHECK(sent("OPTIONS /a HTTP/1.1\r\nHost: h\r\n" + twice + "\r\n").find(twice) !=
          std::string::npos);
}

TEST_CASE("names with an underscore are dropped, unless they are to be kept") {
    CHECK(kept("X_Real_IP: 1\r\nX-A: 2\r\n_: 3\r\nX-B_C: 4\r\n") == "X-A: 2\r\n");
    CHECK(kept("X_Real_Name: 1\r\nX-A: 2\r\n_: 3\r\n", {.keep_underscores = true}) ==
          "X_Real_Name: 1\r\nX-A: 2\r\n_: 3\r\n");
    CHECK(kept("Connection: x_a\r\nX_A: 1\r\n", {.keep_underscores = true}) == "");
    CHECK(kept("X-A: with_underscore\r\n") == "X-A: with_underscore\r\n");
}

TEST_CASE(
    "F:forwarded-proto names that a server reads as those of our fields are dropped, even if an "
    "underscore is to be kept") {
    const std::string longer = "X_Forwarded_For_And_More_Than_32_Letters: 1\r\nX_Forwarded: 2\r\n";
    const std::string ours =
        "X_Forwarded_For: 6.6.6.6\r\nx_forwarded_proto: https\r\nX-Forwarded_Host: evil\r\n"
        "X_FORWARDED-PORT: 1\r\nX_Request_Id: evil\r\nContent_Length: 5\r\n"
        "Transfer_Encoding: chunked\r\nKeep_Alive: 1\r\nProxy_Connection: x\r\n";
    for (const bool trusted : {false, true}) {
        const Situation situation{.trusted = trusted, .keep_underscores = true};
        CHECK(kept(ours + longer, situation) == longer);
        CHECK(own(ours, situation) == own_fields + "\r\n");
        CHECK(kept("X_Real_IP: 1\r\n", situation) == (trusted ? "X_Real_IP: 1\r\n" : ""));
    }
}

TEST_CASE("session fields of a client are dropped in all spellings, and counted") {
    const std::string forged =
        "Baton-Session-Id: 1\r\nbaton-session-id: 2\r\nBATON-SESSION-DATA: "
        "3\r\nbaton_session_data: 4\r\nBaton-Session_Id: 5\r\n"
        "BATON_SESSION-STATE: 6\r\nBaton-Session-: 7\r\nBaton-Anything: 8\r\nbaton-: 9\r\nBATON_x: "
        "10\r\n";
    for (const bool keep : {false, true}) {
        for (const std::string_view prefix : {"Baton-Session-", "X-Sess-"}) {
            CAPTURE(keep);
            CAPTURE(prefix);
            std::size_t dropped = 0;
            CHECK(kept(forged + "A: b\r\nBaton: x\r\nBatonSession: x\r\n",
                       {.keep_underscores = keep, .prefix = prefix},
                       &dropped) == "A: b\r\nBaton: x\r\nBatonSession: x\r\n");
            CHECK(dropped == 10);
        }
    }
    std::size_t dropped = 0;
    CHECK(kept("X-Sess-Id: 1\r\nx_sess_data: 2\r\nX-SESS-: 3\r\nX-Sess: 4\r\nX-Sessions: 5\r\n",
               {.keep_underscores = true, .prefix = "X-Sess-"},
               &dropped) == "X-Sess: 4\r\nX-Sessions: 5\r\n");
    CHECK(dropped == 3);
    // A server may read "-" and "_" as the same, also at the beginning.
    CHECK(kept("-S-Id: 1\r\n_S-Id: 2\r\n", {.keep_underscores = true, .prefix = "_S-"}, &dropped) ==
          "");
    CHECK(dropped == 2);
    CHECK(kept("-S-Id: 1\r\n_S-Id: 2\r\n", {.keep_underscores = true, .prefix = "-S-"}, &dropped) ==
          "");
    CHECK(dropped == 2);
    CHECK(kept("X-Sess-Id: 1\r\n", {}, &dropped) == "X-Sess-Id: 1\r\n");
    CHECK(dropped == 0);
}

TEST_CASE("the session cookie is taken out of Cookie") {
    CHECK(kept("Cookie: JSESSIONID=1; a=b; c=d\r\n") == "Cookie: a=b; c=d\r\n");
    CHECK(kept("Cookie: a=b; JSESSIONID=1; c=d\r\n") == "Cookie: a=b; c=d\r\n");
    CHECK(kept("cookie: a=b; c=d; JSESSIONID=1\r\n") == "cookie: a=b; c=d\r\n");
    CHECK(kept("A: b\r\nCookie: JSESSIONID=1\r\nC: d\r\n") == "A: b\r\nC: d\r\n");
    CHECK(kept("Cookie: JSESSIONID=1; JSESSIONID=2\r\n") == "");
    CHECK(kept("Cookie: JSESSIONID=1\r\nCookie: a=b\r\nCookie: c=d; JSESSIONID=2\r\n") ==
          "Cookie: a=b\r\nCookie: c=d\r\n");
    CHECK(kept("Cookie: jsessionid=1; JSESSIONIDX=2; XJSESSIONID=3\r\n") ==
          "Cookie: jsessionid=1; JSESSIONIDX=2; XJSESSIONID=3\r\n");
    // Without sessions it is a cookie like any other.
    CHECK(kept("Cookie: a=b; JSESSIONID=1\r\n", {.cookie = ""}) == "Cookie: a=b; JSESSIONID=1\r\n");
    CHECK(kept("Connection: Cookie\r\nCookie: a=b; JSESSIONID=1\r\n") == "Cookie: a=b\r\n");
}

TEST_CASE("a websocket's Upgrade is written anew") {
    const std::string fields =
        "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n";
    CHECK(own(fields, {.websocket = true}) ==
          own_fields + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    CHECK(kept(fields, {.websocket = true}) == "Sec-WebSocket-Key: k\r\n");
    CHECK(own(fields) == own_fields + "\r\n");
}

TEST_CASE("the client's address is the last one that no trusted proxy vouches for") {
    std::vector<Network> networks = {*parse_network("192.0.2.0/24"), *parse_network("10.0.0.0/8"),
                                     *parse_network("2001:db8::/32")};
    struct Case {
        const char* fields;
        const char* client;
    };
    const Case cases[] = {
        {"", "192.0.2.1"},
        {"X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4"},
        {"X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n", "1.2.3.4"},
        {"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.1.2.3\r\n", "1.2.3.4"},
        {"X-Forwarded-For: 6.6.6.6,1.2.3.4 ,\t10.1.2.3,192.0.2.7\r\n", "1.2.3.4"},
        {"X-Forwarded-For: 6.6.6.6\r\nA: b\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: "
         "10.1.2.3\r\n",
         "1.2.3.4"},
        {"X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1"},  // all of them trusted: the first
        {"X-Forwarded-For: 2001:db9::1, 2001:db8::1\r\n", "2001:db9::1"},
        {"X-Forwarded-For: ::ffff:10.0.0.1, ::ffff:10.0.0.2\r\n", "::ffff:10.0.0.1"},
        // What is no address ends the chain: nobody can tell who wrote what stands before it.
        {"X-Forwarded-For: 1.2.3.4, unknown\r\n", "192.0.2.1"},
        {"X-Forwarded-For: 1.2.3.4, unknown, 10.0.0.1\r\n", "10.0.0.1"},
        {"X-Forwarded-For: 1.2.3.0/24\r\n", "192.0.2.1"},
        {"X-Forwarded-For: 1.2.3.4, 10.0.0.0/8\r\n", "192.0.2.1"},
        {"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For:\r\n", "1.2.3.4"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.fields);
        const Received received{HeadGuard::Kind::request,
                                std::string{"GET / HTTP/1.1\r\nHost: h\r\n"} + c.fields + "\r\n"};
        REQUIRE(received.accepted);
        CHECK(client_host(peer_of({.trusted = true}), received.head, networks) == c.client);
        CHECK(client_host(peer_of({}), received.head, networks) == "192.0.2.1");
    }
}

TEST_CASE("F:forwarded-for addresses may have ports and brackets") {
    const std::vector<Network> networks = {*parse_network("10.0.0.0/8"),
                                           *parse_network("2001:db8::/32")};
    struct Case {
        const char* list;
        const char* client;
    };
    const Case cases[] = {
        {"1.2.3.4:80", "1.2.3.4"},
        {"1.2.3.4:0", "1.2.3.4"},
        {"[2001:db9::1]", "2001:db9::1"},
        {"[2001:db9::1]:80", "2001:db9::1"},
        {"2001:db9::1", "2001:db9::1"},
        // Empty elements are none.
        {"1.2.3.4:80,", "1.2.3.4"},
        {"6.6.6.6, 1.2.3.4, , 10.0.0.1:443,\t,", "1.2.3.4"},
        {",1.2.3.4", "1.2.3.4"},
        {",", "192.0.2.1"},
        {"[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4"},
        {"6.6.6.6, 1.2.3.4:80, 10.0.0.1:443", "1.2.3.4"},
        {"6.6.6.6, 1.2.3.4:80, [2001:db8::5]:443, 10.0.0.1", "1.2.3.4"},
        {"[2001:db9::1]:80, [2001:db8::5]", "2001:db9::1"},
        // No address: the chain ends.
        {"1.2.3.4:", "192.0.2.1"},
        {"1.2.3.4:x", "192.0.2.1"},
        {"1.2.3.4:65536", "192.0.2.1"},
        {"1.2.3.4:80:80", "192.0.2.1"},
        {"1.2.3.4 :80", "192.0.2.1"},
        {"[1.2.3.4]:80", "192.0.2.1"},
        {"[2001:db9::1", "192.0.2.1"},
        {"2001:db9::1]", "192.0.2.1"},
        {"[2001:db9::1]80", "192.0.2.1"},
        {"[2001:db9::1]:", "192.0.2.1"},
        {"[]:80", "192.0.2.1"},
        {":80", "192.0.2.1"},
        {"[", "192.0.2.1"},
        {"1.2.3.4, [x]:80, 10.0.0.1:443", "10.0.0.1"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.list);
        const Received received{
            HeadGuard::Kind::request,
            std::string{"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: "} + c.list + "\r\n\r\n"};
        REQUIRE(received.accepted);
        CHECK(client_host(peer_of({.trusted = true}), received.head, networks) == c.client);
        // The server is told all of it.
        CHECK(own(std::string{"X-Forwarded-For: "} + c.list + "\r\n", {.trusted = true})
                  .starts_with(std::string{"X-Forwarded-For: "} + c.list + ", 192.0.2.1\r\n"));
    }
}

TEST_CASE("F:list-cost no more addresses are looked at than a chain of proxies has") {
    const std::vector<Network> networks = {*parse_network("10.0.0.0/8")};
    std::string chain = "1.2.3.4";
    for (std::size_t i = 1; i < forwarded_for_max; ++i) chain += ", 10.0.0.1";
    const auto client = [&](const std::string& list) {
        const Received received{
            HeadGuard::Kind::request,
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: " + list + "\r\n\r\n"};
        REQUIRE(received.accepted);
        return std::string{client_host(peer_of({.trusted = true}), received.head, networks)};
    };
    CHECK(client(chain) == "1.2.3.4");
    CHECK(client(chain + ", 10.0.0.2") == "10.0.0.1");
}

TEST_CASE("whether the client's connection is secure") {
    const auto secure = [](const char* fields, const Situation& situation) {
        const Received received{HeadGuard::Kind::request,
                                std::string{"GET / HTTP/1.1\r\nHost: h\r\n"} + fields + "\r\n"};
        REQUIRE(received.accepted);
        return is_secure(peer_of(situation), received.head);
    };
    CHECK_FALSE(secure("", {}));
    CHECK_FALSE(secure("X-Forwarded-Proto: https\r\n", {}));
    CHECK(secure("", {.secure = true}));
    CHECK(secure("X-Forwarded-Proto: http\r\n", {.secure = true}));
    CHECK_FALSE(secure("", {.trusted = true}));
    CHECK(secure("X-Forwarded-Proto: https\r\n", {.trusted = true}));
    CHECK(secure("x-forwarded-proto:  HTTPS \r\n", {.trusted = true}));
    CHECK_FALSE(secure("X-Forwarded-Proto: http\r\n", {.trusted = true}));
    CHECK_FALSE(secure("X-Forwarded-Proto: httpss\r\n", {.trusted = true}));
    CHECK_FALSE(secure("X-Forwarded-Proto:\r\n", {.trusted = true}));
}

TEST_CASE("which X-Request-Id may be passed on") {
    CHECK(is_request_id("a"));
    CHECK(is_request_id("azAZ09._-"));
    CHECK(is_request_id(std::string(128, 'x')));
    CHECK_FALSE(is_request_id(std::string(129, 'x')));
    CHECK_FALSE(is_request_id(""));
    for (int c = 0; c < 256; ++c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool good = letter || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        const char text[] = {'x', static_cast<char>(c), 'y'};
        CAPTURE(c);
        CHECK(is_request_id({text, 3}) == good);
    }
}

}  // namespace baton::test
