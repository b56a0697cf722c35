#include "proxy/http1/http1_client.h"

#include <algorithm>
#include <new>
#include <utility>

#include "net/check.h"
#include "proxy/exchange/local_call.h"
#include "proxy/exchange/relay.h"
#include "proxy/head/own_reply.h"
#include "proxy/process/clients.h"

namespace baton {

namespace {

// How long what a client still sends is read and dropped after a last answer (RFC 9112, 9.6): a
// client that writes its whole body before it reads would have its answer destroyed by a reset. The
// numbers are those of nginx: without a byte, and in all.
constexpr std::uint64_t linger_idle_ms = 5'000;
constexpr std::uint64_t linger_idles = 6;

// Whether the bytes hold a whole head, be it well-formed or not: a line that is not empty and, some
// lines later, an empty one.
class HeadSearch {
public:
    bool ends_in(std::string_view bytes) noexcept {
        for (const char byte : bytes) {
            if (byte == '\n') {
                if (begun_ && line_is_empty_) return true;
                line_is_empty_ = true;
            } else if (byte != '\r') {
                begun_ = true;
                line_is_empty_ = false;
            }
        }
        return false;
    }

private:
    bool begun_ = false;
    bool line_is_empty_ = true;
};

std::uint64_t after(std::uint64_t since, Milliseconds limit) noexcept {
    return limit.count() == 0 ? 0 : since + static_cast<std::uint64_t>(limit.count());
}

}  // namespace

const StreamEvents Http1Client::events{
    .arrived = [](void* holder,
                  std::span<char> bytes) { static_cast<Http1Client*>(holder)->on_arrived(bytes); },
    .flushed = [](void* holder) { static_cast<Http1Client*>(holder)->turn(); },
    .ended = [](void* holder,
                int uv_error) { static_cast<Http1Client*>(holder)->on_ended(uv_error); },
};

Http1Client::Http1Client(Lane& lane, Clients& clients, StreamPtr stream, Peer peer,
                         const ListenerConfig& listener, LocalService* service)
    : lane_(lane),
      clients_(clients),
      stream_(std::move(stream)),
      listener_(listener),
      service_(service),
      peer_(std::move(peer)),
      timer_(lane.loop, *this),
      since_(now()) {
    clients_.became_idle(*this);
    stream_->attach(this, events);
    stream_->read(true);
    arm(deadline());
}

Http1Client::~Http1Client() {
    if (block_) lane_.blocks.give_back(std::move(block_));
}

void Http1Client::on_arrived(std::span<char> bytes) {
    last_input_at_ = now();
    switch (state_) {
    case State::flushing: linger_ = true; return;
    case State::over: return;
    case State::lingering: break;
    case State::exchanging:
        if (body_ == RequestBody::refused) return;
        // Behind what waits already; a request's own body never waits here.
        if (waiting_bytes() > 0 || (body_complete() && !block_->exchange->tunnelling())) {
            block_->later.append(bytes.data(), bytes.size());
            break;
        }
        [[fallthrough]];
    case State::idle:
    case State::reading_head: input_ = bytes; break;
    }
    turn();
}

void Http1Client::on_ended(int uv_error) {
    switch (state_) {
    case State::exchanging:
        if (uv_error == UV_EOF) {
            half_closed_ = true;
            half_closed_at_ = now();
            const bool waits =
                body_complete() && lane_.snapshot->config().timeouts.client_gone.count() > 0;
            if (waits || block_->exchange->tunnelling()) break;
        }
        block_->exchange->client_gone(uv_error);
        break;
    case State::flushing:
        half_closed_ = true;
        if (uv_error != UV_EOF) enter(State::over);
        break;
    case State::reading_head: log_refused({Fault::client_gone, uv_error}, {}, 0); [[fallthrough]];
    default: enter(State::over);
    }
    turn();
}

void Http1Client::on_deadline() {
    armed_for_ = 0;
    const std::uint64_t when = deadline();
    if (when == 0) return;
    if (now() < when) return arm(when);
    switch (state_) {
    case State::reading_head: refuse({Fault::client_slow, 0, Reason::header_timeout}); break;
    case State::exchanging: block_->exchange->on_deadline(now()); break;
    default: enter(State::over);
    }
    turn();
}

void Http1Client::bind(Lease lease) {
    if (!bound_)
        bound_ = std::make_unique<BoundServers>(
            this, [](void* client) { static_cast<Http1Client*>(client)->on_bound_ended(); });
    bound_->keep(std::move(lease));
}

void Http1Client::on_bound_ended() {
    bound_ended_ = true;
    // A request that has arrived is answered.
    if (state_ == State::idle && stream_->look() != Stream::Unread::bytes) enter(State::over);
    turn();
}

void Http1Client::stop() {
    // A request that has arrived is answered, and the answer says that the connection ends.
    if (state_ == State::lingering || is_idle()) enter(State::over);
    turn();
}

bool Http1Client::close_if_idle() {
    if (state_ != State::lingering && !is_idle()) return false;
    enter(State::over);
    turn();
    return true;
}

// What the kernel has and we have not read counts, too.
bool Http1Client::is_idle() const noexcept {
    return state_ == State::idle && stream_->look() != Stream::Unread::bytes;
}

void Http1Client::abort() {
    if (state_ == State::exchanging)
        block_->exchange->stop();
    else
        enter(State::over);
    turn();
}

void Http1Client::turn() {
    check(!turning_, "a client connection turned while it was turning");
    turning_ = true;
    for (bool moved = true; moved;) {
        moved = false;
        switch (state_) {
        case State::idle:
        case State::reading_head:
            next_input();
            if (!input_.empty()) {
                read_head();
                moved = true;
            } else if (half_closed_) {
                log_refused({Fault::client_gone, UV_EOF}, {}, 0);
                enter(State::over);
            }
            break;
        case State::exchanging:
            if (body_ == RequestBody::coming) read_body();
            if (block_->exchange->advance()) {
                end_request();
                moved = true;
            } else {
                // More of its body may lie behind what was just read.
                moved = body_ == RequestBody::coming && waiting_bytes() > 0;
            }
            break;
        case State::flushing:
            if (stream_->broken()) {
                enter(State::over);
                break;
            }
            if (stream_->unsent() > 0) break;
            // Before all else: to close with bytes unread is a reset, which takes along what the kernel
            // has not sent yet.
            stream_->shut();
            enter(client_sends() ? State::lingering : State::over);
            break;
        case State::lingering:
        case State::over: break;
        }
    }
    turning_ = false;
    if (state_ == State::over) return clients_.retire(place);
    save_input();
    set_reading();
    arm(deadline());
}

// Goes on with what had to wait.
void Http1Client::next_input() {
    if (!input_.empty() || !block_) return;
    block_->reading.clear();
    if (block_->later.empty()) return;
    block_->reading.swap(block_->later);
    input_ = block_->reading;
}

// What lies in the loop's buffer is gone when the event is over.
void Http1Client::save_input() {
    if (input_.empty()) return;
    const char* own = block_->reading.data();
    if (input_.data() >= own && input_.data() < own + block_->reading.size()) return;
    block_->later.insert(0, input_.data(), input_.size());
    input_ = {};
}

std::size_t Http1Client::waiting_bytes() const noexcept {
    return input_.size() + (block_ ? block_->later.size() : 0);
}

std::span<char> Http1Client::take_raw() noexcept {
    next_input();
    return std::exchange(input_, {});
}

void Http1Client::read_head() {
    if (!block_) block_ = lane_.blocks.take();
    if (state_ == State::idle) enter(State::reading_head);
    if (head_begun_us_ == 0) head_begun_us_ = lane_.clock_us();
    const std::size_t before = block_->partial().size();
    std::string_view received{input_.data(), input_.size()};
    if (before > 0) {
        block_->add(received);
        received = block_->partial();
    }
    const auto size = block_->parser.read_head(received, block_->head);
    if (!size) return refuse(size.error());
    if (*size == 0) {
        if (before == 0) block_->add(received);
        // The log may want what was read of it, when the loop's buffer holds another's bytes.
        block_->head.bytes = block_->partial().data();
        input_ = {};
        return;
    }
    block_->settle(received.substr(0, *size));
    input_ = input_.subspan(*size - before);
    begin_request();
}

void Http1Client::begin_request() {
    body_ = block_->parser.complete() ? RequestBody::complete : RequestBody::coming;
    body_bytes_ = 0;
    enter(State::exchanging);
    void* room = block_->exchange_room();
    const std::uint64_t begun_us = std::exchange(head_begun_us_, 0);
    if (service_ != nullptr)
        block_->exchange.reset(new (room) LocalCall(lane_, *this, *block_, *service_));
    else
        block_->exchange.reset(new (room) Relay(lane_, *this, *block_, begun_us));
}

void Http1Client::read_body() {
    next_input();
    if (input_.empty()) {
        if (half_closed_) client_gone_within_body();
        return;
    }
    const auto size = block_->parser.read_body(input_, lane_.client_pieces);
    if (!size) {
        body_ = RequestBody::refused;
        input_ = {};
        block_->later.clear();
        lane_.client_pieces.clear();
        return block_->exchange->client_fault(size.error());
    }
    body_bytes_ += *size;
    input_ = input_.subspan(*size);
    if (block_->parser.complete())
        body_ = RequestBody::complete;
    else if (half_closed_ && waiting_bytes() == 0)
        client_gone_within_body();
}

// There will be no more of it: all that was sent had arrived before the client's end.
void Http1Client::client_gone_within_body() { block_->exchange->client_gone(UV_EOF); }

void Http1Client::end_request() {
    const Exchange::End end = block_->exchange->end();
    lane_.client_pieces.clear();
    block_->exchange.reset();
    switch (end) {
    case Exchange::End::keep: break;
    case Exchange::End::linger: linger_ = true; [[fallthrough]];
    case Exchange::End::close: return close_after_reply();
    case Exchange::End::cut: stream_->reset_on_close(); [[fallthrough]];
    case Exchange::End::drop: return enter(State::over);
    }
    const bool last = half_closed_ && !next_has_arrived();
    if (last || clients_.stopping()) return close_after_reply();
    // Who has left for good is answered no more.
    if (half_closed_ && stream_->look() == Stream::Unread::broken) return enter(State::over);
    if (waiting_bytes() > 0) {
        block_->clear();
        return enter(State::reading_head);
    }
    lane_.blocks.give_back(std::move(block_));
    enter(State::idle);
}

// The head is no request, or did not come in time: our own answer, and the end of the connection.
void Http1Client::refuse(Error error) {
    std::array<char, 32> id;
    lane_.ids.next(id);
    std::string& out = lane_.head_out;
    out.clear();
    // The method is known even where the rest of the head was refused.
    const Head& head = block_->head;
    const bool head_only = head.bytes != nullptr && head.text(head.method_text) == "HEAD";
    if (service_ != nullptr)
        append_local_reply(out, service_->fault_reply(error),
                           {.date_line = lane_.date_line(), .close = true, .head_only = head_only});
    else
        append_reply(out, {.fault = error.fault,
                           .request_id = {id.data(), id.size()},
                           .date_line = lane_.date_line(),
                           .close = true,
                           .head_only = head_only});
    const iovec piece{out.data(), out.size()};
    stream_->write({&piece, 1}, Stream::Then::end);
    log_refused(error, {id.data(), id.size()}, out.size());
    body_ = RequestBody::refused;
    close_after_reply();
}

// What comes to a service of our own stands neither in the log nor in the numbers of the traffic.
void Http1Client::log_refused(Error error, std::string_view id, std::size_t bytes_out) {
    if (service_ != nullptr) return;
    lane_.counters.requests.back().add(status_of(error.fault));
    lane_.counters.faults[static_cast<std::size_t>(error.fault)].add();
    if (!lane_.access_log.enabled()) return;
    const Head& head = block_->head;
    AccessLine line;
    line.time_ms = wall_now_ms();
    line.id = id;
    line.client = peer_.host;
    // The request line is known once it was whole; its bytes are still where they were read.
    if (head.bytes != nullptr && head.target.size > 0) {
        line.method = head.text(head.method_text);
        line.target = logged_target(head, lane_.snapshot->config().log.query);
    }
    line.status = status_of(error.fault);
    line.in = std::max(block_->partial().size(), input_.size());
    line.out = bytes_out;
    line.session = "off";
    line.total_us = head_begun_us_ == 0 ? 0 : static_cast<std::int64_t>(now_us() - head_begun_us_);
    line.fault = name(error.fault);
    line.reason = name(error.reason);
    line.detail = error.detail;
    lane_.access_log.write(line);
}

// Whether to close would destroy the answer by a reset: more of what it sends is to come, or lies in
// the kernel.
bool Http1Client::client_sends() const noexcept {
    return !half_closed_ && (linger_ || stream_->look() == Stream::Unread::bytes);
}

bool Http1Client::ends_here() const noexcept {
    return clients_.ends_connections() || bound_ended_ || (half_closed_ && !next_has_arrived());
}

// Behind the running request: a whole head waits to be read.
bool Http1Client::next_has_arrived() const noexcept {
    if (!block_) return false;
    HeadSearch search;
    return search.ends_in({input_.data(), input_.size()}) || search.ends_in(block_->later);
}

// Once the answer has left.
void Http1Client::close_after_reply() {
    linger_ = linger_ || !body_complete() || waiting_bytes() > 0;
    input_ = {};
    if (block_) lane_.blocks.give_back(std::move(block_));
    enter(State::flushing);
}

// Whether nothing is owed to the client: it has its answer, or has not asked.
bool Http1Client::gives_way(State state) noexcept {
    return state == State::idle || state == State::lingering;
}

void Http1Client::enter(State state) {
    if (gives_way(state_) && !gives_way(state)) clients_.no_longer_idle(*this);
    if (!gives_way(state_) && gives_way(state)) clients_.became_idle(*this);
    state_ = state;
    since_ = now();
}

void Http1Client::set_reading() {
    if (half_closed_) return;
    stream_->read(state_ != State::exchanging || block_->exchange->wants_client_input());
}

void Http1Client::see_sent() noexcept {
    if (stream_->sent() == sent_seen_) return;
    sent_seen_ = stream_->sent();
    sent_seen_at_ = now();
}

void Http1Client::see_progress(Stamps& at) noexcept {
    see_sent();
    at.client_progress = sent_seen_at_;
    at.client_input = last_input_at_;
    // For what it had sent behind another request it began to wait when that one was done.
    at.half_closed = half_closed_ ? std::max(half_closed_at_, since_) : 0;
    if (stream_->unsent() > 0) {
        if (at.unsent_since == 0) at.unsent_since = now();
    } else if (at.unsent_since != 0) {
        at.unsent_longest = std::max(at.unsent_longest, now() - at.unsent_since);
        at.unsent_since = 0;
    }
}

std::uint64_t Http1Client::deadline() noexcept {
    const ClientTimeouts& timeouts = lane_.snapshot->config().timeouts;
    switch (state_) {
    case State::idle: return after(since_, timeouts.keepalive);
    case State::reading_head: return after(since_, timeouts.header);
    case State::exchanging: return block_->exchange->deadline().when;
    case State::flushing: see_sent(); return after(std::max(since_, sent_seen_at_), timeouts.send);
    case State::lingering: {
        const auto body_idle = static_cast<std::uint64_t>(timeouts.body_idle.count());
        const std::uint64_t idle =
            body_idle == 0 ? linger_idle_ms : std::min(linger_idle_ms, body_idle);
        return std::min(std::max(since_, last_input_at_) + idle, since_ + linger_idles * idle);
    }
    case State::over: break;
    }
    return 0;
}

// The timer is not set anew for each event: it fires when the earliest deadline it was ever told
// has come, and looks again.
void Http1Client::arm(std::uint64_t when) {
    if (when == 0 || (armed_for_ != 0 && armed_for_ <= when)) return;
    armed_for_ = when;
    timer_.arm(std::chrono::milliseconds{when > now() ? when - now() : 1});
}

}  // namespace baton
