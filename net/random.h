#pragma once

// Random bytes of the kernel, getrandom(2), and of nothing else: fit for secrets. Waits, once in the
// life of a machine, until the kernel's pool is seeded; ends the process if the kernel gives none. Any
// thread.

#include <cstdint>
#include <span>

namespace baton {

void fill_random(std::span<std::uint8_t> bytes) noexcept;
std::uint64_t random_number() noexcept;

}  // namespace baton
