// An answer through the proxy: what is received from a server is rebuilt, and what the client would
// read of it is what the server sent, less what does not go on, and looks whole only if it is.

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/http_parser.h"
#include "proxy/http1/head_text.h"
#include "proxy/http1/write_list.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/forwarding.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/plain.h"

namespace baton::fuzz {
namespace {

constexpr unsigned interims_max = 16;
constexpr std::string_view date_line = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

// What was asked, by whom, and how the proxy is set up.
struct Situation {
    explicit Situation(Input& input)
        : head(input.flag()),
          upgrade(!head && input.flag()),
          client_is_1_0(!upgrade && input.flag()),
          close(input.flag()),
          limits(limits_for(input.flag())),
          orderly(!input.flag()),
          added(input.flag() ? "JSESSIONID=1; Path=/" : ""),
          cut(static_cast<Cut>(input.pick(4))),
          rules({.prefix = prefix_of(input.pick(4)), .cookie = input.flag() ? "" : "JSESSIONID"}) {}

    bool head;     // the method, else GET
    bool upgrade;  // a websocket
    bool client_is_1_0;
    bool close;  // the client's connection ends behind the answer
    const HeadLimits& limits;
    bool orderly;  // the server's end, behind its bytes
    std::string_view added;
    Cut cut;
    Rules rules;

    HttpParser::Asked asked() const { return {.head = head, .upgrade = upgrade}; }
};

// What became of one head.
struct Sent {
    PlainHead received;
    std::string head;
    std::size_t dropped = 0;  // Set-Cookie fields
    Body body;                // as it is sent
    bool close = false;
};

// The server's side of the proxy and the relay's response side.
struct Exchange {
    std::vector<Sent> interims;
    std::optional<Sent> final;
    std::string body;       // as it is sent
    std::string_view rest;  // of what was received, behind the final head
    bool complete = false;
};

class Forwarder {
public:
    explicit Forwarder(const Situation& situation)
        : situation_(situation), parser_(HeadGuard::Kind::response, situation.limits) {}

    Exchange run(std::string_view bytes) {
        parser_.answer_to(situation_.asked());
        for (;;) {
            // What the head views, until it is written.
            const Exact received{bytes};
            const auto size = parser_.read_head(received.view(), head_);
            if (!size || *size == 0) return exchange_;
            connection_.read(head_);
            if (connection_.too_many) return exchange_;
            Sent sent;
            sent.received = read_plain_head(HeadGuard::Kind::response, bytes, situation_.limits);
            bytes.remove_prefix(*size);
            if (head_.status >= 200 || head_.status == 101) {
                exchange_.rest = bytes;
                answer(sent);
                return exchange_;
            }
            if (exchange_.interims.size() == interims_max) return exchange_;
            append(sent, {.head = &head_,
                          .connection = &connection_,
                          .session_prefix = situation_.rules.prefix,
                          .session_cookie = situation_.rules.cookie});
            exchange_.interims.push_back(sent);
            parser_.reset();
            parser_.answer_to(situation_.asked());
        }
    }

private:
    static void append(Sent& sent, const ForwardResponse& response) {
        sent.dropped = append_response_head(sent.head, response);
    }

    void answer(Sent& sent) {
        const Body body = parser_.body();
        const bool unknown =
            body.framing == Framing::chunked || body.framing == Framing::until_close;
        sent.body = body;
        if (unknown)
            sent.body = {situation_.client_is_1_0 ? Framing::until_close : Framing::chunked, 0};
        sent.close = situation_.close || sent.body.framing == Framing::until_close;

        // A fault in the first bytes of a body is found before anything is sent.
        const auto pieces = in_pieces(exchange_.rest, situation_.cut);
        std::size_t at = 0;
        if (!read(pieces, at, sent.body)) return;
        append(sent,
               {.head = &head_,
                .connection = &connection_,
                .body = head_.status == 101 ? Body{} : sent.body,
                .keep_length = head_.status == 304 || (situation_.head && head_.status != 204),
                .client_is_1_0 = situation_.client_is_1_0,
                .close = sent.close,
                .upgrade = head_.status == 101,
                .session_prefix = situation_.rules.prefix,
                .session_cookie = situation_.rules.cookie,
                .date_line = head_.status == 101 ? std::string_view{} : date_line,
                .cookie = situation_.added});
        exchange_.final = sent;
        while (!parser_.complete() && at < pieces.size())
            if (!read(pieces, at, sent.body)) return;
        exchange_.complete = parser_.complete();
        if (exchange_.complete || !situation_.orderly || !parser_.end_of_input()) return;
        exchange_.complete = true;
        write({}, sent.body);
    }

    bool read(const std::vector<std::string_view>& pieces, std::size_t& at, const Body& body) {
        Pieces data;
        if (!parser_.complete() && at < pieces.size()) {
            Exact piece{pieces[at++]};
            if (!parser_.read_body(piece.span(), data)) return false;
            write(data, body);
        } else {
            write(data, body);
        }
        return true;
    }

