#include "proxy/exchange/relay.h"

#include <array>
#include <utility>

#include "net/check.h"
#include "net/text.h"
#include "proxy/context/pseudonym.h"
#include "proxy/head/reply.h"

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

}  // namespace

Relay::Relay(Lane& lane, ClientSide& client, Request& request, ServerSide& server,
             std::uint64_t begun_at_us)
    : Exchange(lane, client),
      request_(request),
      server_(server),
      snapshot_(lane.snapshot),
      choice_(lane, this, [](void* relay) { static_cast<Relay*>(relay)->client_.turn(); }) {
    times_.begun_us = begun_at_us;
    times_.head_us = lane.clock_us();
    at_.begun = begun_at_us / 1000;
    lane_.counters.requests_in_flight.add();
}

Relay::~Relay() { lane_.counters.requests_in_flight.sub(); }

bool Relay::advance() {
    check(!advancing_, "a relay advanced while it was advancing");
    advancing_ = true;
    if (client_.broken()) client_gone(StreamEnd::failed(UV_EPIPE));
    if (session_.looks_again()) keep_session();
    for (bool moved = true; moved && state_ != State::over;) {
        const State before = state_;
        switch (state_) {
        case State::routing: route(); break;
        case State::holding: hold(); break;
        case State::finding_session:
        case State::awaiting_session: find_session(); break;
        case State::choosing: choose(); break;
        case State::exchanging: exchange(); break;
        case State::replying: reply(); break;
        case State::over: break;
        }
        moved = state_ != before;
    }
    if (state_ != State::over) {
        request_.hold();
        set_interest();
    }
    advancing_ = false;
    return state_ == State::over;
}

void Relay::route() {
    const Head& head = request_.head;
    take_id();
    to_ = destination_of(head);
    const std::string_view path = to_.slash_missing || to_.path.empty() ? "/" : to_.path;
    const Router& router = snapshot_->router();
    __attribute__((uninitialized)) std::array<char, 256> room;
    route_ = router.find(router.asks_host() ? routing_host(to_.host, room) : "", path);
    if (const auto error = refusal()) return fail(*error);
    // Max-Forwards: no server is asked.
    if (forwards_left(head) == 0) return send_reply(options_reply(id_.view()));
    const bool waits = !request_.complete && route_->upstream_config->request_buffer > 0;
    state_ = waits ? State::holding : State::finding_session;
    // RFC 9110, 10.1.1: who waits for it sends nothing before.
    if (waits && head.minor == 1 && head.has(FieldName::expect)) client_.go_on();
}

// The client's, if it may name its requests.
void Relay::take_id() {
    const std::string_view given =
        client_.peer().trusted ? request_.head.value(FieldName::x_request_id) : std::string_view{};
    if (is_request_id(given)) return id_.set(given);
    std::array<char, 32> fresh;
    lane_.ids.next(fresh);
    id_.set({fresh.data(), fresh.size()});
}

// What stands in the way of a request, seen from its head and its route alone.
std::optional<Error> Relay::refusal() const noexcept {
    const Head& head = request_.head;
    if (request_.connection.too_many) return Error{Fault::bad_request, 0, Reason::too_many_options};
    if (route_ == nullptr) return Error{Fault::no_route};
    if (is_loop()) return Error{Fault::loop};
    if (snapshot_->config().limits.underscores != Underscores::reject) return std::nullopt;
    for (const Field& field : head.fields)
        if (field.underscore)
            return Error{Fault::bad_request, 0, Reason::underscore, head.text(field.name)};
    return std::nullopt;
}

bool Relay::is_loop() const noexcept {
    const Head& head = request_.head;
    return head.has(FieldName::via) && route_->upstream_config->via &&
           baton::is_loop(head, pseudonym());
}

bool Relay::is_websocket() const noexcept {
    const Head& head = request_.head;
    if (head.method != Method::get || head.minor == 0 || !route_->config->websocket) return false;
    if (request_.body.framing != Framing::none) return false;
    return request_.connection.upgrade && equal_fold(head.value(FieldName::upgrade), "websocket");
}

// A client that is slow to send its body keeps neither a server nor the store waiting, and one that
// leaves was never there.
void Relay::hold() {
    const std::size_t buffer = route_->upstream_config->request_buffer;
    if (request_.complete || (request_.gathered() >= buffer && !fits_whole()))
        state_ = State::finding_session;
}

// Whether no body that is accepted is longer than what is waited for: then each of them gets its length,
// also one whose last chunk comes late.
bool Relay::fits_whole() const noexcept {
    const std::uint64_t body_max = snapshot_->config().limits.body_max;
    return body_max != 0 && body_max <= route_->upstream_config->request_buffer;
}

void Relay::find_session() {
    if (route_->config->session == SessionMode::off) {
        state_ = State::choosing;
        return;
    }
    if (state_ == State::awaiting_session) {
        auto answer = take_answer();
        if (answer && session_step(session_.answered(std::move(*answer)))) session_found();
        return;
    }
    state_ = State::awaiting_session;
    const RequestSession::Needs needs{
        .lane = &lane_,
        .route = route_,
        .config = &snapshot_->config().session,
        .ticket = ticket(),
        .request_id = id_.view(),
        .client = client_host(client_.peer(), request_.head, client_.listener().trusted_proxies)};
    if (session_step(session_.find(needs, request_.head))) session_found();
}

