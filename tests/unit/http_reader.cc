#include "tests/unit/http_reader.h"

#include "tests/unit/plain_head.h"

namespace baton::test {
namespace {

constexpr int interims_max = 16;

std::string text_of(const Body& body) {
    switch (body.framing) {
    case Framing::none: return "none";
    case Framing::length: return "length=" + std::to_string(body.length);
    case Framing::chunked: return "chunked";
    case Framing::until_close: return "until_close";
    }
    return {};
}

}  // namespace

void HttpReader::feed(std::string_view piece) {
    if (state_ == State::failed) return;
    // In new memory each time: nothing may point into the old.
    pending_ = std::string{pending_}.append(piece);
    bool more = true;
    while (more && !pending_.empty()) {
        switch (state_) {
        case State::head: more = read_head(); break;
        case State::body: more = read_body(); break;
        default: more = false; break;
        }
    }
}

Outcome HttpReader::finish() {
    if (state_ == State::body && parser_.end_of_input()) message_done();
    switch (state_) {
    case State::failed: break;
    case State::closed:
        if (!pending_.empty()) outcome_.ends = "left " + std::to_string(pending_.size());
        break;
    default:
        if (state_ == State::body || !pending_.empty()) outcome_.ends = "cut";
        break;
    }
    return outcome_;
}

bool HttpReader::read_head() {
    const auto size = parser_.read_head(pending_, head_);
    if (!size) return fail(size.error());
    if (*size == 0) return false;

    const std::string_view bytes = std::string_view{pending_}.substr(0, *size);
    if (difference_.empty()) difference_ = plain_difference(kind_, bytes, head_);
    if (kind_ == HeadGuard::Kind::request) {
        message_.gives = head_.text(head_.method_text);
        message_.gives.append(" ").append(head_.text(head_.target));
    } else {
        message_.gives = std::to_string(head_.status);
    }
    message_.gives += ' ' + text_of(parser_.body());
    for (const Field& field : head_.fields) {
        std::string text{head_.text(field.name)};
        message_.fields.push_back(text.append(": ").append(head_.text(field.value)));
    }
    closes_ = closes();
    pending_.erase(0, *size);
    state_ = State::body;
    if (parser_.complete()) message_done();
    return true;
}

bool HttpReader::read_body() {
    Pieces pieces;
    const auto size = parser_.read_body(pending_, pieces);
    if (!size) return fail(size.error());
    for (const std::string_view piece : pieces.view()) body_ += piece;
    pending_.erase(0, *size);
    if (parser_.complete()) message_done();
    return true;
}

void HttpReader::message_done() {
    if (!body_.empty()) message_.gives += ' ' + body_;
    const bool interim = kind_ == HeadGuard::Kind::response && head_.status < 200;
    if (interim && ++interims_ > interims_max) {
        fail({Fault::bad_response, 0, Reason::too_many_interims});
        return;
    }
    outcome_.messages.push_back(message_);
    message_ = {};
    body_.clear();
    parser_.reset();
    state_ = closes_ && !interim ? State::closed : State::head;
}

bool HttpReader::fail(const Error& error) {
    outcome_.ends = std::to_string(status_of(error.fault));
    outcome_.reason = name(error.reason);
    state_ = State::failed;
    return false;
}

// RFC 9112, 9.3. A server is asked once here, so its answer is always the last.
bool HttpReader::closes() const {
    return kind_ == HeadGuard::Kind::response || !ConnectionOptions{head_}.persistent;
}

}  // namespace baton::test
