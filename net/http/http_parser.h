#pragma once

// llhttp behind the head guard: one message at a time, first its head, then its body.
//
// The guard finds the end of the head; llhttp gets exactly the head's bytes and must agree. For the
// body llhttp is the meter and the decoder: it says which bytes are data and where the message
// ends. Trailers, chunk extensions and chunk lines are counted, bounded and dropped.

#include <llhttp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "net/http/head_guard.h"
#include "net/http/http_head.h"
#include "net/result.h"

namespace baton {

// The data of a body that one read brought, as pieces of the read buffer. Small pieces are moved
// together inside that buffer, so that what one read brought leaves as few pieces (a write per
// chunk costs two thirds of the speed).
class Pieces {
public:
    // Data shorter than this is moved to the end of the piece before it.
    static constexpr std::size_t moved_max = 4096;

    // All pieces since `clear` lie in one buffer, each behind the one before.
    void add(char* data, std::size_t size) noexcept;
    void clear() noexcept { count_ = bytes_ = 0; }
    std::span<const std::string_view> view() const noexcept { return {pieces_.data(), count_}; }
    std::size_t bytes() const noexcept { return bytes_; }
    bool empty() const noexcept { return bytes_ == 0; }

private:
    // A read brings at most 64 KiB, and only pieces of moved_max bytes or more stand alone. Of a
    // larger buffer what finds no place is moved, too.
    std::array<std::string_view, 20> pieces_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

class HttpParser {
public:
    HttpParser(HeadGuard::Kind kind, const HeadLimits& limits) noexcept;
    HttpParser(const HttpParser&) = delete;  // llhttp holds our address
    HttpParser& operator=(const HttpParser&) = delete;

    // Ready for the next message.
    void reset() noexcept;

    // Responses, before their head: whether the request was a HEAD, and whether it asked for an
    // upgrade that we allow. Without the latter a 101 is bad_response. `reset` forgets it.
    struct Asked {
        bool head = false;
        bool upgrade = false;
    };
    void answer_to(Asked asked) noexcept { asked_ = asked; }

    // `received`: the message's bytes so far, from its first; `head` is the same each time. The
    // head's size once it is whole (then `head` is filled and valid as long as those bytes are), 0
    // while more is needed. Bytes behind the head are not looked at. After an error only `reset`
    // may follow. After a 1xx other than 101: call `reset` and `answer_to`, the final head follows.
    // A 101 is complete with its head, whatever follows is another protocol.
    Result<std::size_t> read_head(std::string_view received, Head& head);

    // How the body that follows is framed: none for answers to HEAD, 1xx, 204 and 304, whatever
    // their fields say.
    Body body() const noexcept { return body_; }
    // The message is whole. True right after the head if no body follows.
    bool complete() const noexcept { return complete_; }

    // Decodes body bytes in place and puts the data into `pieces`, in place of what they held;
    // returns how many bytes belong to this message: fewer than given if it ended. A fault is
    // bad_response, or bad_request, or body_too_large for a chunk that exceeds
    // HeadLimits::body_max.
    Result<std::size_t> read_body(std::span<char> bytes, Pieces& pieces);

    // The peer has finished sending. True if that completes the message (a body until close), false
    // if it was cut.
    bool end_of_input() noexcept;

private:
    static int on_headers_complete(llhttp_t* parser);
    static int on_body(llhttp_t* parser, const char* data, std::size_t size);
    static int on_chunk_header(llhttp_t* parser);
    static int on_chunk_extension(llhttp_t* parser, const char* data, std::size_t size);
    static int on_message_complete(llhttp_t* parser);
    static const llhttp_settings_t events;

    Error bad(Reason reason, int code = 0) const noexcept;
    Reason body_reason(int code) const noexcept;
    bool extended_too_far() const noexcept;
    bool agrees() const noexcept;
    bool is_bodiless_answer() const noexcept;
    bool is_padded(const char* at) const noexcept;

    HeadGuard guard_;
    const HeadGuard::Kind kind_;
    const HeadLimits* limits_;
    llhttp_t llhttp_;
    Body body_;
    Asked asked_;
    bool head_seen_ = false;  // by llhttp
    bool complete_ = false;
    bool too_large_ = false;
    bool line_read_ = false;              // of a chunk, and no data of it
    char last_ = 0;                       // byte of the body read so far
    Pieces* pieces_ = nullptr;            // during read_body
    const char* read_begin_ = nullptr;    // during read_body
    std::uint64_t read_ = 0;              // bytes of the body before this read_body, all kinds
    std::uint64_t data_ = 0;              // bytes of data
    std::uint64_t chunks_ = 0;            // that had data
    std::uint64_t extensions_ = 0;        // bytes in this message
    std::size_t extension_in_chunk_ = 0;  // bytes
};

}  // namespace baton
