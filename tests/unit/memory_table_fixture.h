#pragma once

// What the tests of the memory table alone share.

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>

#include "session/memory/memory_table.h"
#include "tests/store/table_fixture.h"

namespace baton {

inline constexpr std::size_t shards = 64;

// What one session takes in the table.
inline std::size_t bytes_of(const Attributes& attributes) {
    MemoryTable table({});
    REQUIRE(table.create(key_of(0), session_of(attributes), start).kind == Kind::created);
    return table.memory();
}

inline void sweep_all(MemoryTable& table, std::int64_t now_ms) {
    for (std::size_t i = 0; i < shards; ++i) table.sweep(now_ms);
}

// Whether it is there, without confirming it.
inline bool is_there(MemoryTable& table, const SessionKey& key, std::int64_t now_ms) {
    return table.touch(key, 0, now_ms).kind == Kind::done;
}

}  // namespace baton
