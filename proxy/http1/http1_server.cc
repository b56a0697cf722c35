#include "proxy/http1/http1_server.h"

#include <algorithm>
#include <utility>

#include "proxy/exchange/deadline.h"
#include "proxy/http1/head_text.h"
#include "proxy/http1/write_list.h"

namespace baton {

namespace {

// What an open connection may keep of a past answer; more is given back.
constexpr std::size_t kept_max = std::size_t{16} << 10;

void empty(std::string& bytes) noexcept {
    bytes.clear();
    if (bytes.capacity() > kept_max) bytes.shrink_to_fit();
}

}  // namespace

const StreamEvents Http1Server::events{
    .arrived =
        [](void* holder, std::span<char> bytes) {
            auto* server = static_cast<Http1Server*>(holder);
            server->arrived(bytes);
            server->happened_(server->holder_);
        },
    .flushed =
        [](void* holder) {
            auto* server = static_cast<Http1Server*>(holder);
            server->happened_(server->holder_);
        },
    .ended =
        [](void* holder, StreamEnd end) {
            auto* server = static_cast<Http1Server*>(holder);
            server->ended(end);
            server->happened_(server->holder_);
        },
};

void Http1Server::open(Lease lease, const Use& use, void* holder, Happened happened) {
    lease_ = std::move(lease);
    holder_ = holder;
    happened_ = happened;
    stream().attach(this, events);
    stream().read(true);
    reading_ = true;
    sent_seen_ = stream().sent();
    unlooked_in_ = use.unlooked ? lane_.loop.iteration() : 0;
    asked_ = {.head = use.head_only, .upgrade = use.upgrade};
    parser_.reset();
    parser_.answer_to(asked_);
    empty(partial_);
    empty(kept_);
    input_ = {};
    response_.arrived.clear();
    response_.end.reset();
    response_.heard = response_.complete = false;
    last_input_at_ = 0;
}

// What lay in the kernel before the request was written is no answer to it, whatever it looks like (RFC
// 9112, 9.2): as if the connection had been lost, the request goes to another one.
void Http1Server::arrived(std::span<char> bytes) noexcept {
    if (unlooked_in_ == lane_.loop.iteration() && lane_.loop.polled_once()) {
        response_.end = StreamEnd::failed(UV_ECONNABORTED);
        return;
    }
    input_ = bytes;
    response_.heard = true;
    last_input_at_ = lane_.loop.now();
}

// A write that failed while reads are off, or after the server's end, says nothing about what the server
// sent before: that is still to be read.
void Http1Server::ended(StreamEnd end) noexcept {
    const bool unread = response_.end || !reading_;
    if (unread && !end.is_orderly() && stream().broken()) return;
    response_.end = end;
}

void Http1Server::see_progress(Stamps& at) noexcept {
    if (!lease_) return;
    at.response_progress = std::max(at.response_progress, last_input_at_);
    if (stream().sent() == sent_seen_) return;
    sent_seen_ = stream().sent();
    at.request_progress = lane_.loop.now();
}

// What is whole goes with its length: a WSGI application reads no other body.
ServerSide::Sent Http1Server::send(ForwardRequest& request, std::string_view held,
                                   const Pieces& arrived, bool complete) {
    const std::size_t bytes = held.size() + arrived.bytes();
    if (request.body.framing == Framing::chunked && complete && request.buffered)
        request.body = {Framing::length, bytes};
    sent_framing_ = request.body.framing;
    std::string& head = lane_.head_out;
    head.clear();
    Sent sent;
    sent.fields_dropped = append_request_head(head, request);
    __attribute__((uninitialized)) WriteList list;
    list.add(head);
    list.begin_body(bytes, sent_framing_);
    list.add(held);
    for (const std::string_view piece : arrived.view()) list.add(piece);
    list.end_body(bytes, sent_framing_);
    if (complete) list.add_end(sent_framing_);
    sent.lost = stream().write(list.view()) == 0;
    return sent;
}

void Http1Server::send_body(const Pieces& data, bool complete) {
    __attribute__((uninitialized)) WriteList list;
    list.add_body(data.view(), data.bytes(), sent_framing_);
    if (complete) list.add_end(sent_framing_);
    stream().write(list.view());
}

Result<bool> Http1Server::read_head() {
    if (input_.empty()) return false;
    const std::size_t before = partial_.size();
    std::string_view received{input_.data(), input_.size()};
    if (before > 0) received = partial_.append(input_.data(), input_.size());
    Head& head = response_.head;
    const auto size = parser_.read_head(received, head);
    if (!size) return size.error();
    if (*size == 0) {
        if (before == 0) partial_.assign(input_.data(), input_.size());
        input_ = {};
        return false;
    }
    input_ = input_.subspan(*size - before);
    response_.connection.read(head);
    response_.body = parser_.body();
    response_.complete = parser_.complete();
    if (response_.connection.too_many)
        return Error{Fault::bad_response, 0, Reason::too_many_options};
    return true;
}

void Http1Server::next_head() noexcept {
    partial_.clear();
    parser_.reset();
    parser_.answer_to(asked_);
}

std::optional<Error> Http1Server::read_body() {
    Pieces& pieces = response_.arrived;
    pieces.clear();
    if (input_.empty() || parser_.complete()) return std::nullopt;
    const auto size = parser_.read_body(input_, pieces);
    if (!size) return size.error();
    input_ = input_.subspan(*size);
    response_.complete = parser_.complete();
    return std::nullopt;
}

void Http1Server::keep() {
    Head& head = response_.head;
    if (head.bytes != nullptr && head.bytes != partial_.data()) {
        partial_.assign(head.bytes, head.size);
        head.bytes = partial_.data();
    }
    Pieces& pieces = response_.arrived;
    kept_.clear();
    for (const std::string_view piece : pieces.view()) kept_.append(piece);
    const std::size_t body = kept_.size();
    kept_.append(input_.data(), input_.size());
    input_ = std::span{kept_}.subspan(body);
    pieces.clear();
    if (body > 0) pieces.add(kept_.data(), body);
}

// After a reset libuv may report the reset to the write side and an orderly end to the other.
bool Http1Server::end_completes() noexcept {
    const bool orderly = response_.end && response_.end->is_orderly() && !stream().broken();
    if (!orderly || !parser_.end_of_input()) return false;
    response_.arrived.clear();
    return response_.complete = true;
}

ServerSide::Raw Http1Server::release_raw() noexcept {
    return {std::move(lease_), std::exchange(input_, {}), response_.end};
}

// RFC 9112, 9.3: what the server said, and nothing more may have come than its answer.
bool Http1Server::is_persistent() const noexcept {
    return !response_.end && input_.empty() && response_.complete && !response_.ends_connection();
}

Lease Http1Server::release(bool request_sent) {
    if (lease_ && request_sent && is_persistent() && stream().unsent() == 0 && !stream().broken())
        return std::move(lease_);
    close();
    return nullptr;
}

}  // namespace baton
