#include "session/store.h"

#include <algorithm>

#include "net/text.h"
#include "session/ended_sessions.h"
#include "session/form_encoding.h"

namespace baton {

std::int64_t touch_slack_ms(std::int64_t idle_ms) noexcept {
    return std::clamp<std::int64_t>(idle_ms / 10, 1'000, 60'000);
}

std::size_t encoded_size(const Attributes& attributes) noexcept {
    std::size_t size = 0;
    for (const auto& [name, value] : attributes)
        size += encoded_size(name) + encoded_size(value) + 2;  // "=", and "&" but behind the last
    return size > 0 ? size - 1 : 0;
}

void Store::note_ended(const SessionKey& key) {
    if (ended_ != nullptr) ended_->add(key);
}

// Each step can be undone, so that two counts of a lane never meet (the last steps of SplitMix64).
std::uint64_t short_name(const TransactionId& transaction) noexcept {
    if (transaction == TransactionId{}) return 0;
    std::uint64_t name = transaction.lane + transaction.count * 0x9E37'79B9'7F4A'7C15;
    name = (name ^ (name >> 30)) * 0xBF58'476D'1CE4'E5B9;
    name = (name ^ (name >> 27)) * 0x94D0'49BB'1331'11EB;
    return name ^ (name >> 31);
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
    const auto number = parse_decimal(text);
    if (!number || *number > integer_max || *number < -integer_max) return std::nullopt;
    return number;
}

}  // namespace baton
