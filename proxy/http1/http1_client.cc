#include "proxy/http1/http1_client.h"

#include <algorithm>
#include <new>
#include <utility>

#include "net/check.h"
#include "proxy/exchange/local_call.h"
#include "proxy/exchange/relay.h"
#include "proxy/http1/refused_head.h"

namespace baton {

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
      response_(lane, *stream_),
      progress_(now()) {
    owner_.idle.add(*this);
    stream_->attach(this, events);
    stream_->read(true);
    arm(deadline());
}

Http1Client::~Http1Client() {
    if (block_) blocks_.give_back(std::move(block_));
}

void Http1Client::on_arrived(std::span<char> bytes) {
    progress_.received(now());
    switch (state_) {
    case State::flushing: after_ = After::linger; return;
    case State::over: return;
    case State::lingering: break;
    case State::exchanging:
        if (body_ == RequestBody::refused) return;
        // Behind what waits already; a request's own body never waits here.
        if (input_.size() > 0 || body_complete()) {
            input_.append(bytes);
            break;
        }
        [[fallthrough]];
    case State::idle:
    case State::reading_head:
    case State::tunnelling: input_.arrived(bytes); break;
    }
    turn();
}

void Http1Client::on_ended(StreamEnd end) {
    switch (state_) {
    case State::exchanging:
        if (end.is_orderly()) {
            half_closed_ = true;
            progress_.half_closed(now());
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
    case State::reading_head: note_refused({Fault::client_gone, end.error}, {}, 0); [[fallthrough]];
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
    if (peer_.trusted || after_ != After::keep) return;
    if (!bound_)
        bound_ = std::make_unique<BoundServers>(
            this, [](void* client) { static_cast<Http1Client*>(client)->on_bound_ended(); });
    bound_->keep(std::move(lease));
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
            input_.next();
            if (!input_.empty()) {
                read_head();
                moved = true;
            } else if (half_closed_) {
                note_refused({Fault::client_gone, UV_EOF}, {}, 0);
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
                moved = body_ == RequestBody::coming && input_.size() > 0;
            }
            break;
        case State::tunnelling:
            if (tunnel_->advance()) {
                end_tunnel();
                moved = true;
            } else {
                // What it brought along has been taken; a tunnel that closes takes no more.
                input_.take_all();
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
    input_.save();
    set_reading();
    arm(deadline());
}

std::span<char> Http1Client::take_raw() noexcept {
    input_.next();
    return input_.take_all();
}

std::size_t Http1Client::begin(ForwardResponse& response, const Pieces& data, bool complete) {
    after_ = after_response(!response.close && !response.upgrade &&
                            !response_.is_until_close(response.body.framing));
    response.close = after_ != After::keep;
    return response_.begin(response, data, complete);
}

void Http1Client::reply(const Reply& reply) {
    after_ = after_response(!reply.ends_connection);
    response_.reply(reply, after_ != After::keep);
}

void Http1Client::read_head() {
    if (!block_) block_ = blocks_.take();
    if (state_ == State::idle) enter(State::reading_head);
    if (head_begun_us_ == 0) head_begun_us_ = lane_.clock_us();
    const std::size_t before = block_->partial().size();
    std::string_view received{input_.bytes().data(), input_.bytes().size()};
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
        input_.take_all();
        return;
    }
    block_->settle(received.substr(0, *size));
    input_.take(*size - before);
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
    response_.next(request.head);
    if (block_->parser.complete()) complete_body();
    enter(State::exchanging);
    void* room = block_->exchange_room();
    const std::uint64_t begun_us = std::exchange(head_begun_us_, 0);
    if (service_ != nullptr)
        block_->exchange.reset(new (room) LocalCall(lane_, *this, request, *service_));
    else
        block_->exchange.reset(new (room) Relay(lane_, *this, request, block_->server, begun_us));
}

void Http1Client::read_body() {
    input_.next();
    if (input_.empty())
        return half_closed_ ? block_->exchange->client_gone(StreamEnd::orderly()) : void();
    const auto size = block_->parser.read_body(input_.bytes(), block_->request.arrived);
    if (!size) {
        body_ = RequestBody::refused;
        input_.drop();
        block_->request.arrived.clear();
        return block_->exchange->client_fault(size.error());
    }
    block_->request.body_bytes += *size;
    input_.take(*size);
    if (block_->parser.complete())
        complete_body();
    else if (half_closed_ && input_.size() == 0)
        block_->exchange->client_gone(StreamEnd::orderly());
}

void Http1Client::end_request() {
    const Exchange::End end = block_->exchange->end();
    if (end == Exchange::End::tunnel) return begin_tunnel();
    // Said so when its head was released.
    check(end != Exchange::End::complete || body_complete() || after_ != After::keep,
          "a connection with half a request was to be kept");
    block_->exchange.reset();
    if (end == Exchange::End::cut) stream_->reset_on_close();
    if (end == Exchange::End::cut || end == Exchange::End::dropped) return enter(State::over);
    const bool last = half_closed_ && !input_.has_head();
    if (after_ != After::keep || last || owner_.is_stopping()) return close_after_reply();
    // Who has left for good is answered no more.
    if (half_closed_ && stream_->peek() == Stream::Unread::broken) return enter(State::over);
    if (input_.size() > 0) {
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
    after_ = end == Exchange::End::linger ? After::linger : After::close;
    if (end != Exchange::End::cut) return close_after_reply();
    stream_->reset_on_close();
    enter(State::over);
}

// The head is no request, or did not come in time: our own answer, and the end of the connection.
void Http1Client::refuse(Error error) {
    std::array<char, 32> id;
    lane_.ids.next(id);
    // The method is known even where the rest of the head was refused.
    Head& head = block_->request.head;
    const bool head_only = head.bytes != nullptr && head.text(head.method_text) == "HEAD";
    head.method = head_only ? Method::head : Method::unknown;
    const std::string_view request_id{id.data(), id.size()};
    response_.next(head);
    if (service_ != nullptr)
        response_.reply(local_reply(service_->fault_reply(error)), true);
    else
        response_.reply(fault_reply(error.fault, request_id, {}), true);
    note_refused(error, request_id, response_.written());
    body_ = RequestBody::refused;
    close_after_reply();
}

// What comes to a service of our own stands neither in the log nor in the numbers of the traffic.
void Http1Client::note_refused(Error error, std::string_view id, std::size_t bytes_out) {
    if (service_ != nullptr) return;
    baton::note_refused(lane_,
                        {.error = error,
                         .head = &block_->request.head,
                         .id = id,
                         .client = peer_.host,
                         .bytes_in = std::max(block_->partial().size(), input_.bytes().size()),
                         .bytes_out = bytes_out,
                         .begun_us = head_begun_us_});
}

// Once the answer has left.
void Http1Client::close_after_reply() {
    const bool unwanted = !body_complete() || input_.size() > 0;
    if (unwanted || after_ == After::keep) after_ = unwanted ? After::linger : After::close;
    input_.take_all();
    if (block_) blocks_.give_back(std::move(block_));
    enter(State::flushing);
}

void Http1Client::enter(State state) {
    if (gives_way(state_) && !gives_way(state)) owner_.idle.remove(*this);
    if (!gives_way(state_) && gives_way(state)) owner_.idle.add(*this);
    state_ = state;
    progress_.entered(now());
}

void Http1Client::set_reading() {
    if (half_closed_) return;
    switch (state_) {
    case State::exchanging:
        // Behind a request that is whole the next ones wait.
        return stream_->read(body_complete() ? input_.size() < Request::waiting_max
                                             : block_->exchange->wants_client_input());
    case State::tunnelling: return stream_->read(tunnel_->wants_client_input());
    default: stream_->read(true);
    }
}

std::uint64_t Http1Client::deadline() noexcept {
    const ClientTimeouts& timeouts = lane_.snapshot->config().timeouts;
    switch (state_) {
    case State::idle: return progress_.since_entered(timeouts.keepalive);
    case State::reading_head: return progress_.since_entered(timeouts.header);
    case State::exchanging:
    case State::tunnelling: return running().deadline().when;
    case State::flushing:
        progress_.see_sent(stream_->sent(), now());
        return progress_.since_sent(timeouts.send);
    case State::lingering: return progress_.lingering(timeouts);
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
