// A request through the proxy: what is received is rebuilt, and what a server would read of it is
// what the client sent, less what does not go on, and no second request.

#include <algorithm>
#include <array>
#include <cstdint>
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

constexpr std::string_view listener_host = "10.0.0.9:9000";
constexpr std::string_view request_id = "the-id";
constexpr std::string_view via_line = "Via: 1.1 baton-0123456789abcdef\r\n";

// How the proxy is set up, and how the client's connection is.
struct Situation {
    explicit Situation(Input& input)
        : limits(limits_for(input.flag())),
          trusted(input.flag()),
          secure(input.flag()),
          keep_underscores(input.flag()),
          sessions(input.flag()),
          websocket(input.flag()),
          held_reads(input.pick(4)),
          cut(static_cast<Cut>(input.pick(4))),
          rules({.prefix = prefix_of(input.pick(4)), .cookie = sessions ? "JSESSIONID" : ""}) {}

    const HeadLimits& limits;
    bool trusted;
    bool secure;
    bool keep_underscores;
    bool sessions;
    bool websocket;
    unsigned held_reads;  // before the server's connection is there
    Cut cut;              // how the client's bytes come
    Rules rules;
};

std::vector<std::string> session_lines(const Situation& situation) {
    if (!situation.sessions) return {};
    const std::string prefix{situation.rules.prefix};
    return {prefix + "State: live", prefix + "Id: 0123456789ABCDEF0123456789ABCDEF",
            prefix + "Data: a=b&c=%0D%0A"};
}

bool is_websocket(const Situation& situation, const PlainHead& plain) {
    if (!situation.websocket || plain.method != "GET" || plain.minor == 0) return false;
    if (plain.body.framing != Framing::none || lower(plain.value("upgrade")) != "websocket")
        return false;
    const auto names = plain.connection();
    return std::find(names.begin(), names.end(), "upgrade") != names.end();
}

// The client's side of the proxy and the relay's request side.
struct Exchange {
    bool taken = false;       // the head
    bool complete = false;    // the request
    std::string sent;         // to the server
    std::size_t dropped = 0;  // session fields
};

class Forwarder {
public:
    Forwarder(const Situation& situation, const PlainHead& plain)
        : situation_(situation), plain_(plain) {}

    Exchange run(std::string_view bytes) {
        HttpParser parser{HeadGuard::Kind::request, situation_.limits};
        const Exact received{bytes};
        const auto size = parser.read_head(received.view(), head_);
        if (!size || *size == 0) return exchange_;
        connection_.read(head_);
        if (connection_.too_many) return exchange_;
        exchange_.taken = true;
        body_ = parser.body();

        unsigned reads = 0;
        send_or_hold(reads++, {}, parser.complete());
        for (const std::string_view piece : in_pieces(bytes.substr(*size), situation_.cut)) {
            if (parser.complete()) break;
            Exact read{piece};
            Pieces pieces;
            const auto taken = parser.read_body(read.span(), pieces);
            if (!taken) return exchange_;  // the rest of it never comes
            send_or_hold(reads++, pieces, parser.complete());
        }
        exchange_.complete = parser.complete();
        return exchange_;
    }

private:
    void send_or_hold(unsigned reads, const Pieces& pieces, bool complete) {
        if (reads < situation_.held_reads && !complete) {
            for (const std::string_view piece : pieces.view()) held_.append(piece);
            return;
        }
        WriteList list;
        std::array<std::string_view, 24> data;
        std::size_t count = 0;
        std::size_t bytes = pieces.bytes();
        if (exchange_.sent.empty()) {
            append_head();
            list.add(head_out_);
            data[count++] = held_;
            bytes += held_.size();
        }
        for (const std::string_view piece : pieces.view()) data[count++] = piece;
        list.add_body({data.data(), count}, bytes, body_.framing);
        if (complete) list.add_end(body_.framing);
        append_written(exchange_.sent, list);
    }

    void append_head() {
        Peer peer;
        peer.host = "192.0.2.1";
        peer.local_port = 8080;
        peer.secure = situation_.secure;
        peer.trusted = situation_.trusted;
        std::string lines;
        for (const std::string& line : session_lines(situation_)) lines.append(line + "\r\n");
        exchange_.dropped =
            append_request_head(head_out_, {.head = &head_,
                                            .connection = &connection_,
                                            .to = destination_of(head_),
                                            .listener_host = listener_host,
                                            .peer = &peer,
                                            .body = body_,
                                            .request_id = request_id,
                                            .via_line = via_line,
                                            .session_prefix = situation_.rules.prefix,
                                            .session_fields = lines,
                                            .session_cookie = situation_.rules.cookie,
                                            .keep_underscores = situation_.keep_underscores,
                                            .websocket = is_websocket(situation_, plain_)});
    }

