#pragma once

// What requests and answers that are sent on have in common, in the plain way of tests/fuzz/plain.h.

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/http_parser.h"
#include "proxy/http1/write_list.h"
#include "tests/fuzz/plain.h"

namespace baton::fuzz {

// Of sessions: what no peer may send past the proxy.
struct Rules {
    std::string_view prefix;
    std::string_view cookie;  // empty: none
};
std::string_view prefix_of(unsigned choice);  // 0 to 3

bool is_one_of(std::string_view key, std::initializer_list<std::string_view> keys);
// Keys are names in lower case.
bool is_of_connection(std::string_view key);
bool is_session_field(const Rules& rules, std::string_view key);
bool is_named(const PlainHead& head, std::string_view key);  // by its Connection

// Takes the cookie out of a Cookie field's value; false if no other is left.
bool take_out_cookie(std::string& value, std::string_view cookie);

// Appends what is written, as the system does: the list must be as long as it says.
void append_written(std::string& out, const WriteList& list);

// `expected`: "NAME: VALUE", in order.
void check_same_fields(const PlainHead& sent, const std::vector<std::string>& expected);

// That another proxy of this kind reads in `sent` one message, `complete` or not, and nothing else,
// and that guard and plain reading agree about it.
void check_reads_alike(HeadGuard::Kind kind, HttpParser::Asked asked, const HeadLimits& limits,
                       std::string_view sent, bool complete);

// That the body behind the head that begins `sent`, framed as said, is the original's: all of it if
// it is `complete`, else its beginning without its end.
void check_body(std::string_view sent, const Body& framing, const PlainBody& original,
                bool complete);

}  // namespace baton::fuzz
