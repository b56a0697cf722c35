#include "net/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>

namespace baton {

namespace {

// A decimal number without sign and without leading zeros, at most `max`.
std::optional<unsigned> parse_number(std::string_view text, unsigned max) noexcept {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
    unsigned number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        number = number * 10 + static_cast<unsigned>(c - '0');
    }
    if (number > max) return std::nullopt;
    return number;
}

// An IP literal without brackets, its port left at 0.
std::optional<Address> parse_ip(std::string_view text) noexcept {
    char terminated[INET6_ADDRSTRLEN];
    if (text.size() >= sizeof terminated) return std::nullopt;
    // inet_pton would stop at a zero byte and take what stands before it.
    if (text.find('\0') != std::string_view::npos) return std::nullopt;
    text.copy(terminated, text.size());
    terminated[text.size()] = '\0';

    Address address;
    if (inet_pton(AF_INET, terminated, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        return address;
    }
    address = Address{};
    if (inet_pton(AF_INET6, terminated, &address.v6.sin6_addr) == 1) {
        address.v6.sin6_family = AF_INET6;
        return address;
    }
    return std::nullopt;
}

// An IPv4 address mapped into IPv6 (RFC 4291, 2.5.5.2) as the IPv4 address it is, any other as it
// stands. A socket that listens on [::] sees its IPv4 peers so.
Address unmapped(const Address& address) noexcept {
    if (address.any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr))
        return address;
    Address v4;
    v4.v4.sin_family = AF_INET;
    v4.v4.sin_port = address.v6.sin6_port;
    std::memcpy(&v4.v4.sin_addr, address.v6.sin6_addr.s6_addr + 12, 4);
    return v4;
}

const std::uint8_t* bytes_of(const Address& address) noexcept {
    if (address.any.sa_family == AF_INET)
        return reinterpret_cast<const std::uint8_t*>(&address.v4.sin_addr);
    return address.v6.sin6_addr.s6_addr;
}

unsigned bits_of(const Address& address) noexcept {
    return address.any.sa_family == AF_INET ? 32 : 128;
}

// Whether the first `bits` of both are the same.
bool same_bits(const std::uint8_t* a, const std::uint8_t* b, unsigned bits) noexcept {
    const unsigned whole = bits / 8;
    if (std::memcmp(a, b, whole) != 0) return false;
    if (bits % 8 == 0) return true;
    const unsigned mask = 0xffU << (8 - bits % 8);
    return ((a[whole] ^ b[whole]) & mask & 0xffU) == 0;
}

// Who writes 10.0.0.1/8 may mean the one host or the network; it is about trust, so nobody guesses.
bool has_bits_behind(const Address& address, unsigned bits) noexcept {
    const std::uint8_t* bytes = bytes_of(address);
    for (unsigned i = bits; i < bits_of(address); ++i) {
        if ((bytes[i / 8] & (0x80U >> (i % 8))) != 0) return true;
    }
    return false;
}

// inet_ntop goes through printf for it, for each connection.
std::string dotted(const in_addr& address) {
    const auto bytes = std::bit_cast<std::array<std::uint8_t, 4>>(address);
    std::array<char, 32> text;
    char* end = text.data();
    for (const std::uint8_t byte : bytes) {
        end = std::to_chars(end, end + 3, byte).ptr;
        *end++ = '.';
    }
    return {text.data(), end - 1};
}

}  // namespace

std::uint16_t Address::port() const noexcept {
    if (any.sa_family == AF_INET) return ntohs(v4.sin_port);
    if (any.sa_family == AF_INET6) return ntohs(v6.sin6_port);
    return 0;
}

void Address::set_port(std::uint16_t port) noexcept {
    if (any.sa_family == AF_INET) v4.sin_port = htons(port);
    if (any.sa_family == AF_INET6) v6.sin6_port = htons(port);
}

bool Address::is_loopback() const noexcept {
    const Address plain = unmapped(*this);
    if (plain.any.sa_family == AF_INET) return bytes_of(plain)[0] == 127;
    return plain.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&plain.v6.sin6_addr);
}

bool Address::is_wildcard() const noexcept {
    const Address plain = unmapped(*this);
    if (plain.any.sa_family == AF_INET) return plain.v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return plain.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&plain.v6.sin6_addr);
}

std::string Address::text() const {
    if (any.sa_family != AF_INET && any.sa_family != AF_INET6) return "unknown";
    const std::string name = host();
    const bool bare = name.find(':') == std::string::npos;
    return (bare ? name : "[" + name + "]") + ":" + std::to_string(port());
}

