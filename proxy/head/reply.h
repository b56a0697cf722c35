#pragma once

// Answers of baton's own, as values: each protocol writes them in its way.

#include <string>
#include <string_view>

#include "net/result.h"

namespace baton {

struct Reply {
    int status = 200;
    std::string_view content_type = "text/plain; charset=utf-8";  // empty: there is no body
    std::string body;
    std::string fields;            // further ones, as `add` writes them
    bool ends_connection = false;  // the client's, whatever else would let it go on

    void add(std::string_view name, std::string_view value);
};

// A status and its reason in words, as the body.
Reply plain_reply(int status);
// What a client is told where no server's answer can be passed on. `cookie`: the value of a Set-Cookie;
// empty: none.
Reply fault_reply(Fault fault, std::string_view request_id, std::string_view cookie);
// The answer to an OPTIONS that may go no further (RFC 9110, 7.6.2 and 9.3.7); no fault.
Reply options_reply(std::string_view request_id);

// What a status is called (RFC 9110, 15), of those we send.
std::string_view reason_of(int status) noexcept;

}  // namespace baton
