#include "session/redis/redis_pipe.h"

#include <sys/uio.h>

#include <utility>

namespace baton {

std::string_view text_of(RedisPipe::End end) noexcept {
    switch (end) {
    case RedisPipe::End::unresolved: return "name not found";
    case RedisPipe::End::refused: return "no connection";
    case RedisPipe::End::connect_slow: return "no connection in time";
    case RedisPipe::End::lost: return "connection lost";
    case RedisPipe::End::turned_away: return "turned away";
    case RedisPipe::End::answer_slow: return "no answer in time";
    case RedisPipe::End::bad_reply: return "bad reply";
    case RedisPipe::End::too_large: return "reply too large";
    }
    return "?";
}

namespace {

// What Redis says to a connection that it does not take, and to no question: networking.c,
// acceptCommonHandler and clientAcceptHandler.
bool is_unasked(std::string_view text) noexcept {
    return text.starts_with("DENIED ") || text.starts_with("ERR max number of clients");
}

// Enough for a log. Redis' explanation of its protected mode is a page.
std::string_view beginning_of(std::string_view text) noexcept {
    constexpr std::size_t size_max = 200;
    if (text.size() <= size_max) return text;
    const std::size_t sentence = text.substr(0, size_max).find(". ");
    return text.substr(0, sentence == text.npos ? size_max : sentence + 1);
}

}  // namespace

const StreamEvents RedisPipe::stream_events = {
    [](void* pipe, std::span<char> bytes) { static_cast<RedisPipe*>(pipe)->arrived(bytes); },
    [](void*) {},
    [](void* pipe, StreamEnd end) {
        static_cast<RedisPipe*>(pipe)->end(
            End::lost, end.error == UV_EOF ? "closed by the peer" : uv_strerror(end.error));
    },
};

RedisPipe::RedisPipe(Loop& loop, const Endpoint& to, const Address& known, Times times,
                     void* holder, const Events& events, TcpCounts& counts)
    : loop_(loop),
      times_(times),
      holder_(holder),
      events_(&events),
      counts_(counts),
      address_(known),
      time_(loop, *this),
      turn_(open_handle<uv_prepare_t>(
          this, [&](uv_prepare_t& handle) { return uv_prepare_init(loop.uv(), &handle); })) {
    loop.look_at_clock();
    time_.arm(times.connect);
    if (const auto literal = to.address())
        connect(*literal);
    else
        resolve_.emplace(loop, to, this, [](void* pipe, int uv_error, const Address& address) {
            static_cast<RedisPipe*>(pipe)->on_resolved(uv_error, address);
        });
}

RedisPipe::~RedisPipe() {
    if (gone_ != nullptr) *gone_ = true;
}

void RedisPipe::on_resolved(int uv_error, const Address& address) {
    const bool known = address_.raw()->sa_family != AF_UNSPEC;
    if (uv_error != 0 && !known) return end(End::unresolved, uv_strerror(uv_error));
    connect(uv_error == 0 ? address : address_);
}

void RedisPipe::connect(const Address& address) {
    address_ = address;
    connecting_.emplace(
        loop_, counts_, Connect::To{.first = address, .notices_vanished_peer = true}, this,
        [](void* pipe, int uv_error) { static_cast<RedisPipe*>(pipe)->on_connected(uv_error); });
    refused_ = connecting_->begin();
    if (refused_ == 0) return;
    time_.arm(std::chrono::milliseconds{0});  // told from the loop only
}

void RedisPipe::on_connected(int uv_error) {
    if (uv_error != 0) return end(End::refused, uv_strerror(uv_error));
    connected_ = true;
    stream_ = connecting_->take();
    connecting_.reset();
    stream_->attach(this, stream_events);
    stream_->read(true);
    time_.disarm();
    flush();
    events_->connected(holder_);
}

void RedisPipe::ask(std::uint64_t tag, std::string_view commands, unsigned replies) {
    asked_.push_back({.tag = tag, .replies = replies});
    if (out_.empty() && connected_)
        uv_prepare_start(turn_.get(), [](uv_prepare_t* turn) {
            if (auto* pipe = owner_of<RedisPipe>(turn)) pipe->on_flush_turn();
        });
    out_.append(commands);
}

// libuv calls this before it waits for what comes next.
void RedisPipe::on_flush_turn() {
    uv_prepare_stop(turn_.get());
    flush();
    // The stream tells of a broken connection by its reading side.
}

void RedisPipe::flush() {
    if (out_.empty()) return;
    // A question's time begins when it leaves: the loop's clock stands during a turn, and a long one
    // would take it away.
    if (asked_.front().at_ms == 0) time_.arm(times_.answer);
    for (auto question = asked_.rbegin(); question != asked_.rend() && question->at_ms == 0;
         ++question)
        question->at_ms = loop_.now();
    const iovec piece{out_.data(), out_.size()};
    stream_->write({&piece, 1});
    out_.clear();
}

void RedisPipe::arrived(std::span<char> bytes) {
    bool gone = false;
    gone_ = &gone;
    reader_.feed(bytes);
    RedisReply reply;
    std::vector<RedisReply> told;  // not the pipe's: it may be gone before they are read
    for (;;) {
        const RedisReader::Read read = reader_.next(reply);
        if (read == RedisReader::Read::more) break;
        if (read == RedisReader::Read::reply && is_held_back(reply)) {
            if (is_unasked(held_.view())) return end(End::turned_away, "");
            continue;
        }
        if (reader_.is_beyond()) return end(End::too_large, "");
        bool good = read == RedisReader::Read::reply;
        if (good && std::exchange(first_, First::told) == First::held) good = take(held_, told);
        if (gone) return;
        good = good && take(reply, told);
        if (gone) return;
        if (!good) return end(End::bad_reply, "not what the protocol allows");
    }
    gone_ = nullptr;
    if (replies_.empty()) replies_.swap(told);
}

// Whether it is kept until more is known. An error that is the only answer awaited is told at once.
bool RedisPipe::is_held_back(RedisReply& reply) {
    if (first_ != First::awaited) return false;
    std::size_t awaited = 0;
    for (const Question& question : asked_)
        if (question.at_ms != 0) awaited += question.replies;
    if (!reply.is_error() || (awaited == 1 && !is_unasked(reply.view()))) {
        first_ = First::told;
        return false;
    }
    first_ = First::held;
    std::swap(held_, reply);
    return true;
}

// False if nothing was asked that it could answer: what has not left yet was not.
bool RedisPipe::take(RedisReply& reply, std::vector<RedisReply>& told) {
    if (subscribed_ && !reply.elements.empty() && reply.elements[0].view() == "message") {
        events_->pushed(holder_, reply);
        return true;
    }
    if (asked_.empty() || asked_.front().at_ms == 0) return false;
    if (replies_count_ == replies_.size()) replies_.emplace_back();
    std::swap(replies_[replies_count_++], reply);
    if (replies_count_ < asked_.front().replies) return true;
    const std::uint64_t tag = asked_.front().tag;
    asked_.pop_front();
    told.swap(replies_);
    events_->answered(holder_, tag, std::span{told}.first(std::exchange(replies_count_, 0)));
    for (RedisReply& read : told) read.clear();  // a session's data is not kept
    return true;
}

void RedisPipe::on_time() {
    if (refused_ != 0) return end(End::refused, uv_strerror(refused_));
    if (!connected_) return end(End::connect_slow, "");
    if (asked_.empty() || asked_.front().at_ms == 0) return;
    const std::uint64_t due =
        asked_.front().at_ms + static_cast<std::uint64_t>(times_.answer.count());
    if (due <= loop_.now()) {
        // Timers run before what has arrived is read: this process may be the one that was slow.
        const Stream::Unread unread = stream_->peek();
        if (unread == Stream::Unread::bytes || unread == Stream::Unread::unknown)
            return time_.arm(std::chrono::milliseconds{1});
        return end(End::answer_slow, "");
    }
    time_.arm(std::chrono::milliseconds{due - loop_.now()});
}

void RedisPipe::end(End end, std::string_view text) {
    if (first_ == First::held) {
        end = End::turned_away;
        text = beginning_of(held_.view());
    }
    connected_ = false;
    gone_ = nullptr;
    uv_prepare_stop(turn_.get());
    time_.disarm();
    connecting_.reset();
    stream_.reset();
    asked_.clear();
    events_->ended(holder_, end, text);
}

}  // namespace baton
