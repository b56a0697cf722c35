#pragma once

// HTTP/1.1 with a server: one request and its response on a leased connection.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/http/http_parser.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/server_side.h"
#include "upstream/pool.h"

namespace baton {

class Http1Server final : public ServerSide {
public:
    Http1Server(Lane& lane, const HeadLimits& limits)
        : lane_(lane), parser_(HeadGuard::Kind::response, limits) {}
    Http1Server(const Http1Server&) = delete;
    Http1Server& operator=(const Http1Server&) = delete;

    void open(Lease lease, const Use& use, void* holder, Happened happened) override;
    Lease release(bool request_sent) override;

    Sent send(ForwardRequest& request, std::string_view held, const Pieces& arrived,
              bool complete) override;
    void send_body(const Pieces& data, bool complete) override;

    Result<bool> read_head() override;
    void next_head() noexcept override;
    std::optional<Error> read_body() override;
    void keep() override;
    bool end_completes() noexcept override;
    Raw release_raw() noexcept override;

    void see_progress(Stamps& at) noexcept override;

private:
    static const StreamEvents events;

    void arrived(std::span<char> bytes) noexcept;
    void ended(StreamEnd end) noexcept;
    bool is_persistent() const noexcept;

    Lane& lane_;
    void* holder_ = nullptr;
    Happened happened_ = nullptr;
    HttpParser parser_;
    HttpParser::Asked asked_;
    Framing sent_framing_ = Framing::none;  // of the request's body
    std::string partial_;                   // a head that came in pieces, or is kept
    std::string kept_;       // bytes that outlived their event: of the body, then unread ones
    std::span<char> input_;  // arrived, unread
    // The loop's iteration in which the request went out on a connection that nobody had looked at; 0: it did
    // not.
    std::uint64_t unlooked_in_ = 0;
    // Milliseconds of the loop's clock.
    std::uint64_t last_input_at_ = 0;
    std::uint64_t sent_seen_ = 0;
};

}  // namespace baton
