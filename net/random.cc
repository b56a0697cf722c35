#include "net/random.h"

#include <sys/random.h>

#include <array>
#include <bit>
#include <cerrno>

#include "net/check.h"

namespace baton {

void fill_random(std::span<std::uint8_t> bytes) noexcept {
    while (!bytes.empty()) {
        const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) die("the kernel gives no random bytes");
        bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
}

std::uint64_t random_number() noexcept {
    std::array<std::uint8_t, sizeof(std::uint64_t)> bytes;
    fill_random(bytes);
    return std::bit_cast<std::uint64_t>(bytes);
}

}  // namespace baton
