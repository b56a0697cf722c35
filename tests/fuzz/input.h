#pragma once

// What a target is given: two bytes that choose the situation, behind them what a peer sends.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/head_guard.h"
#include "tests/unit/http_rows.h"

// Each target is this function, and a program of its own.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace baton::fuzz {

// Each target has this, too: what it makes of a row of http_rows.txt, behind the choices; nothing
// if the row is not for it.
struct Seed {
    std::string bytes;
    unsigned choices = 0;  // the lowest `fixed` bits of which are to be as they are
    unsigned fixed = 0;
};
std::optional<Seed> seed_of(const test::Row& row);

class Input {
public:
    static constexpr std::size_t choice_bytes = 2;

    Input(const std::uint8_t* data, std::size_t size);

    // The next of 16 bits, the lowest of the first byte first.
    bool flag() noexcept { return pick(2) == 1; }
    // 0 to count - 1, for a power of two.
    unsigned pick(unsigned count) noexcept;

    std::string_view bytes() const noexcept { return bytes_; }

private:
    unsigned choices_ = 0;
    std::string_view bytes_;
};

// Memory of exactly the size, so that a read behind its end is seen.
class Exact {
public:
    explicit Exact(std::string_view bytes);
    std::string_view view() const noexcept { return {bytes_.get(), size_}; }
    std::span<char> span() noexcept { return {bytes_.get(), size_}; }

private:
    std::unique_ptr<char[]> bytes_;
    std::size_t size_;
};

// The same bytes as a peer's system may deliver them: the places of the cuts follow from the bytes,
// so that an input says all.
enum class Cut : std::uint8_t { whole, twice, often, everywhere };
std::vector<std::string_view> in_pieces(std::string_view bytes, Cut cut);

// The default limits, or some that small messages reach.
const HeadLimits& limits_for(bool small) noexcept;

}  // namespace baton::fuzz
