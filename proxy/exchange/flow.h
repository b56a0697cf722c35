#pragma once

// Back pressure between two connections.

#include <cstddef>

namespace baton {

// Whether to read from one side: on until this much is unsent on the other one, then off until half of it
// has left.
constexpr bool flows(bool on, std::size_t unsent) noexcept {
    constexpr std::size_t unsent_max = std::size_t{64} << 10;
    return unsent < (on ? unsent_max : unsent_max / 2);
}

}  // namespace baton
