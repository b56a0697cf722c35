#pragma once

// What the store asks Redis and how it takes the answers: pure functions of values.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "session/redis/redis_reply.h"
#include "session/store.h"

namespace baton {

// What an error reply means for who asked (https://redis.io/docs/reference/protocol-spec/: the first
// word names the error).
enum class RedisTrouble : std::uint8_t {
    none,
    not_master,  // READONLY, MASTERDOWN: this is a replica, ask Sentinel again
    read_only,   // NOREPLICAS, OOM, MISCONF: it answers reads, and refuses writes for now
    busy,        // LOADING, BUSY: it answers nothing for now
    no_script,   // NOSCRIPT: load it again
    wrong_type,  // WRONGTYPE: the key is somebody else's
    refused,     // WRONGPASS, NOAUTH, NOPERM, DENIED: the password, or what its user may do
    other,
};
RedisTrouble trouble_of(const RedisReply& reply) noexcept;
// An error's text as it may stand in a log: without what it repeats of the question, which may be a
// password or what a session holds.
std::string_view log_text(const RedisReply& error) noexcept;
// Its first word, where the question was nothing but a secret.
std::string_view error_word(const RedisReply& error) noexcept;
// What a server said that turned us away, as it may stand in a log: not with the secret, which it
// may have been told already.
std::string farewell_text(std::string_view text, std::string_view secret);

// The command that lets us in (https://redis.io/commands/auth/). Without a user name it is the default
// user's. Empty without a password: nothing is to be sent.
std::string auth_command(std::string_view username, std::string_view password);

// Bounds of a session. What is beyond is the answer `limit`.
struct RedisLimits {
    std::size_t attributes_max = 64;
    std::size_t data_max = std::size_t{24} << 10;  // bytes of names and values
};

// A transaction as it stands in a session: its short name, in the order of the network.
std::array<char, 8> redis_name(const TransactionId& transaction) noexcept;

// "<prefix>:s:<64 hex digits>".
std::string redis_key(std::string_view prefix, const SessionKey& key);

// Reads a session: HGETALL and PTTL, two replies. The one question of nearly every request is put
// together once, and then told its key.
class LoadCommand {
public:
    explicit LoadCommand(std::string_view prefix);
    // Until the next call.
    std::string_view of(const SessionKey& key) noexcept;

private:
    std::string bytes_;
    std::size_t first_;
    std::size_t second_;
};

// The bytes of a command. One that changes something may be carried out at any time, until
// `set_latest` has told the server's time from which on it may not. A transaction must be new with
// each change: asked a second time with it, the script answers as it did and changes nothing.
void append_load(std::string& out, std::string_view key);  // two replies
// `replaced`: the key of the session that it takes the place of, or empty.
void append_create(std::string& out, std::string_view key, std::string_view replaced,
                   const NewSession& session, const TransactionId& transaction);
// `to`: the key of a rotation. The change's transaction is not none.
void append_commit(std::string& out, std::string_view key, std::string_view to,
                   const SessionChange& change, const RedisLimits& limits);
void append_kill(std::string& out, std::string_view key);
void append_touch(std::string& out, std::string_view key, std::int64_t slack_ms);
// In the command that `out` ends with: ms since 1970 by the server's clock; 0: never.
void set_latest(std::string& out, std::int64_t server_ms) noexcept;

// Whether a new session keeps the bounds.
bool is_within(const RedisLimits& limits, const Attributes& attributes) noexcept;

// The server's time, if the reply of a script is that it came too late and changed nothing.
std::optional<std::int64_t> read_late(const RedisReply& reply) noexcept;
// The answer a reply is; nothing if it is an error (`trouble_of`) or not what the script answers.
// `server_now_ms`: the server's clock. `foreign`: how many fields were passed over as none of ours.
std::optional<StoreAnswer> read_load(std::span<const RedisReply> replies,
                                     std::int64_t server_now_ms, std::size_t& foreign);
std::optional<StoreAnswer> read_create(const RedisReply& reply, NewSession session);
std::optional<StoreAnswer> read_commit(const RedisReply& reply);
std::optional<StoreAnswer> read_kill(const RedisReply& reply);

}  // namespace baton