    void write(const Pieces& data, const Body& body) {
        WriteList list;
        list.add_body(data.view(), data.bytes(), body.framing);
        if (parser_.complete()) list.add_end(body.framing);
        append_written(exchange_.body, list);
    }

    const Situation& situation_;
    HttpParser parser_;
    Head head_;
    ConnectionOptions connection_;
    Exchange exchange_;
};

bool sets_cookie(const std::string& value, std::string_view cookie) {
    std::string pair = trim(split(value, ';')[0]);
    // A cookie without a name comes back as if the first of its value were one.
    if (pair.starts_with('=')) pair = pair.substr(1);
    return trim(split(pair, '=')[0]) == cookie;
}

struct Expected {
    std::vector<std::string> fields;
    std::size_t dropped = 0;
};

// The directives of a Cache-Control, split at commas that no quotes protect.
std::vector<std::string> directives(const std::string& value) {
    std::vector<std::string> all(1);
    bool quoted = false;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        if (c == ',' && !quoted) {
            all.emplace_back();
            continue;
        }
        all.back() += c;
        if (c == '\\' && quoted && i + 1 < value.size()) all.back() += value[++i];
        if (c == '"') quoted = !quoted;
    }
    for (std::string& one : all) {
        while (one.ends_with(' ') || one.ends_with('\t')) one.pop_back();
        one.erase(0, std::min(one.find_first_not_of(" \t"), one.size()));
    }
    return all;
}

// Its name in lower case.
std::string name_of(const std::string& directive) {
    std::string name = directive.substr(0, directive.find('='));
    while (name.ends_with(' ') || name.ends_with('\t')) name.pop_back();
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    return name;
}

bool is_private(const PlainHead& head) {
    for (const PlainField& field : head.fields) {
        if (field.key != "cache-control") continue;
        for (const std::string& one : directives(field.value)) {
            const bool bare = one.find('=') == one.npos;
            if (name_of(one) == "no-store" || (name_of(one) == "private" && bare)) return true;
        }
    }
    return false;
}

// A Cache-Control of an answer with a cookie, and of no other that says so; empty: it goes.
std::string made_private(const PlainField& field, bool first) {
    std::string value = first ? "private" : "";
    for (const std::string& one : directives(field.value)) {
        if (one.empty() || is_one_of(name_of(one), {"public", "private", "s-maxage"})) continue;
        value += (value.empty() ? "" : ", ") + one;
    }
    return value.empty() ? value : field.name + ": " + value;
}

Expected expect(const Situation& situation, const Sent& sent, bool final) {
    const PlainHead& plain = sent.received;
    const bool length_goes_on =
        final && (plain.status == 304 || (situation.head && plain.status != 204));
    Expected expected;
    bool cache_control = false;
    bool length_stays = false;
    for (const PlainField& field : plain.fields) {
        const std::string line = field.name + ": " + field.value;
        if (field.key == "content-length") {
            // In its place, unless it is written otherwise than a number is.
            const bool plainly = field.value.size() == 1 || !field.value.starts_with('0');
            length_stays = final && sent.body.framing == Framing::length && plainly;
            if (length_goes_on || length_stays) expected.fields.push_back(line);
        }
        if (is_of_connection(field.key) || is_session_field(situation.rules, field.key)) continue;
        const bool set_cookie = field.key == "set-cookie" && !situation.rules.cookie.empty();
        if (set_cookie && sets_cookie(field.value, situation.rules.cookie)) {
            ++expected.dropped;
            continue;
        }
        const bool stays =
            is_one_of(field.key, {"authorization", "cookie", "set-cookie", "cache-control",
                                  "expect", "forwarded", "x-forwarded-for", "x-forwarded-proto",
                                  "x-forwarded-host", "x-forwarded-port", "x-real-ip",
                                  "x-request-id", "via", "max-forwards", "date"});
        if (!stays && is_named(plain, field.key)) continue;
        const bool personal = final && !situation.added.empty();
        const bool first = field.key == "cache-control" && !cache_control;
        cache_control = cache_control || field.key == "cache-control";
        if (personal && (field.key == "surrogate-control" ||
                         (field.key.size() > 14 && field.key.ends_with("-cache-control"))))
            continue;
        if (personal && field.key == "cache-control" && !is_private(plain)) {
            const std::string changed = made_private(field, first);
            if (!changed.empty()) expected.fields.push_back(changed);
            continue;
        }
        expected.fields.push_back(line);
    }
    if (!final) return expected;
    if (sent.body.framing == Framing::length && !length_stays)
        expected.fields.push_back("Content-Length: " + std::to_string(sent.body.length));
    if (sent.body.framing == Framing::chunked)
        expected.fields.emplace_back("Transfer-Encoding: chunked");
    if (plain.status != 101 && plain.count("date") == 0)
        expected.fields.emplace_back("Date: Sun, 06 Nov 1994 08:49:37 GMT");
    if (!situation.added.empty()) {
        expected.fields.emplace_back("Set-Cookie: JSESSIONID=1; Path=/");
        if (!cache_control) expected.fields.emplace_back("Cache-Control: no-store");
    }
    if (plain.status == 101) {
        expected.fields.emplace_back("Connection: Upgrade");
        expected.fields.emplace_back("Upgrade: websocket");
    } else if (sent.close) {
        expected.fields.emplace_back("Connection: close");
    } else if (situation.client_is_1_0) {
        expected.fields.emplace_back("Connection: keep-alive");
    }
    return expected;
}

// What holds of each answer that is sent, whatever was received.
void check_sent_head(const Situation& situation, const PlainHead& sent, bool final) {
    check(sent.reading == Reading::good, "what is sent to a client keeps the rules");
    check(sent.minor == 1, "a client is answered with HTTP/1.1");
    check(sent.status < 200 ? sent.status == 101 || !final : final, "one final answer is sent");
    check(sent.status != 101 || situation.upgrade, "an upgrade is sent to those who asked for it");
    const std::size_t lengths = sent.count("content-length");
    const std::size_t codings = sent.count("transfer-encoding");
    check(lengths + codings <= 1, "an answer is framed one way");
    if (sent.status < 200 || sent.status == 204)
        check(lengths + codings == 0, "an answer that has no body is not framed");
    if (situation.head || situation.client_is_1_0)
        check(codings == 0, "a coding is sent to those who can read it");
    for (const char* key : {"keep-alive", "proxy-connection", "te", "trailer", "host"})
        check(sent.count(key) == 0, "a field of one connection is not sent on");
    check(sent.count("connection") <= 1 &&
              sent.count("upgrade") == (sent.status == 101 ? std::size_t{1} : std::size_t{0}),
          "a connection's options are sent once");
    std::size_t cookies = 0;
    for (const PlainField& field : sent.fields) {
        check(!is_session_field(situation.rules, field.key), "no session field reaches a client");
        if (field.key == "set-cookie" && sets_cookie(field.value, "JSESSIONID")) ++cookies;
    }
    if (!situation.rules.cookie.empty()) {
        const bool ours = final && !situation.added.empty();
        check(cookies == (ours ? std::size_t{1} : std::size_t{0}),
              "the session cookie is set by us alone");
    }
}

HeadLimits wide_limits() {
    HeadLimits limits;
    limits.head = std::size_t{1} << 20;
    limits.fields = 1000;
    return limits;
}

void check_sent(const Situation& situation, const Sent& sent, bool final) {
    check(sent.received.reading == Reading::good, "what is taken of a server keeps the rules");
    const PlainHead plain = read_plain_head(HeadGuard::Kind::response, sent.head, wide_limits());
    check(plain.size == sent.head.size(), "a head ends where it ends");
    check_sent_head(situation, plain, final);
    check(plain.status == sent.received.status, "the status goes on as it is");
    check_same(plain.reason, sent.received.reason, "the reason goes on as it is");
    const Expected expected = expect(situation, sent, final);
    check_same_fields(plain, expected.fields);
    check(sent.dropped == expected.dropped, "cookies that are dropped count");
}

// The server's body in the plain reading.
PlainBody original_body(const Situation& situation, const Exchange& exchange) {
    const PlainHead& plain = exchange.final->received;
    const bool none =
        situation.head || plain.status < 200 || plain.status == 204 || plain.status == 304;
    PlainBody body = read_plain_body(exchange.rest, none ? Body{} : plain.body);
    if (!none && plain.body.framing == Framing::until_close && !situation.orderly)
        body.reading = Reading::cut;
    return body;
}

void run(Input input) {
    const Situation situation{input};
    const Exchange exchange = Forwarder{situation}.run(input.bytes());
    for (const Sent& interim : exchange.interims) check_sent(situation, interim, false);
    if (!exchange.final) return;
    const Sent& sent = *exchange.final;
    check_sent(situation, sent, true);

    const PlainBody original = original_body(situation, exchange);
    const bool good = original.reading == Reading::good;
    check(exchange.complete == good || (good && original.refusable),
          "what is whole looks whole, and nothing else");
    const std::string all = sent.head + exchange.body;
    check_reads_alike(HeadGuard::Kind::response, situation.asked(), wide_limits(), all,
                      exchange.complete);
    check_body(all, sent.body, original, exchange.complete);
}

}  // namespace

std::optional<Seed> seed_of(const test::Row& row) {
    if (row.kind != HeadGuard::Kind::response) return {};
    return Seed{row.bytes};
}

}  // namespace baton::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    baton::fuzz::run({data, size});
    return 0;
}
