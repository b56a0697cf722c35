#pragma once

// What a text in the configuration may look like: pure questions about one value.

#include <string>
#include <string_view>

namespace baton {

bool is_cookie_name(std::string_view text);    // a token (RFC 6265, 4.1.1) of 1 to 128 characters
bool is_header_prefix(std::string_view text);  // 2 to 64 letters, digits and "-", the last one "-"
bool is_upstream_name(std::string_view text);  // 1 to 64 letters, digits, ".", "_" or "-"
bool is_route_name(std::string_view text);   // 1 to 128 printable ASCII, no blank, quote, backslash
bool is_path_prefix(std::string_view text);  // "/", then what may stand in a raw path
bool is_access_target(std::string_view text);  // "stdout", "off", or a path with a "/" in it

// A host of a route: "example.com", "*.example.com", "[::1]" or "*", lower case, without port and
// last dot.
bool is_host_pattern(std::string_view text);
// `text` as `is_host_pattern` wants it, if it is a matter of case or of one last dot.
std::string tidy_host(std::string_view text);

// Whether `text` names a server by a host name, which would have to be looked up: "app01:8080",
// "app01.example.com".
bool needs_lookup(std::string_view text);

}  // namespace baton
