#include "proxy/http1/pending_input.h"

#include <string_view>

namespace baton {
namespace {

// Finds the end of a head: a line that is not empty and, some lines later, an empty one.
class HeadSearch {
public:
    bool ends_in(std::string_view bytes) noexcept {
        for (const char byte : bytes) {
            if (byte == '\n') {
                if (begun_ && line_is_empty_) return true;
                line_is_empty_ = true;
            } else if (byte != '\r') {
                begun_ = true;
                line_is_empty_ = false;
            }
        }
        return false;
    }

private:
    bool begun_ = false;
    bool line_is_empty_ = true;
};

}  // namespace

void PendingInput::next_of_block() {
    block_->reading.clear();
    if (block_->pending.empty()) return;
    block_->reading.swap(block_->pending);
    bytes_ = block_->reading;
}

void PendingInput::save_to_block() {
    const std::string& reading = block_->reading;
    if (bytes_.data() >= reading.data() && bytes_.data() < reading.data() + reading.size()) return;
    block_->pending.insert(0, bytes_.data(), bytes_.size());
    bytes_ = {};
}

bool PendingInput::has_head() const noexcept {
    if (!block_) return false;
    HeadSearch search;
    return search.ends_in({bytes_.data(), bytes_.size()}) || search.ends_in(block_->pending);
}

}  // namespace baton
