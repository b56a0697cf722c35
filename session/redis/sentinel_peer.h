#pragma once

// One Sentinel: asked over one connection, listened to over another, for one that has subscribed
// takes no other questions (https://redis.io/docs/manual/pubsub/).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/log.h"
#include "net/resolve.h"
#include "session/redis/redis_reply.h"
#include "session/redis/sentinel_answer.h"
#include "session/redis/sentinel_line.h"

namespace baton {

// For the admin endpoint.
struct SentinelView {
    std::string address;
    bool configured = false;  // else told by another Sentinel
    bool answers = false;
    std::string master;  // of its last answer, as is all below
    std::optional<std::uint64_t> epoch;
    std::int64_t answered_at_ms = 0;  // since 1970; 0: never
    std::optional<unsigned> quorum;
    std::optional<unsigned> others;
    std::optional<unsigned> replicas;
    std::optional<std::int64_t> down_after_ms;
};

// One loop's thread.
class SentinelPeer {
public:
    // From the loop only. The holder may destroy the peer during each of them.
    struct Events {
        void (*ready)(void* holder, SentinelPeer& peer);  // connected
        // Answered, or no question is open any more.
        void (*settled)(void* holder, SentinelPeer& peer);
        void (*told)(void* holder, SentinelPeer& peer, const SentinelNews& news);
    };
    // All outlive the peer.
    SentinelPeer(const SentinelNeeds& needs, SentinelComplaints& complaints, const Endpoint& at,
                 bool configured, void* holder, const Events& events);
    SentinelPeer(const SentinelPeer&) = delete;
    SentinelPeer& operator=(const SentinelPeer&) = delete;

    // Asks about the master, if there is a connection, be it one in the making. Numbers grow.
    void ask(std::uint64_t round);
    bool awaits(std::uint64_t round) const noexcept { return asked_ && *asked_ == round; }
    bool has_answered(std::uint64_t round) const noexcept {
        return answered_ && *answered_ == round;
    }
    // What it said last.
    const SentinelAnswer& said() const noexcept { return said_; }
    // Failed since it answered last, or at all: nobody should wait for it.
    bool has_failed() const noexcept { return state_ == State::failed; }
    bool answers() const noexcept { return state_ == State::answers; }
    bool ever_answered() const noexcept { return answered_.has_value(); }
    bool configured() const noexcept { return configured_; }
    const Endpoint& at() const noexcept { return at_; }
    // Where it was found; unset if it never was.
    const Address& address() const noexcept { return ask_.address(); }
    SentinelView view() const;

    // Once a second: a sign of life of the connection that mostly hears nothing.
    void on_second();

private:
    enum class State : std::uint8_t { untried, answers, failed };
    static constexpr std::uint64_t ping_tag = 0;  // channels have their place, from 1 on
    static const SentinelLine::Events ask_events;
    static const SentinelLine::Events listen_events;

    void on_reply(std::uint64_t round, std::span<RedisReply> replies);
    void on_refusal(SentinelRefusal refusal);
    void complain_of_rights(std::span<const RedisReply> replies);
    void fail(std::string_view why, std::string_view text);
    void subscribe();
    void on_listen_reply(std::uint64_t tag, const RedisReply& reply);
    void on_message(const RedisReply& message);

    const SentinelNeeds& needs_;
    SentinelComplaints& complaints_;
    const Endpoint at_;
    const bool configured_;
    void* holder_;
    const Events* events_;
    State state_ = State::untried;
    std::optional<std::uint64_t> asked_;     // the newest question without its answer
    std::optional<std::uint64_t> answered_;  // the newest with one
    SentinelAnswer said_;
    std::int64_t answered_at_ms_ = 0;
    log::OncePerMinute data_node_;
    bool deaf_ = false;  // a channel was refused, and that was said
    bool refused_ = false;
    SentinelLine ask_;
    SentinelLine listen_;
};

}  // namespace baton
