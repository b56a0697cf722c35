#pragma once

// A connection to the master that holds the sessions: opened, checked, kept alive. It is ready only
// once the server has let us in, is new enough, says that it is a master, and has our scripts.

#include <chrono>
#include <cstddef>
#include <cstdint>
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

// How to get in.
struct RedisAccess {
    std::string username;  // empty: the default user
    std::string password;  // empty: none is sent
    unsigned database = 0;
    std::string client_name;  // as CLIENT LIST shows it
    RedisPipe::Times times;
};

// Why a link is of no use.
enum class RedisLoss : std::uint8_t {
    no_connection,  // refused, lost, no such name
    slow,           // no connection or answer in time
    bad_reply,
    too_large,  // the reply to what was asked first
    refused,    // the password, or what its user may do
    too_old,    // before 7.0
    not_master,
    busy,  // it is loading its data, or a script keeps it
};
inline constexpr std::size_t redis_losses_count = 8;
std::string_view text_of(RedisLoss loss) noexcept;
// "no connection: connection refused"; just the loss if there is no text.
std::string text_of(RedisLoss loss, std::string_view text);

// One loop's thread.
class RedisLink {
public:
    // As those of RedisPipe: from the loop only, and the holder may close or open the link, but not
    // destroy it, during each of them.
    struct Events {
        void (*ready)(void* holder);
        void (*answered)(void* holder, std::uint64_t tag, std::span<RedisReply> replies);
        // What was asked and not answered never will be. The text is for the log; it is empty where
        // the loss says all.
        void (*lost)(void* holder, RedisLoss loss, std::string_view text);
    };
    // `access`, `events` and `counts` outlive the link.
    RedisLink(Loop& loop, const RedisAccess& access, void* holder, const Events& events,
              TcpCounts& counts);
    RedisLink(const RedisLink&) = delete;
    RedisLink& operator=(const RedisLink&) = delete;

    // Leaves where it was, without an event, and begins anew. `known`: the address that the name of
    // `to` had last time, or unset.
    void open(const Endpoint& to, const Address& known = {});
    // The one that the peer's name had when it was connected last; unset if it never was.
    const Address& known() const noexcept { return known_; }
    void close() noexcept;  // without an event
    bool is_open() const noexcept { return pipe_ != nullptr; }
    bool is_ready() const noexcept { return ready_; }
    const Endpoint& peer() const noexcept { return peer_; }

    // Only when ready. As RedisPipe::ask; tags are below `own_tags`.
    void ask(std::uint64_t tag, std::string_view commands, unsigned replies = 1) {
        pipe_->ask(tag, commands, replies);
    }
    static constexpr std::uint64_t own_tags = std::uint64_t{1} << 63;

    // Milliseconds since 1970 by the server's clock, as it told within the last second.
    std::int64_t server_now_ms() const noexcept {
        return static_cast<std::int64_t>(loop_.now()) + clock_offset_ms_;
    }
    // The server has just told its time. What is reckoned from it is never ahead of the server's clock,
    // but behind it by the time its word took: what is late by our reckoning is late.
    void set_server_now_ms(std::int64_t server_ms) noexcept;

private:
    static const RedisPipe::Events pipe_events;

    void greet();
    void on_answered(std::uint64_t tag, std::span<RedisReply> replies);
    void on_greeting(std::uint64_t tag, const RedisReply& reply);
    void note_denied(std::string_view right);
    void lose_denied();
    void on_heartbeat(std::span<RedisReply> replies);
    bool check_version(const RedisReply& info);
    bool check_role(const RedisReply& role);
    bool take_clock(const RedisReply& time) noexcept;
    void on_ended(RedisPipe::End end, std::string_view text);
    void lose(RedisLoss loss, std::string_view text);
    void on_second();

    Loop& loop_;
    const RedisAccess& access_;
    void* holder_;
    const Events* events_;
    TcpCounts& counts_;
    Endpoint peer_;
    Address known_;  // of the peer's name, from the last time
    std::unique_ptr<RedisPipe> pipe_;
    Timer<&RedisLink::on_second> second_;
    std::string denied_;  // the rights that the greeting was refused for: "+info +role"
    std::int64_t clock_offset_ms_ = 0;
    bool ready_ = false;
    bool heartbeat_asked_ = false;
};

}  // namespace baton
