#pragma once

// Base64 with padding (RFC 4648, 4): how values that are no text stand in JSON.

#include <optional>
#include <string>
#include <string_view>

namespace baton {

std::string to_base64(std::string_view bytes);
// Nothing if it is not whole groups of four with padding at the end only.
std::optional<std::string> from_base64(std::string_view text);

// Whether the bytes are well-formed UTF-8 (RFC 3629): no overlong forms, surrogates, or values beyond
// U+10FFFF.
bool is_utf8(std::string_view bytes) noexcept;

}  // namespace baton
