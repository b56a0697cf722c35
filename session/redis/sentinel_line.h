#pragma once

// A connection to a Sentinel that is made anew whenever it ends, for ever, and says the password
// first.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/tcp.h"
#include "session/redis/back_off.h"
#include "session/redis/redis_pipe.h"
#include "session/redis/redis_reply.h"
#include "session/redis/sentinel_answer.h"

namespace baton {

// What it takes to follow one master.
struct SentinelNeeds {
    Loop& loop;
    TcpCounts& counts;
    std::vector<Endpoint> sentinels;  // as configured
    std::string master;               // its name
    std::string username;             // empty: the default user
    std::string password;             // empty: none is sent
    RedisPipe::Times times;
    bool discover = true;  // ask Sentinels that are not configured, too
};

// What an operator has to know, at most once a minute each, however many Sentinels say so.
class SentinelComplaints {
public:
    void make(SentinelRefusal refusal, const Endpoint& sentinel, std::uint64_t now_ms);
    // Whether what they say with that word ("+sdown"), or do not allow, is to be logged now.
    bool is_worth_a_line(std::string_view word, std::uint64_t now_ms);

private:
    std::map<std::string, log::OncePerMinute, std::less<>>
        words_;  // of channels and rights, no others
    log::OncePerMinute wrong_password_, wants_password_, no_password_set_, not_allowed_;
};

// One loop's thread.
class SentinelLine {
public:
    // From the loop only. The holder may destroy the line during each of them.
    struct Events {
        void (*ready)(void* holder);
        void (*answered)(void* holder, std::uint64_t tag, std::span<RedisReply> replies);
        void (*pushed)(void* holder, RedisReply& message);
        // What was asked and not answered never will be. The next attempt follows by itself.
        void (*lost)(void* holder, std::string_view why, std::string_view text);
    };
    // `needs` and `complaints` outlive the line, as does `events`.
    SentinelLine(const SentinelNeeds& needs, SentinelComplaints& complaints, const Endpoint& to,
                 void* holder, const Events& events);
    SentinelLine(const SentinelLine&) = delete;
    SentinelLine& operator=(const SentinelLine&) = delete;

    // Begins, unless it has begun. `close` ends it, without an event.
    void open();
    void close() noexcept;
    // Null between two attempts. Before the line is ready questions wait.
    RedisPipe* pipe() noexcept { return pipe_.get(); }
    // Connected, and let in.
    bool is_ready() const noexcept { return ready_; }
    // The peer does what it is there for: the next time it is lost the waiting begins anew.
    void is_of_use() noexcept { back_off_.reset(); }
    // It does not: closed, and an attempt made later. Without an event.
    void give_up();
    // Of the last attempt; unset before the name was looked up.
    const Address& address() const noexcept { return known_; }

private:
    static constexpr std::uint64_t auth_tag = ~std::uint64_t{0};
    static const RedisPipe::Events pipe_events;

    void connect();
    void on_connected();
    void on_answered(std::uint64_t tag, std::span<RedisReply> replies);
    void on_auth(const RedisReply& reply);
    void on_ended(RedisPipe::End end, std::string_view text);

    const SentinelNeeds& needs_;
    SentinelComplaints& complaints_;
    const Endpoint& to_;
    void* holder_;
    const Events* events_;
    Address known_;  // the name's, from the last time
    std::unique_ptr<RedisPipe> pipe_;
    BackOff back_off_;
    Timer<&SentinelLine::connect> again_;
    bool open_ = false;
    bool ready_ = false;
};

}  // namespace baton
