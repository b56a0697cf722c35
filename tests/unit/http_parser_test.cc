#include "net/http/http_parser.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace baton {
namespace {

using Kind = HeadGuard::Kind;

constexpr std::string_view chunked_post =
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view chunked_answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

// What one message gave.
struct Read {
    int status = 0;  // of the fault, 0 without
    bool complete = false;
    std::size_t left = 0;  // bytes behind the message
    std::string data;

    bool operator==(const Read&) const = default;
};

// Reads `head`, which must be good, then `body` in pieces: the first of `first` bytes, then of
// `step`.
Read read_in_pieces(Kind kind, std::string_view head, std::string_view body, std::size_t first,
                    std::size_t step, const HeadLimits& limits) {
    HttpParser parser{kind, limits};
    Head fields;
    const auto size = parser.read_head(head, fields);
    REQUIRE(size);
    REQUIRE(*size == head.size());
    Read read;
    for (std::size_t count = first; !body.empty() && !parser.complete(); count = step) {
        std::string piece{body.substr(0, count)};
        body.remove_prefix(piece.size());
        Pieces pieces;
        const auto taken = parser.read_body(piece, pieces);
        if (!taken) return {status_of(taken.error().fault), false, 0, {}};
        std::size_t sum = 0;
        for (const std::string_view part : pieces.view()) {
            read.data += part;
            sum += part.size();
        }
        CHECK(pieces.bytes() == sum);
        read.left = piece.size() - *taken;
    }
    read.complete = parser.complete();
    read.left += body.size();
    return read;
}

// Whole; and cut at every `stride`th byte and in pieces, which must change nothing.
Read read(Kind kind, std::string_view head, std::string_view body, const HeadLimits& limits = {},
          std::size_t stride = 1) {
    const Read whole = read_in_pieces(kind, head, body, body.size(), body.size(), limits);
    for (std::size_t cut = 1; cut < body.size(); cut += stride) {
        CAPTURE(cut);
        REQUIRE(read_in_pieces(kind, head, body, cut, body.size(), limits) == whole);
    }
    REQUIRE(read_in_pieces(kind, head, body, 1, 1, limits) == whole);
    return whole;
}

Read read_request(std::string_view body, const HeadLimits& limits = {}, std::size_t stride = 1) {
    return read(Kind::request, chunked_post, body, limits, stride);
}

Read good(std::string data, std::size_t left = 0) { return {0, true, left, std::move(data)}; }
Read refused(int status) { return {status, false, 0, {}}; }

struct Answer {
    int status = 0;
    std::size_t size = 0;
    bool complete = false;
    Framing framing = Framing::none;
};

Answer read_answer(std::string_view bytes, HttpParser::Asked asked = {}) {
    const HeadLimits limits;
    HttpParser parser{Kind::response, limits};
    parser.answer_to(asked);
    Head head;
    const auto size = parser.read_head(bytes, head);
    if (!size) return {status_of(size.error().fault), 0, false, {}};
    return {0, *size, parser.complete(), parser.body().framing};
}

std::string text(std::size_t count, char letter = 'a') { return std::string(count, letter); }

std::string chunk(const std::string& data) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string line;
    for (std::size_t size = data.size(); size > 0; size /= 16)
        line.insert(line.begin(), digits[size % 16]);
    return line + "\r\n" + data + "\r\n";
}

}  // namespace

TEST_CASE("a head in pieces, in memory that moves, is the head whole") {
    const std::string bytes = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET";
    const std::size_t size = bytes.size() - 6;
    const HeadLimits limits;
    HttpParser parser{Kind::request, limits};
    for (std::size_t step = 1; step <= bytes.size(); ++step) {
        parser.reset();
        Head head;
        std::size_t count = step;
        for (; count < size; count += step) {
            const std::string received = bytes.substr(0, count);
            const auto none = parser.read_head(received, head);
            REQUIRE(none);
            REQUIRE(*none == 0);
        }
        const std::string received = bytes.substr(0, count);
        const auto whole = parser.read_head(received, head);
        REQUIRE(whole);
        CHECK(*whole == size);
        CHECK(head.size == size);
        CHECK(head.value(FieldName::content_length) == "3");
        CHECK(parser.body().framing == Framing::length);
        CHECK(parser.body().length == 3);
        CHECK_FALSE(parser.complete());
    }
}

