#pragma once

// Questions to a Redis or a Sentinel, asked once, for a command that prints what it is told.

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop.h"
#include "net/resolve.h"
#include "net/tcp.h"
#include "session/redis/redis_pipe.h"
#include "session/redis/redis_reply.h"

namespace baton {

// One peer: connects, says the password, asks all at once. Its answers stay with it.
class RedisProbe {
public:
    struct Needs {
        Endpoint at;
        std::string username;  // empty: the default user
        std::string password;  // empty: none is sent
        RedisPipe::Times times;
    };
    RedisProbe(Loop& loop, Needs needs);
    RedisProbe(const RedisProbe&) = delete;
    RedisProbe& operator=(const RedisProbe&) = delete;

    // The number by which `reply` gives the answer.
    std::size_t ask(std::initializer_list<std::string_view> words);
    std::size_t ask(std::span<const std::string_view> words);
    bool is_over() const noexcept { return pipe_ == nullptr; }

    const Endpoint& at() const noexcept { return needs_.at; }
    // Where it was found; unset if it was not.
    const Address& address() const noexcept { return address_; }
    // Why it is of no use, in words: no connection, a wrong password; empty if it answers. Never the
    // text of a refused AUTH, which may repeat the password.
    const std::string& trouble() const noexcept { return trouble_; }
    // An error if there was none.
    const RedisReply& reply(std::size_t question) const noexcept;

private:
    static const RedisPipe::Events events;

    void on_answered(std::uint64_t tag, RedisReply& reply);
    void on_ended(RedisPipe::End end, std::string_view text);
    void finish();

    Loop& loop_;
    const Needs needs_;
    TcpCounts tcp_;
    Address address_;
    std::string trouble_;
    RedisReply none_;
    std::vector<RedisReply> replies_;
    std::unique_ptr<RedisPipe> pipe_;
};

// Waits for all of them. Their own time-outs end it.
void run(Loop& loop, std::span<const std::unique_ptr<RedisProbe>> probes);

}  // namespace baton
