#pragma once

// Session ids: made, checked, and turned into the key under which the table knows them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace baton {

// An id as the cookie carries it: 32 upper-case hex digits, 128 bits (the shape Tomcat uses).
struct SessionId {
    std::array<char, 32> text;
    std::string_view view() const noexcept { return {text.data(), text.size()}; }
    bool operator==(const SessionId&) const = default;
};

// What the table knows a session by: SHA-256(scope, 0, cookie name, 0, id). Neither a log nor a
// dump of the table yields a usable id, and the id of one scope means nothing in another.
struct SessionKey {
    std::array<std::uint8_t, 32> bytes;
    bool operator==(const SessionKey&) const = default;

    // The first 8 hex digits: the correlation token of logs. Lower case.
    std::array<char, 8> token() const noexcept;
    // All 64 of them, to `out`.
    void write_hex(char* out) const noexcept;
};

// A new id from getrandom(2), and from nothing else. Ends the process if the kernel gives no random
// bytes.
SessionId mint_session_id() noexcept;

// The id in a cookie's value: one pair of quotes is stripped, then exactly ^[0-9A-F]{32}$. Anything
// else is no id.
std::optional<SessionId> parse_session_id(std::string_view cookie_value) noexcept;

SessionKey session_key(std::string_view scope, std::string_view cookie_name,
                       const SessionId& id) noexcept;

// `id` as only those can read it who know `other`, and of the shape of an id; the same again gives
// `id` back. So that what a dump of the table says of where a session went is no usable id.
SessionId veiled(const SessionId& id, const SessionId& other) noexcept;

// For hashed containers. A key is a hash already: eight of its bytes serve as they are.
struct SessionKeyHash {
    std::size_t operator()(const SessionKey& key) const noexcept {
        std::size_t hash;
        std::memcpy(&hash, key.bytes.data(), sizeof hash);
        return hash;
    }
};

// The crypto library's own version text, for `baton -V`.
const char* crypto_version() noexcept;

}  // namespace baton
