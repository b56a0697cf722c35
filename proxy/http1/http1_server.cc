#include "proxy/http1/http1_server.h"

#include <utility>

namespace baton {

namespace {

// What an open connection may keep of a past answer; more is given back.
constexpr std::size_t kept_max = std::size_t{16} << 10;

void empty(std::string& bytes) noexcept {
    bytes.clear();
    if (bytes.capacity() > kept_max) bytes.shrink_to_fit();
}

}  // namespace

void Http1Server::open(Lease lease, HttpParser::Asked asked) {
    lease_ = std::move(lease);
    asked_ = asked;
    parser_.reset();
    parser_.answer_to(asked);
    empty(partial_);
    empty(kept_);
    input_ = {};
    end_.reset();
    heard_ = false;
}

void Http1Server::arrived(std::span<char> bytes) noexcept {
    input_ = bytes;
    heard_ = true;
}

Result<bool> Http1Server::read_head() {
    if (input_.empty()) return false;
    const std::size_t before = partial_.size();
    std::string_view received{input_.data(), input_.size()};
    if (before > 0) received = partial_.append(input_.data(), input_.size());
    const auto size = parser_.read_head(received, head_);
    if (!size) return size.error();
    if (*size == 0) {
        if (before == 0) partial_.assign(input_.data(), input_.size());
        input_ = {};
        return false;
    }
    input_ = input_.subspan(*size - before);
    connection_.read(head_);
    if (connection_.too_many) return Error{Fault::bad_response, 0, Reason::too_many_options};
    return true;
}

void Http1Server::next_head() noexcept {
    partial_.clear();
    parser_.reset();
    parser_.answer_to(asked_);
}

std::optional<Error> Http1Server::read_body(Pieces& pieces) {
    if (input_.empty() || parser_.complete()) return std::nullopt;
    const auto size = parser_.read_body(input_, pieces);
    if (!size) return size.error();
    input_ = input_.subspan(*size);
    return std::nullopt;
}

void Http1Server::keep(const Pieces& body) {
    if (head_.bytes != nullptr && head_.bytes != partial_.data()) {
        partial_.assign(head_.bytes, head_.size);
        head_.bytes = partial_.data();
    }
    kept_.clear();
    for (const std::string_view piece : body.view()) kept_.append(piece);
    kept_body_ = kept_.size();
    kept_.append(input_.data(), input_.size());
    input_ = std::span{kept_}.subspan(kept_body_);
}

void Http1Server::take_kept(Pieces& body) noexcept {
    body.clear();
    if (kept_body_ > 0) body.add(kept_.data(), kept_body_);
}

// RFC 9112, 9.3: what the server said, and nothing more may have come than its answer.
bool Http1Server::persistent() const noexcept {
    if (end_ || !input_.empty() || !parser_.complete() ||
        parser_.body().framing == Framing::until_close)
        return false;
    return connection_.persistent;
}

Lease Http1Server::release(bool request_sent) {
    if (!lease_ || !request_sent || !persistent() || lease_->stream->unsent() > 0 ||
        lease_->stream->broken()) {
        close();
        return nullptr;
    }
    input_ = {};
    return std::move(lease_);
}

void Http1Server::close() noexcept {
    lease_.reset();
    input_ = {};
}

}  // namespace baton
