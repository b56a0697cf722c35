#pragma once

// Dates in fields (RFC 9110, 5.6.7).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baton {

// Seconds since 1970, from any of the three forms that a recipient must understand. Nothing if the
// text is none of them.
std::optional<std::int64_t> parse_http_date(std::string_view text) noexcept;

// Appends "Sun, 06 Nov 1994 08:49:37 GMT" of seconds since 1970; up to the year 9999.
void append_http_date(std::string& out, std::int64_t epoch_s);

}  // namespace baton
