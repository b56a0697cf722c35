#include "proxy/request_ids.h"

#include <sys/random.h>

#include <cerrno>

#include "net/loop.h"

namespace baton {

RequestIds::RequestIds() {
    while (getrandom(&lane_, sizeof(lane_), 0) != static_cast<ssize_t>(sizeof(lane_)))
        if (errno != EINTR) die("the kernel gives no random bytes");
}

void RequestIds::next(std::array<char, 32>& out) noexcept {
    constexpr char digits[] = "0123456789abcdef";
    const std::uint64_t halves[] = {lane_, count_++};
    char* at = out.data();
    for (const std::uint64_t half : halves)
        for (int shift = 60; shift >= 0; shift -= 4) *at++ = digits[(half >> shift) & 15];
}

}  // namespace baton
