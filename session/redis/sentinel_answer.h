#pragma once

// What is asked of a Sentinel, and what its replies and messages mean. Pure functions; nothing that
// a peer says is believed before it is checked.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "session/redis/master_choice.h"
#include "session/redis/redis_reply.h"

namespace baton {

// One Sentinel's answer about one master (https://redis.io/docs/management/sentinel/#sentinel-api).
struct SentinelAnswer {
    MasterVote vote;
    // Nothing where the Sentinel may not tell.
    std::optional<unsigned> quorum;
    std::optional<unsigned> others;  // Sentinels besides itself
    std::optional<unsigned> replicas;
    std::optional<std::int64_t>
        down_after_ms;  // how long a master is silent before it counts as down
    // The name that it has for ever, wherever it listens ("runid"). Empty: it may not tell.
    std::string identity;
    struct Other {
        Endpoint at;
        std::string identity;
    };
    std::vector<Other> sentinels;  // those others, if it was asked
};

// What an answer is that tells nothing of a master.
enum class SentinelRefusal : std::uint8_t {
    wrong_password,   // WRONGPASS
    wants_password,   // NOAUTH
    no_password_set,  // "ERR AUTH <password> called without any password configured …"
    no_sentinel,      // "ERR unknown command …": a Redis data node
    not_allowed,      // NOPERM
    other,
};
SentinelRefusal refusal_of(const RedisReply& error) noexcept;
// For log lines. An error's own text may repeat what was asked, a password too.
std::string_view text_of(SentinelRefusal refusal) noexcept;

// A host, or an IPv6 address without brackets, and a port; nothing if they are none.
std::optional<Endpoint> endpoint_of(std::string_view host, std::string_view port);

// Names and values in turn, as in a RESP2 reply that is a map. As long as the reply.
class SentinelFields {
public:
    // Nothing but texts, in pairs; nothing if the reply is anything else.
    static std::optional<SentinelFields> of(const RedisReply& reply) noexcept;

    std::optional<std::string_view> find(std::string_view name) const noexcept;
    std::optional<std::int64_t> number(std::string_view name) const noexcept;  // not below 0
    std::optional<Endpoint> endpoint() const;                                  // "ip" and "port"

private:
    explicit SentinelFields(std::span<const RedisReply> fields) : fields_(fields) {}

    std::span<const RedisReply> fields_;
};

// The bytes of one question of `sentinel_replies` replies.
std::string sentinel_question(std::string_view master, bool discover);
constexpr unsigned sentinel_replies(bool discover) noexcept { return discover ? 4 : 3; }
// The answer to it, or nothing if any of it is not what a Sentinel says.
std::optional<SentinelAnswer> read_sentinel_answer(std::span<const RedisReply> replies);
// The reply that tells the master's address, of those to a question.
inline const RedisReply& address_reply(std::span<const RedisReply> replies) noexcept {
    return replies[1];
}

// What a message of a channel tells of the master of that name.
struct SentinelNews {
    enum class Kind : std::uint8_t {
        nothing,    // of another one, or not understood
        switched,   // the master is another one now
        promoting,  // a replica is about to be the master, or has become it and is not named yet
        aborted,    // it has not become one
        changed,    // ask again
        state,      // found down by this Sentinel or by the quorum, or no more
    };
    Kind kind = Kind::nothing;
    std::string_view word;  // "+sdown"; as long as the message
    Endpoint from, to;      // of a switch, and of a promotion
};
SentinelNews read_sentinel_news(const RedisReply& message, std::string_view master);

// The channels with such messages.
std::span<const std::string_view> sentinel_channels() noexcept;

}  // namespace baton
