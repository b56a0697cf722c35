#pragma once

// Where a request goes, and whether it may. Pure functions of its head.

#include <cstdint>
#include <optional>
#include <string_view>

#include "net/http/http_head.h"

namespace baton {

// Where a request goes, taken from its target and Host field (RFC 9112, 3.2).
struct Destination {
    // The authority of an absolute target, else the Host field; may be empty in HTTP/1.0.
    std::string_view host;
    std::string_view path;       // origin form or "*"; "" where an absolute target has none
    bool slash_missing = false;  // the path is to be written with a "/" before it ("http://a?q")
};
Destination destination_of(const Head& head) noexcept;

// What its Max-Forwards say: nothing if that is no number, or said twice.
std::optional<std::uint64_t> max_forwards_of(const Head& head) noexcept;

// How many more times an OPTIONS may be forwarded (Max-Forwards; RFC 9110, 7.6.2). Nothing if it does
// not say so, or not in a number, or twice; other methods may not mean it.
inline std::optional<std::uint64_t> forwards_left(const Head& head) noexcept {
    if (head.method != Method::options || !head.has(FieldName::max_forwards)) return {};
    return max_forwards_of(head);
}

// Whether a request has been here before: whether its Via names `pseudonym` (RFC 9110, 7.6.3).
bool is_loop(const Head& head, std::string_view pseudonym) noexcept;

// Whether X-Request-Id may be passed on: 1 to 128 of [A-Za-z0-9._-].
bool is_request_id(std::string_view text) noexcept;

}  // namespace baton
