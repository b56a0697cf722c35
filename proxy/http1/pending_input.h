#pragma once

// What a client has sent and nobody has read yet: in the loop's read buffer during an event, afterwards in
// the block of its request.

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "proxy/http1/http1_block.h"

namespace baton {

// Of one connection; its loop's thread.
class PendingInput {
public:
    // The connection's block, which it has whenever something is pending between two events.
    explicit PendingInput(const std::unique_ptr<Http1Block>& block) noexcept : block_(block) {}

    // What is read now; valid as long as the event.
    std::span<char> bytes() const noexcept { return bytes_; }
    bool empty() const noexcept { return bytes_.empty(); }
    // All that is pending, in bytes.
    std::size_t size() const noexcept {
        return bytes_.size() + (block_ ? block_->pending.size() : 0);
    }

    // Arrived in the loop's read buffer, with nothing pending before it.
    void arrived(std::span<char> bytes) noexcept { bytes_ = bytes; }
    // Arrived behind what is pending.
    void append(std::span<char> bytes) { block_->pending.append(bytes.data(), bytes.size()); }
    void take(std::size_t size) noexcept { bytes_ = bytes_.subspan(size); }
    std::span<char> take_all() noexcept { return std::exchange(bytes_, {}); }
    void drop() noexcept {
        bytes_ = {};
        if (block_) block_->pending.clear();
    }

    // Goes on with what is pending, once all before it has been read.
    void next() {
        if (bytes_.empty() && block_) next_of_block();
    }
    // The event is over, and with it the loop's read buffer.
    void save() {
        if (!bytes_.empty()) save_to_block();
    }
    // Whether a whole head is pending, well-formed or not.
    bool has_head() const noexcept;

private:
    void next_of_block();
    void save_to_block();

    const std::unique_ptr<Http1Block>& block_;
    std::span<char> bytes_;
};

}  // namespace baton
