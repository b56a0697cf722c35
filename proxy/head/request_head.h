#pragma once

// The head that a server is sent: written anew, field by field, from what was received (RFC 9110, 7.6). The
// walk over the fields decides; a sink writes them down in the server's protocol:
//
//     pass(head, field)     the field as it came
//     add(name, value)      a field of our own
//     compose(name, write)  one whose value `write(std::string&)` appends; none if it returns false
//     lines(text)           several, ready-made: "Name: value" and CRLF each
//     framing(body)         how the body is framed
//
// Pure functions.

#include <cstddef>
#include <span>
#include <string_view>

#include "net/http/head_guard.h"
#include "net/http/http_head.h"
#include "net/text.h"
#include "proxy/head/destination.h"
#include "proxy/head/field_rules.h"
#include "proxy/head/peer.h"
#include "session/cookie.h"

namespace baton {

struct ForwardRequest {
    const Head* head = nullptr;
    const ConnectionOptions* connection = nullptr;  // the head's
    Destination to;
    std::string_view listener_host;  // Host where the request has none
    const Peer* peer = nullptr;
    Body body;
    std::string_view request_id;
    std::string_view via_line;        // ready-made, at most 64 bytes; empty: none
    std::string_view session_prefix;  // fields that begin with it, or with "Baton-", are dropped
    std::string_view session_fields;  // ready-made lines, appended as they are
    std::string_view session_cookie;  // this cookie is taken out of Cookie; empty: none
    std::span<const std::string_view> other_cookies;  // and these, if there is one
    bool keep_underscores = false;
    bool websocket = false;  // send the Upgrade on
    bool buffered =
        false;  // we wait for the body: Expect was answered, and what is whole has a length
};

enum class Treatment : std::uint8_t { pass, drop, session };
Treatment treatment_of(const ForwardRequest& request, const Field& field,
                       const SessionNames& session) noexcept;

// What X-Forwarded-* say where a trusted peer speaks for its client.
struct Forwarding {
    bool secure = false;
    std::string_view host;  // empty: none is known
    std::string_view port;  // empty: our listener's
};
// A trusted peer says what the client asked for; where it says a part only, the rest follows from that,
// and not from our listener.
Forwarding believed_forwarding(const Head& head, const Peer& peer, std::string_view host) noexcept;

namespace detail {

// The client is believed nothing: all of it is ours. With a host of a usual size it is put together before
// it is written.
template <class Sink>
void write_own_forwarding(const ForwardRequest& request, Sink& sink) {
    constexpr std::size_t short_host_max = 128;
    const Peer& peer = *request.peer;
    const std::string_view host = request.to.host;
    const std::string_view proto = peer.secure ? "https" : "http";
    if (host.size() > short_host_max) {
        sink.add("X-Forwarded-For", peer.host);
        sink.add("X-Forwarded-Proto", proto);
        sink.add("X-Forwarded-Host", host);
        sink.add("X-Forwarded-Port", Decimal{peer.local_port}.view());
        sink.add("X-Request-Id", request.request_id);
        return sink.lines(request.via_line);
    }
    __attribute__((uninitialized)) ShortText<640> lines;
    lines.add("X-Forwarded-For: ").add(std::string_view{peer.host});
    lines.add("\r\nX-Forwarded-Proto: ").add(proto);
    if (!host.empty()) lines.add("\r\nX-Forwarded-Host: ").add(host);
    lines.add("\r\nX-Forwarded-Port: ").add(peer.local_port);
    lines.add("\r\nX-Request-Id: ").add(request.request_id).add("\r\n").add(request.via_line);
    sink.lines(lines.view());
}

template <class Sink>
void write_believed_forwarding(const ForwardRequest& request, Sink& sink) {
    const Head& head = *request.head;
    const Peer& peer = *request.peer;
    sink.compose("X-Forwarded-For", [&](std::string& out) {
        for (const Field& field : head.fields)
            if (field.id == FieldName::x_forwarded_for && field.value.size > 0)
                out.append(head.text(field.value)).append(", ");
        out.append(peer.host);
        return true;
    });
    const Forwarding client = believed_forwarding(head, peer, request.to.host);
    sink.add("X-Forwarded-Proto", client.secure ? "https" : "http");
    if (!client.host.empty()) sink.add("X-Forwarded-Host", client.host);
    sink.add("X-Forwarded-Port",
             client.port.empty() ? Decimal{peer.local_port}.view() : client.port);
    sink.add("X-Request-Id", request.request_id);
    sink.lines(request.via_line);
}

}  // namespace detail

// Writes all fields but Host, which belongs to the request line. Returns the number of session fields of the
// client's that were dropped.
template <class Sink>
std::size_t write_request_fields(const ForwardRequest& request, Sink& sink) {
    const Head& head = *request.head;
    const SessionNames session{request.session_prefix};
    const auto forwards = forwards_left(head);
    std::size_t dropped = 0;
    for (const Field& field : head.fields) {
        switch (treatment_of(request, field, session)) {
        case Treatment::drop: break;
        case Treatment::session: ++dropped; break;
        case Treatment::pass:
            if (field.id == FieldName::max_forwards && forwards) break;  // written anew
            if (field.id == FieldName::cookie && !request.session_cookie.empty())
                // No field where no other cookie is left.
                sink.compose(head.text(field.name), [&](std::string& out) {
                    return append_cookies_without(out, head.text(field.value),
                                                  request.session_cookie,
                                                  request.other_cookies) > 0;
                });
            else
                sink.pass(head, field);
        }
    }
    // One less; a request that may go no further is not forwarded at all.
    if (forwards) sink.add("Max-Forwards", Decimal{*forwards == 0 ? 0 : *forwards - 1}.view());
    if (request.peer->trusted)
        detail::write_believed_forwarding(request, sink);
    else
        detail::write_own_forwarding(request, sink);
    sink.framing(request.body);
    sink.lines(request.session_fields);
    return dropped;
}

}  // namespace baton
