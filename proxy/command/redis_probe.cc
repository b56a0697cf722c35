#include "proxy/command/redis_probe.h"

#include <utility>

#include "session/redis/redis_command.h"
#include "session/redis/sentinel_answer.h"

namespace baton {
namespace {

constexpr std::uint64_t auth_tag = ~std::uint64_t{0};

// Why we were not let in.
std::string text_of_refusal(const RedisReply& error) {
    switch (refusal_of(error)) {
    case SentinelRefusal::wrong_password: return "wrong password, or user";
    case SentinelRefusal::no_password_set:
        return "a password is configured here, but none is set there";
    default: break;
    }
    return "the password was not accepted";
}

}  // namespace

const RedisPipe::Events RedisProbe::events = {
    [](void*) {},
    [](void* probe, std::uint64_t tag, std::span<RedisReply> replies) {
        static_cast<RedisProbe*>(probe)->on_answered(tag, replies[0]);
    },
    [](void*, RedisReply&) {},  // nothing was subscribed to
    [](void* probe, RedisPipe::End end, std::string_view text) {
        static_cast<RedisProbe*>(probe)->on_ended(end, text);
    },
};

RedisProbe::RedisProbe(Loop& loop, Needs needs) : loop_(loop), needs_(std::move(needs)) {
    none_.type = RedisReply::Type::error;
    none_.text = "no answer";
    uv_update_time(loop.uv());  // the loop's clock stands while the loop does not turn
    pipe_ =
        std::make_unique<RedisPipe>(loop, needs_.at, Address{}, needs_.times, this, events, tcp_);
    if (const auto auth = auth_command(needs_.username, needs_.password); !auth.empty())
        pipe_->ask(auth_tag, auth);
}

std::size_t RedisProbe::ask(std::initializer_list<std::string_view> words) {
    return ask(std::span{words.begin(), words.size()});
}

std::size_t RedisProbe::ask(std::span<const std::string_view> words) {
    std::string bytes;
    append_command(bytes, words);
    pipe_->ask(replies_.size(), bytes);
    replies_.push_back(none_);
    return replies_.size() - 1;
}

const RedisReply& RedisProbe::reply(std::size_t question) const noexcept {
    return question < replies_.size() ? replies_[question] : none_;
}

void RedisProbe::on_answered(std::uint64_t tag, RedisReply& reply) {
    if (tag == auth_tag) {
        if (!reply.is_error()) return;
        trouble_ = text_of_refusal(reply);
        return finish();
    }
    if (refusal_of(reply) == SentinelRefusal::wants_password) {
        trouble_ = "it requires a password, and none is configured";
        return finish();
    }
    replies_[tag] = std::move(reply);
    if (tag + 1 == replies_.size()) finish();
}

void RedisProbe::on_ended(RedisPipe::End end, std::string_view text) {
    const std::string said = farewell_text(text, needs_.password);
    trouble_ = std::string{text_of(end)} + (said.empty() ? "" : ": ") + said;
    // Said to whoever connects from another host.
    if (end == RedisPipe::End::turned_away && said.starts_with("DENIED"))
        trouble_ += " It needs a password, or a `bind` and `protected-mode no`";
    finish();
}

void RedisProbe::finish() {
    address_ = pipe_->address();
    pipe_.reset();
    loop_.stop();
}

void run(Loop& loop, std::span<const std::unique_ptr<RedisProbe>> probes) {
    for (const auto& probe : probes)
        while (!probe->is_over()) loop.run();
}

}  // namespace baton
