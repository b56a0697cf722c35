#pragma once

// What a client is told where no server's answer can be passed on. Pure functions.

#include <string>
#include <string_view>

#include "net/result.h"

namespace baton {

// Appends a whole answer of our own.
struct OwnReply {
    Fault fault;
    std::string_view request_id;
    bool close = false;
    bool head_only = false;  // an answer to HEAD: the fields without the body
};
void append_reply(std::string& out, const OwnReply& reply);

// What a status is called (RFC 9110, 15), of those we send.
std::string_view reason_of(int status) noexcept;

}  // namespace baton
