#pragma once

// Names of hosts, looked up without blocking the loop (getaddrinfo on libuv's own threads).

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"
#include "net/loop.h"

namespace baton {

// A host, by name or by address, and a port.
struct Endpoint {
    std::string host;  // an IPv6 address without brackets
    std::uint16_t port = 0;

    // "redis-1:6379", "10.0.0.5:6379", "[::1]:6379".
    std::string text() const;
    // The address, if the host is one.
    std::optional<Address> address() const noexcept;
    bool operator==(const Endpoint&) const = default;
};

// "host:port". A name is 1 to 253 letters, digits, `-`, `_` and dots; the port 1 to 65535.
std::optional<Endpoint> parse_endpoint(std::string_view text);

// One look-up. Destroying it gives it up: nobody is told then.
class Resolve {
public:
    // Told once, later: 0 and the first address, or libuv's error.
    using Found = void (*)(void* holder, int uv_error, const Address& address);

    // A host that is an address already is found, too: in a later turn of the loop.
    Resolve(Loop& loop, const Endpoint& endpoint, void* holder, Found found);
    ~Resolve();
    Resolve(const Resolve&) = delete;
    Resolve& operator=(const Resolve&) = delete;

private:
    // libuv's until its callback has come.
    struct Request {
        uv_getaddrinfo_t uv;
        Resolve* owner;
        std::uint16_t port;
    };
    static void ended(uv_getaddrinfo_t* request, int status, addrinfo* list);

    void* holder_;
    Found found_;
    Request* request_ = nullptr;
};

}  // namespace baton
