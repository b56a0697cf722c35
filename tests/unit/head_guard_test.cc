#include "net/http/head_guard.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "net/http/http_syntax.h"

namespace baton {
namespace {

// The guard alone: what it gave, and the head as text.
struct Walked {
    int status = 0;  // of the fault, 0 without
    std::size_t size = 0;
    std::string text;
    Body body;

    bool operator==(const Walked& other) const {
        return status == other.status && size == other.size && text == other.text &&
               body.framing == other.body.framing && body.length == other.body.length;
    }
};

std::string text_of(const Head& head) {
    std::string text{head.text(head.method_text)};
    text.append("|")
        .append(head.text(head.target))
        .append("|")
        .append(head.text(head.reason))
        .append("|");
    text += std::to_string(static_cast<int>(head.method)) + "|1." + std::to_string(head.minor) +
            "|" + std::to_string(head.status) + "\n";
    for (const Field& field : head.fields) {
        text.append(head.text(field.name)).append("=").append(head.text(field.value));
        text +=
            "|" + std::to_string(static_cast<int>(field.id)) + (field.underscore ? "|_\n" : "\n");
    }
    return text;
}

// In memory of its own for each call, since the bytes may move between calls.
Walked walk_in_pieces(std::string_view bytes, std::size_t first, std::size_t step,
                      HeadGuard::Kind kind, const HeadLimits& limits) {
    HeadGuard guard{kind, limits};
    Head head;
    for (std::size_t size = first;; size += step) {
        const std::string received{bytes.substr(0, size)};
        const auto result = guard.walk(received, head);
        if (!result) return {status_of(result.error().fault), 0, {}, {}};
        if (*result > 0) return {0, *result, text_of(head), guard.body()};
        if (size >= bytes.size()) return {};
    }
}

// Whole; and cut at every byte, and byte by byte, which must change nothing.
Walked walk(std::string_view bytes, HeadGuard::Kind kind = HeadGuard::Kind::request,
            const HeadLimits& limits = {}) {
    const Walked whole = walk_in_pieces(bytes, bytes.size(), 1, kind, limits);
    CAPTURE(bytes);
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
        CAPTURE(cut);
        REQUIRE(walk_in_pieces(bytes, cut, bytes.size(), kind, limits) == whole);
    }
    REQUIRE(walk_in_pieces(bytes, 1, 1, kind, limits) == whole);
    return whole;
}

int status(std::string_view bytes, const HeadLimits& limits = {}) {
    const Walked walked = walk(bytes, HeadGuard::Kind::request, limits);
    return walked.status != 0 ? walked.status : walked.size == bytes.size() ? 200 : 0;
}

int response_status(std::string_view bytes, const HeadLimits& limits = {}) {
    const Walked walked = walk(bytes, HeadGuard::Kind::response, limits);
    return walked.status != 0 ? walked.status : walked.size == bytes.size() ? 200 : 0;
}

// A request with these fields besides Host.
std::string with(std::string_view fields, std::string_view line = "GET / HTTP/1.1") {
    return std::string{line}.append("\r\nHost: h\r\n").append(fields).append("\r\n");
}

std::string answer(std::string_view fields, std::string_view line = "HTTP/1.1 200 OK") {
    return std::string{line}.append("\r\n").append(fields).append("\r\n");
}

std::string letters(std::size_t count) { return std::string(count, 'a'); }

}  // namespace

TEST_CASE("a request's head is recorded as it was sent") {
    const std::string head =
        "POST /a?b HTTP/1.0\r\nhOST: h:80\r\nX_a:\t \tb c\t d \t\r\nEmpty:\r\nBlank: \t\r\n"
        "Content-Length: 012\r\nObs: \xff\r\n\r\n";
    const Walked walked = walk(head + "GET");
    CHECK(walked.size == head.size());
    CHECK(walked.text ==
          "POST|/a?b||3|1.0|0\nhOST=h:80|1\nX_a=b c\t d|0|_\nEmpty=|0\nBlank=|0\n"
          "Content-Length=012|2\nObs=\xff|0\n");
    CHECK(walked.body.framing == Framing::length);
    CHECK(walked.body.length == 12);
}

