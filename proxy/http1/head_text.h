#pragma once

// Heads as the text of HTTP/1.1 (RFC 9112), appended to a buffer. A line that says what we would say, in the
// same bytes, is copied. Pure functions.

#include <cstddef>
#include <string>
#include <string_view>

#include "proxy/head/reply.h"
#include "proxy/head/request_head.h"
#include "proxy/head/response_head.h"

namespace baton {

// Appends the head. Returns the number of session fields that were dropped.
std::size_t append_request_head(std::string& out, const ForwardRequest& request);

// Appends the head. Returns the number of Set-Cookie fields that were dropped.
std::size_t append_response_head(std::string& out, const ForwardResponse& response);

// How an answer of our own is written.
struct ReplyTo {
    std::string_view date_line;  // ready-made
    bool client_is_1_0 = false;  // must be told when the connection stays open
    bool close = false;          // say that the connection ends
    bool head_only = false;      // an answer to HEAD: the fields without the body
};
// Appends it whole.
void append_reply(std::string& out, const Reply& reply, const ReplyTo& to);

}  // namespace baton
