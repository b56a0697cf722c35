#include "session/store.h"

#include <algorithm>
#include <charconv>

namespace baton {

std::int64_t touch_slack_ms(std::int64_t idle_ms) noexcept {
    return std::clamp<std::int64_t>(idle_ms / 10, 1'000, 60'000);
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
    std::int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || at != end || text.empty()) return std::nullopt;
    if (number > integer_max || number < -integer_max) return std::nullopt;
    return number;
}

}  // namespace baton