TEST_CASE("a response's head is recorded as it was sent") {
    const std::string head =
        "HTTP/1.0 404 Not \xc3 Found\r\nSet-Cookie: a=b\r\nTransfer_Encoding: x\r\n\r\n";
    const Walked walked = walk(head + "<html>", HeadGuard::Kind::response);
    CHECK(walked.size == head.size());
    CHECK(walked.text ==
          "||Not \xc3 Found|0|1.0|404\nSet-Cookie=a=b|21\nTransfer_Encoding=x|0|_\n");
    CHECK(walked.body.framing == Framing::until_close);
}

TEST_CASE("a guard forgets a head when it is reset, and so does the head") {
    const HeadLimits limits;
    HeadGuard guard{HeadGuard::Kind::request, limits};
    Head head;
    const std::string first = with("Content-Length: 5\r\n", "POST /a HTTP/1.0");
    REQUIRE(guard.walk(first, head));
    guard.reset();
    CHECK(guard.body().framing == Framing::none);
    const std::string second = with("", "GET / HTTP/1.1");
    const auto size = guard.walk(second, head);
    REQUIRE(size);
    CHECK(*size == second.size());
    CHECK(head.size == second.size());
    CHECK(text_of(head) == "GET|/||1|1.1|0\nHost=h|1\n");
    guard.reset();
    REQUIRE(guard.walk(first, head));
    guard.reset();
    REQUIRE(guard.walk("GE", head));
    CHECK(text_of(head) == "GE|||0|1.1|0\n");
}

TEST_CASE("what is known of a refused request is recorded for the log") {
    const HeadLimits limits;
    HeadGuard guard{HeadGuard::Kind::request, limits};
    Head head;
    const std::string bytes = "BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n";
    CHECK_FALSE(guard.walk(bytes, head));
    CHECK(head.text(head.method_text) == "BREW");
    CHECK(head.text(head.target) == "/pot");
}

TEST_CASE("two empty lines may stand before a request, and count as its head") {
    const std::string head = with("");
    HeadLimits limits;
    for (const std::string lines : {"", "\r\n", "\r\n\r\n"}) {
        limits.head = lines.size() + head.size();
        CHECK(status(lines + head, limits) == 200);
        --limits.head;
        CHECK(status(lines + head, limits) == 431);
    }
    CHECK(status("\r\n\r\n\r\n" + head) == 400);
    CHECK(status("\n" + head) == 400);
    CHECK(status("\r" + head) == 400);
    CHECK(status("\r\r\n" + head) == 400);
    CHECK(response_status("\r\n" + answer("")) == 502);
}

TEST_CASE("every byte is judged by where it stands") {
    constexpr std::string_view tokens =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int i = 0; i < 256; ++i) {
        const std::string byte(1, static_cast<char>(i));
        CAPTURE(i);
        const bool token = tokens.find(byte) != tokens.npos;
        const bool visible = i > 0x20 && i < 0x7f;
        const bool text = i == '\t' || (i >= 0x20 && i != 0x7f);
        CHECK((status(with("", "GE" + byte + "T / HTTP/1.1")) == (token ? 501 : 400)));
        CHECK(
            (status(with("", "GET /" + byte + "x HTTP/1.1")) == (visible && i != '#' ? 200 : 400)));
        CHECK((status(with("X" + byte + "Y: a\r\n")) == (token || i == ':' ? 200 : 400)));
        CHECK((status(with("X: a" + byte + "b\r\n")) == (text ? 200 : 400)));
        // Also where values are looked at eight bytes at a time.
        CHECK((status(with("X: abcdefgh" + byte + "jklmnopqrstuv\r\n")) == (text ? 200 : 400)));
        CHECK((response_status(answer("", "HTTP/1.1 200 O" + byte + "K")) == (text ? 200 : 502)));
        // Behind the CR of each line.
        if (byte == "\n") continue;
        CHECK(status("GET / HTTP/1.1\r" + byte + "Host: h\r\n\r\n") == 400);
        CHECK(status("GET / HTTP/1.1\r\nHost: h\r" + byte + "\r\n") == 400);
        CHECK(status("GET / HTTP/1.1\r\nHost: h\r\n\r" + byte) == 400);
        CHECK(response_status("HTTP/1.1 200 OK\r" + byte + "\r\n") == 502);
    }
}

