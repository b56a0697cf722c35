#pragma once

// A request that a server answers. Every event stores what it brought and calls `advance`, where the
// order of things is written once.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/http/http_parser.h"
#include "net/result.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/request_session.h"
#include "proxy/head/forward.h"
#include "proxy/http1/head_block.h"
#include "proxy/http1/write_list.h"
#include "upstream/connecting.h"

namespace baton {

class Http1Client;

class Relay final : public Exchange {
public:
    enum class State : std::uint8_t {
        routing,
        holding,          // the body is awaited before anybody is asked
        finding_session,  // the store may have to answer
        choosing,         // a server, and an idle connection to it
        connecting,
        exchanging,  // the request goes, the answer comes; they may overlap
        tunnelling,  // after a 101: bytes both ways
        replying,    // the last bytes leave for the client
        over,
    };
    // `begun_at_us`: when the request's first byte came, in microseconds of uv_hrtime.
    Relay(Lane& lane, Http1Client& client, HeadBlock& block, std::uint64_t begun_at_us);
    ~Relay() override;

    bool advance() override;
    void client_gone(int uv_error) override;
    void client_fault(Error error) override;
    void on_deadline(std::uint64_t now_ms) override;
    void stop() override;
    Deadline deadline() noexcept override;
    bool tunnelling() const noexcept override { return state_ == State::tunnelling; }

private:
    enum class RequestSide : std::uint8_t { held, sending, sent };
    enum class ResponseSide : std::uint8_t { none, committing, body, done };
    static const StreamEvents server_events;

    void route();
    bool is_loop() const noexcept;
    void answer_options();
    void decide_end(bool reusable) noexcept;
    void ask_for_body();
    void hold();
    bool fits_whole() const noexcept;
    void find_session();
    void session_found();
    bool may_replay() noexcept;
    void replay();
    void choose();
    void connected();
    void exchange();
    void tunnel();
    bool is_tunnel_done() noexcept;
    void reply();

    void server_arrived(std::span<char> bytes) noexcept;
    void server_ended(int uv_error) noexcept;
    Lease idle_connection();
    bool can_send_again() const noexcept;
    Lease bound_connection();
    void give_back(Lease lease);
    void connect_failed(int uv_error);
    Error no_server_left() const noexcept;
    void add_connect_failure(Reason reason) noexcept;
    void open_server(Lease lease);
    void send_request();
    void build_request_head();
    Body body_to_server() const noexcept;
    void hold_body();
    void drop_held();
    void keep_for_resend();
    void resend_unsent();
    void resend();
    void receive();
    bool on_interim();
    void on_final();
    void committed();
    void count_ignored_fields();
    std::string_view session_cookie() const noexcept;
    std::span<const std::string_view> other_cookies() const noexcept;
    std::string_view foreign_cookie() const noexcept;
    void release_response();
    bool is_cookie_secure() const noexcept;
    void build_response_head(Body body);
    void receive_body();
    void pass_body(WriteList& list);
    void response_done();
    void server_lost();
    Error server_gone(Reason reason) noexcept;
    void begin_tunnel();
    void look_after_session();
    void keep_session();
    void fail(Error error);
    void warn_of_server(Error error);
    void finish(End end);

    Progress::Phase phase() noexcept;
    bool awaits_continue() const noexcept;
    Progress progress() noexcept;
    Deadline time_out() noexcept;
    bool is_session_watched() const noexcept;
    std::uint64_t next_session_look() const noexcept;
    std::uint64_t next_keep_alive() const noexcept;
    void see_progress() noexcept;
    std::size_t held_max() const noexcept;
    void set_interest();
    bool session_step(RequestSession::Step step);
    bool is_websocket() const noexcept;
    void write_log_line();
    void count_server_fault(ServerFault fault) noexcept;
    Pool& pool() noexcept { return *lane_.pools[server_->pool]; }
    // As logged and counted.
    int status() const noexcept { return status_ != 0 ? status_ : fault_ ? status_of(*fault_) : 0; }
    // `end` if the bytes complete the answer and the connection closes then.
    Stream::Then then(bool complete) const noexcept {
        return complete && close_client_ ? Stream::Then::end : Stream::Then::more;
    }
    bool replied() const noexcept { return status_ != 0; }
    std::string_view request_id() const noexcept { return {id_.data(), id_size_}; }
    std::uint64_t now() const noexcept { return lane_.loop.now(); }

    HeadBlock& block_;
    std::shared_ptr<const Snapshot> snapshot_;
    const Route* route_ = nullptr;
    const Server* server_ = nullptr;
    std::optional<Connecting> connecting_;
    RequestSession session_;
    Destination to_;
    ConnectionOptions connection_;  // the client's
    ServerSet tried_;               // not to be picked again
    ServerSet refused_;             // of these, the ones no connection could be had to

    State state_ = State::routing;
    RequestSide request_ = RequestSide::held;
    ResponseSide response_ = ResponseSide::none;
    bool advancing_ = false;
    bool websocket_ = false;
    bool body_at_hand_ = true;  // `held` is all of the body so far
    bool client_is_1_0_ = false;
    bool close_client_ = false;  // said so in it
    bool wants_server_ = true;
    bool client_lost_ = false;    // of a tunnel: all that it had sent is read, and it takes nothing
    bool bound_ = false;          // the server connection is this client's
    bool asks_auth_ = false;      // the answer asks for authentication of the connection
    bool fresh_only_ = false;     // sent again: no idle connection is good enough
    bool replayed_ = false;       // after a conflict
    std::uint8_t interim_ = 0;    // 1xx answers so far
    unsigned tries_ = 0;          // requests of which a byte was written
    bool session_asked_ = false;  // the first look-up has begun
    std::optional<int> connect_result_;
    int connect_error_ = 0;  // of the last connect that failed
    std::optional<Fault> fault_;
    Reason reason_ = Reason::none;          // of the fault
    Reason connect_reason_ = Reason::none;  // what the connects that failed have in common
    std::string detail_;                    // of the reason
    Framing out_framing_ = Framing::none;   // of the answer's body to the client
    Framing in_framing_ = Framing::none;    // of the request's body to the server
    int status_ = 0;                        // of what the client has been sent; 0: nothing yet

    // The iteration in which a request went out on an idle connection that was not looked at; 0: none did.
    std::uint64_t unlooked_in_ = 0;

    Stamps at_;
    std::uint64_t server_sent_seen_ = 0;
    // For the log, in microseconds of uv_hrtime; 0: never.
    std::uint64_t begun_us_;
    std::uint64_t head_us_ = 0;
    std::uint64_t chosen_us_ = 0;
    std::uint64_t connected_us_ = 0;
    std::uint64_t first_us_ = 0;
    std::uint64_t client_sent_before_ = 0;
    std::uint64_t tunnel_in_ = 0;  // bytes from the client
    // Of a tunnel's session, milliseconds of the loop's clock.
    std::uint64_t session_looked_at_ = 0;
    std::uint64_t session_noted_at_ = 0;  // when it was last seen whether it has ended here
    std::array<char, 128> id_;
    std::uint8_t id_size_ = 0;
};

}  // namespace baton
