#include "session/redis/sentinel_line.h"

#include "session/redis/redis_command.h"

namespace baton {

void SentinelComplaints::make(SentinelRefusal refusal, const Endpoint& sentinel,
                              std::uint64_t now_ms) {
    const std::string address = sentinel.text();
    switch (refusal) {
    case SentinelRefusal::wrong_password:
        if (wrong_password_.due(now_ms))
            log::error("sentinel refuses the password", {{"sentinel", address}});
        return;
    case SentinelRefusal::wants_password:
        if (wants_password_.due(now_ms))
            log::error("sentinel requires a password", {{"sentinel", address}});
        return;
    case SentinelRefusal::no_password_set:
        if (no_password_set_.due(now_ms))
            log::warn("sentinel has no password, but one is configured", {{"sentinel", address}});
        return;
    case SentinelRefusal::not_allowed:
        if (not_allowed_.due(now_ms))
            log::error("sentinel refuses a command", {{"sentinel", address}});
        return;
    case SentinelRefusal::no_sentinel:  // of one address, not of all
    case SentinelRefusal::other: return;
    }
}

bool SentinelComplaints::is_worth_a_line(std::string_view word, std::uint64_t now_ms) {
    auto at = words_.find(word);
    if (at == words_.end()) at = words_.try_emplace(std::string{word}).first;
    return at->second.due(now_ms);
}

const RedisPipe::Events SentinelLine::pipe_events = {
    .connected = [](void* line) { static_cast<SentinelLine*>(line)->on_connected(); },
    .answered =
        [](void* line, std::uint64_t tag, std::span<RedisReply> replies) {
            static_cast<SentinelLine*>(line)->on_answered(tag, replies);
        },
    .pushed =
        [](void* line, RedisReply& message) {
            auto& self = *static_cast<SentinelLine*>(line);
            self.events_->pushed(self.holder_, message);
        },
    .ended = [](void* line, RedisPipe::End end,
                std::string_view text) { static_cast<SentinelLine*>(line)->on_ended(end, text); },
};

SentinelLine::SentinelLine(const SentinelNeeds& needs, SentinelComplaints& complaints,
                           const Endpoint& to, void* holder, const Events& events)
    : needs_(needs),
      complaints_(complaints),
      to_(to),
      holder_(holder),
      events_(&events),
      back_off_(now_us() ^ reinterpret_cast<std::uintptr_t>(this)),
      again_(needs.loop, *this) {}

void SentinelLine::open() {
    if (open_) return;
    open_ = true;
    connect();
}

void SentinelLine::close() noexcept {
    open_ = ready_ = false;
    again_.disarm();
    pipe_.reset();
}

void SentinelLine::give_up() {
    close();
    open_ = true;
    again_.arm(back_off_.next());
}

void SentinelLine::connect() {
    pipe_ = std::make_unique<RedisPipe>(needs_.loop, to_, known_, needs_.times, this, pipe_events,
                                        needs_.counts);
    if (const auto auth = auth_command(needs_.username, needs_.password); !auth.empty())
        pipe_->ask(auth_tag, auth);
}

void SentinelLine::on_connected() {
    known_ = pipe_->address();
    if (!needs_.password.empty()) return;
    ready_ = true;
    events_->ready(holder_);
}

void SentinelLine::on_answered(std::uint64_t tag, std::span<RedisReply> replies) {
    if (tag == auth_tag) return on_auth(replies[0]);
    events_->answered(holder_, tag, replies);
}

void SentinelLine::on_auth(const RedisReply& reply) {
    if (reply.type != RedisReply::Type::status) {
        const SentinelRefusal refusal = refusal_of(reply);
        if (refusal == SentinelRefusal::wants_password || refusal == SentinelRefusal::not_allowed)
            complaints_.make(SentinelRefusal::wrong_password, to_, needs_.loop.now());
        else
            complaints_.make(refusal, to_, needs_.loop.now());
        if (refusal != SentinelRefusal::no_password_set) {
            give_up();
            return events_->lost(holder_, text_of(refusal), "");
        }
    }
    ready_ = true;
    events_->ready(holder_);
}

void SentinelLine::on_ended(RedisPipe::End end, std::string_view text) {
    const std::string copy = farewell_text(text, needs_.password);  // it may lie in the pipe
    give_up();
    events_->lost(holder_, text_of(end), copy);
}

}  // namespace baton