TEST_CASE("lines end in CR LF, and none begins with a blank or a colon") {
    CHECK(status("GET / HTTP/1.1\nHost: h\r\n\r\n") == 400);
    CHECK(status("GET / HTTP/1.1\r\nHost: h\n\r\n") == 400);
    CHECK(status("GET / HTTP/1.1\r\nHost: h\r\n\n") == 400);
    CHECK(status(with(" X: a\r\n")) == 400);
    CHECK(status(with("\tX: a\r\n")) == 400);
    CHECK(status(with("X: a\r\n b\r\n")) == 400);
    CHECK(status(with("X: a\r\n\tb\r\n")) == 400);
    CHECK(status(with(": a\r\n")) == 400);
    CHECK(status(with("X : a\r\n")) == 400);
    CHECK(status(with("X\r\n")) == 400);
}

TEST_CASE("the request line has one form") {
    for (const char* line : {"GET  / HTTP/1.1",
                             "GET /  HTTP/1.1",
                             " GET / HTTP/1.1",
                             "GET\t/ HTTP/1.1",
                             "GET /\tHTTP/1.1",
                             "GET / HTTP/1.1 ",
                             "GET  HTTP/1.1",
                             "GET /",
                             "GET / ",
                             "GET",
                             "GET ",
                             "GET / http/1.1",
                             "GET / HTTP/1",
                             "GET / HTTP/1.",
                             "GET / HTTP/11",
                             "GET / HTTP/1.1x",
                             "GET / HTTP/1.01",
                             "GET / HTTP/01.1",
                             "GET / RTSP/1.1",
                             "GET / HTTP/a.1",
                             "GET / HTTP/1.a",
                             "GET / HTTPS/1.1",
                             "GET /x y HTTP/1.1",
                             ""}) {
        CAPTURE(line);
        CHECK(status(with("", line)) == 400);
    }
    for (const char* line :
         {"GET / HTTP/0.9", "GET / HTTP/1.2", "GET / HTTP/1.9", "GET / HTTP/2.0", "GET / HTTP/3.0",
          "GET / HTTP/0.0", "GET / HTTP/2.1", "PRI * HTTP/2.0"}) {
        CAPTURE(line);
        CHECK(status(with("", line)) == 505);
    }
    for (const char* line :
         {"BREW / HTTP/1.1", "get / HTTP/1.1", "PRI * HTTP/1.1", "PLAY / HTTP/1.1"}) {
        CAPTURE(line);
        CHECK(status(with("", line)) == 501);
    }
    for (const char* line : {"CONNECT h:80 HTTP/1.1", "TRACE / HTTP/1.1", "TRACE / HTTP/1.0"}) {
        CAPTURE(line);
        CHECK(status(with("", line)) == 405);
    }
}

