// Bodies alone: the decoder gives the same bytes and the same verdict however a body is split, and
// what is framed anew decodes to the same.

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "net/http/http_parser.h"
#include "proxy/http1/write_list.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/forwarding.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/plain.h"

namespace baton::fuzz {
namespace {

using Kind = HeadGuard::Kind;

// What one body gave, and what is sent on of it.
struct Read {
    std::optional<Fault> fault;
    bool complete = false;
    std::size_t size = 0;  // of the body, once it is complete
    std::string data;
    std::string sent;
};

struct Situation {
    Kind kind = Kind::request;
    Body body;
    const HeadLimits* limits = nullptr;

    std::string head() const {
        std::string text =
            kind == Kind::request ? "POST / HTTP/1.1\r\nHost: h\r\n" : "HTTP/1.1 200 OK\r\n";
        if (body.framing == Framing::chunked) text += "Transfer-Encoding: chunked\r\n";
        if (body.framing == Framing::length)
            text += "Content-Length: " + std::to_string(body.length) + "\r\n";
        return text + "\r\n";
    }
};

Read read_body(const Situation& situation, std::string_view bytes, Cut cut) {
    HttpParser parser{situation.kind, *situation.limits};
    const std::string text = situation.head();
    Head head;
    const auto head_size = parser.read_head(text, head);
    check(head_size && *head_size == text.size(), "the head before the body is good");
    Read read;
    for (const std::string_view piece : in_pieces(bytes, cut)) {
        if (parser.complete()) break;
        Exact received{piece};
        Pieces pieces;
        const auto taken = parser.read_body(received.span(), pieces);
        if (!taken) {
            read.fault = taken.error().fault;
            return read;
        }
        check(*taken == piece.size() || parser.complete(), "a body that goes on is read on");
        read.size += *taken;
        std::size_t sum = 0;
        for (const std::string_view part : pieces.view()) {
            check(!part.empty(), "a piece has bytes");
            read.data += part;
            sum += part.size();
        }
        check(pieces.bytes() == sum && pieces.empty() == (sum == 0), "pieces are counted");
        WriteList list;
        list.add_body(pieces.view(), pieces.bytes(), situation.body.framing);
        if (parser.complete()) list.add_end(situation.body.framing);
        append_written(read.sent, list);
    }
    read.complete = parser.complete();
    if (situation.body.framing == Framing::until_close) {
        check(!read.complete, "a body until close does not end before");
        read.complete = parser.end_of_input();
        check(read.complete, "the end completes a body until close");
    } else {
        check(parser.end_of_input() == read.complete, "the end completes no other body");
    }
    return read;
}

void check_split(const Read& other, const Read& whole) {
    check(other.fault == whole.fault, "a body has one fault however it is split");
    check(other.complete == whole.complete, "a body has one end however it is split");
    if (whole.fault) return;
    check(other.size == whole.size, "a body is as long however it is split");
    check_same(other.data, whole.data, "a body has the same bytes however it is split");
}

// What is sent on of a body that was read so.
void check_sent(const Situation& situation, const Read& read, const PlainBody& plain) {
    check_body("\r\n\r\n" + read.sent, situation.body, plain, read.complete);
    const Read again = read_body(situation, read.sent, Cut::often);
    check(!again.fault && again.complete == read.complete && again.data == read.data,
          "what is framed anew decodes to the same");
}

void check_all(const Situation& situation, std::string_view bytes) {
    const Read whole = read_body(situation, bytes, Cut::whole);
    const std::uint64_t most =
        situation.kind == Kind::request ? situation.limits->body_max : std::uint64_t{0};
    const PlainBody plain = read_plain_body(bytes, situation.body, most);
    for (const Cut cut : {Cut::twice, Cut::often, Cut::everywhere}) {
        const Read other = read_body(situation, bytes, cut);
        check_split(other, whole);
        check_sent(situation, other, plain);
    }
    check_sent(situation, whole, plain);

    if (!whole.fault) {
        const bool good = plain.reading == Reading::good;
        check(whole.complete == good, "a body is whole when it is whole");
        check_same(whole.data, plain.data, "a body is decoded as it was coded");
        check(whole.size == plain.size || !good, "a body ends where it ends");
    } else if (*whole.fault == Fault::body_too_large) {
        check(plain.too_large, "a body that is too large is");
    } else {
        check(plain.reading == Reading::bad || plain.refusable,
              "a body that is refused breaks a rule");
    }
}

// 0xff COUNT BYTE stands for COUNT * 64 times the byte, so that small inputs reach large bounds.
std::string expand(std::string_view text) {
    constexpr std::size_t most = std::size_t{40} << 10;
    std::string out;
    while (!text.empty() && out.size() < most) {
        if (text.size() < 3 || text.front() != '\xff') {
            out += text.front();
            text.remove_prefix(1);
            continue;
        }
        out.append(static_cast<unsigned char>(text[1]) * std::size_t{64}, text[2]);
        text.remove_prefix(3);
    }
    return out;
}

// The bytes as data, in chunks of all sizes, most of them small.
std::string encode(std::string_view data) {
    std::string out;
    for (const std::string_view chunk : in_pieces(data, Cut::often)) {
        std::array<char, 16> digits;
        const std::to_chars_result end =
            std::to_chars(digits.data(), digits.data() + digits.size(), chunk.size(), 16);
        out.append(digits.data(), static_cast<std::size_t>(end.ptr - digits.data()));
        out.append("\r\n").append(chunk).append("\r\n");
    }
    return out + "0\r\n\r\n";
}

void check_encoded(Situation situation, std::string_view data) {
    situation.body = {Framing::chunked, 0};
    const std::string coded = encode(data);
    for (const Cut cut : {Cut::whole, Cut::twice, Cut::often}) {
        const Read decoded = read_body(situation, coded + "GET /", cut);
        check(!decoded.fault && decoded.complete, "a good body is taken");
        check(decoded.size == coded.size(), "a good body ends where it ends");
        check_same(decoded.data, data, "a good body is decoded to what was coded");
    }
}

void run(Input input) {
    Situation situation;
    situation.kind = input.flag() ? Kind::response : Kind::request;
    const bool small = input.flag();
    const bool encoded = input.flag();
    const bool runs = input.flag();
    const unsigned framing = input.pick(4);
    situation.limits = &limits_for(small);
    if (framing < 2)
        situation.body = {Framing::chunked, 0};
    else if (framing == 2 || situation.kind == Kind::request)
        situation.body = {Framing::length, input.pick(16)};
    else
        situation.body = {Framing::until_close, 0};

    const std::string bytes = runs ? expand(input.bytes()) : std::string{input.bytes()};
    check_all(situation, bytes);
    if (encoded && !small) check_encoded(situation, bytes);
}

}  // namespace

std::optional<Seed> seed_of(const test::Row& row) {
    const std::size_t head = row.bytes.find("\r\n\r\n");
    if (head == row.bytes.npos || head + 4 == row.bytes.size()) return {};
    return Seed{row.bytes.substr(head + 4)};
}

}  // namespace baton::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    baton::fuzz::run({data, size});
    return 0;
}
