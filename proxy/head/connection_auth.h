#pragma once

// Authentication of a connection instead of a request: NTLM, and Negotiate as Windows does it (RFC 4559).
// A server then knows whose a connection is, and nobody else's request may come on it. Pure functions.

#include "net/http/http_head.h"

namespace baton {

// Whether a response begins or goes on with it: a 401 with a challenge of such a scheme, in any of its
// WWW-Authenticate fields (RFC 9110, 11.6.1).
bool asks_connection_auth(const Head& response) noexcept;
// Whether a request does: its Authorization is of such a scheme.
bool has_connection_auth(const Head& request) noexcept;

}  // namespace baton
