#pragma once

// HTTP/1.1 read in the plainest way, to compare with: a line at a time, everything copied, written
// down from the grammar (RFC 9110, RFC 9112) and the promises of net/http/head_guard.h. It shares the
// names of types with the program, and none of its functions.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/head_guard.h"
#include "net/http/http_head.h"

namespace baton::fuzz {

enum class Reading : std::uint8_t { good, bad, cut };

struct PlainField {
    std::string name, value;
    std::string key;   // the name in lower case
    std::string tail;  // the blanks behind the value
};

struct PlainHead {
    Reading reading = Reading::cut;
    std::size_t size = 0;
    std::string method, target, reason;
    int minor = 1;
    int status = 0;
    std::vector<PlainField> fields;
    Body body;

    std::size_t count(std::string_view key) const;
    // The first of this name, or nothing.
    std::string value(std::string_view key) const;
    // What the Connection fields name, in lower case, without empty elements.
    std::vector<std::string> connection() const;
};
PlainHead read_plain_head(HeadGuard::Kind kind, std::string_view bytes, const HeadLimits& limits);

struct PlainBody {
    Reading reading = Reading::cut;
    std::size_t size = 0;  // of what was read, if it is good
    std::string data;      // as far as it is good
    bool too_large = false;
    bool extended = false;  // chunks hold more than data: extensions or trailers
    // The framing is good, but llhttp knows less of extensions and trailers than RFC 9112, 7.1
    // allows, and the parser puts up with so much that is no data.
    bool refusable = false;
};
// `most`: 0, or how much may be announced. A body until close is good with all there is.
PlainBody read_plain_body(std::string_view bytes, const Body& body, std::uint64_t most = 0);

std::string lower(std::string_view text);
std::string trim(std::string_view text);  // of blanks
std::vector<std::string> split(std::string_view text, char separator);

// That the program reads the head as it is read here.
void check_same_head(const Head& head, const PlainHead& plain);

}  // namespace baton::fuzz
