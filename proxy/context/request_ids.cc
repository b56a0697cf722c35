#include "proxy/context/request_ids.h"

#include "net/random.h"
#include "net/text.h"

namespace baton {
namespace {

void write_hex(std::uint64_t number, char* out) noexcept {
    for (int shift = 60; shift >= 0; shift -= 4) *out++ = lower_hex_digits[(number >> shift) & 15];
}

}  // namespace

RequestIds::RequestIds() : lane_(random_number()) {
    write_hex(lane_, text_.data());
    write_hex(count_, text_.data() + 16);
}

void RequestIds::next(std::array<char, 32>& out) noexcept {
    out = text_;
    // The last digit changes each time, all of them every 16 times.
    if ((++count_ & 15) == 0)
        write_hex(count_, text_.data() + 16);
    else
        text_.back() = lower_hex_digits[count_ & 15];
}

}  // namespace baton
