#pragma once

// The pieces of one write. Head, chunk line, data and end leave together: a write of their own each
// costs a fifth of the speed of small requests.

#include <sys/uio.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "net/http/http_parser.h"

namespace baton {

// Where local variables are set to zero for safety's sake, those of this class are marked
// `uninitialized`: it would cost more than to fill them, and nothing is read that was not written.
class WriteList {
public:
    // The text must outlive the write.
    void add(std::string_view text) noexcept {
        if (text.empty()) return;
        vectors_[count_++] = {const_cast<char*>(text.data()), text.size()};
        bytes_ += text.size();
    }
    // Body data, framed: as it is, or as one chunk of all of it (RFC 9112, 7.1). No data makes no
    // chunk, as an empty one would be the end.
    void add_body(std::span<const std::string_view> data, std::size_t bytes,
                  Framing framing) noexcept {
        begin_body(bytes, framing);
        for (const std::string_view piece : data) add(piece);
        end_body(bytes, framing);
    }
    // The same for data that are added between the two.
    void begin_body(std::size_t bytes, Framing framing) noexcept {
        if (bytes > 0 && framing == Framing::chunked) add_chunk_line(bytes);
    }
    void end_body(std::size_t bytes, Framing framing) noexcept {
        if (bytes > 0 && framing == Framing::chunked) add("\r\n");
    }
    void add_end(Framing framing) noexcept {
        if (framing == Framing::chunked) add("0\r\n\r\n");
    }
    std::span<const iovec> view() const noexcept { return {vectors_.data(), count_}; }
    std::size_t bytes() const noexcept { return bytes_; }
    bool empty() const noexcept { return count_ == 0; }

private:
    void add_chunk_line(std::size_t bytes) noexcept {
        char* end = std::to_chars(line_.data(), line_.data() + 16, bytes, 16).ptr;
        *end++ = '\r';
        *end++ = '\n';
        add({line_.data(), static_cast<std::size_t>(end - line_.data())});
    }

    std::array<iovec, 28> vectors_;
    std::array<char, 18> line_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace baton
