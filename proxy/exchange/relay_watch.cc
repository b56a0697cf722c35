// What the relay is watched by: which sides are read, how long things may take, and the line in the log.

#include <algorithm>

#include "proxy/exchange/relay.h"
#include "proxy/http1/http1_client.h"

namespace baton {

namespace {

// On until there is this much unsent on the other side, then off until half of it has left.
constexpr std::size_t unsent_max = std::size_t{64} << 10;

// A logout closes its tunnels within a second, if this process has seen it.
constexpr std::uint64_t ended_here_every_ms = 500;

bool flows(bool on, std::size_t unsent) noexcept {
    return unsent < (on ? unsent_max : unsent_max / 2);
}

}  // namespace

// Whether to read from the client and from the server, from the state and what is unsent; nothing
// else decides it.
void Relay::set_interest() {
    Http1Server& server = block_.server;
    const bool sending = state_ == State::tunnelling ||
                         (state_ == State::exchanging && request_ == RequestSide::sending);
    if (sending)
        wants_client_ = flows(wants_client_, server.is_open() ? server.stream().unsent() : 0);
    else if (client_.body_complete())
        wants_client_ = client_.waiting_bytes() < HeadBlock::waiting_max;
    else
        wants_client_ = state_ == State::holding || block_.held.size() < held_max();
    if (!server.is_open() || server.end()) return;
    wants_server_ =
        response_ != ResponseSide::committing && flows(wants_server_, client_.stream().unsent());
    server.stream().read(wants_server_);
}

void Relay::see_progress() noexcept {
    client_.see_progress(at_);
    if (block_.server.is_open() && block_.server.stream().sent() != server_sent_seen_) {
        server_sent_seen_ = block_.server.stream().sent();
        at_.request_progress = now();
    }
}

Progress::Phase Relay::phase() noexcept {
    switch (state_) {
    case State::holding: return Progress::Phase::uploading;
    case State::connecting: return Progress::Phase::connecting;
    case State::tunnelling: return Progress::Phase::tunnelling;
    case State::replying: return Progress::Phase::replying;
    case State::exchanging: break;
    default: return Progress::Phase::before;
    }
    if (response_ == ResponseSide::committing) return Progress::Phase::committing;
    const bool answering = response_ != ResponseSide::none;
    const bool stalled = block_.server.is_open() && block_.server.stream().unsent() > 0;
    if (request_ == RequestSide::sent || stalled)
        return answering ? Progress::Phase::answering : Progress::Phase::sent;
    return answering ? Progress::Phase::overlapping : Progress::Phase::uploading;
}

Deadline Relay::deadline() noexcept {
    Deadline due = time_out();
    const std::uint64_t look =
        state_ == State::tunnelling ? next_session_look() : next_keep_alive();
    if (look != 0 && (due.when == 0 || look < due.when)) due.when = look;
    return due;
}

// Whether a tunnel's session is looked up though the tunnel is silent: the old id of one that has
// been given a new one leads there for a minute only.
bool Relay::is_session_watched() const noexcept {
    const SessionConfig& session = snapshot_->config().session;
    return session.close_tunnels || session.renew_after.count() > 0;
}

// When a silent tunnel's session is to be looked up; 0: not now.
std::uint64_t Relay::next_session_look() const noexcept {
    if (!is_session_watched() || awaits_answer()) return 0;
    const auto interval = static_cast<std::uint64_t>(session_.tunnel_interval_ms());
    if (interval == 0) return 0;
    const std::uint64_t look = session_looked_at_ + interval;
    const bool closes = snapshot_->config().session.close_tunnels;
    return closes ? std::min(look, session_noted_at_ + ended_here_every_ms) : look;
}

// When the session of a request that runs on is to be kept alive; 0: never.
std::uint64_t Relay::next_keep_alive() const noexcept {
    const std::int64_t at = session_.keep_alive_at_ms();
    if (at == RequestSession::never) return 0;
    return static_cast<std::uint64_t>(std::max<std::int64_t>(at - lane_.epoch_offset_ms, 1));
}

// Whether the client has left it to the server to ask for the body (RFC 9110, 10.1.1).
bool Relay::awaits_continue() const noexcept {
    return block_.head.has(FieldName::expect) && block_.head.minor == 1 && interim_ == 0 &&
           response_ == ResponseSide::none && client_.body_bytes() == 0 &&
           route_->upstream_config->request_buffer == 0;
}

Progress Relay::progress() noexcept {
    see_progress();
    const Progress::Phase current = phase();
    if (in_framing_ != Framing::none) {
        // Who waits for the server's 100 is not slow.
        const Progress::Phase upload = awaits_continue() ? Progress::Phase::sent : current;
        see_upload(at_, upload, client_.body_bytes(), now());
    }
    return {.phase = current, .server_reached = tries_ > 0, .answer_begun = replied(), .at = at_};
}

Deadline Relay::time_out() noexcept {
    const Config& config = snapshot_->config();
    return next_deadline(
        progress(), {.client = config.timeouts,
                     .upload = config.limits.upload,
                     .server = route_ == nullptr ? nullptr : &route_->upstream_config->timeouts});
}

void Relay::on_deadline(std::uint64_t now_ms) {
    if (state_ != State::tunnelling) session_step(session_.keep_alive());
    const Deadline due = time_out();
    if (due.when == 0 || now_ms < due.when) return;
    const auto connect =
        route_ == nullptr ? Milliseconds{0} : route_->upstream_config->timeouts.connect;
    if (state_ == State::connecting && connect.count() > 0 &&
        now_ms >= at_.connect_began + static_cast<std::uint64_t>(connect.count())) {
        connecting_.reset();
        connect_result_ = UV_ETIMEDOUT;
        return;  // `connected` goes on to the next server
    }
    fail({due.fault, 0, due.reason});
}

void Relay::write_log_line() {
    const Head& head = block_.head;
    const auto span_us = [](std::uint64_t from, std::uint64_t to) {
        return from == 0 || to < from ? std::int64_t{-1} : static_cast<std::int64_t>(to - from);
    };
    const std::uint64_t end_us = now_us();
    AccessLine line;
    line.time_ms = wall_now_ms();
    line.id = request_id();
    line.client = client_host(client_.peer(), head, client_.listener().trusted_proxies);
    line.method = head.text(head.method_text);
    line.host = to_.host;
    line.target = logged_target(head, snapshot_->config().log.query);
    line.status = status();
    line.in = head.size + client_.body_bytes() + tunnel_in_;
    line.out = client_.stream().sent() + client_.stream().unsent() - client_sent_before_;
    if (route_ != nullptr) line.route = route_->config->name;
    if (server_ != nullptr && tries_ > 0) line.server = server_->text;
    line.tries = tries_;
    line.session = name(session_.state());
    line.token = session_.token();
    if (chosen_us_ != 0) line.wait_us = span_us(head_us_, chosen_us_);
    if (connected_us_ != 0) line.connect_us = span_us(chosen_us_, connected_us_);
    if (first_us_ != 0) line.first_us = span_us(connected_us_, first_us_);
    line.total_us = span_us(begun_us_, end_us);
    if (fault_) line.fault = name(*fault_);
    line.reason = name(reason_);
    line.detail = detail_;
    lane_.access_log.write(line);
}

}  // namespace baton
