#pragma once

// What is wrong with a head, as RFC 9112 and our strictness see it: with a byte that may not stand where it
// stands, and with fields that contradict each other. `Reason::none`: nothing. Pure functions.

#include <cstdint>
#include <string_view>

#include "net/http/http_head.h"
#include "net/reason.h"

namespace baton {

// How the body is framed (RFC 9112, 6.3).
enum class Framing : std::uint8_t { none, length, chunked, until_close };

struct Body {
    Framing framing = Framing::none;
    std::uint64_t length = 0;  // with Framing::length
};

// Of a byte that may stand nowhere here: `otherwise`, unless it is a line end without its CR.
Reason byte_reason(char c, Reason otherwise) noexcept;
// The word that a byte may not stand in: the method or the target.
Reason word_reason(char c, bool first, bool in_method) noexcept;
// Of the byte that ends a field's name in place of the colon, at its beginning or behind it.
Reason name_reason(char c, bool first) noexcept;

// How often the fields occur that decide about Host and framing, and the last value of each.
struct Census {
    int hosts = 0;
    int lengths = 0;
    int codings = 0;
    std::string_view host, length, coding;
    bool expects_oddly = false;
};
Census count(const Head& head) noexcept;

// The forms of RFC 9112, 3.2, that are accepted; its target is not empty.
Reason target_reason(const Head& head) noexcept;
// RFC 9112, 3.2: exactly one and valid. HTTP/1.0 did not know it: there it may be absent or empty.
Reason host_reason(const Head& head, const Census& census) noexcept;
// Fills `body`. RFC 9112, 6.1 and 6.3, without its leniencies: two lengths are refused even if they are
// equal, and so is a length beside a Transfer-Encoding, whose only accepted value is `chunked`.
Reason declare_body(const Head& head, const Census& census, Body& body) noexcept;
// Whether it is about a coding that we do not know (501), and not about a malformed head (400).
bool is_of_coding(Reason reason) noexcept;

}  // namespace baton
