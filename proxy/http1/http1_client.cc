#include "proxy/http1/http1_client.h"

#include <algorithm>
#include <new>
#include <utility>

#include "net/check.h"
#include "net/wall_clock.h"
#include "proxy/exchange/local_call.h"
#include "proxy/exchange/relay.h"
#include "proxy/http1/head_text.h"
#include "proxy/http1/write_list.h"

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

static_assert(sizeof(Relay) <= Http1Block::exchange_size);
static_assert(sizeof(LocalCall) <= Http1Block::exchange_size);

const StreamEvents Http1Client::events{
    .arrived = [](void* holder,
                  std::span<char> bytes) { static_cast<Http1Client*>(holder)->on_arrived(bytes); },
    .flushed = [](void* holder) { static_cast<Http1Client*>(holder)->turn(); },
    .ended = [](void* holder, StreamEnd end) { static_cast<Http1Client*>(holder)->on_ended(end); },
};

Http1Client::Http1Client(Lane& lane, Http1Blocks& blocks, ClientOwner& owner, StreamPtr stream,
                         Peer peer, std::shared_ptr<const ListenerConfig> listener,
                         LocalService* service)
    : lane_(lane),
      blocks_(blocks),
      owner_(owner),
      stream_(std::move(stream)),
      listener_(std::move(listener)),
      service_(service),
      peer_(std::move(peer)),
      timer_(lane.loop, *this),
      since_(now()) {
    owner_.idle.add(*this);
    stream_->attach(this, events);
    stream_->read(true);
    arm(deadline());
}

Http1Client::~Http1Client() {
    if (block_) blocks_.give_back(std::move(block_));
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
        if (waiting_bytes() > 0 || body_complete()) {
            block_->later.append(bytes.data(), bytes.size());
            break;
        }
        [[fallthrough]];
    case State::idle:
    case State::reading_head:
    case State::tunnelling: input_ = bytes; break;
    }
    turn();
}

void Http1Client::on_ended(StreamEnd end) {
    switch (state_) {
    case State::exchanging:
        if (end.is_orderly()) {
            half_closed_ = true;
            half_closed_at_ = now();
            if (body_complete() && lane_.snapshot->config().timeouts.client_gone.count() > 0) break;
        }
        block_->exchange->client_gone(end);
        break;
    case State::tunnelling:
        half_closed_ = half_closed_ || end.is_orderly();
        if (!end.is_orderly()) tunnel_->client_gone(end);
        break;
    case State::flushing:
        half_closed_ = true;
        if (!end.is_orderly()) enter(State::over);
        break;
    case State::reading_head: log_refused({Fault::client_gone, end.error}, {}, 0); [[fallthrough]];
    default: enter(State::over);
    }
    turn();
}

void Http1Client::on_deadline() {
    armed_for_ = 0;
    if (state_ == State::idle && owner_.is_stopping()) return stop();
    const std::uint64_t when = deadline();
    if (when == 0) return;
    if (now() < when) return arm(when);
    switch (state_) {
    case State::reading_head: refuse({Fault::client_slow, 0, Reason::header_timeout}); break;
    case State::exchanging:
    case State::tunnelling: running().on_deadline(now()); break;
    default: enter(State::over);
    }
    turn();
}

// Where this side is a proxy, its connection carries many people, and has no server connection of its own.
void Http1Client::bind(Lease lease) {
    if (peer_.trusted || after_ == After::close) return;
    if (!bound_)
        bound_ = std::make_unique<BoundServers>(
            this, [](void* client) { static_cast<Http1Client*>(client)->on_bound_ended(); });
    bound_->keep(std::move(lease));
}

void Http1Client::on_bound_ended() {
    bound_ended_ = true;
    // A request that has arrived is answered.
    if (is_idle()) enter(State::over);
    turn();
}

void Http1Client::stop() {
    // A request that has arrived is answered, and the answer says that the connection ends.
    if (state_ == State::lingering || is_idle())
        enter(State::over);
    else if (state_ == State::idle)
        arm(now() + 1);  // what has arrived may be none
    turn();
}

bool Http1Client::close_if_idle() {
    if (state_ != State::lingering && !is_idle()) return false;
    enter(State::over);
    turn();
    return true;
}

// What has arrived and was not read yet counts, too, also where nobody can tell what it is.
bool Http1Client::is_idle() const noexcept { return state_ == State::idle && !may_have_unread(); }

bool Http1Client::may_have_unread() const noexcept {
    const Stream::Unread unread = stream_->peek();
    return unread == Stream::Unread::bytes || unread == Stream::Unread::unknown;
}

void Http1Client::abort() {
    if (state_ == State::exchanging || state_ == State::tunnelling)
        running().stop();
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
        case State::tunnelling:
            if (tunnel_->advance()) {
                end_tunnel();
                moved = true;
            } else {
                // What it brought along has been taken; a tunnel that closes takes no more.
                input_ = {};
                if (block_) blocks_.give_back(std::move(block_));
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
            stream_->half_close();
            enter(client_sends() ? State::lingering : State::over);
            break;
        case State::lingering:
        case State::over: break;
        }
    }
    turning_ = false;
    if (state_ == State::over) return owner_.retire(*this);
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

