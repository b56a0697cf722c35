#include "session/redis_reply.h"

#include <hiredis/hiredis.h>

#include <charconv>
#include <new>
#include <utility>

namespace baton {

std::int64_t RedisReply::number(std::int64_t otherwise) const noexcept {
    if (type == Type::integer) return integer;
    if (type != Type::text && type != Type::status) return otherwise;
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && stop == end && !text.empty() ? value : otherwise;
}

// hiredis builds a tree of what these return; a null pointer makes the reply a bad one.
struct RedisReplyMakers {
    static redisReplyObjectFunctions* functions() {
        static redisReplyObjectFunctions functions = {
            RedisReader::make_text, RedisReader::make_array, RedisReader::make_integer,
            RedisReader::make_nil, RedisReader::free_reply};
        return &functions;
    }
    static RedisReader& reader(const redisReadTask* task) {
        return *static_cast<RedisReader*>(task->privdata);
    }
};

void RedisReader::Free::operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }

RedisReader::RedisReader()
    : reader_(redisReaderCreateWithFunctions(RedisReplyMakers::functions())) {
    if (!reader_) throw std::bad_alloc{};
    reader_->privdata = this;
}

RedisReader::~RedisReader() = default;

void RedisReader::feed(std::span<const char> bytes) {
    redisReaderFeed(reader_.get(), bytes.data(), bytes.size());  // an error is told by `next`
}

RedisReader::Read RedisReader::next(RedisReply& reply) {
    void* made = nullptr;
    if (redisReaderGetReply(reader_.get(), &made) != REDIS_OK) return Read::bad;
    if (made == nullptr) {
        // hiredis waits for as long a text, or line, as is announced. What it has read of the reply
        // is out of its buffer.
        const std::size_t waiting = reader_->len - reader_->pos;
        return waiting > text_max + std::size_t{64} ? Read::bad : Read::more;
    }
    std::swap(reply, root_);
    root_.clear();
    texts_ = elements_ = 0;
    return Read::reply;
}

// In the array whose turn it is, or at the root.
RedisReply& RedisReader::place_of(const redisReadTask* task) {
    if (task->parent == nullptr) return RedisReplyMakers::reader(task).root_;
    return static_cast<RedisReply*>(task->parent->obj)
        ->elements[static_cast<std::size_t>(task->idx)];
}

void* RedisReader::make_text(const redisReadTask* task, char* bytes, std::size_t size) {
    RedisReader& self = RedisReplyMakers::reader(task);
    self.texts_ += size;
    if (size > text_max || self.texts_ > texts_max) return nullptr;
    RedisReply& reply = place_of(task);
    reply.type = task->type == REDIS_REPLY_ERROR    ? RedisReply::Type::error
                 : task->type == REDIS_REPLY_STATUS ? RedisReply::Type::status
                                                    : RedisReply::Type::text;
    reply.text.assign(bytes, size);
    return &reply;
}

void* RedisReader::make_array(const redisReadTask* task, int size) {
    RedisReader& self = RedisReplyMakers::reader(task);
    // hiredis takes lengths of more than an int for granted.
    if (size < 0 || static_cast<std::size_t>(size) > elements_max) return nullptr;
    self.elements_ += static_cast<std::size_t>(size);
    if (self.elements_ > 4 * elements_max) return nullptr;
    RedisReply& reply = place_of(task);
    reply.type = RedisReply::Type::array;
    reply.elements.resize(static_cast<std::size_t>(size));
    return &reply;
}

void* RedisReader::make_integer(const redisReadTask* task, long long value) {
    RedisReply& reply = place_of(task);
    reply.type = RedisReply::Type::integer;
    reply.integer = value;
    return &reply;
}

void* RedisReader::make_nil(const redisReadTask* task) {
    RedisReply& reply = place_of(task);
    reply.type = RedisReply::Type::nil;
    return &reply;
}

// Of a reply that was not read to its end. The reader is of no more use then, and its root goes with
// it.
void RedisReader::free_reply(void*) {}

void append_command(std::string& out, std::span<const std::string_view> words) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    texts.reserve(words.size());
    sizes.reserve(words.size());
    for (const std::string_view word : words) {
        texts.push_back(word.data());
        sizes.push_back(word.size());
    }
    char* made = nullptr;
    const int size =
        redisFormatCommandArgv(&made, static_cast<int>(words.size()), texts.data(), sizes.data());
    if (size < 0) throw std::bad_alloc{};
    const std::unique_ptr<char, void (*)(char*)> owned{made, redisFreeCommand};
    out.append(made, static_cast<std::size_t>(size));
}

void append_command(std::string& out, std::initializer_list<std::string_view> words) {
    append_command(out, std::span<const std::string_view>{words.begin(), words.size()});
}

}  // namespace baton