TEST_CASE("a target is a path, a URI of http, or the asterisk of OPTIONS") {
    for (const char* line :
         {"GET / HTTP/1.1", "GET //x HTTP/1.1", "GET /?a=http://b HTTP/1.1",
          "GET http://a/x HTTP/1.1", "GET HTTPS://a:1 HTTP/1.1", "GET http://[::1]?x HTTP/1.1",
          "OPTIONS * HTTP/1.1", "OPTIONS /x HTTP/1.1", "PATCH /x HTTP/1.1"}) {
        CAPTURE(line);
        CHECK(status(with("", line)) == 200);
    }
    for (const char* line :
         {"GET * HTTP/1.1", "OPTIONS ** HTTP/1.1", "OPTIONS *x HTTP/1.1", "GET x HTTP/1.1",
          "GET a:80 HTTP/1.1", "GET ?x HTTP/1.1", "GET ftp://a/ HTTP/1.1", "GET http:// HTTP/1.1",
          "GET http:///x HTTP/1.1", "GET http://?x HTTP/1.1", "GET http://u@a/ HTTP/1.1",
          "GET http://u:p@a/ HTTP/1.1", "GET http://a:x/ HTTP/1.1", "GET http://a,b/ HTTP/1.1",
          "GET http:/a HTTP/1.1", "GET /#x HTTP/1.1"}) {
        CAPTURE(line);
        CHECK(status(with("", line)) == 400);
    }
}

TEST_CASE("Host stands once and is valid; HTTP/1.0 may do without") {
    CHECK(status("GET / HTTP/1.1\r\n\r\n") == 400);
    CHECK(status("GET / HTTP/1.1\r\nHost:\r\n\r\n") == 400);
    CHECK(status("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n") == 400);
    CHECK(status("GET http://a/ HTTP/1.1\r\n\r\n") == 400);
    CHECK(status(with("Host: h\r\n")) == 400);
    CHECK(status(with("HOST: h\r\n")) == 400);
    CHECK(status("GET / HTTP/1.0\r\n\r\n") == 200);
    CHECK(status("GET / HTTP/1.0\r\nHost:\r\n\r\n") == 200);
    CHECK(status("GET / HTTP/1.0\r\nHost: a,b\r\n\r\n") == 400);
    CHECK(status(with("Host:\r\n", "GET / HTTP/1.0")) == 400);
    CHECK(status("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n") == 200);
}

TEST_CASE("a request's body is framed one way or refused") {
    struct Case {
        const char* fields;
        int status;
    };
    const Case cases[] = {
        {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
        {"Content-Length: 5\r\nContent-Length:\r\n", 400},
        {"Content-Length: 5, 5\r\n", 400},
        {"Content-Length:\r\n", 400},
        {"Content-Length: -1\r\n", 400},
        {"Content-Length: 18446744073709551616\r\n", 400},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", 400},
        {"Transfer-Encoding: gzip, chunked\r\n", 501},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501},
        {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501},
        {"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", 501},
        {"Transfer-Encoding:\r\n", 501},
        {"Transfer-Encoding: \xa0"
         "chunked\r\n",
         501},
    };
    for (const Case& c : cases) {
        CAPTURE(c.fields);
        CHECK(status(with(c.fields)) == c.status);
    }
    CHECK(status(with("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0")) == 400);
    CHECK(status(with("Transfer-Encoding: gzip\r\n", "POST / HTTP/1.0")) == 400);

    CHECK(walk(with("")).body.framing == Framing::none);
    CHECK(walk(with("Transfer-Encoding: \tCHUNKED\r\n")).body.framing == Framing::chunked);
    const Body none_left = walk(with("Content-Length: 0\r\n")).body;
    CHECK(none_left.framing == Framing::length);
    CHECK(none_left.length == 0);
    CHECK(walk(with("Content-Length: 18446744073709551615\r\n")).body.length ==
          18446744073709551615U);
}

TEST_CASE("only 100-continue can be expected") {
    CHECK(status(with("Expect: 100-Continue\r\n")) == 200);
    CHECK(status(with("Expect: 100-continue\r\nExpect: 100-continue\r\n")) == 200);
    CHECK(status(with("Expect: 200-ok\r\n")) == 417);
    CHECK(status(with("Expect:\r\n")) == 417);
    CHECK(status(with("Expect: 100-continue\r\nExpect: x\r\n")) == 417);
    CHECK(status(with("Expect: x\r\nExpect: 100-continue\r\n")) == 417);
    CHECK(response_status(answer("Expect: x\r\n")) == 200);
}

