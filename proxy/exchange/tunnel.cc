#include "proxy/exchange/tunnel.h"

#include <utility>

#include "net/wall_clock.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/client_side.h"
#include "proxy/exchange/flow.h"

namespace baton {

const StreamEvents Tunnel::server_events{
    .arrived =
        [](void* holder, std::span<char> bytes) {
            auto* tunnel = static_cast<Tunnel*>(holder);
            tunnel->server_arrived(bytes);
            tunnel->client_.turn();
        },
    .flushed = [](void* holder) { static_cast<Tunnel*>(holder)->client_.turn(); },
    .ended =
        [](void* holder, StreamEnd end) {
            auto* tunnel = static_cast<Tunnel*>(holder);
            tunnel->server_ended(end);
            tunnel->client_.turn();
        },
};

Tunnel::Tunnel(Lane& lane, ClientSide& client, ServerSide::Raw server, Needs needs)
    : Exchange(lane, client),
      lease_(std::move(server.lease)),
      needs_(std::move(needs)),
      unread_(server.unread),
      server_end_(server.end),
      server_sent_seen_(lease_->stream->sent()) {
    at_.request_progress = at_.response_progress = now();
    lane_.counters.requests_in_flight.add();
    this->server().attach(this, server_events);
    if (needs_.session) needs_.session->begin(ticket());
}

Tunnel::~Tunnel() { lane_.counters.requests_in_flight.sub(); }

void Tunnel::server_arrived(std::span<char> bytes) noexcept {
    unread_ = bytes;
    at_.response_progress = now();
}

// A write that failed while reads are off, or after the server's end, says nothing about what the server
// sent before: that is still to be read.
void Tunnel::server_ended(StreamEnd end) noexcept {
    const bool unread = server_end_ || !reads_server_;
    if (unread && !end.is_orderly() && server().broken()) return;
    server_end_ = end;
}

bool Tunnel::advance() {
    if (state_ == State::open) carry();
    if (state_ == State::closing) {
        if (client_.broken())
            fail(Fault::client_gone);
        else if (client_.unsent() == 0)
            finish(End::linger);
    }
    if (state_ != State::over) set_interest();
    return state_ == State::over;
}

void Tunnel::carry() {
    for (auto bytes = client_.take_raw(); !bytes.empty(); bytes = client_.take_raw()) {
        const iovec piece{bytes.data(), bytes.size()};
        server().write({&piece, 1});
        bytes_in_ += bytes.size();
        at_.client_input = now();
    }
    if (const auto bytes = std::exchange(unread_, {}); !bytes.empty()) client_.raw(bytes);
    if (client_.half_closed()) server().half_close();
    if (server_end_) client_.half_close();
    if (!is_done()) return look_after_session();
    if (client_lost_ || client_.broken()) return fail(Fault::client_gone);
    state_ = State::closing;
}

// Nothing more will come from either side, and what came has left for the server; for the client it may
// still wait, and a server's reset, passed on, would destroy it. What the server sends to a client that is
// gone is dropped as long as the end of what the client sent is on its way: to close in the middle of it
// would be a reset.
bool Tunnel::is_done() const noexcept {
    const bool server_lost = server().broken() || (server_end_ && !server_end_->is_orderly());
    if (client_lost_) return server_lost || server().unsent() == 0;
    if (!server_lost && !(client_.half_closed() && server().unsent() == 0)) return false;
    if (server_end_) return true;
    return client_.broken() && (server().broken() || server().unacknowledged() == 0);
}

// A session lives while its tunnel carries data; if the configuration says so, the tunnel lives no
// longer than its session.
void Tunnel::look_after_session() {
    if (!needs_.session) return;
    TunnelSession& session = *needs_.session;
    if (auto answer = take_answer()) session_step(session.answered(std::move(*answer)));
    if (!awaits_answer())
        session_step(session.look_after(std::max(at_.client_input, at_.response_progress)));
    if (!session.closes_tunnel()) return;
    log::info("tunnel closed because its session has ended", {{"id", needs_.log.line().id}});
    finish(End::complete);
}

void Tunnel::session_step(TunnelSession::Step step) {
    if (step == TunnelSession::Step::waits) await_answer();
}

void Tunnel::set_interest() noexcept {
    if (state_ == State::closing) return;
    wants_client_ = flows(wants_client_, server().unsent());
    if (server_end_) return;
    reads_server_ = flows(reads_server_, client_.unsent());
    server().read(reads_server_);
}

// What the client sent before it stopped to take anything is still to be read, or waits here, and goes to
// the server.
void Tunnel::client_gone(StreamEnd) {
    const bool unread = client_.half_closed() || !wants_client_;
    if (state_ == State::open && unread && client_.broken()) return;
    if (state_ != State::open) return fail(Fault::client_gone);
    client_lost_ = true;
}

void Tunnel::stop() { fail(Fault::stopping); }

void Tunnel::see_progress() noexcept {
    client_.see_progress(at_);
    if (!lease_ || server().sent() == server_sent_seen_) return;
    server_sent_seen_ = server().sent();
    at_.request_progress = now();
}

Deadline Tunnel::deadline() noexcept {
    see_progress();
    if (state_ == State::closing) return send_deadline(at_, needs_.send);
    Deadline due = tunnel_deadline(at_, needs_.idle);
    const std::uint64_t look = needs_.session && !awaits_answer() ? needs_.session->next_look() : 0;
    if (look != 0 && (due.when == 0 || look < due.when)) due.when = look;
    return due;
}

void Tunnel::on_deadline(std::uint64_t now_ms) {
    see_progress();
    const Deadline due = state_ == State::closing ? send_deadline(at_, needs_.send)
                                                  : tunnel_deadline(at_, needs_.idle);
    if (due.when != 0 && now_ms >= due.when) fail(due.fault, due.reason);
}

// It has been answered with a 101: there is nothing that could be said.
void Tunnel::fail(Fault fault, Reason reason) {
    if (state_ == State::over) return;
    lane_.counters.faults[static_cast<std::size_t>(fault)].add();
    needs_.log.line().fault = name(fault);
    needs_.log.line().reason = name(reason);
    finish(End::cut);
}

void Tunnel::finish(End end) {
    end_ = end;
    state_ = State::over;
    lease_.reset();
    AccessLine& line = needs_.log.line();
    needs_.route->requests_of(lane_.index).add(line.status);
    if (!lane_.access_log.enabled()) return;
    line.time_ms = wall_now_ms();
    line.in += bytes_in_;
    line.out = client_.bytes_out();
    line.total_us = static_cast<std::int64_t>(now_us() - needs_.begun_us);
    lane_.access_log.write(line);
}

}  // namespace baton
