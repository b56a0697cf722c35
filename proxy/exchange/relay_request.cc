// The relay's request side: what the server is sent, and sent again.

#include <algorithm>
#include <utility>

#include "proxy/exchange/relay.h"

namespace baton {

// The head with what is held of the body, then the body as it comes: in one write what came in one
// read.
void Relay::send_request() {
    if (sending_ == RequestSide::held) {
        send_head();
        if (state_ != State::exchanging) return;
    } else {
        if (request_.arrived.empty() && !request_.complete) return;
        server_.send_body(request_.arrived, request_.complete);
    }
    sending_ = request_.complete ? RequestSide::sent : RequestSide::sending;
    at_.request_progress = now();
    keep_for_resend();
}

void Relay::send_head() {
    const Config& config = snapshot_->config();
    const UpstreamConfig& upstream = *route_->upstream_config;
    lane_.lines_out.clear();
    session_.append_request_fields(lane_.lines_out);
    // What a client without a Host asked for is the address that it found.
    const std::string listener = to_.host.empty() ? client_.local_address().text() : std::string{};
    ForwardRequest request{.head = &request_.head,
                           .connection = &request_.connection,
                           .to = to_,
                           .listener_host = listener,
                           .peer = &client_.peer(),
                           .body = request_.body,
                           .request_id = id_.view(),
                           .via_line = upstream.via
                                           ? std::string_view{lane_.via_lines[request_.head.minor]}
                                           : std::string_view{},
                           .session_prefix = config.session.header_prefix,
                           .session_fields = lane_.lines_out,
                           .session_cookie = session_cookie(),
                           .other_cookies = other_cookies(),
                           .keep_underscores = config.limits.underscores == Underscores::keep,
                           .websocket = is_websocket(),
                           .buffered = upstream.request_buffer > 0};
    const auto sent = server_.send(request, request_.held, request_.arrived, request_.complete);
    if (sent.fields_dropped > 0) lane_.counters.session_fields_dropped.add(sent.fields_dropped);
    if (sent.lost) return resend_unwritten();
    choice_.written();
}

std::string_view Relay::session_cookie() const noexcept {
    if (route_->config->session == SessionMode::off) return {};
    return route_->cookie;
}

// Live ids of another application on the same host are none of this one's business.
std::span<const std::string_view> Relay::other_cookies() const noexcept {
    if (route_->config->session == SessionMode::off) return {};
    return route_->other_cookies;
}

// As long as the request could be sent again, what is received of its body is kept, if it fits.
void Relay::keep_for_resend() {
    const bool can_resend = is_idempotent(request_.head.method) &&
                            choice_.tries() < route_->upstream_config->retry_tries;
    if (can_resend && kept_ == Kept::all && request_.gathered() <= held_max())
        return request_.hold();
    if (request_.gathered() > 0) kept_ = Kept::not_all;
    request_.drop_held();
    request_.arrived.clear();
}

// How much of a body waits before reading stops.
std::size_t Relay::held_max() const noexcept {
    const std::size_t buffer = route_ == nullptr ? 0 : route_->upstream_config->request_buffer;
    return std::max(Request::waiting_max, buffer);
}

// The connection had been closed before, and the server has not seen this request.
void Relay::resend_unwritten() {
    choice_.unwritten(server_.is_reused());
    server_.close();
    state_ = State::choosing;
}

void Relay::resend() {
    lane_.counters.retries.add();
    // An idle connection that had been closed is no fault of the server's; but the server may be about
    // to die, and still let us connect: another one is asked, if there is one.
    if (!server_.is_reused() && server_gone(Reason::closed_unanswered).origin == Origin::server)
        choice_.count(ServerFault::server_gone);
    server_.close();
    choice_.again();
    sending_ = RequestSide::held;
    state_ = State::choosing;
}

// What does nothing but answer may be asked for twice (RFC 9110, 9.2.1). A server that has switched
// protocols has begun a conversation.
bool Relay::may_replay() noexcept {
    const Method method = request_.head.method;
    return (method == Method::get || method == Method::head) &&
           snapshot_->config().session.replay_safe && replays_ == 0 && !choice_.is_bound() &&
           kept_ == Kept::all && sending_ == RequestSide::sent &&
           server_.response().head.status != 101;
}

// The response was made for a session that has changed meanwhile, and nothing of it has left: once
// more, for the session as it is now.
void Relay::replay() {
    ++replays_;
    lane_.counters.session_replays.add();
    server_.close();
    choice_.once_more();
    sending_ = RequestSide::held;
    receiving_ = ResponseSide::none;
    times_.first_us = 0;
    state_ = State::awaiting_session;
    if (session_step(session_.find_again())) session_found();
}

}  // namespace baton