TEST_CASE("a request line is as long as the limit, not longer") {
    HeadLimits limits;
    limits.request_line = 30;
    const auto line = [](std::size_t size) { return "GET /" + letters(size - 14) + " HTTP/1.1"; };
    CHECK(status(with("", line(30)), limits) == 200);
    CHECK(status(with("", line(31)), limits) == 414);
    CHECK(status("\r\n\r\n" + with("", line(30)), limits) == 200);
    // Wherever in the line the limit falls, and before its end has come.
    CHECK(status(letters(30), limits) == 0);
    CHECK(status(letters(31), limits) == 414);
    CHECK(status(letters(30) + " ", limits) == 414);
    CHECK(status("GET /" + letters(25), limits) == 0);
    CHECK(status("GET /" + letters(26), limits) == 414);
    CHECK(status("GET /" + letters(25) + " ", limits) == 414);
    for (std::size_t target = 17; target < 25; ++target) {
        CHECK(status(with("", "GET /" + letters(target) + " HTTP/1.1"), limits) == 414);
    }
    // A bad byte there is a bad byte; what comes later is not looked at.
    CHECK(status(letters(30) + "\n", limits) == 400);
    CHECK(status("GET /" + letters(25) + "\x7f", limits) == 400);
    CHECK(status("GET /" + letters(16) + " HTTP/1.x", limits) == 400);
    CHECK(status(letters(31) + "\n", limits) == 414);
}

TEST_CASE("a head is as large as the limit, not larger") {
    HeadLimits limits;
    const std::string head = with("X: " + letters(40) + "\r\n");
    limits.head = head.size();
    CHECK(status(head, limits) == 200);
    CHECK(walk(head + letters(100), HeadGuard::Kind::request, limits).size == head.size());
    for (std::size_t less = 1; less <= head.size(); ++less) {
        limits.head = head.size() - less;
        CAPTURE(less);
        CHECK(status(head, limits) == 431);
    }
    // What is wrong with a line that was read whole comes first.
    limits.head = 40;
    CHECK(status(with(letters(40), "BREW / HTTP/1.1"), limits) == 501);
    CHECK(status(with(letters(40), "TRACE / HTTP/1.1"), limits) == 405);
    CHECK(status(with(letters(40), "GET / HTTP/1.2"), limits) == 505);
    CHECK(status(with("X: \x01" + letters(40)), limits) == 400);
    limits.head = 16;
    CHECK(status("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", limits) == 431);
    limits.head = 17;
    CHECK(status("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", limits) == 501);

    const std::string response = answer("X: a\r\n");
    limits.head = response.size();
    CHECK(response_status(response, limits) == 200);
    --limits.head;
    CHECK(response_status(response, limits) == 502);
}

TEST_CASE("a head has as many fields as the limit, not more") {
    HeadLimits limits;
    limits.fields = 3;
    CHECK(status(with("A: a\r\nB: b\r\n"), limits) == 200);
    CHECK(status(with("A: a\r\nB: b\r\nC: c\r\n"), limits) == 431);
    CHECK(response_status(answer("A: a\r\nB: b\r\nC: c\r\n"), limits) == 200);
    // The last of them is recorded and counts.
    CHECK(walk(with("A: a\r\nB: b\r\n"), HeadGuard::Kind::request, limits).text ==
          "GET|/||1|1.1|0\nHost=h|1\nA=a|0\nB=b|0\n");
    CHECK(status(with("A: a\r\nHost: h\r\n"), limits) == 400);
    CHECK(response_status(answer("A: a\r\nB: b\r\nC: c\r\nD: d\r\n"), limits) == 502);
}

TEST_CASE("a body is as long as the limit, not longer") {
    HeadLimits limits;
    limits.body_max = 10;
    CHECK(status(with("Content-Length: 10\r\n"), limits) == 200);
    CHECK(status(with("Content-Length: 11\r\n"), limits) == 413);
    CHECK(status(with("Transfer-Encoding: chunked\r\n"), limits) == 200);
    CHECK(response_status(answer("Content-Length: 11\r\n"), limits) == 200);
    limits.body_max = 0;
    CHECK(status(with("Content-Length: 11\r\n"), limits) == 200);
}

