#pragma once

// Addresses: a host and port as a socket address, and networks to match peers against. Names are
// not looked up here.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

// An IPv4 or IPv6 socket address.
struct Address {
    union {
        sockaddr any;
        sockaddr_in v4;
        sockaddr_in6 v6;
    };
    Address() noexcept : v6{} { any.sa_family = AF_UNSPEC; }

    const sockaddr* raw() const noexcept { return &any; }
    sockaddr* raw() noexcept { return &any; }
    socklen_t size() const noexcept { return any.sa_family == AF_INET6 ? sizeof(v6) : sizeof(v4); }
    std::uint16_t port() const noexcept;
    void set_port(std::uint16_t port) noexcept;
    bool is_loopback() const noexcept;
    bool is_wildcard() const noexcept;  // 0.0.0.0 or [::]

    // "127.0.0.1:8080", "[::1]:8080"; the host as `host` shows it.
    std::string text() const;
    // The host alone, without brackets. An IPv4 address mapped into IPv6 shows as IPv4.
    std::string host() const;
    // What counts as one client: an IPv4 address, mapped into IPv6 or not, or the first 64 bits of an
    // IPv6 address, which are what one customer is given. As bytes, 4 or 8 of them.
    std::string customer() const;
    bool operator==(const Address& other) const noexcept;
};

// "127.0.0.1:80", "[::1]:80", and "localhost:80", which is 127.0.0.1. Nothing if it is none of
// these; the port must be given, 0 to 65535.
std::optional<Address> parse_address(std::string_view text) noexcept;

// A client as a proxy names it in X-Forwarded-For: "192.0.2.1", "2001:db8::1", "[2001:db8::1]", the
// first and the last also with a port. Nothing if it is none of these.
struct ForwardedFor {
    Address address;        // port 0
    std::string_view host;  // as it is written, without port and brackets; views the text
};
std::optional<ForwardedFor> parse_forwarded_for(std::string_view text) noexcept;

// Of "localhost:80", the address in the other family, "[::1]:80"; else unspecified.
Address other_loopback(std::string_view text) noexcept;

// "10.0.0.0/8", "::1/128", or one address without a mask.
struct Network {
    Address base;
    unsigned prefix_bits = 0;
    bool contains(
        const Address& address) const noexcept;  // IPv4 in IPv6 (::ffff:a.b.c.d) counts as IPv4
};
// Nothing if it is none of these, or if a bit is set behind the prefix (10.0.0.1/8).
std::optional<Network> parse_network(std::string_view text) noexcept;

// The addresses of this host's interfaces, port 0. Empty if the kernel does not tell.
std::vector<Address> own_addresses();

}  // namespace baton
