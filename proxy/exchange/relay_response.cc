// The relay's response side: from the server's first byte to the last one the client is sent.

#include <algorithm>
#include <utility>

#include "net/check.h"
#include "net/http/cache_control.h"
#include "proxy/exchange/relay.h"
#include "proxy/exchange/retry.h"
#include "proxy/exchange/tunnel.h"
#include "proxy/head/connection_auth.h"

namespace baton {

namespace {

// RFC 9110, 15.2 sets no number; more than this is no conversation.
constexpr std::uint8_t interims_max = 16;

}  // namespace

void Relay::receive() {
    if (receiving_ == ResponseSide::committing) return committed();
    while (receiving_ == ResponseSide::none) {
        const auto head = server_.read_head();
        if (!head) return fail(head.error());
        if (!*head) break;
        if (times_.first_us == 0) times_.first_us = lane_.clock_us();
        const int status = server_.response().head.status;
        if (status >= 200 || status == 101)
            on_final();
        else if (!pass_interim())
            return fail({Fault::bad_response, 0, Reason::too_many_interims});
        if (state_ != State::exchanging) return;
    }
    if (receiving_ == ResponseSide::body) receive_body();
    if (state_ == State::exchanging && receiving_ != ResponseSide::committing &&
        server_.response().end)
        server_lost();
}

// 1xx: passed on, without any deadline moving.
bool Relay::pass_interim() {
    if (++interims_ > interims_max) return false;
    client_.interim({.head = &server_.response().head,
                     .connection = &server_.response().connection,
                     .session_prefix = snapshot_->config().session.header_prefix,
                     .session_cookie = session_cookie(),
                     .other_cookies = other_cookies()});
    server_.next_head();
    return true;
}

// A response that changes the session is committed before its first byte is released: a client that
// follows it finds the change.
void Relay::on_final() {
    if (route_->config->session == SessionMode::off) count_ignored_fields();
    // What is wrong with the beginning of the body is found before the session is changed, and can
    // still be a 502.
    if (const auto error = server_.read_body()) return fail(*error);
    // Whatever it finds out, the store is asked by its present id if the response asks for something.
    if (session_.looks_again()) forget_answer();
    if (!session_step(session_.apply(server_.response().head))) {
        receiving_ = ResponseSide::committing;
        return server_.keep();
    }
    release_response();
}

void Relay::committed() {
    auto answer = take_answer();
    if (!answer || !session_step(session_.answered(std::move(*answer)))) return;
    release_response();
    if (state_ == State::exchanging && server_.response().end) server_lost();
}

// Session fields where the route has no sessions mean nothing; they are stripped, and counted.
void Relay::count_ignored_fields() {
    const Head& head = server_.response().head;
    for (const Field& field : head.fields)
        if (has_session_prefix(head.text(field.name), snapshot_->config().session.header_prefix))
            lane_.counters.session_fields_dropped.add();
}

void Relay::release_response() {
    if (const auto& error = session_.error()) {
        if (error->fault == Fault::session_conflict && may_replay()) return replay();
        return fail(*error);
    }
    if (server_.response().head.status == 101) return begin_tunnel();
    // A connection on which the server knows who asks is that client's, and ends with it.
    const bool knows = choice_.is_bound() || asks_connection_auth(server_.response().head) ||
                       has_connection_auth(request_.head);
    returns_ = knows ? Returns::to_client : Returns::to_pool;
    begin_response();
}

void Relay::begin_response() {
    ForwardResponse response = response_head();
    response.body = server_.response().body;
    response.close = choice_.is_bound() && server_.response().ends_connection();
    response.date_line = lane_.date_line();
    const bool complete = server_.response().complete;
    const std::size_t dropped = client_.begin(response, server_.response().arrived, complete);
    outcome_.status = server_.response().head.status;
    receiving_ = ResponseSide::body;
    if (dropped > 0) count_dropped_cookies(dropped);
    if (complete) response_done();
}

// With the cookie, if the session changes it. No date where the server switches protocols.
ForwardResponse Relay::response_head() {
    const Head& head = server_.response().head;
    std::string& cookie = lane_.lines_out;
    cookie.clear();
    session_.append_cookie(cookie, is_cookie_secure());
    if (!cookie.empty() && invites_sharing(head, lane_.epoch_now_ms() / 1000) &&
        lane_.made_private_warning.due(now()))
        log::warn("response made private because it changes the session cookie",
                  {{"server", choice_.server()->text}, {"route", route_->config->name}});
    const bool is_head = request_.head.method == Method::head && head.status != 204;
    return {.head = &head,
            .connection = &server_.response().connection,
            .keep_length = head.status == 304 || is_head,
            .session_prefix = snapshot_->config().session.header_prefix,
            .session_cookie = session_cookie(),
            .other_cookies = other_cookies(),
            .cookie = cookie};
}

bool Relay::is_cookie_secure() const noexcept {
    const SecureCookie secure = snapshot_->config().session.secure;
    return secure == SecureCookie::always ||
           (secure == SecureCookie::automatic && is_secure(client_.peer(), request_.head));
}

void Relay::count_dropped_cookies(std::size_t dropped) {
    lane_.counters.session_cookies_dropped.add(dropped);
    if (lane_.foreign_cookie_warning.due(now()))
        log::warn("a server sets the session cookie itself, dropped",
                  {{"server", choice_.server()->text},
                   {"route", route_->config->name},
                   {"cookie", foreign_cookie()},
                   {"cure", "session = 'off' on this route, or another cookie name"}});
}

// The first cookie in the response that its server may not set.
std::string_view Relay::foreign_cookie() const noexcept {
    const Head& head = server_.response().head;
    for (const Field& field : head.fields) {
        if (field.id != FieldName::set_cookie) continue;
        const std::string_view value = head.text(field.value);
        if (sets_cookie(value, session_cookie())) return session_cookie();
        for (const std::string_view other : other_cookies())
            if (sets_cookie(value, other)) return other;
    }
    return {};
}

void Relay::receive_body() {
    if (const auto error = server_.read_body()) return fail(*error);
    const Response& response = server_.response();
    if (!response.arrived.empty() || response.complete)
        client_.body(response.arrived, response.complete);
    if (response.complete) response_done();
}

// The response is whole. If the request is not, neither connection can carry another one (RFC 9112,
// 9.3 and 9.5).
void Relay::response_done() {
    receiving_ = ResponseSide::done;
    if (Lease lease = server_.release(sending_ == RequestSide::sent)) {
        if (returns_ == Returns::to_pool)
            choice_.pool().give_back(std::move(lease), now());
        else
            client_.bind(std::move(lease));
    }
    state_ = State::replying;
}

// The server has ended its side, or its connection broke.
void Relay::server_lost() {
    if (receiving_ == ResponseSide::body) {
        if (!server_.end_completes()) return fail(server_gone(Reason::cut_body));
        client_.body(server_.response().arrived, true);
        return response_done();
    }
    const unsigned tries = route_->upstream_config->retry_tries;
    const RetryFacts facts{.method = request_.head.method,
                           .answer_begun = server_.response().heard,
                           .body_at_hand = kept_ == Kept::all,
                           .tries_left = tries - std::min(choice_.tries(), tries)};
    if (!choice_.is_bound() && may_retry(Fault::server_gone, facts)) return resend();
    fail(server_gone(server_.response().heard ? Reason::cut_head : Reason::closed_unanswered));
}

Error Relay::server_gone(Reason reason) noexcept {
    const auto& end = server_.response().end;
    const int uv_error = end ? end->error : 0;
    return {.fault = Fault::server_gone,
            .code = uv_error,
            .reason = reason,
            .origin = origin_of_loss(progress(), uv_error, now())};
}

// From here on there are no messages: what carries the bytes needs little of what a request does.
void Relay::begin_tunnel() {
    ForwardResponse response = response_head();
    response.upgrade = true;
    const std::size_t dropped = client_.begin(response, server_.response().arrived, false);
    if (dropped > 0) count_dropped_cookies(dropped);
    outcome_.status = server_.response().head.status;
    const Config& config = snapshot_->config();
    tunnel_ = std::make_unique<Tunnel>(lane_, client_, server_.release_raw(),
                                       Tunnel::Needs{.session = session_.for_tunnel(),
                                                     .log = KeptAccessLine{access_line()},
                                                     .begun_us = times_.begun_us,
                                                     .route = route_->state,
                                                     .idle = config.timeouts.tunnel_idle,
                                                     .send = config.timeouts.send});
    end_ = End::tunnel;
    state_ = State::over;
}

}  // namespace baton
