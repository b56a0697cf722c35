#include "proxy/head/destination.h"

#include <algorithm>
#include <limits>

#include "net/http/http_syntax.h"
#include "net/text.h"

namespace baton {

std::optional<std::uint64_t> max_forwards_of(const Head& head) noexcept {
    const auto is_one = [](const Field& field) { return field.id == FieldName::max_forwards; };
    if (std::count_if(head.fields.begin(), head.fields.end(), is_one) > 1) return {};
    const std::string_view value = head.value(FieldName::max_forwards);
    if (const auto left = parse_length(value)) return left;
    // The most that we can count stands for what is more.
    const bool is_number = !value.empty() && value.find_first_not_of("0123456789") == value.npos;
    return is_number ? std::optional{std::numeric_limits<std::uint64_t>::max()} : std::nullopt;
}

bool is_loop(const Head& head, std::string_view pseudonym) noexcept {
    if (!head.has(FieldName::via)) return false;
    return std::any_of(head.fields.begin(), head.fields.end(), [&](const Field& field) {
        return field.id == FieldName::via &&
               head.text(field.value).find(pseudonym) != std::string_view::npos;
    });
}

Destination destination_of(const Head& head) noexcept {
    std::string_view target = head.text(head.target);
    if (target.starts_with('/') || target == "*")
        return {head.value(FieldName::host), target, false};
    // Absolute form; the guard has seen to it that the authority is there and valid.
    target.remove_prefix(target.find("://") + 3);
    const auto end = std::min(target.find_first_of("/?"), target.size());
    const std::string_view path = target.substr(end);
    if (path.empty() && head.method == Method::options) return {target.substr(0, end), "*", false};
    return {target.substr(0, end), path, !path.starts_with('/')};
}

bool is_request_id(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 128 && is_plain_word(text);
}

}  // namespace baton
