#pragma once

// What a client is told where no server's answer can be passed on. Pure functions.

#include <string>
#include <string_view>

#include "net/result.h"

namespace baton {

// An answer of our own.
struct OwnReply {
    Fault fault = Fault::bad_request;
    std::string_view request_id;
    std::string_view date_line;  // ready-made
    std::string_view added;      // ready-made lines
    bool close = false;
    bool client_is_1_0 = false;  // is told if the connection goes on
    bool head_only = false;      // an answer to HEAD: the fields without the body
};
// Appends it whole.
void append_reply(std::string& out, const OwnReply& reply);
// The answer to an OPTIONS that may go no further (RFC 9110, 7.6.2 and 9.3.7); no fault.
void append_options_reply(std::string& out, const OwnReply& reply);

// What a status is called (RFC 9110, 15), of those we send.
std::string_view reason_of(int status) noexcept;

}  // namespace baton
