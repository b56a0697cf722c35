#include "proxy/exchange/local_call.h"

#include <algorithm>
#include <utility>

#include "proxy/exchange/client_side.h"
#include "proxy/head/destination.h"

namespace baton {

namespace {

// A Host field without its port (RFC 3986, 3.2.2: a literal IPv6 address stands in brackets).
std::string_view without_port(std::string_view host) noexcept {
    const std::size_t from = host.rfind(']') == std::string_view::npos ? 0 : host.rfind(']');
    return host.substr(0, host.find(':', from));
}

LocalRequest local_request(const Request& request) noexcept {
    const Destination to = destination_of(request.head);
    const std::size_t query = to.path.find('?');
    return {
        .head = request.head,
        .path = to.path.substr(0, query),
        .query = query == std::string_view::npos ? std::string_view{} : to.path.substr(query + 1),
        .host = without_port(to.host),
        .body = request.held};
}

}  // namespace

Reply LocalService::fault_reply(Error error) const {
    Reply reply = plain_reply(status_of(error.fault));
    if (reply.status == 405) reply.add("Allow", "GET, HEAD");
    return reply;
}

LocalCall::LocalCall(Lane& lane, ClientSide& client, Request& request, LocalService& service)
    : Exchange(lane, client), request_(request), service_(service) {
    at_.begun = lane.loop.now();
}

bool LocalCall::advance() {
    if (client_.broken()) client_gone(StreamEnd::failed(UV_EPIPE));
    if (state_ == State::begun) look_at_head();
    if (state_ == State::receiving) receive();
    if (state_ == State::asking) ask();
    if (state_ == State::replying && client_.unsent() == 0) finish(End::complete);
    request_.arrived.clear();  // also what was not wanted
    return state_ == State::over;
}

void LocalCall::look_at_head() {
    state_ = State::receiving;
    if (request_.connection.too_many)
        return fail({Fault::bad_request, 0, Reason::too_many_options});
    if (const auto refusal = service_.refusal(request_.head)) return reply_if(refusal);
    // RFC 9110, 10.1.1: who waits for it sends no body before; a 1.0 client does not know it.
    const bool expects = request_.head.minor == 1 && request_.head.has(FieldName::expect);
    if (expects && !request_.complete && !too_long()) client_.go_on();
}

void LocalCall::receive() {
    if (too_long()) return fail({Fault::body_too_large});
    request_.hold();
    if (request_.complete) state_ = State::asking;
}

// By the length it says, before any of it has come, or by what has come.
bool LocalCall::too_long() const noexcept {
    const Body body = request_.body;
    const std::size_t size_max = service_.body_max();
    return (body.framing == Framing::length && body.length > size_max) ||
           request_.gathered() > size_max;
}

void LocalCall::ask() {
    if (!pending_)
        reply_if(service_.answer(local_request(request_), ticket(), pending_));
    else if (auto answer = take_answer())
        reply_if(pending_->answered(std::move(*answer)));
}

void LocalCall::reply_if(std::optional<Reply> reply) {
    if (!reply) return await_answer();
    send(std::move(*reply));
}

// The request is no longer read: the connection ends after the answer.
void LocalCall::fail(Error error) {
    if (state_ == State::over) return;
    if (error.fault == Fault::stopping || state_ == State::replying) return finish(End::cut);
    if (error.fault == Fault::client_gone) return finish(End::dropped);
    Reply reply = service_.fault_reply(error);
    reply.ends_connection = true;
    send(std::move(reply));
}

void LocalCall::client_gone(StreamEnd end) {
    // It has given its upload up, and may well read the answer.
    const bool reads = end.is_orderly() && state_ == State::replying && !request_.complete;
    if (!reads) fail({Fault::client_gone, end.error});
}

// The answer ends the connection, and is not lost over the rest of a request that nobody wants.
void LocalCall::client_fault(Error error) {
    if (state_ != State::replying) fail(error);
}

void LocalCall::stop() { fail({Fault::stopping}); }

void LocalCall::on_deadline(std::uint64_t now_ms) {
    const Deadline due = deadline();
    if (due.when != 0 && now_ms >= due.when) fail({due.fault, 0, due.reason});
}

Deadline LocalCall::deadline() noexcept {
    client_.see_progress(at_);
    const Progress::Phase phase = state_ == State::receiving ? Progress::Phase::uploading
                                  : state_ == State::asking  ? Progress::Phase::before
                                                             : Progress::Phase::replying;
    see_upload(at_, phase, request_.body_bytes, lane_.loop.now());
    const Progress progress{.phase = phase, .answer_begun = state_ == State::replying, .at = at_};
    const Config& config = lane_.snapshot->config();
    return next_deadline(progress, {.client = config.timeouts, .upload = config.limits.upload});
}

Reply local_reply(Reply reply) {
    Reply sent{.status = reply.status,
               .content_type = reply.content_type,
               .body = std::move(reply.body),
               .ends_connection = reply.ends_connection};
    sent.add("X-Content-Type-Options", "nosniff");
    sent.fields += reply.fields;
    return sent;
}

void LocalCall::send(Reply reply) {
    client_.reply(local_reply(std::move(reply)));
    state_ = State::replying;
}

void LocalCall::finish(End end) noexcept {
    end_ = end;
    state_ = State::over;
}

}  // namespace baton
