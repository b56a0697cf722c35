#include "proxy/exchange/local_call.h"

#include <algorithm>
#include <utility>

#include "proxy/head/forward.h"
#include "proxy/head/own_reply.h"
#include "proxy/http1/http1_client.h"

namespace baton {

namespace {

constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

// A Host field without its port (RFC 3986, 3.2.2: a literal IPv6 address stands in brackets).
std::string_view without_port(std::string_view host) noexcept {
    const std::size_t from = host.rfind(']') == std::string_view::npos ? 0 : host.rfind(']');
    return host.substr(0, host.find(':', from));
}

LocalRequest request_of(const HeadBlock& block) noexcept {
    const Destination to = destination_of(block.head);
    const std::size_t query = to.path.find('?');
    return {
        .head = block.head,
        .path = to.path.substr(0, query),
        .query = query == std::string_view::npos ? std::string_view{} : to.path.substr(query + 1),
        .host = without_port(to.host),
        .body = block.held};
}

}  // namespace

void append_local_reply(std::string& out, const LocalReply& reply, const LocalReplyTo& to) {
    out.append("HTTP/1.1 ").append(std::to_string(reply.status)).append(" ");
    out.append(reason_of(reply.status)).append("\r\n");
    if (reply.status != 204) {  // RFC 9110, 8.6: a 204 has no length
        out.append("Content-Type: ").append(reply.content_type);
        out.append("\r\nContent-Length: ").append(std::to_string(reply.body.size()));
        out.append("\r\n");
    }
    out.append(to.date_line);
    // What is true now is not in a minute, and no page may be guessed out of it.
    out.append("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
    out.append(reply.fields);
    if (to.close)
        out.append("Connection: close\r\n");
    else if (to.client_is_1_0)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
    if (!to.head_only) out.append(reply.body);
}

LocalReply plain_reply(int status, std::string fields) {
    LocalReply reply;
    reply.status = status;
    reply.body = std::to_string(status) + " " + std::string{reason_of(status)} + "\n";
    reply.fields = std::move(fields);
    return reply;
}

LocalReply LocalService::fault_reply(Error error) const {
    const int status = status_of(error.fault);
    return plain_reply(status, status == 405 ? "Allow: GET, HEAD\r\n" : "");
}

LocalCall::LocalCall(Lane& lane, Http1Client& client, HeadBlock& block, LocalService& service)
    : Exchange(lane, client), block_(block), service_(service) {
    at_.begun = lane.loop.now();
}

bool LocalCall::advance() {
    if (client_.stream().broken()) client_gone(UV_EPIPE);
    if (state_ == State::begun) look_at_head();
    if (state_ == State::receiving) receive();
    if (state_ == State::asking) ask();
    if (state_ == State::replying && client_.stream().unsent() == 0)
        finish(close_client_ ? End::close : End::keep);
    // Also what was not wanted: the next event may be another client's.
    lane_.client_pieces.clear();
    wants_client_ = state_ == State::receiving || client_.waiting_bytes() < HeadBlock::waiting_max;
    return state_ == State::over;
}

void LocalCall::look_at_head() {
    state_ = State::receiving;
    if (ConnectionOptions{block_.head}.too_many)
        return fail({Fault::bad_request, 0, Reason::too_many_options});
    if (const auto refusal = service_.refusal(block_.head)) return reply_if(refusal);
    // RFC 9110, 10.1.1: who waits for it sends no body before; a 1.0 client does not know it.
    const bool expects = block_.head.minor == 1 && block_.head.find(FieldName::expect) != nullptr;
    if (expects && !client_.body_complete() && !too_long()) send(go_on);
}

void LocalCall::receive() {
    if (too_long()) return fail({Fault::body_too_large});
    for (const std::string_view piece : lane_.client_pieces.view()) block_.held.append(piece);
    if (client_.body_complete()) state_ = State::asking;
}

// By the length it says, before any of it has come, or by what has come.
bool LocalCall::too_long() const noexcept {
    const Body body = block_.parser.body();
    const std::size_t size_max = service_.body_max();
    return (body.framing == Framing::length && body.length > size_max) ||
           block_.held.size() + lane_.client_pieces.bytes() > size_max;
}

void LocalCall::ask() {
    if (!pending_)
        reply_if(service_.answer(request_of(block_), ticket(), pending_));
    else if (auto answer = take_answer())
        reply_if(pending_->answered(std::move(*answer)));
}

void LocalCall::reply_if(const std::optional<LocalReply>& reply) {
    if (!reply) return await_answer();
    close_client_ = !ConnectionOptions{block_.head}.persistent || !client_.body_complete() ||
                    client_.ends_here();
    std::string& out = lane_.head_out;
    out.clear();
    append_local_reply(out, *reply,
                       {.date_line = lane_.date_line(),
                        .client_is_1_0 = block_.head.minor == 0,
                        .close = close_client_,
                        .head_only = block_.head.method == Method::head});
    send(out);
    state_ = State::replying;
}

// The request is no longer read: the connection ends after the answer.
void LocalCall::fail(Error error) {
    if (state_ == State::over) return;
    if (error.fault == Fault::stopping || state_ == State::replying) return finish(End::cut);
    if (error.fault == Fault::client_gone) return finish(End::drop);
    close_client_ = true;
    lane_.head_out.clear();
    append_local_reply(lane_.head_out, service_.fault_reply(error),
                       {.date_line = lane_.date_line(),
                        .close = true,
                        .head_only = block_.head.method == Method::head});
    send(lane_.head_out);
    state_ = State::replying;
}

void LocalCall::client_gone(int uv_error) {
    // It has given its upload up, and may well read the answer.
    const bool reads = uv_error == UV_EOF && state_ == State::replying && !client_.body_complete();
    if (!reads) fail({Fault::client_gone, uv_error});
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
    see_upload(at_, phase, client_.body_bytes(), lane_.loop.now());
    const Progress progress{.phase = phase, .answer_begun = state_ == State::replying, .at = at_};
    const Config& config = lane_.snapshot->config();
    return next_deadline(progress, {.client = config.timeouts, .upload = config.limits.upload});
}

void LocalCall::send(std::string_view bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    client_.stream().write({&piece, 1});
}

void LocalCall::finish(End end) noexcept {
    end_ = end;
    state_ = State::over;
}

}  // namespace baton