void Http1Client::raw(std::span<const char> bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    write({&piece, 1}, Stream::Then::more);
}

void Http1Client::write(std::span<const iovec> pieces, Stream::Then then) {
    written_ += stream_->write(pieces, then);
}

// What was written and has not left does not count; on the wire it may be more.
std::uint64_t Http1Client::bytes_out() const noexcept {
    return std::min(written_, stream_->sent() - sent_before_);
}

void Http1Client::go_on() {
    constexpr std::string_view text = "HTTP/1.1 100 Continue\r\n\r\n";
    raw(text);
}

// Passed on to those who know it (RFC 9110, 15.2).
void Http1Client::interim(const ForwardResponse& response) {
    if (block_->request.head.minor == 0) return;
    lane_.head_out.clear();
    append_response_head(lane_.head_out, response);
    raw(lane_.head_out);
}

// A body of unknown length ends with the connection where the client knows no chunks.
Framing Http1Client::framing_to_client(Body body) const noexcept {
    if (body.framing != Framing::chunked && body.framing != Framing::until_close)
        return body.framing;
    return block_->request.head.minor == 0 ? Framing::until_close : Framing::chunked;
}

// What was not read of the request would be taken for the next one.
Http1Client::After Http1Client::after_response(bool may_keep) const noexcept {
    const bool keeps = may_keep && body_complete() && block_->request.connection.persistent;
    return keeps && !ends_here() ? After::keep : After::close;
}

// `end` if the bytes complete the response and the connection closes then.
Stream::Then Http1Client::then(bool complete) const noexcept {
    return complete && after_ == After::close ? Stream::Then::end : Stream::Then::more;
}

std::size_t Http1Client::begin(ForwardResponse& response, const Pieces& data, bool complete) {
    framing_ = framing_to_client(response.body);
    after_ =
        after_response(!response.close && !response.upgrade && framing_ != Framing::until_close);
    response.body.framing = framing_;
    response.client_is_1_0 = block_->request.head.minor == 0;
    response.close = after_ == After::close;
    lane_.head_out.clear();
    const std::size_t dropped = append_response_head(lane_.head_out, response);
    __attribute__((uninitialized)) WriteList list;
    list.add(lane_.head_out);
    list.add_body(data.view(), data.bytes(), framing_);
    if (complete) list.add_end(framing_);
    write(list.view(), then(complete));
    return dropped;
}

void Http1Client::body(const Pieces& data, bool complete) {
    __attribute__((uninitialized)) WriteList list;
    list.add_body(data.view(), data.bytes(), framing_);
    if (complete) list.add_end(framing_);
    if (!list.empty()) write(list.view(), then(complete));
}

void Http1Client::reply(const Reply& reply) {
    const Head& head = block_->request.head;
    after_ = after_response(!reply.ends_connection);
    lane_.head_out.clear();
    append_reply(lane_.head_out, reply,
                 {.date_line = lane_.date_line(),
                  .client_is_1_0 = head.minor == 0,
                  .close = after_ == After::close,
                  .head_only = head.method == Method::head});
    const iovec piece{lane_.head_out.data(), lane_.head_out.size()};
    write({&piece, 1}, then(true));
}

void Http1Client::read_head() {
    if (!block_) block_ = blocks_.take();
    if (state_ == State::idle) enter(State::reading_head);
    if (head_begun_us_ == 0) head_begun_us_ = lane_.clock_us();
    const std::size_t before = block_->partial().size();
    std::string_view received{input_.data(), input_.size()};
    if (before > 0) {
        block_->add(received);
        received = block_->partial();
    }
    const auto size = block_->parser.read_head(received, block_->request.head);
    if (!size) return refuse(size.error());
    if (*size == 0) {
        if (before == 0) block_->add(received);
        // The log may want what was read of it, when the loop's buffer holds another's bytes.
        block_->request.head.bytes = block_->partial().data();
        input_ = {};
        return;
    }
    block_->settle(received.substr(0, *size));
    input_ = input_.subspan(*size - before);
    begin_request();
}

void Http1Client::begin_request() {
    Request& request = block_->request;
    request.connection.read(request.head);
    request.body = block_->parser.body();
    request.body_bytes = 0;
    request.complete = false;
    request.arrived.clear();
    body_ = RequestBody::coming;
    after_ = After::keep;
    written_ = 0;
    sent_before_ = stream_->sent();
    if (block_->parser.complete()) complete_body();
    enter(State::exchanging);
    void* room = block_->exchange_room();
    const std::uint64_t begun_us = std::exchange(head_begun_us_, 0);
    if (service_ != nullptr)
        block_->exchange.reset(new (room) LocalCall(lane_, *this, request, *service_));
    else
        block_->exchange.reset(new (room) Relay(lane_, *this, request, block_->server, begun_us));
}

