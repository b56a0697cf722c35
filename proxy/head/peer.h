#pragma once

// Who is at the other end of a client connection, and for whom it speaks. Pure functions.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "net/http/http_head.h"

namespace baton {

struct Peer {
    Address address;
    std::string host;  // of `address`, as text
    std::uint16_t local_port = 0;
    bool secure = false;   // the connection itself is TLS
    bool trusted = false;  // its X-Forwarded-* and Forwarded are believed
};

// Of a list that proxies have added to, in one field or in several, what the first of them said: it spoke
// with the client.
std::string_view first_told(const Head& head, FieldName name) noexcept;

// What X-Forwarded-Proto says, if it is a scheme that we know. A WebSocket is carried by either
// (RFC 6455, 3).
enum class Scheme : std::uint8_t { unknown, http, https };
Scheme forwarded_scheme(const Head& head) noexcept;

// Whether the client asks over TLS: the connection itself, or what a trusted peer says.
bool is_secure(const Peer& peer, const Head& head) noexcept;

// The client's address for the log, without port and brackets: the peer, or behind trusted proxies
// the last address in X-Forwarded-For that is not one of them. Of a longer chain than
// `forwarded_for_max` the rest is not looked at.
inline constexpr std::size_t forwarded_for_max = 64;
std::string_view client_host(const Peer& peer, const Head& head,
                             const std::vector<Network>& trusted) noexcept;

}  // namespace baton