    const Situation& situation_;
    const PlainHead& plain_;
    Head head_;
    ConnectionOptions connection_;
    Body body_;
    std::string head_out_;
    std::string held_;
    Exchange exchange_;
};

// RFC 9112, 3.2 and 3.3.
struct Expected {
    std::string method, path;
    std::string host;  // may be empty
    std::vector<std::string> fields;
    std::size_t session_fields = 0;  // of the client, dropped
};

void set_destination(const PlainHead& plain, Expected& expected) {
    expected.host = plain.value("host");
    expected.path = plain.target;
    if (!plain.target.starts_with('/') && plain.target != "*") {
        const std::size_t begin = plain.target.find("//") + 2;
        const std::size_t end = plain.target.find_first_of("/?", begin);
        expected.host = plain.target.substr(begin, end - begin);
        expected.path = end == plain.target.npos ? "" : plain.target.substr(end);
        if (!expected.path.starts_with('/')) {
            const bool asterisk = expected.path.empty() && plain.method == "OPTIONS";
            expected.path = asterisk ? "*" : "/" + expected.path;
        }
    }
}

// Nothing if it is no number that fits.
std::optional<std::uint64_t> number_of(const std::string& text) {
    if (text.empty() || text.find_first_not_of("0123456789") != text.npos) return {};
    const std::string digits = text.substr(std::min(text.find_first_not_of('0'), text.size() - 1));
    const std::string most = "18446744073709551615";
    const bool fits =
        digits.size() < most.size() || (digits.size() == most.size() && digits <= most);
    return fits ? std::optional<std::uint64_t>{std::stoull(digits)} : std::nullopt;
}

std::optional<std::uint64_t> max_forwards(const PlainHead& plain) {
    if (plain.method != "OPTIONS" || plain.count("max-forwards") != 1) return {};
    return number_of(plain.value("max-forwards"));
}

// Whether and how a field goes on, other than those that are written anew.
bool passes(const Situation& situation, const PlainHead& plain, PlainField& field,
            Expected& expected) {
    if (is_of_connection(field.key)) return false;
    if (is_session_field(situation.rules, field.key)) {
        ++expected.session_fields;
        return false;
    }
    if (!situation.keep_underscores && field.key.find('_') != std::string::npos) return false;
    if (is_one_of(field.key, {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
                              "x-forwarded-port", "x-request-id"})) {
        return false;
    }
    if (is_one_of(field.key, {"forwarded", "x-real-ip"})) return situation.trusted;
    if (field.key == "expect") return plain.minor == 1;
    if (field.key == "max-forwards") return !max_forwards(plain);
    if (field.key == "cookie" && !situation.rules.cookie.empty()) {
        return take_out_cookie(field.value, situation.rules.cookie);
    }
    const bool stays = is_one_of(
        field.key, {"cookie", "set-cookie", "authorization", "cache-control", "via", "date"});
    return stays || !is_named(plain, field.key);
}

bool is_port(const std::string& text) {
    const auto number = number_of(text);
    return number && *number > 0 && *number <= 65535;
}

void add_forwarding(const Situation& situation, const PlainHead& plain, Expected& expected) {
    const auto told = [&](const char* key) {
        return situation.trusted ? trim(split(plain.value(key), ',')[0]) : std::string{};
    };
    std::string scheme = lower(told("x-forwarded-proto"));
    if (scheme == "wss") scheme = "https";
    if (scheme == "ws") scheme = "http";
    const bool scheme_told = scheme == "https" || scheme == "http";
    if (!scheme_told) scheme = situation.secure ? "https" : "http";
    const std::string told_host = told("x-forwarded-host");
    const std::string host = told_host.empty() ? expected.host : told_host;
    std::string port = told("x-forwarded-port");
    if (!is_port(port)) {
        port = "8080";
        if (scheme_told || !told_host.empty()) {
            const std::size_t begin = host.rfind(']') == host.npos ? 0 : host.rfind(']');
            const std::size_t colon = host.find(':', begin);
            port = colon == host.npos ? "" : host.substr(colon + 1);
            if (!is_port(port)) port = scheme == "https" ? "443" : "80";
        }
    }
    std::string addresses;
    for (const PlainField& field : plain.fields) {
        if (situation.trusted && field.key == "x-forwarded-for" && !field.value.empty())
            addresses += field.value + ", ";
    }
    expected.fields.push_back("X-Forwarded-For: " + addresses + "192.0.2.1");
    expected.fields.push_back("X-Forwarded-Proto: " + scheme);
    if (!host.empty()) expected.fields.push_back("X-Forwarded-Host: " + host);
    expected.fields.push_back("X-Forwarded-Port: " + port);
    expected.fields.push_back("X-Request-Id: " + std::string{request_id});
    expected.fields.emplace_back("Via: 1.1 baton-0123456789abcdef");
}

