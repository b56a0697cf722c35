#include "proxy/exchange/relay.h"

#include <algorithm>
#include <utility>

#include "net/check.h"
#include "proxy/context/pseudonym.h"
#include "proxy/exchange/retry.h"
#include "proxy/head/own_reply.h"
#include "proxy/http1/http1_client.h"

namespace baton {

namespace {

constexpr std::size_t detail_max = 128;  // what the log has room for

// What a request's fault says against its server.
std::optional<ServerFault> server_fault(const Error& error) noexcept {
    if (error.origin != Origin::server) return std::nullopt;
    switch (error.fault) {
    case Fault::server_gone: return ServerFault::server_gone;
    case Fault::server_slow: return ServerFault::server_slow;
    case Fault::bad_response: return ServerFault::bad_response;
    default: return std::nullopt;
    }
}

// Of a connect: what is said if no server's went otherwise.
Reason connect_reason(int uv_error) noexcept {
    switch (uv_error) {
    case UV_ECONNREFUSED: return Reason::all_refused;
    case UV_ETIMEDOUT: return Reason::all_timed_out;
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH: return Reason::all_unreachable;
    case UV_EMFILE:
    case UV_ENFILE: return Reason::no_descriptors;
    case UV_EADDRNOTAVAIL: return Reason::no_ports;
    case UV_ENOBUFS:
    case UV_ENOMEM: return Reason::no_memory;
    case UV_EACCES:
    case UV_EPERM: return Reason::not_permitted;
    default: return Reason::none_connected;
    }
}

}  // namespace

const StreamEvents Relay::server_events{
    .arrived =
        [](void* holder, std::span<char> bytes) {
            auto* relay = static_cast<Relay*>(holder);
            relay->server_arrived(bytes);
            relay->client_.turn();
        },
    .flushed = [](void* holder) { static_cast<Relay*>(holder)->client_.turn(); },
    .ended =
        [](void* holder, int uv_error) {
            auto* relay = static_cast<Relay*>(holder);
            relay->server_ended(uv_error);
            relay->client_.turn();
        },
};

// What lay in the kernel before the request was written is no answer to it, whatever it looks like (RFC
// 9112, 9.2): as if the connection had been lost, the request goes to another one.
void Relay::server_arrived(std::span<char> bytes) noexcept {
    if (unlooked_in_ == lane_.loop.iteration() && lane_.loop.polled_once())
        return block_.server.ended(UV_ECONNABORTED);
    block_.server.arrived(bytes);
    at_.response_progress = now();
}

// A write that failed while reads are off, or after the server's end, says nothing about what the server
// sent before: that is still to be read.
void Relay::server_ended(int uv_error) noexcept {
    const bool unread = block_.server.end() || !wants_server_;
    if (unread && uv_error != UV_EOF && block_.server.stream().broken()) return;
    block_.server.ended(uv_error);
}

Relay::Relay(Lane& lane, Http1Client& client, HeadBlock& block, std::uint64_t begun_at_us)
    : Exchange(lane, client),
      block_(block),
      snapshot_(lane.snapshot),
      connection_(block.head),
      client_is_1_0_(block.head.minor == 0),
      begun_us_(begun_at_us),
      head_us_(lane.clock_us()),
      client_sent_before_(client.stream().sent()) {
    at_.begun = begun_at_us / 1000;
    lane_.counters.requests_in_flight.add();
}

Relay::~Relay() { lane_.counters.requests_in_flight.sub(); }

bool Relay::advance() {
    check(!advancing_, "a relay advanced while it was advancing");
    advancing_ = true;
    if (client_.stream().broken() && state_ != State::tunnelling) client_gone(UV_EPIPE);
    if (session_.looks_again() && state_ != State::tunnelling) keep_session();
    for (bool moved = true; moved && state_ != State::over;) {
        const State before = state_;
        switch (state_) {
        case State::routing: route(); break;
        case State::holding: hold(); break;
        case State::finding_session: find_session(); break;
        case State::choosing: choose(); break;
        case State::connecting: connected(); break;
        case State::exchanging: exchange(); break;
        case State::tunnelling: tunnel(); break;
        case State::replying: reply(); break;
        case State::over: break;
        }
        moved = state_ != before;
    }
    if (state_ != State::over) {
        hold_body();
        set_interest();
    }
    advancing_ = false;
    return state_ == State::over;
}

void Relay::route() {
    const Head& head = block_.head;
    const std::string_view given =
        client_.peer().trusted ? head.value(FieldName::x_request_id) : std::string_view{};
    if (is_request_id(given)) {
        id_size_ = static_cast<std::uint8_t>(given.copy(id_.data(), id_.size()));
    } else {
        std::array<char, 32> fresh;
        lane_.ids.next(fresh);
        std::copy(fresh.begin(), fresh.end(), id_.begin());
        id_size_ = fresh.size();
    }
    to_ = destination_of(head);
    const std::string_view path = to_.slash_missing || to_.path.empty() ? "/" : to_.path;
    const Router& router = snapshot_->router();
    __attribute__((uninitialized)) std::array<char, 256> room;
    route_ = router.find(router.asks_host() ? routing_host(to_.host, room) : "", path);
    if (connection_.too_many) return fail({Fault::bad_request, 0, Reason::too_many_options});
    if (route_ == nullptr) return fail({Fault::no_route});
    if (is_loop()) return fail({Fault::loop});
    if (snapshot_->config().limits.underscores == Underscores::reject) {
        for (const Field& field : head.fields)
            if (field.underscore)
                return fail({Fault::bad_request, 0, Reason::underscore, head.text(field.name)});
    }
    if (forwards_left(head) == 0) return answer_options();
    websocket_ = is_websocket();
    in_framing_ = block_.parser.body().framing;
    const bool waits = !client_.body_complete() && route_->upstream_config->request_buffer > 0;
    state_ = waits ? State::holding : State::finding_session;
    if (waits && block_.head.minor == 1 && block_.head.has(FieldName::expect)) ask_for_body();
}

// RFC 9110, 10.1.1: who waits for it sends nothing before.
void Relay::ask_for_body() {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const iovec piece{const_cast<char*>(go_on.data()), go_on.size()};
    client_.stream().write({&piece, 1});
}

// A client that is slow to send its body keeps neither a server nor the store waiting, and one that
// leaves was never there.
void Relay::hold() {
    const std::size_t there = block_.held.size() + lane_.client_pieces.bytes();
    const bool enough = there >= route_->upstream_config->request_buffer && !fits_whole();
    if (client_.body_complete() || enough) state_ = State::finding_session;
}

// Whether no body that is accepted is longer than what is waited for: then each of them gets its length,
// also one whose last chunk comes late.
bool Relay::fits_whole() const noexcept {
    const std::uint64_t body_max = snapshot_->config().limits.body_max;
    return body_max != 0 && body_max <= route_->upstream_config->request_buffer;
}

bool Relay::is_loop() const noexcept {
    const Head& head = block_.head;
    return head.has(FieldName::via) && route_->upstream_config->via &&
           baton::is_loop(head, pseudonym());
}

// Max-Forwards: 0. No server is asked.
void Relay::answer_options() {
    decide_end(true);
    lane_.head_out.clear();
    append_options_reply(lane_.head_out, {.request_id = request_id(),
                                          .date_line = lane_.date_line(),
                                          .close = close_client_,
                                          .client_is_1_0 = client_is_1_0_});
    const iovec piece{lane_.head_out.data(), lane_.head_out.size()};
    client_.stream().write({&piece, 1}, then(true));
    status_ = 200;
    state_ = State::replying;
}

// Of an answer of our own. What was not read of the request would be taken for the next one.
void Relay::decide_end(bool reusable) noexcept {
    close_client_ =
        !reusable || !client_.body_complete() || !connection_.persistent || client_.ends_here();
}

bool Relay::is_websocket() const noexcept {
    const Head& head = block_.head;
    if (head.method != Method::get || head.minor == 0 || !route_->config->websocket) return false;
    if (block_.parser.body().framing != Framing::none) return false;
    return connection_.upgrade && equal_fold(head.value(FieldName::upgrade), "websocket");
}

void Relay::find_session() {
    if (route_->config->session == SessionMode::off) {
        state_ = State::choosing;
        return;
    }
    if (!std::exchange(session_asked_, true)) {
        const RequestSession::Needs needs{
            .lane = &lane_,
            .route = route_,
            .config = &snapshot_->config().session,
            .ticket = ticket(),
            .request_id = request_id(),
            .client = client_host(client_.peer(), block_.head, client_.listener().trusted_proxies)};
        if (!session_step(session_.find(needs, block_.head))) return;
    } else {
        auto answer = take_answer();
        if (!answer || !session_step(session_.answered(std::move(*answer)))) return;
    }
    session_found();
}

void Relay::session_found() {
    if (const auto& error = session_.error()) return fail(*error);
    state_ = State::choosing;
}

// The response was made for a session that has changed meanwhile, and nothing of it has left: once
// more, for the session as it is now.
void Relay::replay() {
    replayed_ = true;
    lane_.counters.session_replays.add();
    block_.server.close();
    tried_ = refused_;
    request_ = RequestSide::held;
    response_ = ResponseSide::none;
    first_us_ = 0;
    state_ = State::finding_session;
    if (session_step(session_.find_again())) session_found();
}

// True if the step is done; else the store's answer will find this relay by its ticket.
bool Relay::session_step(RequestSession::Step step) {
    if (step == RequestSession::Step::done) return true;
    await_answer();
    return false;
}

// Each server once: a refused connect costs the client nothing. A request that is sent again never
// takes an idle connection, which may be as stale as the last.
void Relay::choose() {
    const Upstream& upstream = *route_->upstream;
    if (chosen_us_ == 0) chosen_us_ = lane_.clock_us();
    bound_ = false;
    if (client_.has_bound())
        if (Lease lease = bound_connection()) return open_server(std::move(lease));
    while (state_ == State::choosing) {
        server_ = upstream.pick(tried_);
        if (server_ == nullptr && tries_ > 0 && tried_ != refused_) {
            // The only server there is lost the request: it may have come back.
            tried_ = refused_;
            server_ = upstream.pick(tried_);
        }
        if (server_ == nullptr) return fail(no_server_left());
        tried_.add(server_->index);
        if (Lease lease = idle_connection()) return open_server(std::move(lease));
        at_.connect_began = now();
        connecting_.emplace(lane_.loop, lane_.tcp, *server_, pool(), this,
                            [](void* holder, int uv_error) {
                                auto* relay = static_cast<Relay*>(holder);
                                relay->connect_result_ = uv_error;
                                relay->client_.turn();
                            });
        if (const int error = connecting_->begin(); error != 0)
            connect_failed(error);
        else
            state_ = State::connecting;
    }
}

// What cannot be sent twice is not sent where the server's end, or something that nobody asked for, lies
// in the kernel already, though its event has not come yet.
Lease Relay::idle_connection() {
    unlooked_in_ = 0;
    if (fresh_only_) return nullptr;
    const bool look = !can_send_again();
    Lease lease = pool().take(now());
    while (lease && look && lease->stream->look() != Stream::Unread::nothing)
        lease = pool().take(now());
    if (lease && !look) unlooked_in_ = lane_.loop.iteration();
    return lease;
}

// Whether a request that is written now, and lost, or met by an answer to nothing, goes to another
// connection. The latter is only noticed among the events that this iteration has looked for.
bool Relay::can_send_again() const noexcept {
    const bool event = !lane_.loop.in_timer() && connect_error_ == 0;
    return event && is_idempotent(block_.head.method) &&
           tries_ + 1 < route_->upstream_config->retry_tries && body_at_hand_ &&
           client_.body_complete() &&
           block_.held.size() + lane_.client_pieces.bytes() <= held_max();
}

// The connection to one of the upstream's servers on which this client is logged in. If it has ended, the
// client begins again on another one.
Lease Relay::bound_connection() {
    Lease lease = client_.bound().take([&](const Pool& of_lease) {
        for (const Server& server : route_->upstream->servers()) {
            server_ = &server;
            if (&pool() == &of_lease) return true;
        }
        return false;
    });
    if (!lease || lease->stream->look() != Stream::Unread::nothing) return nullptr;
    bound_ = true;
    unlooked_in_ = 0;
    tried_.add(server_->index);
    return lease;
}

void Relay::connected() {
    if (!connect_result_) return;
    const int error = *std::exchange(connect_result_, std::nullopt);
    if (error == 0) {
        Lease lease = pool().lend(connecting_->take(), now());
        connecting_.reset();
        return open_server(std::move(lease));
    }
    state_ = State::choosing;
    connect_failed(error);
}

// Another server is tried, unless it is we who cannot connect to any.
void Relay::connect_failed(int uv_error) {
    connecting_.reset();
    connect_error_ = uv_error;
    const bool ours = is_local(uv_error);
    if ((ours ? lane_.own_connect_warning : lane_.connect_warning).due(now()))
        log::warn("cannot connect to a server", {{"server", server_->text},
                                                 {"upstream", route_->upstream->name()},
                                                 {"error", uv_err_name(uv_error)}});
    if (is_exhausted(uv_error) && lane_.closes_idle_server()) return tried_.remove(server_->index);
    add_connect_failure(connect_reason(uv_error));
    if (is_exhausted(uv_error)) return fail(no_server_left());
    refused_.add(server_->index);
    if (ours) return;
    count_server_fault(uv_error == UV_ETIMEDOUT ? ServerFault::connect_slow
                                                : ServerFault::connect_failed);
}

// The fault of a request that is left without a server to ask.
Error Relay::no_server_left() const noexcept {
    const bool ours = is_local(connect_error_);
    return {.fault = tries_ > 0 ? Fault::server_gone : Fault::no_server,
            .code = connect_error_,
            .reason = tries_ > 0 ? Reason::closed_unanswered : connect_reason_,
            .origin = ours ? Origin::local : Origin::server};
}

void Relay::add_connect_failure(Reason reason) noexcept {
    const bool alike = connect_reason_ == Reason::none || connect_reason_ == reason;
    connect_reason_ = alike ? reason : Reason::none_connected;
}

void Relay::open_server(Lease lease) {
    connected_us_ = lane_.clock_us();
    at_.response_progress = at_.request_progress = now();
    lease->stream->attach(this, server_events);
    lease->stream->read(true);
    server_sent_seen_ = lease->stream->sent();
    block_.server.open(std::move(lease),
                       {.head = block_.head.method == Method::head, .upgrade = websocket_});
    request_ = RequestSide::held;
    state_ = State::exchanging;
}

void Relay::exchange() {
    if (request_ != RequestSide::sent) send_request();
    if (state_ == State::exchanging) receive();
}

// The head with what is held of the body, then the body as it comes: in one write what came in one
// read.
void Relay::send_request() {
    const bool first = request_ == RequestSide::held;
    const Pieces& pieces = lane_.client_pieces;
    if (!first && pieces.empty() && !client_.body_complete()) return;
    Stream& stream = block_.server.stream();
    const std::uint64_t sent_before = stream.sent();
    __attribute__((uninitialized)) WriteList list;
    std::string_view held;
    if (first) {
        // What is whole goes with its length: a WSGI application reads no other body.
        if (in_framing_ == Framing::chunked && client_.body_complete() &&
            route_->upstream_config->request_buffer > 0)
            in_framing_ = Framing::length;
        build_request_head();
        list.add(lane_.head_out);
        held = block_.held;
    }
    list.begin_body(held.size() + pieces.bytes(), in_framing_);
    list.add(held);
    for (const std::string_view piece : pieces.view()) list.add(piece);
    list.end_body(held.size() + pieces.bytes(), in_framing_);
    if (client_.body_complete()) list.add_end(in_framing_);
    stream.write(list.view());
    if (first && stream.broken() && stream.sent() == sent_before) return resend_unsent();
    if (first) {
        ++tries_;
        pool().counters.requests.add();
    }
    request_ = client_.body_complete() ? RequestSide::sent : RequestSide::sending;
    at_.request_progress = now();
    keep_for_resend();
}

// As long as the request could be sent again, what is received of its body is kept, if it fits.
void Relay::keep_for_resend() {
    const bool can_resend =
        is_idempotent(block_.head.method) && tries_ < route_->upstream_config->retry_tries;
    Pieces& pieces = lane_.client_pieces;
    if (can_resend && body_at_hand_ && block_.held.size() + pieces.bytes() <= held_max())
        return hold_body();
    if (!block_.held.empty() || !pieces.empty()) body_at_hand_ = false;
    drop_held();
    pieces.clear();
}

// The answer may take long: more memory than every block has is given back now.
void Relay::drop_held() {
    block_.held.clear();
    if (block_.held.capacity() > HeadBlock::waiting_max) block_.held.shrink_to_fit();
}

// How much of a body waits before reading stops.
std::size_t Relay::held_max() const noexcept {
    const std::size_t buffer = route_ == nullptr ? 0 : route_->upstream_config->request_buffer;
    return std::max(HeadBlock::waiting_max, buffer);
}

void Relay::hold_body() {
    for (const std::string_view piece : lane_.client_pieces.view()) block_.held.append(piece);
    lane_.client_pieces.clear();
}

void Relay::build_request_head() {
    const SessionConfig& session = snapshot_->config().session;
    lane_.lines_out.clear();
    session_.append_request_fields(lane_.lines_out);
    lane_.head_out.clear();
    // What a client without a Host asked for is the address that it found.
    const std::string listener =
        to_.host.empty() ? client_.stream().local_address().text() : std::string{};
    const std::size_t dropped = append_request_head(
        lane_.head_out,
        {.head = &block_.head,
         .connection = &connection_,
         .to = to_,
         .listener_host = listener,
         .peer = &client_.peer(),
         .body = body_to_server(),
         .request_id = request_id(),
         .via_line = route_->upstream_config->via
                         ? std::string_view{lane_.via_lines[block_.head.minor]}
                         : std::string_view{},
         .session_prefix = session.header_prefix,
         .session_fields = lane_.lines_out,
         .session_cookie = session_cookie(),
         .other_cookies = other_cookies(),
         .keep_underscores = snapshot_->config().limits.underscores == Underscores::keep,
         .websocket = websocket_,
         .body_asked = route_->upstream_config->request_buffer > 0});
    if (dropped > 0) lane_.counters.session_fields_dropped.add(dropped);
}

Body Relay::body_to_server() const noexcept {
    const Body body = block_.parser.body();
    if (in_framing_ == body.framing) return body;
    return {in_framing_, block_.held.size() + lane_.client_pieces.bytes()};
}

// Nothing was written: the connection had been closed before, and the server has not seen this
// request.
void Relay::resend_unsent() {
    if (block_.server.reused()) {
        tried_.remove(server_->index);
    } else {
        refused_.add(server_->index);
        add_connect_failure(Reason::none_connected);
    }
    block_.server.close();
    fresh_only_ = true;
    state_ = State::choosing;
}

void Relay::resend() {
    lane_.counters.retries.add();
    // An idle connection that had been closed is no fault of the server's; but the server may be about
    // to die, and still let us connect: another one is asked, if there is one.
    if (!block_.server.reused() && server_gone(Reason::closed_unanswered).origin == Origin::server)
        count_server_fault(ServerFault::server_gone);
    block_.server.close();
    fresh_only_ = true;
    request_ = RequestSide::held;
    state_ = State::choosing;
}

void Relay::reply() {
    if (client_.stream().unsent() > 0) return;
    if (!close_client_) return finish(End::keep);
    finish(status_ == 101 ? End::linger : End::close);
}

// What a tunnel's client sent before it stopped to take anything is still to be read, or waits here, and
// goes to the server.
void Relay::client_gone(int uv_error) {
    if (state_ == State::tunnelling) {
        const bool unread = client_.half_closed() || !wants_client_;
        if (!unread || !client_.stream().broken()) client_lost_ = true;
        return;
    }
    // It has given its upload up, and may well read the answer.
    const bool reads = uv_error == UV_EOF && state_ == State::replying && !client_.body_complete();
    if (!reads) fail({Fault::client_gone, uv_error});
}

// An answer that is complete, and ends the connection, is not lost over a request that was not.
void Relay::client_fault(Error error) {
    if (state_ != State::replying) fail(error);
}

void Relay::stop() { fail({Fault::stopping}); }

// One reply, or, where an answer has begun, an end that does not look complete (RFC 9112, 8).
void Relay::fail(Error error) {
    if (state_ == State::over) return;
    fault_ = error.fault;
    reason_ = error.reason;
    detail_ = error.detail.substr(0, detail_max);
    warn_of_server(error);
    if (const auto fault = server_fault(error); fault && block_.server.is_open())
        count_server_fault(*fault);
    connecting_.reset();
    block_.server.close();
    if (error.fault == Fault::stopping || replied()) return finish(End::cut);
    if (error.fault == Fault::client_gone) return finish(End::drop);
    // After a time-out a late body would be taken for the next request.
    const bool timed_out = error.fault == Fault::client_slow || error.fault == Fault::server_slow;
    decide_end(!timed_out && !bound_);
    // What was done to the session stays done: a client that kept its old id would be logged out. While the
    // store is away nothing is known, and the client keeps what it has.
    lane_.lines_out.clear();
    if (session_.is_cookie_settled() && error.fault != Fault::store_unavailable)
        session_.append_cookie_line(lane_.lines_out, is_cookie_secure());
    lane_.head_out.clear();
    append_reply(lane_.head_out, {.fault = error.fault,
                                  .request_id = request_id(),
                                  .date_line = lane_.date_line(),
                                  .added = lane_.lines_out,
                                  .close = close_client_,
                                  .client_is_1_0 = client_is_1_0_,
                                  .head_only = block_.head.method == Method::head});
    const iovec piece{lane_.head_out.data(), lane_.head_out.size()};
    client_.stream().write({&piece, 1}, then(true));
    status_ = status_of(error.fault);
    state_ = State::replying;
}

// What a server did wrong that has no event of its own.
void Relay::warn_of_server(Error error) {
    if (server_ == nullptr) return;
    if (error.fault == Fault::server_slow && lane_.slow_server_warning.due(now()))
        log::warn("a server was too slow", {{"server", server_->text},
                                            {"upstream", route_->upstream->name()},
                                            {"reason", name(error.reason)},
                                            {"id", request_id()}});
    if (error.fault == Fault::bad_response && lane_.bad_response_warning.due(now()))
        log::warn("a server's response was refused", {{"server", server_->text},
                                                      {"upstream", route_->upstream->name()},
                                                      {"reason", name(error.reason)},
                                                      {"id", request_id()}});
}

void Relay::finish(End end) {
    end_ = end;
    state_ = State::over;
    block_.server.close();
    lane_.client_pieces.clear();
    if (status_ != 101) session_.finish();  // a silent tunnel keeps no session
    lane_.counters.requests[route_ != nullptr ? route_->index : lane_.counters.requests.size() - 1]
        .add(status());
    if (fault_) lane_.counters.faults[static_cast<std::size_t>(*fault_)].add();
    if (lane_.access_log.enabled()) write_log_line();
}

void Relay::count_server_fault(ServerFault fault) noexcept {
    pool().counters.add(fault, wall_now_ms());
}

}  // namespace baton
