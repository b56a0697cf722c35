#pragma once

// What Redis says, as values (RESP2, https://redis.io/docs/reference/protocol-spec/), and what it is
// told. hiredis' reader and formatter do the work; the limits are ours, for its own reader takes
// any length that a peer announces.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;
struct redisReadTask;

namespace baton {

struct RedisReply {
    enum class Type : std::uint8_t {
        nil,
        integer,
        status,
        error,
        text,
        array,
        too_large,  // was skipped: it is beyond what a reader keeps
    };
    Type type = Type::nil;
    std::int64_t integer = 0;
    std::string text;  // of a status, an error, a text (a "bulk string")
    std::vector<RedisReply> elements;

    bool is_error() const noexcept { return type == Type::error; }
    bool is_array() const noexcept { return type == Type::array; }
    bool is_too_large() const noexcept { return type == Type::too_large; }
    // The text of anything but an array; nothing for nil.
    std::string_view view() const noexcept { return text; }
    // An integer, or a text that is one; `otherwise` if it is neither.
    std::int64_t number(std::int64_t otherwise) const noexcept;
    // Nil again; keeps its memory.
    void clear() noexcept {
        type = Type::nil;
        integer = 0;
        text.clear();
        elements.clear();
    }
};

class RedisReader {
public:
    // What is beyond one of these is skipped, and told as `too_large`: one question's trouble, not that
    // of all the others on the connection.
    static constexpr std::size_t elements_max = 4096;                     // of one array
    static constexpr std::size_t text_max = (std::size_t{1} << 20) + 64;  // of one text, in bytes
    static constexpr std::size_t texts_max = std::size_t{16} << 20;       // of one reply
    // And what is beyond these is bad: bytes of one reply, and of one line.
    static constexpr std::size_t reply_max = std::size_t{64} << 20;
    static constexpr std::size_t line_max = text_max;
    // Bytes of a text (proto-max-bulk-len), or elements of an array: no Redis sends more.
    static constexpr std::size_t possible_max = std::size_t{512} << 20;

    RedisReader();
    ~RedisReader();
    RedisReader(const RedisReader&) = delete;
    RedisReader& operator=(const RedisReader&) = delete;

    void feed(std::span<const char> bytes);
    enum class Read : std::uint8_t { reply, more, bad };
    // The next whole reply; the memory of what `reply` was is used again. After `bad`, a reply that is
    // none or beyond the limits, the reader is of no more use.
    Read next(RedisReply& reply);
    // After `bad`: it was a reply that a Redis may well send, of more than `reply_max` bytes.
    bool is_beyond() const noexcept { return beyond_; }

private:
    static void* make_text(const redisReadTask* task, char* bytes, std::size_t size);
    static void* make_array(const redisReadTask* task, int size);
    static void* make_integer(const redisReadTask* task, long long value);
    static void* make_nil(const redisReadTask* task);
    static void free_reply(void* reply);
    static RedisReply& place_of(const redisReadTask* task);
    void skip() noexcept;
    bool is_hopeless() noexcept;
    std::size_t unread() const noexcept;
    friend struct RedisReplyMakers;

    struct Free {
        void operator()(redisReader* reader) const noexcept;
    };
    std::unique_ptr<redisReader, Free> reader_;
    RedisReply root_;           // that is being read
    std::size_t texts_ = 0;     // bytes in the reply that is being read
    std::size_t elements_ = 0;  // in the same
    std::size_t taken_ = 0;     // bytes fed since that reply began
    bool skipping_ = false;     // it, to its end
    bool beyond_ = false;
};

// The bytes of a command, behind what `out` has.
void append_command(std::string& out, std::span<const std::string_view> words);
void append_command(std::string& out, std::initializer_list<std::string_view> words);
std::string redis_command(std::initializer_list<std::string_view> words);

}  // namespace baton
