#pragma once

// Small texts, put together without memory of their own.

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace baton {

// A number in decimal digits.
class Decimal {
public:
    explicit Decimal(std::uint64_t number) noexcept
        : size_(static_cast<std::size_t>(
              std::to_chars(digits_.data(), digits_.data() + digits_.size(), number).ptr -
              digits_.data())) {}
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