void Http1Client::complete_body() {
    body_ = RequestBody::complete;
    block_->request.complete = true;
}

void Http1Client::read_body() {
    next_input();
    if (input_.empty()) {
        if (half_closed_) client_gone_within_body();
        return;
    }
    const auto size = block_->parser.read_body(input_, block_->request.arrived);
    if (!size) {
        body_ = RequestBody::refused;
        input_ = {};
        block_->later.clear();
        block_->request.arrived.clear();
        return block_->exchange->client_fault(size.error());
    }
    block_->request.body_bytes += *size;
    input_ = input_.subspan(*size);
    if (block_->parser.complete())
        complete_body();
    else if (half_closed_ && waiting_bytes() == 0)
        client_gone_within_body();
}

// There will be no more of it: all that was sent had arrived before the client's end.
void Http1Client::client_gone_within_body() { block_->exchange->client_gone(StreamEnd::orderly()); }

void Http1Client::end_request() {
    const Exchange::End end = block_->exchange->end();
    if (end == Exchange::End::tunnel) return begin_tunnel();
    // Said so when its head was released.
    check(end != Exchange::End::complete || body_complete() || after_ == After::close,
          "a connection with half a request was to be kept");
    block_->exchange.reset();
    if (end == Exchange::End::cut) stream_->reset_on_close();
    if (end == Exchange::End::cut || end == Exchange::End::dropped) return enter(State::over);
    const bool last = half_closed_ && !next_has_arrived();
    if (after_ == After::close || last || owner_.is_stopping()) return close_after_reply();
    // Who has left for good is answered no more.
    if (half_closed_ && stream_->peek() == Stream::Unread::broken) return enter(State::over);
    if (waiting_bytes() > 0) {
        block_->clear();
        return enter(State::reading_head);
    }
    blocks_.give_back(std::move(block_));
    enter(State::idle);
}

// What lies in the block still goes through it.
void Http1Client::begin_tunnel() {
    tunnel_ = block_->exchange->take_tunnel();
    block_->exchange.reset();
    enter(State::tunnelling);
}

void Http1Client::end_tunnel() {
    const Exchange::End end = tunnel_->end();
    tunnel_.reset();
    linger_ = end == Exchange::End::linger;
    if (end != Exchange::End::cut) return close_after_reply();
    stream_->reset_on_close();
    enter(State::over);
}

// The head is no request, or did not come in time: our own answer, and the end of the connection.
void Http1Client::refuse(Error error) {
    std::array<char, 32> id;
    lane_.ids.next(id);
    std::string& out = lane_.head_out;
    out.clear();
    // The method is known even where the rest of the head was refused.
    const Head& head = block_->request.head;
    const std::string_view request_id{id.data(), id.size()};
    append_reply(out,
                 service_ != nullptr ? local_reply(service_->fault_reply(error))
                                     : fault_reply(error.fault, request_id, {}),
                 {.date_line = lane_.date_line(),
                  .close = true,
                  .head_only = head.bytes != nullptr && head.text(head.method_text) == "HEAD"});
    const iovec piece{out.data(), out.size()};
    write({&piece, 1}, Stream::Then::end);
    log_refused(error, request_id, out.size());
    body_ = RequestBody::refused;
    close_after_reply();
}

// What comes to a service of our own stands neither in the log nor in the numbers of the traffic.
void Http1Client::log_refused(Error error, std::string_view id, std::size_t bytes_out) {
    if (service_ != nullptr) return;
    lane_.counters.unrouted.add(status_of(error.fault));
    lane_.counters.faults[static_cast<std::size_t>(error.fault)].add();
    if (!lane_.access_log.enabled()) return;
    const Head& head = block_->request.head;
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
    return !half_closed_ && (linger_ || may_have_unread());
}

bool Http1Client::ends_here() const noexcept {
    return owner_.ends_connections() || bound_ended_ || (half_closed_ && !next_has_arrived());
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
    if (block_) blocks_.give_back(std::move(block_));
    enter(State::flushing);
}

// Whether nothing is owed to the client: it has its answer, or has not asked.
bool Http1Client::gives_way(State state) noexcept {
    return state == State::idle || state == State::lingering;
}

void Http1Client::enter(State state) {
    if (gives_way(state_) && !gives_way(state)) owner_.idle.remove(*this);
    if (!gives_way(state_) && gives_way(state)) owner_.idle.add(*this);
    state_ = state;
    since_ = now();
}

void Http1Client::set_reading() {
    if (half_closed_) return;
    switch (state_) {
    case State::exchanging:
        // Behind a request that is whole the next ones wait.
        return stream_->read(body_complete() ? waiting_bytes() < Request::waiting_max
                                             : block_->exchange->wants_client_input());
    case State::tunnelling: return stream_->read(tunnel_->wants_client_input());
    default: stream_->read(true);
    }
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
    case State::exchanging:
    case State::tunnelling: return running().deadline().when;
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
