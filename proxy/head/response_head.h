#pragma once

// The head that a client is sent: written anew, field by field, from what a server sent (RFC 9110, 7.6). The
// walk over the fields decides; a sink writes them down in the client's protocol, as in request_head.h.
//
// Pure functions.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

#include "net/http/cache_control.h"
#include "net/http/head_guard.h"
#include "net/http/http_head.h"
#include "proxy/head/field_rules.h"
#include "session/cookie.h"

namespace baton {

struct ForwardResponse {
    const Head* head = nullptr;
    const ConnectionOptions* connection = nullptr;  // the head's
    Body body;                                      // what follows, as the client is sent it
    bool keep_length = false;  // no body follows (HEAD, 304), but its Content-Length is passed on
    bool client_is_1_0 = false;
    bool close = false;               // say that the connection ends
    bool upgrade = false;             // a 101
    std::string_view session_prefix;  // fields that begin with it are dropped
    std::string_view session_cookie;  // a Set-Cookie of this name is dropped; empty: none
    std::span<const std::string_view> other_cookies;  // and of these, if there is one
    std::string_view date_line;  // ready-made, for a head without Date (RFC 9110, 6.6.1)
    // The value of a Set-Cookie of ours; empty: none. With it no cache that serves others may keep the answer
    // (RFC 9111, 7.3): Cache-Control gains private, or is no-store where none came.
    std::string_view cookie;
};

// Whether the length goes on as it came: as we would write it, without zeros in front.
inline bool keeps_length(const ForwardResponse& response, const Field& field) noexcept {
    if (field.id != FieldName::content_length) return false;
    if (response.keep_length) return true;
    return response.body.framing == Framing::length &&
           (field.value.size == 1 || response.head->bytes[field.value.begin] != '0');
}
// Whether a Set-Cookie is of a session's cookie, which no server sets.
bool sets_session_cookie(std::string_view set_cookie, const ForwardResponse& response) noexcept;
// The value of a Cache-Control of a response for one client; the `first` of them says so. False if nothing
// is left to be said.
bool append_private(std::string& out, std::string_view value, bool first);

// Writes all fields but those of the connection. Returns the number of Set-Cookie fields that were dropped.
template <class Sink>
std::size_t write_response_fields(const ForwardResponse& response, Sink& sink) {
    const Head& head = *response.head;
    const SessionNames session{response.session_prefix};
    const bool personal = !response.cookie.empty();
    const bool made_private = personal && !refuses_sharing(head);
    bool cache_control = false;
    bool length_written = false;
    std::size_t dropped = 0;
    for (const Field& field : head.fields) {
        if (keeps_length(response, field)) {
            sink.pass(head, field);
            length_written = true;
            continue;
        }
        if (is_hop_by_hop(field.id) || is_dropped(*response.connection, head, field)) continue;
        if (session.has(head.text(field.name))) continue;
        if (field.id == FieldName::set_cookie && !response.session_cookie.empty() &&
            sets_session_cookie(head.text(field.value), response)) {
            ++dropped;
            continue;
        }
        if (personal && is_for_shared_caches(head.text(field.name))) continue;
        const bool controls = field.id == FieldName::cache_control;
        if (controls && made_private)
            sink.compose(head.text(field.name), [&](std::string& out) {
                return append_private(out, head.text(field.value), !cache_control);
            });
        else
            sink.pass(head, field);
        cache_control = cache_control || controls;
    }
    if (!length_written) sink.framing(response.body);
    if (!head.has(FieldName::date)) sink.lines(response.date_line);
    if (!personal) return dropped;
    sink.add("Set-Cookie", response.cookie);
    if (!cache_control) sink.add("Cache-Control", "no-store");
    return dropped;
}

}  // namespace baton
