#pragma once

// application/x-www-form-urlencoded: the one encoding that every language reads and writes with its
// standard library.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace baton {

// Appends a name or a value: [A-Za-z0-9._~-] as they are, blank as +, the rest as %XX.
void append_encoded(std::string& out, std::string_view text);

// How many bytes that are.
std::size_t encoded_size(std::string_view text) noexcept;

// The reverse, for one name or value: + and %XX are decoded, in either letter case, all other bytes
// stay as they are. Nothing if a % is not followed by two hex digits. The string has no spare
// memory.
std::optional<std::string> decoded(std::string_view text);

}  // namespace baton
