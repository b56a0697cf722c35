// The guard against llhttp, and both against the plain reading: what is taken is read the same by
// all three, message after message of a connection, however its bytes come.

#include <llhttp.h>

#include <algorithm>
#include <string>

#include "net/http/http_parser.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/plain.h"
#include "tests/unit/http_reader.h"
#include "tests/unit/plain_head.h"

namespace baton::fuzz {
namespace {

using Kind = HeadGuard::Kind;
using test::Message;
using test::Outcome;

constexpr int interims_max = 16;

// RFC 9110, 5.5 allows blanks behind a value, but llhttp takes a TAB for a part of a length and of
// a coding. Nothing else that the guard takes is known to be refused by it.
bool llhttp_may_refuse(const PlainHead& plain) {
    return std::any_of(plain.fields.begin(), plain.fields.end(), [](const PlainField& field) {
        const bool framing = field.key == "content-length" || field.key == "transfer-encoding";
        return framing && field.tail.find('\t') != std::string::npos;
    });
}

void check_first_head(Kind kind, const HeadLimits& limits, std::string_view bytes) {
    const Exact received{bytes};
    HeadGuard guard{kind, limits};
    Head head;
    const auto walked = guard.walk(received.view(), head);
    HttpParser parser{kind, limits};
    parser.answer_to({.upgrade = true});
    Head parsed;
    const auto size = parser.read_head(received.view(), parsed);
    if (!walked || *walked == 0) {
        check(static_cast<bool>(size) == static_cast<bool>(walked) && (!size || *size == 0),
              "what the guard does not take, the parser does not take");
        return;
    }
    const PlainHead plain = read_plain_head(kind, bytes, limits);
    check(plain.reading == Reading::good, "what the guard takes keeps the rules");
    if (!size) {
        if (!llhttp_may_refuse(plain))
            violated("llhttp refuses what the guard takes for known reasons only",
                     llhttp_errno_name(static_cast<llhttp_errno_t>(size.error().code)));
        return;
    }
    check(*size == *walked, "guard and parser see the same end of a head");
    check_same_head(parsed, plain);
    check_same(test::plain_difference(kind, bytes.substr(0, *size), parsed), "",
               "llhttp by itself reads what the guard recorded");
}

std::string text_of(const Body& body) {
    switch (body.framing) {
    case Framing::none: return " none";
    case Framing::length: return " length=" + std::to_string(body.length);
    case Framing::chunked: return " chunked";
    case Framing::until_close: return " until_close";
    }
    return {};
}

// A connection in the plain reading.
struct PlainConnection {
    std::vector<Message> messages;
    enum class End { open, closed, bad, cut } end = End::open;
    std::size_t left = 0;    // behind a message that closes
    bool maybe_bad = false;  // what comes next is good, but may be refused all the same
    std::size_t sure = 0;    // messages before that
};

PlainConnection read_plain(Kind kind, const HeadLimits& limits, std::string_view bytes) {
    PlainConnection connection;
    int interims = 0;
    const auto end = [&](PlainConnection::End how) {
        connection.end = how;
        connection.left = bytes.size();
        return connection;
    };
    while (!bytes.empty()) {
        PlainHead head = read_plain_head(kind, bytes, limits);
        if (head.reading == Reading::bad || head.status == 101)
            return end(PlainConnection::End::bad);
        if (head.reading == Reading::cut) return end(PlainConnection::End::cut);
        const bool interim = kind == Kind::response && head.status < 200;
        if (interim || head.status == 204 || head.status == 304) head.body = {};

        const std::uint64_t most = kind == Kind::request ? limits.body_max : 0;
        const PlainBody body = read_plain_body(bytes.substr(head.size), head.body, most);
        if (!connection.maybe_bad && (body.refusable || llhttp_may_refuse(head))) {
            connection.maybe_bad = true;
            connection.sure = connection.messages.size();
        }
        if (body.reading == Reading::bad) return end(PlainConnection::End::bad);
        if (body.reading == Reading::cut) return end(PlainConnection::End::cut);
        bytes.remove_prefix(head.size + body.size);

        Message message;
        message.gives =
            kind == Kind::request ? head.method + " " + head.target : std::to_string(head.status);
        message.gives += text_of(head.body);
        if (!body.data.empty()) message.gives += " " + body.data;
        for (const PlainField& field : head.fields)
            message.fields.push_back(field.name + ": " + field.value);
        if (interim && ++interims > interims_max) return end(PlainConnection::End::bad);
        connection.messages.push_back(message);

        const auto says = head.connection();
        const auto has = [&](const char* option) {
            return std::find(says.begin(), says.end(), option) != says.end();
        };
        const bool closes = has("close") || (head.minor == 0 && !has("keep-alive"));
        if (kind == Kind::response ? !interim : closes) return end(PlainConnection::End::closed);
    }
    return connection;
}

Outcome read(Kind kind, const HeadLimits& limits, std::string_view bytes, Cut cut) {
    test::HttpReader reader{kind, limits};
    for (const std::string_view piece : in_pieces(bytes, cut)) reader.feed(piece);
    Outcome outcome = reader.finish();
    check_same(reader.difference(), "", "llhttp by itself reads what the guard recorded");
    return outcome;
}

std::string text_of(const Outcome& outcome) {
    std::string text;
    for (const Message& message : outcome.messages) text += message.gives + "; ";
    return text + "ends " + outcome.ends;
}

void check_connection(Kind kind, const HeadLimits& limits, std::string_view bytes) {
    const Outcome outcome = read(kind, limits, bytes, Cut::whole);
    for (const Cut cut : {Cut::twice, Cut::often, Cut::everywhere}) {
        const Outcome other = read(kind, limits, bytes, cut);
        check_same(text_of(other), text_of(outcome), "a connection cut is as a connection whole");
        check(other == outcome, "a connection cut is as a connection whole, its fields too");
    }

    const PlainConnection plain = read_plain(kind, limits, bytes);
    const std::size_t count = outcome.messages.size();
    check(count <= plain.messages.size(), "no message is taken that is none");
    for (std::size_t i = 0; i < count; ++i) {
        check_same(outcome.messages[i].gives, plain.messages[i].gives, "a message is as sent");
        check(outcome.messages[i] == plain.messages[i], "a message's fields are as sent");
    }
    const bool refused =
        !outcome.ends.empty() && outcome.ends != "cut" && !outcome.ends.starts_with("left ");
    if (refused) {
        const bool may =
            plain.end == PlainConnection::End::bad ||
            (plain.end == PlainConnection::End::cut && count == plain.messages.size()) ||
            (plain.maybe_bad && count >= plain.sure);
        check(may, "what is refused breaks a rule");
        return;
    }
    check(count == plain.messages.size(), "all messages are taken");
    const bool closed = plain.end == PlainConnection::End::closed;
    const std::string left =
        closed && plain.left > 0 ? "left " + std::to_string(plain.left) : std::string{};
    if (plain.end == PlainConnection::End::open || closed)
        check_same(outcome.ends, left, "a connection ends where it ends");
    else
        check_same(outcome.ends, "cut", "what is not whole does not look whole");
}

void run(Input input) {
    const Kind kind = input.flag() ? Kind::response : Kind::request;
    const HeadLimits& limits = limits_for(input.flag());
    check_first_head(kind, limits, input.bytes());
    check_connection(kind, limits, input.bytes());
}

}  // namespace

// The lowest bit of the choices says which kind it is.
std::optional<Seed> seed_of(const test::Row& row) {
    return Seed{row.bytes, row.kind == HeadGuard::Kind::response ? 1U : 0U, 1};
}

}  // namespace baton::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    baton::fuzz::run({data, size});
    return 0;
}
