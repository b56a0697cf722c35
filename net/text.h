#pragma once

// Letters, digits and blanks of ASCII, whatever the locale; numbers as text; and small texts, put
// together without memory of their own. Pure functions: any thread.

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace baton {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_alphanumeric(char c) noexcept { return is_letter(c) || is_digit(c); }
// SP or TAB (RFC 9110, 5.6.3).
constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }
// The letter in lower case; any other byte as it is.
constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
// Letters, digits, ".", "_" and "-": a word that needs no quotes, wherever it stands.
bool is_plain_word(std::string_view text) noexcept;

// Whether two texts are the same but for the case of letters.
bool equal_fold(std::string_view a, std::string_view b) noexcept;
bool starts_with_fold(std::string_view text, std::string_view prefix) noexcept;
// Without the blanks at both ends.
std::string_view trimmed(std::string_view text) noexcept;

inline constexpr std::string_view lower_hex_digits = "0123456789abcdef";
inline constexpr std::string_view upper_hex_digits = "0123456789ABCDEF";
// The value of a hex digit, or -1.
constexpr int hex_value(char c) noexcept {
    if (is_digit(c)) return c - '0';
    const char small = lower(c);
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

// The number that all of `text` is, in decimal digits with a `-` before them or none. Nothing if it is
// none, or does not fit.
std::optional<std::int64_t> parse_decimal(std::string_view text) noexcept;

// A number in decimal digits.
class Decimal {
public:
    template <class Number>
    explicit Decimal(Number number) noexcept {
        const char* end =
            std::to_chars(digits_.data(), digits_.data() + digits_.size(), number).ptr;
        size_ = static_cast<std::size_t>(end - digits_.data());
    }
    std::string_view view() const noexcept { return {digits_.data(), size_}; }

private:
    std::array<char, 20> digits_;
    std::size_t size_;
};

// What is known to be short, put together before it is appended to a string, where each append looks for
// room anew. The caller knows that all of it fits. A local variable of it is marked `uninitialized` where
// others are set to zero for safety's sake.
template <std::size_t size>
class ShortText {
public:
    template <std::size_t n>
    ShortText& add(const char (&text)[n]) noexcept {
        std::memcpy(end_, text, n - 1);
        end_ += n - 1;
        return *this;
    }
    ShortText& add(std::string_view text) noexcept {
        end_ += text.copy(end_, text.size());  // an empty view may have no address
        return *this;
    }
    ShortText& add(std::uint16_t number) noexcept {
        end_ = std::to_chars(end_, end_ + 5, number).ptr;
        return *this;
    }
    std::string_view view() const noexcept {
        return {text_.data(), static_cast<std::size_t>(end_ - text_.data())};
    }

private:
    std::array<char, size> text_;
    char* end_ = text_.data();
};

}  // namespace baton
