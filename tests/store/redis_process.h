#pragma once

// A redis-server of the test program's own, and a plain connection to it.

#include <sys/types.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/resolve.h"
#include "session/redis/redis_reply.h"

namespace baton::test {

// Where the program is that can run as redis-server, or empty. Debian's package redis-tools has the server under the
// name of a tool: the program is told by the name that it is run under what it is to be.
std::string redis_program();

// Asks and waits for the answer.
class PlainRedis {
public:
    explicit PlainRedis(std::uint16_t port);
    ~PlainRedis();
    PlainRedis(const PlainRedis&) = delete;
    PlainRedis& operator=(const PlainRedis&) = delete;

    bool is_connected() const noexcept { return fd_ >= 0; }
    // Nothing if the connection is lost.
    std::optional<RedisReply> ask(std::initializer_list<std::string_view> words);
    // The reply's bytes as they came; empty if the connection is lost.
    std::string ask_bytes(std::span<const std::string_view> words);

private:
    int fd_;
};

// Started at the first call, from the main thread; it ends with the program, however that ends.
class RedisProcess {
public:
    static RedisProcess& running();
    ~RedisProcess();
    RedisProcess(const RedisProcess&) = delete;
    RedisProcess& operator=(const RedisProcess&) = delete;

    Endpoint endpoint() const { return {"127.0.0.1", port_}; }
    std::uint16_t port() const noexcept { return port_; }
    // It does nothing until it is woken; what it was sent meanwhile it finds then.
    void freeze() noexcept;
    void wake() noexcept;
    // Ends the test program if the server does not answer or answers an error.
    RedisReply ask(std::initializer_list<std::string_view> words);

private:
    RedisProcess();
    [[noreturn]] void give_up(std::string_view why);

    int held_ = -1;  // bound and never listening: nobody else gets the port
    int log_ = -1;
    std::uint16_t port_ = 0;
    pid_t pid_ = -1;
    std::optional<PlainRedis> plain_;
};

}  // namespace baton::test
