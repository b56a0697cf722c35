#pragma once

// A request that a server answers. Every event stores what it brought and calls `advance`, where the
// order of things is written once.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/result.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/client_side.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/request.h"
#include "proxy/exchange/request_session.h"
#include "proxy/exchange/server_choice.h"
#include "proxy/exchange/server_side.h"
#include "proxy/head/destination.h"

namespace baton {

class Relay final : public Exchange {
public:
    enum class State : std::uint8_t {
        routing,
        holding,  // the body is awaited before anybody is asked
        finding_session,
        awaiting_session,  // the store's answer
        choosing,          // a server, and a connection to it
        exchanging,        // the request goes, the response comes; they may overlap
        replying,          // the last bytes leave for the client
        over,
    };
    // `begun_at_us`: when the request's first byte came, in microseconds of uv_hrtime. All others outlive it.
    Relay(Lane& lane, ClientSide& client, Request& request, ServerSide& server,
          std::uint64_t begun_at_us);
    ~Relay() override;

    bool advance() override;
    void client_gone(StreamEnd end) override;
    void client_fault(Error error) override;
    void on_deadline(std::uint64_t now_ms) override;
    void stop() override;
    Deadline deadline() noexcept override;
    std::unique_ptr<Exchange> take_tunnel() override { return std::move(tunnel_); }

private:
    enum class RequestSide : std::uint8_t { held, sending, sent };
    enum class ResponseSide : std::uint8_t { none, committing, body, done };
    // What is kept of the request's body, to be sent again.
    enum class Kept : std::uint8_t { all, not_all };
    // To whom the server connection goes after the response.
    enum class Returns : std::uint8_t { to_pool, to_client };
    // What the log and the counters are told.
    struct Outcome {
        int status = 0;  // of what the client has been sent; 0: nothing yet
        std::optional<Fault> fault;
        Reason reason = Reason::none;
        std::string detail;
        // As logged and counted.
        int logged_status() const noexcept {
            return status != 0 ? status : fault ? status_of(*fault) : 0;
        }
    };
    // When what was reached, in microseconds of uv_hrtime; 0: never.
    struct Times {
        std::uint64_t begun_us = 0;
        std::uint64_t head_us = 0;
        std::uint64_t chosen_us = 0;
        std::uint64_t connected_us = 0;
        std::uint64_t first_us = 0;
    };

    void route();
    void take_id();
    std::optional<Error> refusal() const noexcept;
    bool is_loop() const noexcept;
    bool is_websocket() const noexcept;
    void hold();
    bool fits_whole() const noexcept;
    void find_session();
    void session_found();
    void keep_session();
    bool session_step(RequestSession::Step step);
    void choose();
    bool is_resendable() const noexcept;
    void open_server(Lease lease);
    void exchange();
    void reply();

    void send_request();
    void send_head();
    void keep_for_resend();
    std::size_t held_max() const noexcept;
    void resend_unwritten();
    void resend();
    bool may_replay() noexcept;
    void replay();

    void receive();
    bool pass_interim();
    void on_final();
    void committed();
    void count_ignored_fields();
    void release_response();
    void begin_response();
    ForwardResponse response_head();
    bool is_cookie_secure() const noexcept;
    void count_dropped_cookies(std::size_t dropped);
    void receive_body();
    void response_done();
    void server_lost();
    Error server_gone(Reason reason) noexcept;
    void begin_tunnel();

    void send_reply(const Reply& reply);
    void fail(Error error);
    void warn_of_server(Error error);
    void finish(End end);

    Progress::Phase phase() const noexcept;
    Progress progress() noexcept;
    Deadline time_out() noexcept;
    bool awaits_continue() const noexcept;
    std::uint64_t next_keep_alive() const noexcept;
    void set_interest();
    AccessLine access_line() noexcept;
    void count() noexcept;
    // The cookie that no server sees and none may set; none where the route has no sessions.
    std::string_view session_cookie() const noexcept;
    std::span<const std::string_view> other_cookies() const noexcept;
    std::string_view foreign_cookie() const noexcept;
    bool has_replied() const noexcept { return outcome_.status != 0; }
    std::uint64_t now() const noexcept { return lane_.loop.now(); }

    Request& request_;
    ServerSide& server_;
    SnapshotRef snapshot_;
    const Route* route_ = nullptr;
    ServerChoice choice_;
    RequestSession session_;
    Destination to_;
    RequestId id_;

    State state_ = State::routing;
    RequestSide sending_ = RequestSide::held;
    ResponseSide receiving_ = ResponseSide::none;
    bool advancing_ = false;
    Kept kept_ = Kept::all;
    Returns returns_ = Returns::to_pool;
    std::uint8_t interims_ = 0;  // 1xx passed on so far
    std::uint8_t replays_ = 0;   // requests sent once more after a conflict
    Outcome outcome_;
    Stamps at_;
    Times times_;
    std::unique_ptr<Exchange> tunnel_;  // that carries on after a 101
};

}  // namespace baton
