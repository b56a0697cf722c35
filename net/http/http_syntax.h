#pragma once

// Small pieces of the grammar of HTTP/1.1: which bytes may stand where, numbers, hosts, methods.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "net/http/http_head.h"

namespace baton {

// What a byte may be part of; a byte has any number of these.
enum : std::uint8_t {
    in_name = 1,    // a token (RFC 9110, 5.6.2): field names, methods
    in_target = 2,  // visible ASCII but `#`: a target has no fragment (RFC 9112, 3.2)
    in_value = 4,   // TAB, SP, visible ASCII, obs-text (RFC 9110, 5.5)
    in_host = 8,    // of a name or an IPv4 address
    is_underscore = 16,
};
extern const std::array<std::uint8_t, 256> byte_classes;

inline std::uint8_t class_of(char c) noexcept {
    return byte_classes[static_cast<unsigned char>(c)];
}

// 1*DIGIT that fits (RFC 9110, 8.6); leading zeros are legal.
std::optional<std::uint64_t> parse_length(std::string_view text) noexcept;

// host [":" port]. A host is a bracketed IPv6 address, or letters, digits and `-._~`: RFC 3986,
// 3.2.2 would allow percent-encoding and `!$&'()*+,;=` too, but no name that resolves holds them,
// and a server may take `,` or `;` for a list. The port is 0 to 65535, or nothing after its colon.
bool is_authority(std::string_view text) noexcept;

// The authority of an absolute http or https target; nothing for any other target
// (RFC 9112, 3.2.2). It may be invalid.
std::optional<std::string_view> authority_of(std::string_view target) noexcept;

// By name; letter case counts (RFC 9110, 9.1). `unknown` if llhttp does not know it either.
Method method_of(std::string_view text) noexcept;

}  // namespace baton