Expected expect(const Situation& situation, const PlainHead& plain) {
    Expected expected;
    expected.method = plain.method;
    set_destination(plain, expected);
    expected.fields.push_back("Host: " +
                              (expected.host.empty() ? std::string{listener_host} : expected.host));
    for (PlainField field : plain.fields) {
        if (passes(situation, plain, field, expected))
            expected.fields.push_back(field.name + ": " + field.value);
    }
    if (const auto left = max_forwards(plain))
        expected.fields.push_back("Max-Forwards: " + std::to_string(*left == 0 ? 0 : *left - 1));
    add_forwarding(situation, plain, expected);
    if (plain.body.framing == Framing::length)
        expected.fields.push_back("Content-Length: " + std::to_string(plain.body.length));
    if (plain.body.framing == Framing::chunked)
        expected.fields.emplace_back("Transfer-Encoding: chunked");
    for (const std::string& line : session_lines(situation)) expected.fields.push_back(line);
    if (is_websocket(situation, plain)) {
        expected.fields.emplace_back("Connection: Upgrade");
        expected.fields.emplace_back("Upgrade: websocket");
    }
    return expected;
}

// What holds of each request that is sent, whatever was received.
void check_sent_head(const Situation& situation, const PlainHead& sent) {
    check(sent.reading == Reading::good, "what is sent on keeps the rules");
    check(sent.minor == 1, "a server is asked with HTTP/1.1");
    check(sent.count("host") == 1, "one Host is sent on");
    check(sent.count("content-length") + sent.count("transfer-encoding") <= 1,
          "a request is framed one way");
    for (const char* key : {"keep-alive", "proxy-connection", "te", "trailer"})
        check(sent.count(key) == 0, "a field of one connection is not sent on");
    check(sent.count("connection") == sent.count("upgrade") && sent.count("upgrade") <= 1,
          "a connection's options are sent with an upgrade only");
    check(sent.count("x-forwarded-host") <= 1, "a forwarded host is there once");
    for (const char* key :
         {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-request-id"})
        check(sent.count(key) == 1, "a field that says who asked is there, once");
    const auto ours = session_lines(situation);
    std::size_t session_fields = 0;
    for (const PlainField& field : sent.fields) {
        const bool session = is_session_field(situation.rules, field.key);
        if (session) ++session_fields;
        if (!session && !situation.keep_underscores)
            check(field.name.find('_') == std::string::npos, "no underscore is sent on");
        if (field.key != "cookie" || situation.rules.cookie.empty()) continue;
        for (const std::string& pair : split(field.value, ';'))
            check(trim(split(pair, '=')[0]) != situation.rules.cookie,
                  "no server sees the session cookie");
    }
    check(session_fields == ours.size(), "a server sees no session field but ours");
}

void check_sent(const Situation& situation, const PlainHead& plain, const Exchange& exchange) {
    HeadLimits limits;
    limits.head = limits.request_line = std::size_t{1} << 20;
    limits.fields = 1000;
    const PlainHead sent = read_plain_head(HeadGuard::Kind::request, exchange.sent, limits);
    check_sent_head(situation, sent);
    const Expected expected = expect(situation, plain);
    check_same(sent.method, expected.method, "the method goes on as it is");
    check_same(sent.target, expected.path, "the path goes on as it is");
    check_same_fields(sent, expected.fields);
    check(exchange.dropped == expected.session_fields, "session fields that are dropped count");
    check(sent.body.framing == plain.body.framing && sent.body.length == plain.body.length,
          "a request is framed as it was");
    check_reads_alike(HeadGuard::Kind::request, {}, limits, exchange.sent, exchange.complete);
}

void run(Input input) {
    const Situation situation{input};
    const std::string_view bytes = input.bytes();
    const PlainHead plain = read_plain_head(HeadGuard::Kind::request, bytes, situation.limits);
    const Exchange exchange = Forwarder{situation, plain}.run(bytes);
    if (exchange.taken) check(plain.reading == Reading::good, "what is taken keeps the rules");
    if (exchange.sent.empty()) return;
    check_sent(situation, plain, exchange);

    const PlainBody body =
        read_plain_body(bytes.substr(plain.size), plain.body, situation.limits.body_max);
    const bool good = body.reading == Reading::good;
    check(exchange.complete == good || (good && body.refusable),
          "what is whole looks whole, and nothing else");
    check_body(exchange.sent, plain.body, body, exchange.complete);
}

}  // namespace

std::optional<Seed> seed_of(const test::Row& row) {
    if (row.kind != HeadGuard::Kind::request) return {};
    return Seed{row.bytes};
}

}  // namespace baton::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    baton::fuzz::run({data, size});
    return 0;
}
