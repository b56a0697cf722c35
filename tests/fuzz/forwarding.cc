#include "tests/fuzz/forwarding.h"

#include <algorithm>
#include <iterator>

#include "tests/fuzz/check.h"
#include "tests/fuzz/input.h"

namespace baton::fuzz {

bool is_one_of(std::string_view key, std::initializer_list<std::string_view> keys) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

std::string_view prefix_of(unsigned choice) {
    constexpr std::string_view prefixes[] = {"Baton-Session-", "X-Sess-", "_S-", "b-"};
    return prefixes[choice % std::size(prefixes)];
}

bool is_of_connection(std::string_view key) {
    return is_one_of(key, {"host", "content-length", "transfer-encoding", "connection",
                           "keep-alive", "proxy-connection", "te", "trailer", "upgrade"});
}

// `_` and `-` are the same to servers that make variables of names.
bool is_session_field(const Rules& rules, std::string_view key) {
    std::string name{key};
    std::string prefix = lower(rules.prefix);
    std::replace(name.begin(), name.end(), '_', '-');
    std::replace(prefix.begin(), prefix.end(), '_', '-');
    return name.starts_with("baton-") || name.starts_with(prefix);
}

bool is_named(const PlainHead& head, std::string_view key) {
    const auto names = head.connection();
    return std::find(names.begin(), names.end(), key) != names.end();
}

bool take_out_cookie(std::string& value, std::string_view cookie) {
    std::string left;
    bool taken = false, any = false, first = true;
    for (const std::string& pair : split(value, ';')) {
        if (trim(split(pair, '=')[0]) == cookie) {
            taken = true;
            continue;
        }
        left += first ? pair : ";" + pair;
        any = any || !trim(pair).empty();
        first = false;
    }
    // Blanks around a value mean nothing.
    value = taken ? trim(left) : value;
    return any;
}

void append_written(std::string& out, const WriteList& list) {
    std::size_t bytes = 0;
    for (const iovec& piece : list.view()) {
        check(piece.iov_len > 0, "no empty piece is written");
        out.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
        bytes += piece.iov_len;
    }
    check(bytes == list.bytes(), "a write is as long as it says");
}

void check_same_fields(const PlainHead& sent, const std::vector<std::string>& expected) {
    for (std::size_t i = 0; i < std::max(sent.fields.size(), expected.size()); ++i) {
        std::string found = "(no field)";
        if (i < sent.fields.size()) found = sent.fields[i].name + ": " + sent.fields[i].value;
        check_same(found, i < expected.size() ? expected[i] : "(no field)",
                   "what goes on goes on in order and as it is, and nothing else");
    }
}

void check_reads_alike(HeadGuard::Kind kind, HttpParser::Asked asked, const HeadLimits& limits,
                       std::string_view sent, bool complete) {
    HttpParser parser{kind, limits};
    parser.answer_to(asked);
    const Exact whole{sent};
    Head head;
    const auto size = parser.read_head(whole.view(), head);
    check(size && *size > 0, "another proxy takes the head");
    check_same_head(head, read_plain_head(kind, sent, limits));

    std::string_view rest = sent.substr(*size);
    for (const std::string_view piece : in_pieces(rest, Cut::often)) {
        Exact read{piece};
        Pieces pieces;
        const auto taken = parser.read_body(read.span(), pieces);
        check(static_cast<bool>(taken), "another proxy takes the body");
        check(*taken == piece.size(), "nothing stands behind a message");
    }
    const bool whole_there = parser.complete() || (complete && parser.end_of_input());
    check(whole_there == complete, "another proxy sees the end of a message as we do");
}

void check_body(std::string_view sent, const Body& framing, const PlainBody& original,
                bool complete) {
    const std::string_view bytes = sent.substr(sent.find("\r\n\r\n") + 4);
    const PlainBody body = read_plain_body(bytes, framing);
    if (complete) {
        check_same(body.data, original.data, "the body goes on as it is");
        check(body.reading == Reading::good && body.size == bytes.size(),
              "the body ends where it ends");
        return;
    }
    const std::string_view begun = std::string_view{original.data}.substr(0, body.data.size());
    check_same(body.data, begun, "a part of the body goes on as it is");
    check(body.reading == Reading::cut || framing.framing == Framing::until_close,
          "a message that is cut does not look whole");
    check(!body.extended, "neither extensions nor trailers go on");
}

}  // namespace baton::fuzz
