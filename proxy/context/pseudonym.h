#pragma once

// The name under which this process stands in Via (RFC 9110, 7.6.3).

#include <string_view>

namespace baton {

// "baton-" and 16 hex digits, of 8 random bytes: made at the first call, the same for all threads of
// the process and for no other process.
std::string_view pseudonym();

}  // namespace baton
