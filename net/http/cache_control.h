#pragma once

// What a response says to caches that serve many people (RFC 9111; RFC 9213): whether they may keep
// it, and how it says that they may not. Pure functions.

#include <cstdint>
#include <string>
#include <string_view>

#include "net/http/http_head.h"

namespace baton {

// Whether its Cache-Control refuses them: private or no-store, without arguments (RFC 9111, 5.2.2.5
// and 5.2.2.7).
bool refuses_sharing(const Head& response) noexcept;
// Whether it invites them: public, s-maxage, max-age or an Expires in the future where nothing is
// refused, or a field for shared caches alone. `now_s`: seconds since 1970, for an Expires without a
// Date.
bool invites_sharing(const Head& response, std::int64_t now_s) noexcept;

// Whether only shared caches read the field: CDN-Cache-Control and others of that form (RFC 9213),
// Surrogate-Control (https://www.w3.org/TR/edge-arch/). They hold against any Cache-Control.
bool is_for_shared_caches(std::string_view field_name) noexcept;

// Appends the value of a Cache-Control field as it came, but without public, s-maxage and
// private="…". Nothing is appended where nothing is left.
void append_unshared(std::string& out, std::string_view cache_control);

}  // namespace baton
