// The relay's response side: from the server's first byte to the last one the client is sent.

#include <algorithm>
#include <utility>

#include "net/check.h"
#include "net/http/cache_control.h"
#include "proxy/exchange/relay.h"
#include "proxy/exchange/retry.h"
#include "proxy/head/connection_auth.h"
#include "proxy/http1/http1_client.h"

namespace baton {

namespace {

// RFC 9110, 15.2 sets no number; more than this is no conversation.
constexpr std::uint8_t interim_max = 16;

}  // namespace

void Relay::receive() {
    if (response_ == ResponseSide::committing) return committed();
    while (response_ == ResponseSide::none) {
        const auto head = block_.server.read_head();
        if (!head) return fail(head.error());
        if (!*head) break;
        if (first_us_ == 0) first_us_ = lane_.clock_us();
        const int status = block_.server.head().status;
        if (status >= 200 || status == 101)
            on_final();
        else if (!on_interim())
            return fail({Fault::bad_response, 0, Reason::too_many_interims});
        if (state_ != State::exchanging) return;
    }
    if (response_ == ResponseSide::body) receive_body();
    if (state_ == State::exchanging && response_ != ResponseSide::committing && block_.server.end())
        server_lost();
}

// 1xx: passed on to those who know them (RFC 9110, 15.2), without any deadline moving.
bool Relay::on_interim() {
    if (++interim_ > interim_max) return false;
    if (!client_is_1_0_) {
        lane_.head_out.clear();
        append_response_head(lane_.head_out,
                             {.head = &block_.server.head(),
                              .connection = &block_.server.connection(),
                              .session_prefix = snapshot_->config().session.header_prefix,
                              .session_cookie = session_cookie(),
                              .other_cookies = other_cookies()});
        const iovec piece{lane_.head_out.data(), lane_.head_out.size()};
        client_.stream().write({&piece, 1});
    }
    block_.server.next_head();
    return true;
}

// A response that changes the session is committed before its first byte is released: a client that
// follows it finds the change.
void Relay::on_final() {
    const bool off = route_->config->session == SessionMode::off;
    if (off) count_ignored_fields();
    // What is wrong with the beginning of the body is found before the session is changed, and can
    // still be a 502.
    Pieces& pieces = lane_.server_pieces;
    pieces.clear();
    if (const auto error = block_.server.read_body(pieces)) return fail(*error);
    // Whatever it finds out, the store is asked by its present id if the response asks for something.
    if (session_.looks_again()) forget_answer();
    if (!session_step(session_.apply(block_.server.head()))) {
        response_ = ResponseSide::committing;
        block_.server.keep(pieces);
        return;
    }
    release_response();
}

void Relay::committed() {
    auto answer = take_answer();
    if (!answer || !session_step(session_.answered(std::move(*answer)))) return;
    block_.server.take_kept(lane_.server_pieces);
    release_response();
    if (state_ == State::exchanging && block_.server.end()) server_lost();
}

// What does nothing but answer may be asked for twice (RFC 9110, 9.2.1). A server that has switched
// protocols has begun a conversation.
bool Relay::may_replay() noexcept {
    const bool safe = block_.head.method == Method::get || block_.head.method == Method::head;
    return safe && snapshot_->config().session.replay_safe && !replayed_ && !bound_ &&
           body_at_hand_ && request_ == RequestSide::sent && block_.server.head().status != 101;
}

// The cookie that no server sees and none may set; none where the route has no sessions.
std::string_view Relay::session_cookie() const noexcept {
    if (route_->config->session == SessionMode::off) return {};
    return route_->cookie;
}

// Live ids of another application on the same host are none of this one's business.
std::span<const std::string_view> Relay::other_cookies() const noexcept {
    if (route_->config->session == SessionMode::off) return {};
    return route_->other_cookies;
}

// The first cookie in the response that its server may not set.
std::string_view Relay::foreign_cookie() const noexcept {
    const Head& head = block_.server.head();
    for (const Field& field : head.fields) {
        if (field.id != FieldName::set_cookie) continue;
        const std::string_view value = head.text(field.value);
        if (sets_cookie(value, session_cookie())) return session_cookie();
        for (const std::string_view other : other_cookies())
            if (sets_cookie(value, other)) return other;
    }
    return {};
}

// Session fields where the route has no sessions mean nothing; they are stripped, and counted.
void Relay::count_ignored_fields() {
    const Head& head = block_.server.head();
    for (const Field& field : head.fields)
        if (has_session_prefix(head.text(field.name), snapshot_->config().session.header_prefix))
            lane_.counters.session_fields_dropped.add();
}

void Relay::release_response() {
    if (const auto& error = session_.error()) {
        if (error->fault == Fault::session_conflict && may_replay()) return replay();
        return fail(*error);
    }
    if (block_.server.head().status == 101) return begin_tunnel();
    const Body body = block_.server.body();
    const bool unknown_length =
        body.framing == Framing::chunked || body.framing == Framing::until_close;
    out_framing_ = !unknown_length  ? body.framing
                   : client_is_1_0_ ? Framing::until_close
                                    : Framing::chunked;
    close_client_ = !connection_.persistent || !client_.body_complete() || client_.ends_here() ||
                    out_framing_ == Framing::until_close ||
                    (bound_ && block_.server.ends_with_answer());
    asks_auth_ = asks_connection_auth(block_.server.head());
    __attribute__((uninitialized)) WriteList list;
    build_response_head({out_framing_, body.length});
    list.add(lane_.head_out);
    status_ = block_.server.head().status;
    response_ = ResponseSide::body;
    pass_body(list);
}

bool Relay::is_cookie_secure() const noexcept {
    const SecureCookie secure = snapshot_->config().session.secure;
    return secure == SecureCookie::always ||
           (secure == SecureCookie::automatic && is_secure(client_.peer(), block_.head));
}

void Relay::build_response_head(Body body) {
    const Config& config = snapshot_->config();
    const Head& head = block_.server.head();
    lane_.lines_out.clear();
    session_.append_cookie_line(lane_.lines_out, is_cookie_secure());
    if (!lane_.lines_out.empty() && invites_sharing(head, lane_.epoch_now_ms() / 1000) &&
        lane_.made_private_warning.due(now()))
        log::warn("response made private because it changes the session cookie",
                  {{"server", server_->text}, {"route", route_->config->name}});
    lane_.head_out.clear();
    const bool upgrade = head.status == 101;
    const std::size_t dropped = append_response_head(
        lane_.head_out, {.head = &head,
                         .connection = &block_.server.connection(),
                         .body = body,
                         .keep_length = head.status == 304 ||
                                        (block_.head.method == Method::head && head.status != 204),
                         .client_is_1_0 = client_is_1_0_,
                         .close = close_client_,
                         .upgrade = upgrade,
                         .session_prefix = config.session.header_prefix,
                         .session_cookie = session_cookie(),
                         .other_cookies = other_cookies(),
                         .date_line = upgrade ? std::string_view{} : lane_.date_line(),
                         .added = lane_.lines_out});
    if (dropped == 0) return;
    lane_.counters.session_cookies_dropped.add(dropped);
    if (lane_.foreign_cookie_warning.due(now()))
        log::warn("a server sets the session cookie itself, dropped",
                  {{"server", server_->text},
                   {"route", route_->config->name},
                   {"cookie", foreign_cookie()},
                   {"cure", "session = 'off' on this route, or another cookie name"}});
}

void Relay::receive_body() {
    Pieces& pieces = lane_.server_pieces;
    pieces.clear();
    if (const auto error = block_.server.read_body(pieces)) return fail(*error);
    __attribute__((uninitialized)) WriteList list;
    pass_body(list);
}

// Data to the client, behind what the list holds already; the end if it has come.
void Relay::pass_body(WriteList& list) {
    const Pieces& pieces = lane_.server_pieces;
    list.add_body(pieces.view(), pieces.bytes(), out_framing_);
    const bool complete = block_.server.complete();
    if (complete) list.add_end(out_framing_);
    if (!list.empty()) client_.stream().write(list.view(), then(complete));
    if (complete) response_done();
}

// The answer is whole. If the request is not, neither connection can carry another one (RFC 9112,
// 9.3 and 9.5).
void Relay::response_done() {
    response_ = ResponseSide::done;
    const bool request_sent = request_ == RequestSide::sent;
    // Decided when the head was released.
    check(request_sent || close_client_, "a connection with half a request was to be kept");
    if (Lease lease = block_.server.release(request_sent)) give_back(std::move(lease));
    state_ = State::replying;
}

// A connection on which the server knows who asks is that client's, and ends with it. That of a proxy
// carries many people: it has none of its own.
void Relay::give_back(Lease lease) {
    if (!bound_ && !asks_auth_ && !has_connection_auth(block_.head))
        return pool().give_back(std::move(lease), now());
    if (!client_.peer().trusted && !close_client_) client_.bind(std::move(lease));
}

// The server has ended its side, or its connection broke.
void Relay::server_lost() {
    if (response_ == ResponseSide::body) {
        // After a reset libuv may report the reset to the write side and an orderly end to the other.
        const bool orderly = *block_.server.end() == UV_EOF && !block_.server.stream().broken();
        if (orderly && block_.server.end_completes()) {
            lane_.server_pieces.clear();
            __attribute__((uninitialized)) WriteList list;
            return pass_body(list);
        }
        return fail(server_gone(Reason::cut_body));
    }
    const RetryFacts facts{.method = block_.head.method,
                           .answer_begun = block_.server.heard(),
                           .body_at_hand = body_at_hand_,
                           .tries_left = route_->upstream_config->retry_tries -
                                         std::min(tries_, route_->upstream_config->retry_tries)};
    if (!bound_ && may_retry(Fault::server_gone, facts)) return resend();
    fail(server_gone(block_.server.heard() ? Reason::cut_head : Reason::closed_unanswered));
}

Error Relay::server_gone(Reason reason) noexcept {
    const int uv_error = block_.server.end().value_or(0);
    return {.fault = Fault::server_gone,
            .code = uv_error,
            .reason = reason,
            .origin = origin_of_loss(progress(), uv_error, now())};
}

void Relay::begin_tunnel() {
    close_client_ = true;
    build_response_head({});
    __attribute__((uninitialized)) WriteList list;
    list.add(lane_.head_out);
    client_.stream().write(list.view());
    status_ = 101;
    request_ = RequestSide::sent;
    response_ = ResponseSide::done;
    session_looked_at_ = session_noted_at_ = now();
    if (session_.tunnel_interval_ms() != 0) session_.touch();
    state_ = State::tunnelling;
}

void Relay::tunnel() {
    Http1Server& server = block_.server;
    for (auto bytes = client_.take_raw(); !bytes.empty(); bytes = client_.take_raw()) {
        const iovec piece{bytes.data(), bytes.size()};
        server.stream().write({&piece, 1});
        tunnel_in_ += bytes.size();
        at_.response_progress = now();
    }
    if (const auto bytes = server.take_rest(); !bytes.empty()) {
        const iovec piece{bytes.data(), bytes.size()};
        client_.stream().write({&piece, 1});
    }
    if (client_.half_closed()) server.stream().shut();
    if (server.end()) client_.stream().shut();
    if (!is_tunnel_done()) return look_after_session();
    if (client_lost_ || client_.stream().broken()) return fail({Fault::client_gone, UV_EPIPE});
    state_ = State::replying;
}

// Nothing more will come from either side, and what came has left for the server; for the client it may
// still wait, and a server's reset, passed on, would destroy it. What the server sends to a client that is
// gone is dropped as long as the end of what the client sent is on its way: to close in the middle of it
// would be a reset.
bool Relay::is_tunnel_done() noexcept {
    Stream& server = block_.server.stream();
    const auto end = block_.server.end();
    const bool server_lost = server.broken() || (end && *end != UV_EOF);
    if (client_lost_) return server_lost || server.unsent() == 0;
    if (!server_lost && !(client_.half_closed() && server.unsent() == 0)) return false;
    if (end) return true;
    return client_.stream().broken() && (server.broken() || server.unacknowledged() == 0);
}

// A session lives while its tunnel carries data; if the configuration says so, the tunnel lives no
// longer than its session.
void Relay::look_after_session() {
    const auto interval = static_cast<std::uint64_t>(session_.tunnel_interval_ms());
    if (interval == 0) return;
    if (auto answer = take_answer()) session_step(session_.answered(std::move(*answer)));
    const bool in_use = at_.response_progress > session_looked_at_;
    bool due = now() >= session_looked_at_ + interval && (in_use || is_session_watched());
    if (snapshot_->config().session.close_tunnels && !awaits_answer()) {
        session_noted_at_ = now();
        due = session_.ended_here() || due;
    }
    if (due && !awaits_answer()) {
        session_looked_at_ = now();
        session_step(session_.look_again(in_use));
    }
    if (!session_.ended() || !snapshot_->config().session.close_tunnels) return;
    log::info("tunnel closed because its session has ended", {{"id", request_id()}});
    finish(End::close);
}

// The store's word on the session of a request that runs on.
void Relay::keep_session() {
    if (auto answer = take_answer()) session_step(session_.answered(std::move(*answer)));
}

}  // namespace baton
