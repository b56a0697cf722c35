#include "tests/fuzz/input.h"

#include <algorithm>
#include <cstring>

namespace baton::fuzz {
namespace {

// A walk byte by byte may copy what came before each time: of a large input so many bytes at its
// beginning and its end come alone.
constexpr std::size_t alone = 512;

// Numbers that follow from the bytes (FNV-1a, then xorshift).
class Numbers {
public:
    explicit Numbers(std::string_view bytes) noexcept {
        for (const char c : bytes) {
            state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
        }
        state_ |= 1;
    }
    std::size_t next() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<std::size_t>(state_ >> 8);
    }

private:
    std::uint64_t state_ = 0xcbf29ce484222325U;
};

}  // namespace

Input::Input(const std::uint8_t* data, std::size_t size) {
    if (size < choice_bytes) return;
    choices_ = data[0] | static_cast<unsigned>(data[1]) << 8;
    bytes_ = {reinterpret_cast<const char*>(data) + choice_bytes, size - choice_bytes};
}

unsigned Input::pick(unsigned count) noexcept {
    const unsigned choice = choices_ % count;
    choices_ /= count;
    return choice;
}

Exact::Exact(std::string_view bytes)
    : bytes_(std::make_unique_for_overwrite<char[]>(bytes.size())), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(bytes_.get(), bytes.data(), bytes.size());
}

std::vector<std::string_view> in_pieces(std::string_view bytes, Cut cut) {
    std::vector<std::string_view> pieces;
    Numbers numbers{bytes};
    const std::size_t all = bytes.size();
    const auto take = [&](std::size_t size) {
        pieces.push_back(bytes.substr(0, size));
        bytes.remove_prefix(pieces.back().size());
    };
    switch (cut) {
    case Cut::whole: break;
    case Cut::twice: {
        const std::size_t first = numbers.next() % (all + 1);
        const std::size_t second = numbers.next() % (all + 1);
        take(std::min(first, second));
        take(std::max(first, second) - std::min(first, second));
        break;
    }
    case Cut::often:
        while (!bytes.empty()) {
            // Mostly small, at times large.
            const std::size_t scale = std::size_t{1} << (numbers.next() % 13);
            take(1 + numbers.next() % scale);
        }
        break;
    case Cut::everywhere:
        while (!bytes.empty()) {
            const bool edge = pieces.size() < alone || bytes.size() <= alone;
            take(edge ? 1 : std::min(bytes.size() - alone, 1 + all / 64));
        }
        break;
    }
    if (!bytes.empty()) take(bytes.size());
    std::erase_if(pieces, [](std::string_view piece) { return piece.empty(); });
    return pieces;
}

const HeadLimits& limits_for(bool small) noexcept {
    static constexpr HeadLimits usual{.body_max = std::uint64_t{64} << 20};
    static constexpr HeadLimits few{.request_line = 48, .head = 160, .fields = 4, .body_max = 20};
    return small ? few : usual;
}

}  // namespace baton::fuzz
