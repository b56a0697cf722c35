#pragma once

// Answers in JSON of the admin listener.

#include <nlohmann/json.hpp>

#include "proxy/local_call.h"

namespace baton {

// Keys stay in the order they are written in.
using Json = nlohmann::ordered_json;

inline LocalReply json_reply(int status, const Json& body) {
    LocalReply reply;
    reply.status = status;
    reply.content_type = "application/json";
    // What is no UTF-8 (a server's text is the configuration's) is replaced, never an exception.
    reply.body = body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    return reply;
}

}  // namespace baton