TEST_CASE("of several faults the first in the order counts") {
    // Each head has all faults from one on; the last has none.
    struct Case {
        const char* bytes;
        int status;
    };
    const Case cases[] = {
        {"BREW x HTTP/1.2\r\nA:\r\nB:\r\nHost: a,b\r\nContent-Length: x\r\nX: \x01\r\n\r\n", 400},
        {"BREW /1234567890123456 HTTP/1.2\r\nA:\r\n\x01", 414},
        {"BREW x HTTP/1.2\r\nA:\r\nB:\r\nC:\r\nHost: a,b\r\nContent-Length: x\r\n\r\n", 505},
        {"BREW x HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nHost: a,b\r\nContent-Length: x\r\n\r\n", 501},
        {"TRACE x HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nHost: a,b\r\nContent-Length: x\r\n\r\n", 405},
        {"GET x HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nHost: a,b\r\nContent-Length: x\r\n\r\n", 431},
        {"GET x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\nExpect: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a,b\r\nTransfer-Encoding: x\r\nExpect: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nContent-Length: 11\r\nExpect: "
         "x\r\n\r\n",
         400},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nTransfer-Encoding: x\r\nExpect: "
         "x\r\n\r\n",
         400},
        {"GET / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: x\r\nExpect: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\nExpect: x\r\n\r\n", 501},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: x\r\n\r\n", 413},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nExpect: x\r\n\r\n", 417},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n", 200},
    };
    HeadLimits limits;
    limits.request_line = 30;
    limits.fields = 4;
    limits.body_max = 10;
    for (const Case& c : cases) {
        CAPTURE(c.bytes);
        CHECK(status(c.bytes, limits) == c.status);
    }
}

TEST_CASE("a status line has one form, with or without a reason") {
    for (const char* line :
         {"HTTP/1.1 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200", "HTTP/1.0 100 Continue",
          "HTTP/1.1 599 \t x \x80", "HTTP/1.1 103 a:b"}) {
        CAPTURE(line);
        CHECK(response_status(answer("", line)) == 200);
    }
    for (const char* line :
         {"HTTP/1.1 099 x",   "HTTP/1.1 600 x",   "HTTP/1.1 000 x",   "HTTP/1.1 20 x",
          "HTTP/1.1 2000 x",  "HTTP/1.1 200x",    "HTTP/1.1  200",    "HTTP/1.1 ",
          "HTTP/1.1",         "HTTP/1.1 2x0",     "HTTP/1.1 20x",     "HTTP/1.2 200 OK",
          "HTTP/2.0 200 OK",  "HTTP/0.9 200 OK",  "http/1.1 200 OK",  "ICY 200 OK",
          " HTTP/1.1 200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK", ""}) {
        CAPTURE(line);
        CHECK(response_status(answer("", line)) == 502);
    }
}

TEST_CASE("a response's body is framed one way or refused, always with the same fault") {
    for (const char* fields :
         {"Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: x\r\n",
          "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n",
          "Transfer-Encoding:\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
          "X : a\r\n", "X: a\r\n b\r\n", "X: a\nY: b\r\n"}) {
        CAPTURE(fields);
        CHECK(response_status(answer(fields)) == 502);
    }
    CHECK(response_status(answer("Transfer-Encoding: chunked\r\n", "HTTP/1.0 200 OK")) == 502);
    const auto framing = [](std::string_view fields) {
        return walk(answer(fields), HeadGuard::Kind::response).body.framing;
    };
    CHECK(framing("") == Framing::until_close);
    CHECK(framing("Content-Length: 0\r\n") == Framing::length);
    CHECK(framing("Transfer-Encoding: chunked\r\n") == Framing::chunked);
    CHECK(response_status(answer("Host: a,b\r\nHost: c\r\n")) == 200);
}

}  // namespace baton
