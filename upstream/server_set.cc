#include "upstream/server_set.h"

#include <algorithm>
#include <bit>

namespace baton {

std::size_t ServerSet::next_absent(std::size_t from, std::size_t end) const noexcept {
    while (from < end) {
        const std::uint64_t absent = ~word_at(from / word_bits) >> from % word_bits;
        if (absent != 0)
            return std::min(end, from + static_cast<std::size_t>(std::countr_zero(absent)));
        from += word_bits - from % word_bits;
    }
    return end;
}

bool operator==(const ServerSet& a, const ServerSet& b) noexcept {
    if (a.size_ != b.size_ || a.first_ != b.first_) return false;
    const std::size_t words = std::max(a.more_.size(), b.more_.size());
    for (std::size_t word = 1; word <= words; ++word)
        if (a.word_at(word) != b.word_at(word)) return false;
    return true;
}

}  // namespace baton
