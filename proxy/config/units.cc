#include "proxy/config/units.h"

#include <cstddef>
#include <limits>

#include "net/text.h"

namespace baton {

namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

// From the smallest to the largest.
constexpr Unit duration_units[] = {
    {"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000},
};
constexpr Unit size_units[] = {
    {"B", 1},
    {"KiB", std::uint64_t{1} << 10},
    {"MiB", std::uint64_t{1} << 20},
    {"GiB", std::uint64_t{1} << 30},
    {"TiB", std::uint64_t{1} << 40},
};

// `a` * `b` + `c`, or `max` if that is more.
std::uint64_t capped(std::uint64_t a, std::uint64_t b, std::uint64_t c,
                     std::uint64_t max) noexcept {
    if (c > max || a > (max - c) / b) return max;
    return a * b + c;
}

template <std::size_t Count>
std::optional<std::uint64_t> parse(std::string_view text, const Unit (&units)[Count],
                                   std::uint64_t max) noexcept {
    std::size_t digits = 0;
    std::uint64_t number = 0;
    for (; digits < text.size() && is_digit(text[digits]); ++digits) {
        number = capped(number, 10, static_cast<std::uint64_t>(text[digits] - '0'), max);
    }
    if (digits == 0) return std::nullopt;
    for (const Unit& unit : units) {
        if (text.substr(digits) == unit.name) return capped(number, unit.factor, 0, max);
    }
    return std::nullopt;
}

template <std::size_t Count>
std::string text_of(std::uint64_t number, const Unit (&units)[Count]) {
    std::size_t best = 0;
    for (std::size_t i = 0; i < Count; ++i) {
        if (number >= units[i].factor && number % units[i].factor == 0) best = i;
    }
    return std::to_string(number / units[best].factor) + std::string{units[best].name};
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept {
    const auto number = parse(text, duration_units, std::numeric_limits<std::int64_t>::max());
    if (!number) return std::nullopt;
    return std::chrono::milliseconds{static_cast<std::int64_t>(*number)};
}

std::string duration_text(std::chrono::milliseconds duration) {
    if (duration.count() == 0) return "0s";
    return text_of(static_cast<std::uint64_t>(duration.count()), duration_units);
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
    return parse(text, size_units, std::numeric_limits<std::uint64_t>::max());
}

std::string size_text(std::uint64_t bytes) { return text_of(bytes, size_units); }

}  // namespace baton
