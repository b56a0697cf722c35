#pragma once

// Identifiers of one lane: 8 random bytes and a counter, so that no two of them are alike over all
// lanes and processes.

#include <array>
#include <cstdint>

#include "session/store.h"

namespace baton {

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
