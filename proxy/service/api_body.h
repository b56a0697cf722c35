#pragma once

// What the body of a POST or PATCH of the session API asks for. Pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config.h"
#include "session/id.h"
#include "session/store.h"

namespace baton {

struct SessionAsked {
    std::optional<SessionId> id;          // of a session to be made
    std::optional<std::int64_t> idle_ms;  // within idle_min and idle_max
    Attributes set;
    std::vector<std::string> unset;  // of a patch
};

enum class ApiCall : std::uint8_t { read, patch, create, rotate, kill };

struct ApiBody {
    SessionAsked asked;     // of use only without a complaint
    std::string complaint;  // the first one; names keys and attributes, never values
    int status = 400;       // of the complaint
};

// `call`: create, patch, or rotate, which takes no keys. The body is one JSON object (RFC 8259) in
// UTF-8 and nothing behind it, no key twice in one object, nested as deep as a session can be. Never
// throws for what stands in it.
ApiBody read_api_body(std::string_view body, ApiCall call, const SessionConfig& config);

// An id as it stands in a path or a body: neither quotes nor any other shape, it is no cookie.
std::optional<SessionId> bare_session_id(std::string_view text) noexcept;

}  // namespace baton
