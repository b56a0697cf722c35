#include "session/form_encoding.h"

#include <algorithm>
#include <cstddef>

#include "net/text.h"

namespace baton {
namespace {

// RFC 3986, 2.3.
bool is_unreserved(char c) noexcept {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '~' || c == '-';
}

}  // namespace

void append_encoded(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (is_unreserved(c)) {
            out.push_back(c);
        } else if (c == ' ') {
            out.push_back('+');
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out.push_back('%');
            out.push_back(upper_hex_digits[byte >> 4]);
            out.push_back(upper_hex_digits[byte & 15]);
        }
    }
}

std::size_t encoded_size(std::string_view text) noexcept {
    const auto escapes = std::count_if(text.begin(), text.end(),
                                       [](char c) { return !is_unreserved(c) && c != ' '; });
    return text.size() + 2 * static_cast<std::size_t>(escapes);
}

std::optional<std::string> decoded(std::string_view text) {
    const auto escapes = static_cast<std::size_t>(std::count(text.begin(), text.end(), '%'));
    if (text.size() < 3 * escapes) return std::nullopt;
    std::string out;
    out.reserve(text.size() - 2 * escapes);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(text[i] == '+' ? ' ' : text[i]);
            continue;
        }
        if (text.size() - i < 3) return std::nullopt;
        const int high = hex_value(text[i + 1]);
        const int low = hex_value(text[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return out;
}

}  // namespace baton