void Relay::session_found() {
    if (const auto& error = session_.error()) return fail(*error);
    state_ = State::choosing;
}

// True if the step is done; else the store's answer will find this relay by its ticket.
bool Relay::session_step(RequestSession::Step step) {
    if (step == RequestSession::Step::done) return true;
    await_answer();
    return false;
}

// The store's word on the session of a request that runs on.
void Relay::keep_session() {
    if (auto answer = take_answer()) session_step(session_.answered(std::move(*answer)));
}

void Relay::choose() {
    if (times_.chosen_us == 0) times_.chosen_us = lane_.clock_us();
    switch (
        choice_.next({.route = route_, .bound = client_.bound(), .resendable = is_resendable()})) {
    case ServerChoice::Step::leased: return open_server(choice_.take());
    case ServerChoice::Step::failed: return fail(choice_.error());
    case ServerChoice::Step::waits: at_.connect_began = choice_.connect_began_ms();
    }
}

// Whether a request that is written now, and lost, or met by an answer to nothing, goes to another
// connection. The latter is only noticed among the events that this iteration has looked for.
bool Relay::is_resendable() const noexcept {
    const bool event = !lane_.loop.in_timer() && !choice_.has_failed();
    return event && is_idempotent(request_.head.method) &&
           choice_.tries() + 1 < route_->upstream_config->retry_tries && kept_ == Kept::all &&
           request_.complete && request_.gathered() <= held_max();
}

void Relay::open_server(Lease lease) {
    times_.connected_us = lane_.clock_us();
    at_.response_progress = at_.request_progress = now();
    server_.open(std::move(lease),
                 {.head_only = request_.head.method == Method::head,
                  .upgrade = is_websocket(),
                  .unlooked = choice_.is_unlooked()},
                 this, [](void* relay) { static_cast<Relay*>(relay)->client_.turn(); });
    sending_ = RequestSide::held;
    state_ = State::exchanging;
}

void Relay::exchange() {
    if (sending_ != RequestSide::sent) send_request();
    if (state_ == State::exchanging) receive();
}

void Relay::reply() {
    if (client_.unsent() == 0) finish(End::complete);
}

void Relay::client_gone(StreamEnd end) {
    // It has given its upload up, and may well read the answer.
    const bool reads = end.is_orderly() && state_ == State::replying && !request_.complete;
    if (!reads) fail({Fault::client_gone, end.error});
}

// An answer that is complete, and ends the connection, is not lost over a request that was not.
void Relay::client_fault(Error error) {
    if (state_ != State::replying) fail(error);
}

void Relay::stop() { fail({Fault::stopping}); }

void Relay::send_reply(const Reply& reply) {
    client_.reply(reply);
    outcome_.status = reply.status;
    state_ = State::replying;
}

// One reply, or, where an answer has begun, an end that does not look complete (RFC 9112, 8).
void Relay::fail(Error error) {
    if (state_ == State::over) return;
    outcome_.fault = error.fault;
    outcome_.reason = error.reason;
    outcome_.detail = error.detail.substr(0, detail_max);
    warn_of_server(error);
    if (const auto fault = server_fault(error); fault && server_.is_open()) choice_.count(*fault);
    choice_.give_up();
    server_.close();
    if (error.fault == Fault::stopping || has_replied()) return finish(End::cut);
    if (error.fault == Fault::client_gone) return finish(End::dropped);
    // What was done to the session stays done: a client that kept its old id would be logged out. While the
    // store is away nothing is known, and the client keeps what it has.
    std::string& cookie = lane_.lines_out;
    cookie.clear();
    if (session_.is_cookie_settled() && error.fault != Fault::store_unavailable)
        session_.append_cookie(cookie, is_cookie_secure());
    Reply reply = fault_reply(error.fault, id_.view(), cookie);
    // After a time-out a late body would be taken for the next request.
    const bool timed_out = error.fault == Fault::client_slow || error.fault == Fault::server_slow;
    reply.ends_connection = timed_out || choice_.is_bound();
    send_reply(reply);
}

// What a server did wrong that has no event of its own.
void Relay::warn_of_server(Error error) {
    if (choice_.server() == nullptr) return;
    const bool slow = error.fault == Fault::server_slow && lane_.slow_server_warning.due(now());
    const bool bad = error.fault == Fault::bad_response && lane_.bad_response_warning.due(now());
    if (!slow && !bad) return;
    log::warn(slow ? "a server was too slow" : "a server's response was refused",
              {{"server", choice_.server()->text},
               {"upstream", route_->upstream->name()},
               {"reason", name(error.reason)},
               {"id", id_.view()}});
}

void Relay::finish(End end) {
    end_ = end;
    state_ = State::over;
    server_.close();
    request_.arrived.clear();
    session_.finish();
    count();
}

}  // namespace baton
