#pragma once

// One response as HTTP/1.1 writes it: heads as text, a body framed so that the client understands it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "net/http/head_guard.h"
#include "net/http/http_parser.h"
#include "net/stream.h"
#include "proxy/context/lane.h"
#include "proxy/head/reply.h"
#include "proxy/head/response_head.h"

namespace baton {

// Of one connection, one response after another; its loop's thread. Each call is one write. `complete`: the
// response ends with it, and the connection, too, if its head said so.
class Http1Response {
public:
    // Both outlive it.
    Http1Response(Lane& lane, Stream& stream) noexcept : lane_(lane), stream_(stream) {}

    // The next one, of a request with this head.
    void next(const Head& request) noexcept {
        client_is_1_0_ = request.minor == 0;
        head_only_ = request.method == Method::head;
        written_ = 0;
        sent_before_ = stream_.sent();
    }
    // Whether its body can only end with the connection: its length is unknown, and the client knows no
    // chunks.
    bool is_until_close(Framing framing) const noexcept {
        return framing_for(framing) == Framing::until_close;
    }

    void go_on();
    void interim(const ForwardResponse& response);
    // The body's framing is as received. Returns how many Set-Cookie fields were dropped.
    std::size_t begin(ForwardResponse& response, const Pieces& data, bool complete);
    void body(const Pieces& data, bool complete);
    // An answer of baton's own, whole.
    void reply(const Reply& reply, bool close);
    // Bytes as they are.
    void raw(std::span<const char> bytes);

    // Bytes of it so far, framing included: written, and those that have left (on the wire they may be
    // more).
    std::uint64_t written() const noexcept { return written_; }
    std::uint64_t sent() const noexcept {
        return std::min(written_, stream_.sent() - sent_before_);
    }

private:
    Framing framing_for(Framing framing) const noexcept {
        if (framing != Framing::chunked && framing != Framing::until_close) return framing;
        return client_is_1_0_ ? Framing::until_close : Framing::chunked;
    }
    Stream::Then then(bool complete) const noexcept {
        return complete && closes_ ? Stream::Then::end : Stream::Then::more;
    }

    void write(std::span<const iovec> pieces, Stream::Then then) {
        written_ += stream_.write(pieces, then);
    }

    Lane& lane_;
    Stream& stream_;
    bool client_is_1_0_ = false;
    bool head_only_ = false;
    bool closes_ = false;  // its head has said that the connection ends
    Framing framing_ = Framing::none;
    std::uint64_t written_ = 0;
    std::uint64_t sent_before_ = 0;  // bytes on the wire
};

}  // namespace baton
