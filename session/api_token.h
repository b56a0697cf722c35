#pragma once

// The secrets by which servers identify themselves to the session API. Each is bound to one scope:
// it reads and writes the sessions of that scope and of no other.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

struct ApiToken {
    std::string scope;
    std::array<std::uint8_t, 32> digest;  // SHA-256: the token itself is kept nowhere
};

// The tokens of a file's text: a line each, scope and token with blanks between; empty lines and
// lines that begin with # mean nothing; no token stands there twice. A token is 32 to 256 letters,
// digits and "-._~+/=" (RFC 6750, 2.1), so that it can hold 128 bits. A mistake comes out as
// `complaint` ("line 2: ..."), which never holds a token.
std::vector<ApiToken> parse_api_tokens(std::string_view text, std::string& complaint);

// The scope that an Authorization field's value ("Bearer ...") gives access to; empty if it gives
// none. Takes as long for a wrong token as for a right one.
std::string_view scope_of(const std::vector<ApiToken>& tokens,
                          std::string_view authorization) noexcept;

}  // namespace baton
