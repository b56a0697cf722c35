#pragma once

// Identifiers of one lane: 8 random bytes and a counter, so that no two of them are alike over all
// lanes and processes.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "session/store.h"

namespace baton {

// What a request is called in the logs and by its server.
class RequestId {
public:
    static constexpr std::size_t size_max = 128;

    void set(std::string_view text) noexcept {
        size_ = static_cast<std::uint8_t>(text.copy(text_.data(), text_.size()));
    }
    std::string_view view() const noexcept { return {text_.data(), size_}; }

private:
    std::array<char, size_max> text_;
    std::uint8_t size_ = 0;
};

class RequestIds {
public:
    RequestIds();
    // For X-Request-Id: 32 hex digits.
    void next(std::array<char, 32>& out) noexcept;
    TransactionId next_transaction() noexcept { return {lane_, ++transactions_}; }

private:
    std::uint64_t lane_;
    std::uint64_t count_ = 0;
    std::array<char, 32> text_;  // of the next one
    std::uint64_t transactions_ = 0;
};

}  // namespace baton
