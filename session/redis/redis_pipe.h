#pragma once

// One connection to a Redis or a Sentinel: questions go out in order, answers come in order
// (https://redis.io/docs/manual/pipelining/). Whatever ends it, a time-out too, closes it: an answer
// that comes late would be taken for that of another question.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/connect.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "session/redis/redis_reply.h"

namespace baton {

// One loop's thread.
class RedisPipe {
public:
    enum class End : std::uint8_t {
        unresolved,    // the name is not known
        refused,       // no connection could be made
        connect_slow,  // none came in time
        lost,          // the peer left, or the connection broke
        turned_away,   // the peer said no before anything was asked, as when it has no room
        answer_slow,   // a question was not answered in time
        bad_reply,     // bytes that are no reply, or not asked for
        too_large,     // the reply to the question asked first is beyond all limits
    };
    struct Times {
        std::chrono::milliseconds connect{500};  // the name's look-up included
        std::chrono::milliseconds answer{500};
    };
    // Told from the loop only, never from within a call of the holder's. The holder may destroy the
    // pipe during each of them.
    struct Events {
        void (*connected)(void* holder);
        // All replies to one question, in order; `replies` may be moved from.
        void (*answered)(void* holder, std::uint64_t tag, std::span<RedisReply> replies);
        // A message of a channel.
        void (*pushed)(void* holder, RedisReply& message);
        // Of no more use. What was asked and not answered never will be: nothing more is told. The
        // text is of the system, or of the reader; of `turned_away` it is the peer's, at most 200
        // bytes of it.
        void (*ended)(void* holder, End end, std::string_view text);
    };

    // Begins to connect. `known` is the address that the name had last time, or unset: it is used
    // when the name is not found now. `events` must outlive the pipe (a constant).
    RedisPipe(Loop& loop, const Endpoint& to, const Address& known, Times times, void* holder,
              const Events& events, TcpCounts& counts);
    ~RedisPipe();
    RedisPipe(const RedisPipe&) = delete;
    RedisPipe& operator=(const RedisPipe&) = delete;

    // One question of `replies` commands, or one. What was asked in one turn of the loop leaves in
    // one write at its end; before the connection is there it waits for it.
    void ask(std::uint64_t tag, std::string_view commands, unsigned replies = 1);
    // From now on messages may come without a question (https://redis.io/docs/manual/pubsub/).
    void subscribed() noexcept { subscribed_ = true; }

    // Questions without their answer.
    std::size_t asked() const noexcept { return asked_.size(); }
    // Who is at the other end; unset before it is connected.
    const Address& address() const noexcept { return address_; }

private:
    struct Question {
        std::uint64_t tag = 0;
        std::uint64_t at_ms = 0;  // when it left; 0: not yet
        unsigned replies = 1;
    };
    static const StreamEvents stream_events;

    void on_resolved(int uv_error, const Address& address);
    void connect(const Address& address);
    void on_connected(int uv_error);
    void arrived(std::span<char> bytes);
    bool take(RedisReply& reply, std::vector<RedisReply>& told);
    bool is_held_back(RedisReply& reply);
    void end(End end, std::string_view text);
    void flush();
    void on_flush_turn();
    void on_time();

    Loop& loop_;
    const Times times_;
    void* holder_;
    const Events* events_;
    TcpCounts& counts_;
    std::optional<Resolve> resolve_;  // of a name
    Address address_;
    std::optional<Connect> connecting_;
    StreamPtr stream_;
    RedisReader reader_;
    std::deque<Question> asked_;
    // The first ones are of the oldest question, so far; the rest is memory to be used again.
    std::vector<RedisReply> replies_;
    std::size_t replies_count_ = 0;
    std::string out_;  // to be sent at the end of the turn
    Timer<&RedisPipe::on_time> time_;
    Handle<uv_prepare_t> turn_;
    // An error that came first may be one that nobody asked for, which Redis sends before it closes:
    // it is the answer to the first question only if another one follows.
    enum class First : std::uint8_t { awaited, held, told } first_ = First::awaited;
    RedisReply held_;
    bool connected_ = false;
    int refused_ = 0;  // by the system, before any attempt
    bool subscribed_ = false;
    bool* gone_ = nullptr;  // set by the destructor while `arrived` runs
};

// For log lines: "no connection", "no answer in time", …
std::string_view text_of(RedisPipe::End end) noexcept;

}  // namespace baton
