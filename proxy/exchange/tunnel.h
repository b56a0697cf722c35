#pragma once

// What a request becomes after a 101: bytes both ways, as they are, until both sides have ended. It refers
// to no configuration, for it may outlast many.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "proxy/context/access_log.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/server_side.h"
#include "proxy/exchange/tunnel_session.h"
#include "proxy/route/route_state.h"

namespace baton {

class Tunnel final : public Exchange {
public:
    struct Needs {
        std::optional<TunnelSession> session;
        KeptAccessLine log;          // of the request
        std::uint64_t begun_us = 0;  // when the request's first byte came, by uv_hrtime
        std::shared_ptr<RouteState> route;
        Milliseconds idle{0};  // 0: for ever
        Milliseconds send{0};  // 0: for ever
    };
    Tunnel(Lane& lane, ClientSide& client, ServerSide::Raw server, Needs needs);
    ~Tunnel() override;

    bool advance() override;
    void client_gone(StreamEnd end) override;
    void client_fault(Error) override {}  // there are no messages
    void on_deadline(std::uint64_t now_ms) override;
    void stop() override;
    Deadline deadline() noexcept override;

private:
    enum class State : std::uint8_t {
        open,
        closing,  // the last bytes leave for the client
        over,
    };
    static const StreamEvents server_events;

    void server_arrived(std::span<char> bytes) noexcept;
    void server_ended(StreamEnd end) noexcept;
    void carry();
    bool is_done() const noexcept;
    void look_after_session();
    void session_step(TunnelSession::Step step);
    void set_interest() noexcept;
    void see_progress() noexcept;
    void fail(Fault fault, Reason reason = Reason::none);
    void finish(End end);
    Stream& server() const noexcept { return *lease_->stream; }
    std::uint64_t now() const noexcept { return lane_.loop.now(); }

    Lease lease_;
    Needs needs_;
    std::span<char> unread_;  // of the server's, during an event
    std::optional<StreamEnd> server_end_;
    State state_ = State::open;
    bool reads_server_ = true;
    bool client_lost_ = false;        // all that it had sent is read, and it takes nothing
    std::uint64_t bytes_in_ = 0;      // from the client
    std::uint64_t server_sent_seen_;  // bytes to the server that the kernel has taken
    Stamps at_;
};

}  // namespace baton
