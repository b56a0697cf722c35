#pragma once

// What the tests of a session table share: keys, sessions, a start of time.

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "session/store.h"

namespace baton {

using Kind = StoreAnswer::Kind;

inline constexpr std::int64_t second = 1000;
inline constexpr std::int64_t start = 1'700'000'000'000;

// The key of session `number`; neighbours lie in different shards of the memory table.
inline SessionKey key_of(std::uint64_t number) {
    SessionKey key{};
    std::uint64_t mixed = number * 0x9E37'79B9'7F4A'7C15;
    for (std::size_t i = 0; i < 8; ++i) {
        key.bytes[i] = static_cast<std::uint8_t>(mixed >> (8 * i));
        key.bytes[16 + i] = static_cast<std::uint8_t>(number >> (8 * i));
    }
    key.bytes[31] = static_cast<std::uint8_t>(number);
    return key;
}

// A key in the shard of key_of(0).
inline SessionKey neighbour_of(std::uint64_t number) { return key_of(number * 256); }

inline NewSession session_of(Attributes attributes = {}) {
    return {.idle_ms = 60 * second,
            .slack_ms = 6 * second,
            .absolute_ms = 0,
            .attributes = std::move(attributes)};
}

inline SessionChange setting(Attributes set, std::vector<std::string> unset = {}) {
    return {.set = std::move(set), .unset = std::move(unset), .slack_ms = 6 * second};
}

inline std::uint64_t next_random(std::uint64_t& state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

}  // namespace baton
