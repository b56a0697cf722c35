#pragma once

// Durations and sizes as the configuration writes them: a whole number and a unit.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace baton {

// "500ms", "10s", "30m", "12h", "1d". What does not fit is the largest value there is. Nothing if
// it is no duration.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept;
// In the largest unit that is exact.
std::string duration_text(std::chrono::milliseconds duration);

// "64B", "16KiB", "256MiB", "1GiB", "1TiB". What does not fit is the largest value there is.
// Nothing if it is no size.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;
std::string size_text(std::uint64_t bytes);

}  // namespace baton
