#pragma once

// Answers in JSON, of the admin listener and of the session API.

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "proxy/exchange/local_call.h"

namespace baton {

// Keys stay in the order they are written in.
using Json = nlohmann::ordered_json;
// Keys are sorted, and one is found without a walk over the others: for objects of any size.
using SortedJson = nlohmann::json;

// The only place that writes JSON. Bytes that are not UTF-8 are replaced (U+FFFD): the library's
// default is an exception, which ends the process when it leaves a callback.
template <class AnyJson>
Reply json_reply(int status, const AnyJson& body, std::string fields = {}) {
    Reply reply;
    reply.status = status;
    reply.content_type = "application/json";
    reply.body = body.dump(-1, ' ', false, AnyJson::error_handler_t::replace) + "\n";
    reply.fields = std::move(fields);
    return reply;
}
// So that a reply can be written down in braces.
inline Reply json_reply(int status, const Json& body, std::string fields = {}) {
    return json_reply<Json>(status, body, std::move(fields));
}

}  // namespace baton