TEST_CASE("a message without a body is complete with its head") {
    const HeadLimits limits;
    for (const char* fields :
         {"", "Content-Length: 0\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n",
          "Connection: close\r\n", "Connection: upgrade\r\nUpgrade: h2c\r\n"}) {
        CAPTURE(fields);
        const std::string head = std::string{"GET / HTTP/1.1\r\nHost: h\r\n"} + fields + "\r\n";
        HttpParser parser{Kind::request, limits};
        Head seen;
        const auto size = parser.read_head(head + "GET / HTTP/1.1\r\n", seen);
        REQUIRE(size);
        CHECK(*size == head.size());
        CHECK(parser.complete());
        // Nothing more belongs to it.
        std::string more = "GET";
        Pieces pieces;
        const auto taken = parser.read_body(more, pieces);
        REQUIRE(taken);
        CHECK(*taken == 0);
        CHECK(pieces.empty());
        CHECK(parser.end_of_input());
    }
}

TEST_CASE("what the guard passes and llhttp does not is refused with llhttp's number") {
    const HeadLimits limits;
    HttpParser request{Kind::request, limits};
    Head head;
    const auto size =
        request.read_head("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\t\r\n\r\n", head);
    REQUIRE(!size);
    CHECK(size.error().fault == Fault::bad_request);
    CHECK(size.error().code == HPE_INVALID_CONTENT_LENGTH);
    HttpParser response{Kind::response, limits};
    const auto answer = response.read_head("HTTP/1.1 200 OK\r\nContent-Length: 5\t\r\n\r\n", head);
    REQUIRE(!answer);
    CHECK(answer.error().fault == Fault::bad_response);
}

