#include "session/redis/redis_reply.h"

#include <hiredis/hiredis.h>

#include <charconv>
#include <new>
#include <utility>

#include "net/text.h"

namespace baton {

std::int64_t RedisReply::number(std::int64_t otherwise) const noexcept {
    if (type == Type::integer) return integer;
    if (type != Type::text && type != Type::status) return otherwise;
    return parse_decimal(text).value_or(otherwise);
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

std::size_t RedisReader::unread() const noexcept { return reader_->len - reader_->pos; }

void RedisReader::feed(std::span<const char> bytes) {
    redisReaderFeed(reader_.get(), bytes.data(), bytes.size());  // an error is told by `next`
    taken_ += bytes.size();
}

RedisReader::Read RedisReader::next(RedisReply& reply) {
    void* made = nullptr;
    if (redisReaderGetReply(reader_.get(), &made) != REDIS_OK) return Read::bad;
    if (made == nullptr) return is_hopeless() ? Read::bad : Read::more;
    std::swap(reply, root_);
    root_.clear();
    if (std::exchange(skipping_, false)) {
        reply.clear();
        reply.type = RedisReply::Type::too_large;
    }
    texts_ = elements_ = 0;
    taken_ = unread();
    return Read::reply;
}

// hiredis waits for as long a text, or line, as is announced. What it has read of the reply is out of
// its buffer; what waits there is the text, from its length on, or the line.
bool RedisReader::is_hopeless() noexcept {
    beyond_ = taken_ > reply_max;
    const std::string_view waiting{reader_->buf + reader_->pos, unread()};
    if (reader_->ridx >= 0 && reader_->rstack[reader_->ridx].type == REDIS_REPLY_STRING) {
        std::size_t size = 0;
        const char* const end = waiting.data() + waiting.size();
        const auto [stop, error] = std::from_chars(waiting.data(), end, size);
        if (error == std::errc::result_out_of_range) return true;
        if (error == std::errc{} && stop != end) {
            if (size > reply_max) beyond_ = size <= possible_max;
            return beyond_ || size > reply_max;
        }
    }
    return beyond_ || waiting.size() > line_max;
}

// What was kept of the reply goes at once. hiredis has pointers into it, at which nobody looks again.
void RedisReader::skip() noexcept {
    skipping_ = true;
    root_.clear();
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
    if (size > text_max || self.texts_ > texts_max) self.skip();
    if (self.skipping_) return &self.root_;
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
    constexpr std::size_t element_min = 3;  // "+\r\n"
    if (size < 0) return nullptr;
    const auto count = static_cast<std::size_t>(size);
    if (count > reply_max / element_min) {
        self.beyond_ = count <= possible_max;
        return nullptr;
    }
    self.elements_ += count;
    if (count > elements_max || self.elements_ > 4 * elements_max) self.skip();
    if (self.skipping_) return &self.root_;
    RedisReply& reply = place_of(task);
    reply.type = RedisReply::Type::array;
    reply.elements.resize(count);
    return &reply;
}

void* RedisReader::make_integer(const redisReadTask* task, long long value) {
    RedisReader& self = RedisReplyMakers::reader(task);
    if (self.skipping_) return &self.root_;
    RedisReply& reply = place_of(task);
    reply.type = RedisReply::Type::integer;
    reply.integer = value;
    return &reply;
}

void* RedisReader::make_nil(const redisReadTask* task) {
    RedisReader& self = RedisReplyMakers::reader(task);
    if (self.skipping_) return &self.root_;
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

std::string redis_command(std::initializer_list<std::string_view> words) {
    std::string out;
    append_command(out, words);
    return out;
}

}  // namespace baton