std::string Address::host() const {
    const Address plain = unmapped(*this);
    if (plain.any.sa_family == AF_INET) return dotted(plain.v4.sin_addr);
    char out[INET6_ADDRSTRLEN] = "unknown";
    if (plain.any.sa_family == AF_INET6) inet_ntop(AF_INET6, &plain.v6.sin6_addr, out, sizeof out);
    return out;
}

std::string Address::customer() const {
    const Address plain = unmapped(*this);
    if (plain.any.sa_family == AF_INET)
        return {reinterpret_cast<const char*>(&plain.v4.sin_addr), sizeof(plain.v4.sin_addr)};
    return {reinterpret_cast<const char*>(&plain.v6.sin6_addr), sizeof(plain.v6.sin6_addr) / 2};
}

bool Address::operator==(const Address& other) const noexcept {
    if (any.sa_family != other.any.sa_family) return false;
    if (any.sa_family == AF_UNSPEC) return true;
    if (port() != other.port() || !same_bits(bytes_of(*this), bytes_of(other), bits_of(*this)))
        return false;
    return any.sa_family == AF_INET || v6.sin6_scope_id == other.v6.sin6_scope_id;
}

std::optional<Address> parse_address(std::string_view text) noexcept {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const std::optional<unsigned> port = parse_number(text.substr(colon + 1), 65535);
    if (!port) return std::nullopt;

    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (host == "localhost") host = "127.0.0.1";
    std::optional<Address> address = parse_ip(host);
    // Brackets belong to IPv6 and to nothing else (RFC 3986, 3.2.2): "::1:80" is an address, or an
    // address and a port.
    if (!address || (address->any.sa_family == AF_INET6) != bracketed) return std::nullopt;
    address->set_port(static_cast<std::uint16_t>(*port));
    return address;
}

std::optional<ForwardedFor> parse_forwarded_for(std::string_view text) noexcept {
    std::string_view host = text;
    std::size_t host_end = text.size();
    const bool bracketed = text.starts_with('[');
    if (bracketed) {
        const std::size_t bracket = text.find(']');
        if (bracket == text.npos) return std::nullopt;
        host = text.substr(1, bracket - 1);
        host_end = bracket + 1;
    } else if (const std::size_t colon = text.find(':'); colon == text.rfind(':')) {
        host_end = std::min(colon, text.size());
        host = text.substr(0, host_end);
    }
    const std::string_view rest = text.substr(host_end);
    if (!rest.empty() && (rest[0] != ':' || !parse_number(rest.substr(1), 65535)))
        return std::nullopt;
    const std::optional<Address> address = parse_ip(host);
    if (!address || (bracketed && address->any.sa_family != AF_INET6)) return std::nullopt;
    return ForwardedFor{*address, host};
}

Address other_loopback(std::string_view text) noexcept {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || text.substr(0, colon) != "localhost") return {};
    const std::optional<Address> first = parse_address(text);
    if (!first) return {};
    Address other = *parse_ip("::1");
    other.set_port(first->port());
    return other;
}

bool Network::contains(const Address& address) const noexcept {
    const Address plain = unmapped(address);
    if (base.any.sa_family == AF_UNSPEC || plain.any.sa_family != base.any.sa_family) return false;
    return same_bits(bytes_of(plain), bytes_of(base), prefix_bits);
}

std::optional<Network> parse_network(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    const std::optional<Address> base = parse_ip(text.substr(0, slash));
    if (!base) return std::nullopt;
    const bool has_mask = slash != std::string_view::npos;
    const std::optional<unsigned> bits =
        has_mask ? parse_number(text.substr(slash + 1), bits_of(*base)) : bits_of(*base);
    if (!bits || has_bits_behind(*base, *bits)) return std::nullopt;

    // The IPv4 addresses within IPv6 are 96 bits down; a shorter prefix holds more than those and
    // stays what it is.
    const Address plain = unmapped(*base);
    if (plain.any.sa_family == base->any.sa_family || *bits < 96) return Network{*base, *bits};
    return Network{plain, *bits - 96};
}

std::vector<Address> own_addresses() {
    std::vector<Address> addresses;
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return addresses;
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_addr == nullptr) continue;
        Address address;
        if (entry->ifa_addr->sa_family == AF_INET)
            std::memcpy(&address.v4, entry->ifa_addr, sizeof address.v4);
        if (entry->ifa_addr->sa_family == AF_INET6)
            std::memcpy(&address.v6, entry->ifa_addr, sizeof address.v6);
        if (address.any.sa_family == AF_UNSPEC) continue;
        address.set_port(0);
        addresses.push_back(address);
    }
    freeifaddrs(list);
    return addresses;
}

}  // namespace baton
