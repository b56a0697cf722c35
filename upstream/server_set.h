#pragma once

// Some of an upstream's servers, by their index.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace baton {

// Grows with the indices that are added; the first 64 need no memory of their own. An index that was
// never added is in no set, however large it is.
class ServerSet {
public:
    void add(std::size_t index) {
        if (contains(index)) return;
        ++size_;
        if (index < word_bits) {
            first_ |= bit(index);
            return;
        }
        const std::size_t word = index / word_bits - 1;
        if (word >= more_.size()) more_.resize(word + 1, 0);
        more_[word] |= bit(index);
    }
    void remove(std::size_t index) noexcept {
        if (!contains(index)) return;
        --size_;
        (index < word_bits ? first_ : more_[index / word_bits - 1]) &= ~bit(index);
    }
    bool contains(std::size_t index) const noexcept {
        return (word_at(index / word_bits) & bit(index)) != 0;
    }
    std::size_t size() const noexcept { return size_; }
    // The first index from `from` on that is not in the set, at most `end`. Looks at 64 at once.
    std::size_t next_absent(std::size_t from, std::size_t end) const noexcept;

    // The same servers, whatever room was made for others.
    friend bool operator==(const ServerSet& a, const ServerSet& b) noexcept;

private:
    static constexpr std::size_t word_bits = 64;
    static constexpr std::uint64_t bit(std::size_t index) noexcept {
        return std::uint64_t{1} << index % word_bits;
    }
    std::uint64_t word_at(std::size_t word) const noexcept {
        if (word == 0) return first_;
        return word <= more_.size() ? more_[word - 1] : 0;
    }

    std::uint64_t first_ = 0;
    std::size_t size_ = 0;
    std::vector<std::uint64_t> more_;  // of the servers from the 65th on
};

}  // namespace baton