TEST_CASE("llhttp must frame the body as the guard does") {
    const HeadLimits limits;
    HttpParser parser{Kind::request, limits};
    Head head;
    // A TAB behind the coding is legal, but llhttp does not know the coding then.
    const auto size = parser.read_head(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\t\r\n\r\n", head);
    REQUIRE(!size);
    CHECK(size.error().fault == Fault::bad_request);
    CHECK(size.error().code == HPE_CB_HEADERS_COMPLETE);
}

TEST_CASE("a length says where a body ends") {
    const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
    CHECK(read(Kind::request, head, "hello") == good("hello"));
    CHECK(read(Kind::request, head, "helloGET /") == good("hello", 5));
    CHECK(read(Kind::request, head, "hell") == Read{0, false, 0, "hell"});
}

TEST_CASE("a chunked body is decoded, what is no data dropped") {
    CHECK(read_request("0\r\n\r\n") == good(""));
    CHECK(read_request("5\r\nhello\r\n0\r\n\r\n") == good("hello"));
    CHECK(read_request("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /") == good("hello!", 5));
    CHECK(read_request("005;a=b\r\nhello\r\n0;x=\"y\"\r\nX: a\r\nContent-Length: 9\r\n\r\nG") ==
          good("hello", 1));
    CHECK(read_request("A\r\n0123456789\r\n0\r\n\r\n") == good("0123456789"));
    CHECK(read_request("5\r\nhello\r\n0\r\nX: a\r\n") == Read{0, false, 0, "hello"});
    CHECK(read(Kind::response, chunked_answer, "5\r\nhello\r\n0\r\n\r\nEVIL") == good("hello", 4));
}

TEST_CASE("a trailer that closes the connection does not hide the end of the message") {
    CHECK(read_request("1\r\na\r\n0\r\nConnection: close\r\n\r\nGET") == good("a", 3));
    CHECK(read(Kind::response, chunked_answer, "1\r\na\r\n0\r\nConnection: close\r\n\r\n") ==
          good("a"));
}

TEST_CASE("a faulty chunked body is refused, in strict mode only") {
    // The loose parser takes any two bytes for the CR LF behind a size and behind data.
    for (const char* body : {"5\r\nhelloXX0\r\n\r\n", "5\r\nhello\rX0\r\n\r\n",
                             "5\rXhello\r\n0\r\n\r\n", "0\rX\r\n"}) {
        CAPTURE(body);
        CHECK(read_request(body) == refused(400));
        CHECK(read(Kind::response, chunked_answer, body) == refused(502));
    }
    for (const char* body :
         {"x\r\n", "5 \r\nhello\r\n", "\r\n", "5\nhello\r\n", "10000000000000000\r\n",
          "0\r\nX\r\n\r\n", "0\r\n\n", "0\r\nX: a\r\n\n", "0\r\nX: a\n\r\n"}) {
        CAPTURE(body);
        CHECK(read_request(body) == refused(400));
        CHECK(read(Kind::response, chunked_answer, body) == refused(502));
    }
}

TEST_CASE("a chunked body is as long as the limit, not longer") {
    HeadLimits limits;
    limits.body_max = 10;
    CHECK(read_request("a\r\n0123456789\r\n0\r\n\r\n", limits) == good("0123456789"));
    CHECK(read_request("6\r\nabcdef\r\n4\r\nghij\r\n0\r\n\r\n", limits) == good("abcdefghij"));
    CHECK(read_request("b\r\n", limits) == refused(413));  // as soon as it is announced
    CHECK(read_request("6\r\nabcdef\r\n5\r\nghijk\r\n0\r\n\r\n", limits) == refused(413));
    CHECK(read_request("a\r\n0123456789\r\n1\r\n", limits) == refused(413));
    CHECK(read_request("a\r\n0123456789\r\nffffffffffffffff\r\n", limits) == refused(413));
    CHECK(read(Kind::response, chunked_answer, "b\r\n0123456789a\r\n0\r\n\r\n", limits) ==
          good("0123456789a"));
}

TEST_CASE("a chunk's extensions are bounded, and those of a message") {
    const auto body = [](std::size_t size) { return "1;" + text(size) + "\r\nA\r\n"; };
    const std::string end = "0\r\n\r\n";
    CHECK(read_request(body(4096) + end, {}, 61) == good("A"));
    CHECK(read_request(body(4097) + end, {}, 61) == refused(400));
    CHECK(read_request("1;a=" + text(4095) + "\r\nA\r\n" + end, {}, 61) == good("A"));
    CHECK(read_request("1;a=" + text(4096) + "\r\nA\r\n" + end, {}, 61) == refused(400));
    const std::string three = body(4096) + body(4096) + body(4096);
    CHECK(read_request(three + body(4096) + end, {}, 997) == good("AAAA"));
    CHECK(read_request(three + body(4095) + body(1) + end, {}, 997) == good("AAAAA"));
    CHECK(read_request(three + body(4096) + body(1) + end, {}, 997) == refused(400));
}

TEST_CASE("extensions do not count as trailers") {
    std::string body;
    for (int i = 0; i < 4; ++i) body += "1;" + text(4096) + "\r\nA\r\n";
    CHECK(read_request(body + "0\r\nX: " + text(16000) + "\r\n\r\n", {}, 997) == good("AAAA"));
}

TEST_CASE("every message has its own bounds") {
    HeadLimits limits;
    limits.body_max = 4;
    std::string body;
    for (int i = 0; i < 4; ++i) body += "1;" + text(4096) + "\r\nA\r\n";
    body += "0\r\nX: " + text(16000) + "\r\n\r\n";
    HttpParser parser{Kind::request, limits};
    Pieces pieces;  // the same: what they held goes
    for (int i = 0; i < 3; ++i) {
        Head head;
        REQUIRE(parser.read_head(chunked_post, head));
        std::string received = body;
        const auto size = parser.read_body(received, pieces);
        REQUIRE(size);
        CHECK(*size == body.size());
        CHECK(pieces.bytes() == 4);
        CHECK(parser.complete());
        parser.reset();
        CHECK_FALSE(parser.complete());
    }
}

TEST_CASE("zeros before a size and trailers are bounded") {
    // 16 KiB and 24 bytes a chunk, of which the lines themselves take their part.
    constexpr std::size_t zeros = 16384 + 24 - 3;
    CHECK(read_request(text(zeros, '0') + "1\r\nA\r\n0\r\n\r\n", {}, 997) == good("A"));
    CHECK(read_request(text(zeros + 1, '0') + "1\r\nA\r\n0\r\n\r\n", {}, 997) == refused(400));
    CHECK(read_request(text(zeros + 1, '0'), {}, 997) == Read{});
    CHECK(read_request(text(zeros + 4, '0'), {}, 997) == refused(400));
    // A line that came with nothing behind it has not paid for the next one yet.
    CHECK(read_request(text(zeros + 1, '0') + "5\r\n", {}, 997) == refused(400));
    CHECK(read_request(text(zeros, '0') + "5\r\n", {}, 997) == Read{});
    // Before a chunk that is too large, too: cut there, nobody knows what is announced.
    HeadLimits limits;
    limits.body_max = 1;
    CHECK(read_request(text(zeros + 1, '0') + "1\r\nA\r\n0\r\n\r\n", limits, 997) == refused(400));
    CHECK(read_request(text(zeros + 9, '0') + "2\r\n", limits, 997) == refused(400));

    constexpr std::size_t trailer = 16384 + 48 - 10 - 5;
    const auto with_trailer = [](std::size_t size) {
        return "1\r\nA\r\n0\r\nX: " + text(size) + "\r\n\r\n";
    };
    CHECK(read_request(with_trailer(trailer), {}, 997) == good("A"));
    CHECK(read_request(with_trailer(trailer + 1), {}, 997) == refused(400));
    CHECK(read(Kind::response, chunked_answer, with_trailer(trailer + 1), {}, 997) == refused(502));
}

TEST_CASE("many small chunks do not add up to a refusal") {
    std::string body, data;
    for (int i = 0; i < 20'000; ++i) {
        body += "1\r\nA\r\n";
        data += 'A';
    }
    CHECK(read_request(body + "0\r\n\r\n", {}, 9973) == good(data));
}

TEST_CASE("answers to HEAD, 1xx, 204 and 304 have no body, whatever they say") {
    for (const char* fields : {"", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"}) {
        for (const char* status :
             {"100 Continue", "103 Early Hints", "204 No Content", "304 Not Modified"}) {
            const std::string head = std::string{"HTTP/1.1 "} + status + "\r\n" + fields + "\r\n";
            CAPTURE(head);
            const Answer answer = read_answer(head + "HTTP/1.1 200 OK\r\n");
            CHECK(answer.size == head.size());
            CHECK(answer.complete);
            CHECK(answer.framing == Framing::none);
        }
        const std::string head = std::string{"HTTP/1.1 200 OK\r\n"} + fields + "\r\n";
        CAPTURE(head);
        const Answer to_head = read_answer(head + "HTTP", {.head = true});
        CHECK(to_head.size == head.size());
        CHECK(to_head.complete);
        CHECK(to_head.framing == Framing::none);
        const Answer to_get = read_answer(head);
        CHECK(to_get.size == head.size());
        CHECK_FALSE(to_get.complete);
    }
}

TEST_CASE("a 101 is taken only if it was asked for, and ends the message") {
    const std::string head =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    CHECK(read_answer(head).status == 502);
    CHECK(read_answer(head, {.head = true}).status == 502);
    const Answer answer = read_answer(head + "\x81\x01x", {.upgrade = true});
    CHECK(answer.status == 0);
    CHECK(answer.size == head.size());
    CHECK(answer.complete);
    CHECK(read_answer("HTTP/1.1 200 OK\r\n\r\n", {.upgrade = true}).framing ==
          Framing::until_close);
}

TEST_CASE("the final answer follows an interim one") {
    const HeadLimits limits;
    HttpParser parser{Kind::response, limits};
    Head head;
    REQUIRE(parser.read_head("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX: a\r\n\r\n", head));
    CHECK(head.status == 103);
    parser.reset();
    parser.answer_to({});
    CHECK_FALSE(parser.complete());
    const std::string final = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    const auto size = parser.read_head(final, head);
    REQUIRE(size);
    CHECK(*size == final.size());
    CHECK(head.fields.size() == 1);
    std::string body = "ok";
    Pieces pieces;
    REQUIRE(parser.read_body(body, pieces));
    CHECK(parser.complete());
    // What was asked is forgotten with the message.
    parser.answer_to({.head = true, .upgrade = true});
    parser.reset();
    REQUIRE(parser.read_head(final, head));
    CHECK_FALSE(parser.complete());
}

TEST_CASE("the end of input completes a body until close and nothing else") {
    const HeadLimits limits;
    Head head;
    Pieces pieces;
    const auto ends = [&](Kind kind, std::string_view bytes, std::string body) {
        HttpParser parser{kind, limits};
        const auto size = parser.read_head(bytes, head);
        REQUIRE(size);
        if (!body.empty()) REQUIRE(parser.read_body(body, pieces));
        const bool complete = parser.complete();
        const bool completed = parser.end_of_input();
        CHECK(parser.complete() == completed);
        return completed && !complete;
    };
    CHECK(ends(Kind::response, "HTTP/1.1 200 OK\r\n\r\n", ""));
    CHECK(ends(Kind::response, "HTTP/1.1 200 OK\r\n\r\n", "hello"));
    CHECK(ends(Kind::response, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "hello"));
    CHECK_FALSE(ends(Kind::response, "HTTP/1.1 200", ""));
    CHECK_FALSE(ends(Kind::response, "", ""));
    CHECK_FALSE(ends(Kind::response, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""));
    CHECK_FALSE(ends(Kind::response, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hell"));
    CHECK_FALSE(ends(Kind::response, chunked_answer, ""));
    CHECK_FALSE(ends(Kind::response, chunked_answer, "5\r\nhello\r\n"));
    CHECK_FALSE(ends(Kind::response, chunked_answer, "5\r\nhello\r\n0\r\n"));
    CHECK_FALSE(ends(Kind::response, chunked_answer, "5\r\nhello\r\n0\r\n\r"));
    CHECK_FALSE(ends(Kind::request, chunked_post, "5\r\nhello\r\n0\r\n"));
    CHECK_FALSE(ends(Kind::request, "GET / HTTP/1.1\r\n", ""));
}

TEST_CASE("a body until close holds whatever comes") {
    CHECK(read(Kind::response, "HTTP/1.0 200 OK\r\n\r\n", "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") ==
          Read{0, false, 0, "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"});
}

TEST_CASE("small pieces are moved together, large ones stay where they are") {
    std::string buffer =
        text(10) + "--" + text(4095, 'b') + "--" + text(4096, 'c') + "--" + text(5, 'd');
    Pieces pieces;
    CHECK(pieces.empty());
    char* const begin = buffer.data();
    pieces.add(begin, 10);
    pieces.add(begin + 12, 4095);
    CHECK(pieces.view().size() == 1);
    pieces.add(begin + 4109, 4096);
    CHECK(pieces.view().size() == 2);
    pieces.add(begin + 8207, 5);
    CHECK(pieces.view().size() == 2);
    CHECK(pieces.view()[0] == text(10) + text(4095, 'b'));
    CHECK(pieces.view()[0].data() == begin);
    CHECK(pieces.view()[1] == text(4096, 'c') + text(5, 'd'));
    CHECK(pieces.view()[1].data() == begin + 4109);
    CHECK(pieces.bytes() == 10 + 4095 + 4096 + 5);
    pieces.clear();
    CHECK(pieces.empty());
    CHECK(pieces.view().empty());
    // Neighbours are one piece, however large.
    pieces.add(begin, 4096);
    pieces.add(begin + 4096, 4096);
    CHECK(pieces.view().size() == 1);
}

TEST_CASE("one read of chunks of any size fits into the pieces") {
    for (const std::size_t size : {std::size_t{1}, std::size_t{100}, std::size_t{4095},
                                   std::size_t{4096}, std::size_t{5000}, std::size_t{70'000}}) {
        std::string body, data;
        while (body.size() < 65'536) {
            const char letter = static_cast<char>('a' + body.size() % 26);
            body += chunk(text(size, letter));
            data += text(size, letter);
        }
        CAPTURE(size);
        CHECK(read_request(body + "0\r\n\r\n", {}, 9973) == good(data));
        // A read larger than usual, too.
        const std::string many = body + body + body + body + "0\r\n\r\n";
        CHECK(read_in_pieces(Kind::request, chunked_post, many, many.size(), many.size(), {}) ==
              good(data + data + data + data));
    }
}

TEST_CASE("small and large chunks in turn keep their order") {
    std::string body, data;
    for (int i = 0; i < 7; ++i) {
        for (const std::size_t size : {std::size_t{3}, std::size_t{4096}, std::size_t{4095}}) {
            const std::string part = text(size, static_cast<char>('a' + data.size() % 26));
            body += chunk(part);
            data += part;
        }
    }
    CHECK(read_request(body + "0\r\n\r\n", {}, 1009) == good(data));
}

}  // namespace baton
