#include "proxy/relay.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "proxy/http1_client.h"
#include "proxy/retry.h"

namespace baton {

namespace {

// RFC 9110, 15.2 sets no number; more than this is no conversation.
constexpr std::uint8_t interim_max = 16;

std::uint64_t now_us() noexcept { return uv_hrtime() / 1000; }

}  // namespace

const StreamEvents Relay::server_events{
    .arrived =
        [](void* holder, std::span<char> bytes) {
            auto* relay = static_cast<Relay*>(holder);
            relay->block_.server.arrived(bytes);
            relay->at_.response_progress = relay->now();
            relay->client_.turn();
        },
    .flushed = [](void* holder) { static_cast<Relay*>(holder)->client_.turn(); },
    .ended =
        [](void* holder, int uv_error) {
            auto* relay = static_cast<Relay*>(holder);
            relay->block_.server.ended(uv_error);
            relay->client_.turn();
        },
};

Relay::Relay(Lane& lane, Http1Client& client, HeadBlock& block, std::uint64_t begun_at_us)
    : lane_(lane),
      client_(client),
      block_(block),
      snapshot_(lane.snapshot),
      connection_(block.head),
      client_is_1_0_(block.head.minor == 0),
      begun_us_(begun_at_us),
      head_us_(now_us()),
      client_sent_before_(client.stream().sent()) {
    at_.begun = begun_at_us / 1000;
    at_.client_progress = now();
}

Relay::~Relay() {
    if (lane_.waiting.erase(ticket_) > 0) lane_.store->forget(ticket_);
}

Relay::State Relay::advance() {
    assert(!advancing_);
    advancing_ = true;
    if (client_.stream().broken()) client_gone(UV_EPIPE);
    for (bool moved = true; moved && state_ != State::over;) {
        const State before = state_;
        switch (state_) {
        case State::routing: route(); break;
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
    return state_;
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
    std::array<char, 256> room;
    route_ = snapshot_->router().find(routing_host(to_.host, room),
                                      to_.slash_missing || to_.path.empty() ? "/" : to_.path);
    if (connection_.too_many) return fail({Fault::bad_request});
    if (route_ == nullptr) return fail({Fault::no_route});
    if (snapshot_->config().limits.underscores == Underscores::reject) {
        for (const Field& field : head.fields)
            if (field.underscore) return fail({Fault::bad_request});
    }
    websocket_ = is_websocket();
    in_framing_ = block_.parser.body().framing;
    state_ = State::finding_session;
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
    if (ticket_ == 0) {
        ticket_ = ++lane_.last_ticket;
        const RequestSession::Needs needs{.route = route_,
                                          .config = &snapshot_->config().session,
                                          .store = lane_.store.get(),
                                          .ticket = ticket_,
                                          .counters = &lane_.counters,
                                          .unknown_field = &lane_.unknown_field_warning,
                                          .request_id = request_id()};
        if (!session_step(session_.find(needs, block_.head, lane_.epoch_now_ms()))) return;
    } else {
        if (!answer_) return;
        StoreAnswer answer = std::move(*answer_);
        answer_.reset();
        if (!session_step(session_.answered(std::move(answer), lane_.epoch_now_ms()))) return;
    }
    if (const auto fault = session_.fault()) return fail({*fault});
    state_ = State::choosing;
}

// True if the step is done; else the store's answer will find this relay by its ticket.
bool Relay::session_step(RequestSession::Step step) {
    if (step == RequestSession::Step::done) return true;
    lane_.waiting.emplace(ticket_, this);
    return false;
}

void Relay::store_answered(StoreAnswer answer) {
    answer_ = std::move(answer);
    client_.turn();
}

// Each server once: a refused connect costs the client nothing. A request that is sent again never
// takes an idle connection, which may be as stale as the last.
void Relay::choose() {
    const Upstream& upstream = *route_->upstream;
    if (chosen_us_ == 0) chosen_us_ = now_us();
    while (state_ == State::choosing) {
        server_ = upstream.pick(tried_);
        if (server_ == nullptr && tries_ > 0 && tried_ != refused_) {
            // The only server there is lost the request: it may have come back.
            tried_ = refused_;
            server_ = upstream.pick(tried_);
        }
        if (server_ == nullptr) return fail({tries_ > 0 ? Fault::server_gone : Fault::no_server});
        tried_.set(server_->index);
        if (Lease lease = idle_connection()) return open_server(std::move(lease));
        int error = 0;
        at_.connect_began = now();
        connecting_ = Tcp::connect(
            lane_.loop, server_->address, this,
            [](void* holder, int uv_error) {
                auto* relay = static_cast<Relay*>(holder);
                relay->connect_result_ = uv_error;
                relay->client_.turn();
            },
            lane_.tcp, &error);
        if (connecting_)
            state_ = State::connecting;
        else
            connect_failed(error);
    }
}

// What cannot be sent twice is not sent where the server's end lies in the kernel already, though its
// event has not come yet.
Lease Relay::idle_connection() {
    if (fresh_only_) return nullptr;
    const bool once = !is_idempotent(block_.head.method);
    Lease lease = lane_.pools[server_->pool]->take(now());
    while (lease && once && lease->stream->look() != Stream::Unread::nothing)
        lease = lane_.pools[server_->pool]->take(now());
    return lease;
}

void Relay::connected() {
    if (!connect_result_) return;
    const int error = *std::exchange(connect_result_, std::nullopt);
    if (error != 0) {
        connect_failed(error);
        state_ = State::choosing;
        return;
    }
    Lease lease{new ServerConnection{std::move(connecting_), now()}};
    open_server(std::move(lease));
}

void Relay::connect_failed(int uv_error) {
    connecting_.reset();
    refused_.set(server_->index);
    // Idle connections to other servers hold the descriptors this one lacks.
    if (uv_error == UV_EMFILE || uv_error == UV_ENFILE)
        for (const auto& pool : lane_.pools) pool->clear();
    lane_.counters.connects_failed.add();
    if (lane_.connect_warning.due(now()))
        log::warn("cannot connect to a server", {{"server", server_->text},
                                                 {"upstream", route_->upstream->name()},
                                                 {"error", uv_err_name(uv_error)}});
}

void Relay::open_server(Lease lease) {
    connected_us_ = now_us();
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
    WriteList list;
    std::array<std::string_view, 24> data;
    std::size_t count = 0;
    std::size_t bytes = pieces.bytes();
    if (first) {
        build_request_head();
        list.add(lane_.head_out);
        data[count++] = block_.held;
        bytes += block_.held.size();
    }
    for (const std::string_view piece : pieces.view()) data[count++] = piece;
    list.add_body({data.data(), count}, bytes, in_framing_);
    if (client_.body_complete()) list.add_end(in_framing_);
    stream.write(list.view());
    if (first && stream.broken() && stream.sent() == sent_before) return resend_unsent();
    if (first) ++tries_;
    request_ = client_.body_complete() ? RequestSide::sent : RequestSide::sending;
    at_.request_progress = now();
    keep_for_resend();
}

// As long as the request could be sent again, what is received of its body is kept, if it fits.
void Relay::keep_for_resend() {
    const bool can_resend =
        is_idempotent(block_.head.method) && tries_ < route_->upstream_config->retry_tries;
    Pieces& pieces = lane_.client_pieces;
    if (can_resend && body_at_hand_ &&
        block_.held.size() + pieces.bytes() <= HeadBlock::waiting_max)
        return hold_body();
    if (!block_.held.empty() || !pieces.empty()) body_at_hand_ = false;
    block_.held.clear();
    pieces.clear();
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
    const std::size_t dropped = append_request_head(
        lane_.head_out,
        {.head = &block_.head,
         .to = to_,
         .server_host = server_->text,
         .peer = &client_.peer(),
         .body = block_.parser.body(),
         .request_id = request_id(),
         .session_prefix = session.header_prefix,
         .session_fields = lane_.lines_out,
         .session_cookie = session_cookie(),
         .keep_underscores = snapshot_->config().limits.underscores == Underscores::keep,
         .websocket = websocket_});
    if (dropped > 0) lane_.counters.session_fields_dropped.add(dropped);
}

// Nothing was written: the connection had been closed before, and the server has not seen this
// request.
void Relay::resend_unsent() {
    if (block_.server.reused())
        tried_.reset(server_->index);
    else
        refused_.set(server_->index);
    block_.server.close();
    fresh_only_ = true;
    state_ = State::choosing;
}

void Relay::resend() {
    lane_.counters.retries.add();
    if (block_.server.is_open() && block_.server.reused()) tried_.reset(server_->index);
    block_.server.close();
    fresh_only_ = true;
    request_ = RequestSide::held;
    state_ = State::choosing;
}

void Relay::receive() {
    if (response_ == ResponseSide::committing) return committed();
    while (response_ == ResponseSide::none) {
        const auto head = block_.server.read_head();
        if (!head) return fail(head.error());
        if (!*head) break;
        if (first_us_ == 0) first_us_ = now_us();
        const int status = block_.server.head().status;
        if (status >= 200 || status == 101)
            on_final();
        else if (!on_interim())
            return fail({Fault::bad_response});
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
                              .session_prefix = snapshot_->config().session.header_prefix,
                              .session_cookie = session_cookie()});
        const iovec piece{lane_.head_out.data(), lane_.head_out.size()};
        client_.stream().write({&piece, 1});
    }
    block_.server.next_head();
    return true;
}

// A response that changes the session is committed before its first byte is released: a client that
// follows it finds the change.
void Relay::on_final() {
    if (ConnectionOptions{block_.server.head()}.too_many) return fail({Fault::bad_response});
    const bool off = route_->config->session == SessionMode::off;
    if (off) count_ignored_fields();
    if (!session_step(session_.apply(block_.server.head(), lane_.epoch_now_ms()))) {
        response_ = ResponseSide::committing;
        block_.server.keep();
        return;
    }
    release_response();
}

void Relay::committed() {
    if (!answer_) return;
    StoreAnswer answer = std::move(*answer_);
    answer_.reset();
    if (!session_step(session_.answered(std::move(answer), lane_.epoch_now_ms()))) return;
    release_response();
    if (state_ == State::exchanging && block_.server.end()) server_lost();
}

// The cookie that no server sees and none may set; none where the route has no sessions.
std::string_view Relay::session_cookie() const noexcept {
    if (route_->config->session == SessionMode::off) return {};
    return snapshot_->config().session.cookie;
}

// Session fields where the route has no sessions mean nothing; they are stripped, and counted.
void Relay::count_ignored_fields() {
    const Head& head = block_.server.head();
    for (const Field& field : head.fields)
        if (has_session_prefix(head.text(field.name), snapshot_->config().session.header_prefix))
            lane_.counters.session_fields_dropped.add();
}

void Relay::release_response() {
    if (const auto fault = session_.fault()) return fail({*fault});
    if (block_.server.head().status == 101) return begin_tunnel();
    const Body body = block_.server.body();
    const bool unknown_length =
        body.framing == Framing::chunked || body.framing == Framing::until_close;
    out_framing_ = !unknown_length  ? body.framing
                   : client_is_1_0_ ? Framing::until_close
                                    : Framing::chunked;
    close_client_ = !client_persistent() || !client_.body_complete() || client_.half_closed() ||
                    lane_.stopping || out_framing_ == Framing::until_close;
    // The body is looked at first: what is wrong with its beginning can still be a 502.
    Pieces& pieces = lane_.server_pieces;
    pieces.clear();
    if (const auto error = block_.server.read_body(pieces)) return fail(*error);
    WriteList list;
    build_response_head({out_framing_, body.length});
    list.add(lane_.head_out);
    status_ = block_.server.head().status;
    response_ = ResponseSide::body;
    pass_body(list);
}

void Relay::build_response_head(Body body) {
    const Config& config = snapshot_->config();
    const Head& head = block_.server.head();
    lane_.lines_out.clear();
    const bool secure = config.session.secure == SecureCookie::always ||
                        (config.session.secure == SecureCookie::automatic &&
                         is_secure(client_.peer(), block_.head));
    session_.append_cookie_line(lane_.lines_out, secure);
    lane_.head_out.clear();
    const bool upgrade = head.status == 101;
    const std::size_t dropped = append_response_head(
        lane_.head_out, {.head = &head,
                         .body = body,
                         .keep_length = head.status == 304 ||
                                        (block_.head.method == Method::head && head.status != 204),
                         .client_is_1_0 = client_is_1_0_,
                         .close = close_client_,
                         .upgrade = upgrade,
                         .session_prefix = config.session.header_prefix,
                         .session_cookie = session_cookie(),
                         .added = lane_.lines_out});
    if (dropped == 0) return;
    lane_.counters.session_cookies_dropped.add(dropped);
    if (lane_.foreign_cookie_warning.due(now()))
        log::warn("a server sets the session cookie itself, dropped",
                  {{"server", server_->text}, {"route", route_->config->name}});
}

void Relay::receive_body() {
    Pieces& pieces = lane_.server_pieces;
    pieces.clear();
    if (const auto error = block_.server.read_body(pieces)) return fail(*error);
    WriteList list;
    pass_body(list);
}

// Data to the client, behind what the list holds already; the end if it has come.
void Relay::pass_body(WriteList& list) {
    const Pieces& pieces = lane_.server_pieces;
    list.add_body(pieces.view(), pieces.bytes(), out_framing_);
    const bool complete = block_.server.complete();
    if (complete) list.add_end(out_framing_);
    if (!list.empty()) client_.stream().write(list.view());
    if (complete) response_done();
}

// The answer is whole. If the request is not, neither connection can carry another one (RFC 9112,
// 9.3 and 9.5).
void Relay::response_done() {
    response_ = ResponseSide::done;
    const bool request_sent = request_ == RequestSide::sent;
    if (!request_sent) close_client_ = true;
    if (Lease lease = block_.server.release(request_sent))
        lane_.pools[server_->pool]->give_back(std::move(lease), now());
    state_ = State::replying;
}

// The server has ended its side, or its connection broke.
void Relay::server_lost() {
    if (response_ == ResponseSide::body) {
        // After a reset libuv may report the reset to the write side and an orderly end to the other.
        const bool orderly = *block_.server.end() == UV_EOF && !block_.server.stream().broken();
        if (orderly && block_.server.end_completes()) {
            lane_.server_pieces.clear();
            WriteList list;
            return pass_body(list);
        }
        return fail({Fault::server_gone, *block_.server.end()});
    }
    const RetryFacts facts{.method = block_.head.method,
                           .answer_begun = block_.server.heard(),
                           .body_at_hand = body_at_hand_,
                           .tries_left = route_->upstream_config->retry_tries -
                                         std::min(tries_, route_->upstream_config->retry_tries)};
    if (may_retry(Fault::server_gone, facts)) return resend();
    fail({Fault::server_gone, *block_.server.end()});
}

void Relay::begin_tunnel() {
    close_client_ = true;
    build_response_head({});
    WriteList list;
    list.add(lane_.head_out);
    client_.stream().write(list.view());
    status_ = 101;
    request_ = RequestSide::sent;
    response_ = ResponseSide::done;
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
    if (const auto end = server.end()) {
        if (*end != UV_EOF) return finish(End::cut);
        client_.stream().shut();
    }
    if ((client_.half_closed() || server.stream().broken()) && server.end())
        state_ = State::replying;
}

void Relay::reply() {
    if (client_.stream().unsent() == 0) finish(close_client_ ? End::close : End::keep);
}

void Relay::client_gone(int uv_error) noexcept { fail({Fault::client_gone, uv_error}); }

void Relay::client_fault(Error error) { fail(error); }

void Relay::stop() { fail({Fault::stopping}); }

// One reply, or, where an answer has begun, an end that does not look complete (RFC 9112, 8).
void Relay::fail(Error error) {
    if (state_ == State::over) return;
    fault_ = error.fault;
    connecting_.reset();
    block_.server.close();
    if (error.fault == Fault::client_gone || error.fault == Fault::stopping || replied())
        return finish(End::cut);
    // After a time-out a late body would be taken for the next request.
    const bool timed_out = error.fault == Fault::client_slow || error.fault == Fault::server_slow;
    close_client_ = timed_out || !client_.body_complete() || !client_persistent() ||
                    client_.half_closed() || lane_.stopping;
    lane_.head_out.clear();
    append_reply(lane_.head_out, {.fault = error.fault,
                                  .request_id = request_id(),
                                  .close = close_client_,
                                  .head_only = block_.head.method == Method::head});
    const iovec piece{lane_.head_out.data(), lane_.head_out.size()};
    client_.stream().write({&piece, 1});
    status_ = status_of(error.fault);
    state_ = State::replying;
}

void Relay::finish(End end) {
    end_ = end;
    state_ = State::over;
    block_.server.close();
    lane_.client_pieces.clear();
    session_.finish(lane_.epoch_now_ms());
    lane_.counters.requests.add();
    if (fault_) lane_.counters.faults[static_cast<std::size_t>(*fault_)].add();
    if (lane_.access_log.enabled()) write_log_line();
}

bool Relay::client_persistent() const noexcept {
    return !connection_.close && (block_.head.minor == 1 || connection_.keep_alive);
}

namespace {

// On until there is this much unsent on the other side, then off until half of it has left.
constexpr std::size_t unsent_max = std::size_t{64} << 10;

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
        wants_client_ = block_.held.size() < HeadBlock::waiting_max;
    if (!server.is_open() || server.end()) return;
    wants_server_ =
        response_ != ResponseSide::committing && flows(wants_server_, client_.stream().unsent());
    server.stream().read(wants_server_);
}

void Relay::see_progress(std::uint64_t now_ms) noexcept {
    at_.client_input = client_.last_input_at();
    at_.half_closed = client_.half_closed_at();
    if (client_.stream().sent() != client_sent_seen_) {
        client_sent_seen_ = client_.stream().sent();
        at_.client_progress = now_ms;
    }
    if (client_.stream().unsent() == 0)
        at_.unsent_since = 0;
    else if (at_.unsent_since == 0)
        at_.unsent_since = now_ms;
    if (block_.server.is_open() && block_.server.stream().sent() != server_sent_seen_) {
        server_sent_seen_ = block_.server.stream().sent();
        at_.request_progress = now_ms;
    }
}

Progress::Phase Relay::phase() noexcept {
    switch (state_) {
    case State::connecting: return Progress::Phase::connecting;
    case State::tunnelling: return Progress::Phase::tunnelling;
    case State::replying: return Progress::Phase::replying;
    case State::exchanging: break;
    default: return Progress::Phase::before;
    }
    if (response_ == ResponseSide::committing) return Progress::Phase::committing;
    if (response_ != ResponseSide::none) return Progress::Phase::answering;
    const bool stalled = block_.server.is_open() && block_.server.stream().unsent() > 0;
    return request_ == RequestSide::sent || stalled ? Progress::Phase::sent
                                                    : Progress::Phase::uploading;
}

Deadline Relay::deadline(std::uint64_t now_ms) noexcept {
    see_progress(now_ms);
    const Progress progress{.phase = phase(),
                            .server_reached = tries_ > 0,
                            .answer_begun = replied(),
                            .server_read = wants_server_,
                            .at = at_};
    return next_deadline(progress, snapshot_->config().timeouts,
                         route_ == nullptr ? nullptr : &route_->upstream_config->timeouts);
}

void Relay::on_deadline(std::uint64_t now_ms) {
    const Deadline due = deadline(now_ms);
    if (due.when == 0 || now_ms < due.when) return;
    const auto connect =
        route_ == nullptr ? Milliseconds{0} : route_->upstream_config->timeouts.connect;
    if (state_ == State::connecting && connect.count() > 0 &&
        now_ms >= at_.connect_began + static_cast<std::uint64_t>(connect.count())) {
        connecting_.reset();
        connect_result_ = UV_ETIMEDOUT;
        return;  // `connected` goes on to the next server
    }
    fail({due.fault});
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
    line.status = status_ != 0 ? status_ : fault_ ? status_of(*fault_) : 0;
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
    lane_.access_log.write(line);
}

}  // namespace baton
