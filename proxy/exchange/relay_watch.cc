// What the relay is watched by: which sides are read, how long things may take, and what is told of it.

#include <algorithm>

#include "net/wall_clock.h"
#include "proxy/exchange/flow.h"
#include "proxy/exchange/relay.h"

namespace baton {

// Whether to read from the client and from the server, from the state and what is unsent; nothing
// else decides it.
void Relay::set_interest() {
    const bool sending = state_ == State::exchanging && sending_ == RequestSide::sending;
    wants_client_ = sending ? flows(wants_client_, server_.unsent())
                            : state_ == State::holding || request_.held.size() < held_max();
    if (!server_.is_open() || server_.response().end) return;
    server_.read(receiving_ != ResponseSide::committing &&
                 flows(server_.is_reading(), client_.unsent()));
}

Progress::Phase Relay::phase() const noexcept {
    switch (state_) {
    case State::holding: return Progress::Phase::uploading;
    case State::choosing: return Progress::Phase::connecting;
    case State::replying: return Progress::Phase::replying;
    case State::exchanging: break;
    default: return Progress::Phase::before;
    }
    if (receiving_ == ResponseSide::committing) return Progress::Phase::committing;
    const bool answering = receiving_ != ResponseSide::none;
    if (sending_ == RequestSide::sent || server_.unsent() > 0)
        return answering ? Progress::Phase::answering : Progress::Phase::sent;
    return answering ? Progress::Phase::overlapping : Progress::Phase::uploading;
}

// Whether the client has left it to the server to ask for the body (RFC 9110, 10.1.1).
bool Relay::awaits_continue() const noexcept {
    const Head& head = request_.head;
    return route_ != nullptr && head.has(FieldName::expect) && head.minor == 1 && interims_ == 0 &&
           receiving_ == ResponseSide::none && request_.body_bytes == 0 &&
           route_->upstream_config->request_buffer == 0;
}

Progress Relay::progress() noexcept {
    client_.see_progress(at_);
    server_.see_progress(at_);
    const Progress::Phase current = phase();
    if (request_.body.framing != Framing::none) {
        // Who waits for the server's 100 is not slow.
        const Progress::Phase upload = awaits_continue() ? Progress::Phase::sent : current;
        see_upload(at_, upload, request_.body_bytes, now());
    }
    return {.phase = current,
            .server_reached = choice_.tries() > 0,
            .answer_begun = has_replied(),
            .at = at_};
}

Deadline Relay::time_out() noexcept {
    const Config& config = snapshot_->config();
    return next_deadline(
        progress(), {.client = config.timeouts,
                     .upload = config.limits.upload,
                     .server = route_ == nullptr ? nullptr : &route_->upstream_config->timeouts});
}

// When the session of a request that runs on is to be kept alive; 0: never.
std::uint64_t Relay::next_keep_alive() const noexcept {
    const std::int64_t at = session_.keep_alive_at_ms();
    if (at == RequestSession::never) return 0;
    return static_cast<std::uint64_t>(std::max<std::int64_t>(at - lane_.epoch_offset_ms, 1));
}

Deadline Relay::deadline() noexcept {
    Deadline due = time_out();
    const std::uint64_t touch = next_keep_alive();
    if (touch != 0 && (due.when == 0 || touch < due.when)) due.when = touch;
    return due;
}

void Relay::on_deadline(std::uint64_t now_ms) {
    session_step(session_.keep_alive());
    const Deadline due = time_out();
    if (due.when == 0 || now_ms < due.when) return;
    const auto connect =
        route_ == nullptr
            ? std::uint64_t{0}
            : static_cast<std::uint64_t>(route_->upstream_config->timeouts.connect.count());
    // The next server is tried.
    if (choice_.is_connecting() && connect > 0 && now_ms >= choice_.connect_began_ms() + connect)
        return choice_.connect_timed_out();
    fail({due.fault, 0, due.reason});
}

void Relay::count() noexcept {
    StatusCounters& requests =
        route_ != nullptr ? route_->state->requests_of(lane_.index) : lane_.counters.unrouted;
    requests.add(outcome_.logged_status());
    if (outcome_.fault) lane_.counters.faults[static_cast<std::size_t>(*outcome_.fault)].add();
    if (lane_.access_log.enabled()) lane_.access_log.write(access_line());
}

AccessLine Relay::access_line() noexcept {
    const Head& head = request_.head;
    const auto span_us = [](std::uint64_t from, std::uint64_t to) {
        return from == 0 || to < from ? std::int64_t{-1} : static_cast<std::int64_t>(to - from);
    };
    const std::uint64_t end_us = now_us();
    AccessLine line;
    line.time_ms = wall_now_ms();
    line.id = id_.view();
    line.client = client_host(client_.peer(), head, client_.listener().trusted_proxies);
    line.method = head.text(head.method_text);
    line.host = to_.host;
    line.target = logged_target(head, snapshot_->config().log.query);
    line.status = outcome_.logged_status();
    line.in = head.size + request_.body_bytes;
    line.out = client_.bytes_out();
    if (route_ != nullptr) line.route = route_->config->name;
    if (choice_.server() != nullptr && choice_.tries() > 0) line.server = choice_.server()->text;
    line.tries = choice_.tries();
    line.session = name(session_.state());
    line.token = session_.token();
    if (times_.chosen_us != 0) line.wait_us = span_us(times_.head_us, times_.chosen_us);
    if (times_.connected_us != 0) line.connect_us = span_us(times_.chosen_us, times_.connected_us);
    if (times_.first_us != 0) line.first_us = span_us(times_.connected_us, times_.first_us);
    line.total_us = span_us(times_.begun_us, end_us);
    if (outcome_.fault) line.fault = name(*outcome_.fault);
    line.reason = name(outcome_.reason);
    line.detail = outcome_.detail;
    return line;
}

}  // namespace baton
