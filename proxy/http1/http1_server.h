#pragma once

// One request and its answer on a leased server connection.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "net/http/http_parser.h"
#include "upstream/pool.h"

namespace baton {

class Http1Server {
public:
    explicit Http1Server(const HeadLimits& limits) : parser_(HeadGuard::Kind::response, limits) {}

    // A connection for one request. The caller has attached itself to its stream.
    void open(Lease lease, HttpParser::Asked asked);
    bool is_open() const noexcept { return lease_ != nullptr; }
    Stream& stream() noexcept { return *lease_->stream; }
    bool reused() const noexcept { return lease_->requests > 0; }

    // Events, as they come.
    void arrived(std::span<char> bytes) noexcept;
    void ended(int uv_error) noexcept { end_ = uv_error; }
    std::optional<int> end() const noexcept { return end_; }

    // True once the head is whole: then `head()` is it. It stays valid until the event is over, or
    // after `keep`.
    Result<bool> read_head();
    const Head& head() const noexcept { return head_; }
    const ConnectionOptions& connection() const noexcept { return connection_; }  // the head's
    // An interim answer (1xx) was passed on: the next head follows.
    void next_head() noexcept;
    Body body() const noexcept { return parser_.body(); }
    // What has arrived of the body, as `pieces` that view the loop's read buffer or ours.
    std::optional<Error> read_body(Pieces& pieces);
    bool complete() const noexcept { return parser_.complete(); }
    // As far as the head says.
    bool ends_with_answer() const noexcept {
        return !connection_.persistent || parser_.body().framing == Framing::until_close;
    }
    // The end of the connection completes the answer (a body until close).
    bool end_completes() noexcept { return parser_.end_of_input(); }
    bool heard() const noexcept { return heard_; }

    // What has arrived and was not read. After a 101 these are the tunnel's first bytes.
    std::span<char> take_rest() noexcept { return std::exchange(input_, {}); }
    // The head, what was read of the body and what is unread must outlive this event. `take_kept` gives
    // the body's data again.
    void keep(const Pieces& body);
    void take_kept(Pieces& body) noexcept;

    // The answer is complete, and so is the request if `request_sent`: the connection, if it can
    // carry another one.
    Lease release(bool request_sent);
    void close() noexcept;

private:
    bool persistent() const noexcept;

    Lease lease_;
    HttpParser parser_;
    HttpParser::Asked asked_;
    Head head_;
    std::string partial_;  // a head that came in pieces, or is kept
    std::string kept_;     // bytes that outlived their event: of the body, then unread ones
    std::size_t kept_body_ = 0;
    std::span<char> input_;  // arrived, unread
    std::optional<int> end_;
    bool heard_ = false;  // a byte of an answer came
    // Names and all: the head's bytes may be gone when the body ends, `persistent` stays.
    ConnectionOptions connection_;
};

}  // namespace baton
