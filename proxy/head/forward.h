#pragma once

// The heads we send: written anew, line by line, from what was parsed (RFC 9110, 7.6; RFC 9112, 6.3);
// a line that says what we would say, in the same bytes, is copied. Pure functions that append to a
// buffer.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "net/http/head_guard.h"
#include "net/http/http_head.h"

namespace baton {

// Who is at the other end of a client connection.
struct Peer {
    Address address;
    std::string host;  // of `address`, as text
    std::uint16_t local_port = 0;
    bool secure = false;   // the connection itself is TLS
    bool trusted = false;  // its X-Forwarded-* and Forwarded are believed
};

// What a request's forwarding fields say, where its peer is trusted.
bool is_secure(const Peer& peer, const Head& head) noexcept;
// The client's address for the log, without port and brackets: the peer, or behind trusted proxies
// the last address in X-Forwarded-For that is not one of them. Of a longer chain than
// `forwarded_for_max` the rest is not looked at.
inline constexpr std::size_t forwarded_for_max = 64;
std::string_view client_host(const Peer& peer, const Head& head,
                             const std::vector<Network>& trusted) noexcept;

// Where a request goes, taken from its target and Host field (RFC 9112, 3.2).
struct Destination {
    // The authority of an absolute target, else the Host field; may be empty in HTTP/1.0.
    std::string_view host;
    std::string_view path;       // origin form or "*"; "" where an absolute target has none
    bool slash_missing = false;  // the path is to be written with a "/" before it ("http://a?q")
};
Destination destination_of(const Head& head) noexcept;

// How many more times an OPTIONS may be forwarded (Max-Forwards; RFC 9110, 7.6.2). Nothing if it does
// not say so, or not in a number, or twice; other methods may not mean it.
std::optional<std::uint64_t> forwards_left(const Head& head) noexcept;

// Whether a request has been here before: whether its Via names `pseudonym` (RFC 9110, 7.6.3).
bool is_loop(const Head& head, std::string_view pseudonym) noexcept;

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
    bool websocket = false;   // send the Upgrade on
    bool body_asked = false;  // Expect was answered by us
};
// Appends the head. Returns the number of session fields that were dropped.
std::size_t append_request_head(std::string& out, const ForwardRequest& request);

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
    // Ready-made lines that give this client a cookie. With them no cache that serves others may keep
    // the answer (RFC 9111, 7.3): Cache-Control gains private, or is no-store where none came.
    std::string_view added;
};
// Appends the head. Returns the number of Set-Cookie fields that were dropped.
std::size_t append_response_head(std::string& out, const ForwardResponse& response);

// Whether X-Request-Id may be passed on: 1 to 128 of [A-Za-z0-9._-].
bool is_request_id(std::string_view text) noexcept;

}  // namespace baton
