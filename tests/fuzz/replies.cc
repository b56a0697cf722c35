// What a Redis or a Sentinel may send: the same replies however the bytes are split, and whatever
// they are, an answer that keeps its promises, or none.

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "session/contract.h"
#include "session/redis/redis_command.h"
#include "session/redis/redis_info.h"
#include "session/redis/redis_reply.h"
#include "session/redis/sentinel_answer.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/input.h"

namespace baton::fuzz {
namespace {

// A reply as text, to compare.
void append_text(std::string& out, const RedisReply& reply) {
    out += static_cast<char>('0' + static_cast<int>(reply.type));
    out += std::to_string(reply.integer) + ":" + std::to_string(reply.text.size()) + ":";
    out += reply.text;
    out += '[';
    for (const RedisReply& element : reply.elements) append_text(out, element);
    out += ']';
}

struct Replies {
    std::vector<RedisReply> all;
    std::string text;
    bool bad = false;
};

Replies read(std::string_view bytes, Cut cut) {
    Replies replies;
    RedisReader reader;
    for (const std::string_view piece : in_pieces(bytes, cut)) {
        const Exact exact{piece};
        reader.feed({exact.view().data(), exact.view().size()});
        for (;;) {
            RedisReply reply;
            const RedisReader::Read read = reader.next(reply);
            replies.bad = read == RedisReader::Read::bad;
            if (read != RedisReader::Read::reply) break;
            append_text(replies.text, reply);
            replies.all.push_back(std::move(reply));
        }
        if (replies.bad) break;
    }
    return replies;
}

void check_limits(const RedisReply& reply) {
    check(reply.text.size() <= RedisReader::text_max, "no text is beyond the limit");
    check(reply.elements.size() <= RedisReader::elements_max, "no array is beyond the limit");
    check(reply.is_array() || reply.elements.empty(), "only arrays have elements");
    check(!reply.is_too_large() || reply.text.empty(), "nothing of a skipped reply is kept");
    for (const RedisReply& element : reply.elements) check_limits(element);
}

void check_answer(const std::optional<StoreAnswer>& answer) {
    if (!answer) return;
    const SessionRecord& record = answer->record;
    const auto unsorted = std::adjacent_find(record.attributes.begin(), record.attributes.end(),
                                             [](const auto& a, const auto& b) { return a > b; });
    check(unsorted == record.attributes.end(), "attributes are sorted");
    if (answer->kind != StoreAnswer::Kind::live) return;
    check(record.version > 0 && record.idle_ms > 0 && record.ttl_ms >= 0 && record.id_age_ms >= 0,
          "a session that lives has a version and its times");
}

void check_replies(std::span<const RedisReply> replies) {
    constexpr std::int64_t now_ms = 1'700'000'000'000;
    for (const RedisReply& reply : replies) {
        check_limits(reply);
        check((trouble_of(reply) == RedisTrouble::none) != reply.is_error(),
              "each error is some trouble, and nothing else is");
        check_answer(read_create(reply, {}));
        check_answer(read_commit(reply));
        check_answer(read_kill(reply));
        read_late(reply);
        refusal_of(reply);
        const SentinelNews news = read_sentinel_news(reply, "mymaster");
        check(news.kind != SentinelNews::Kind::switched || news.to.port != 0,
              "a switch goes somewhere");
        for (const ReplicaLine& replica : replica_lines(reply.view()))
            check(replica.host.size() <= reply.view().size(), "a replica stands in the text");
    }
    for (std::size_t i = 0; i + 1 < replies.size(); ++i) {
        std::size_t foreign = 0;
        const auto answer = read_load(replies.subspan(i, 2), now_ms, foreign);
        check_answer(answer);
        check(foreign <= replies[i].elements.size() / 2, "no more fields than there are");
        if (answer)
            for (const auto& [name, value] : answer->record.attributes)
                check(is_attribute_name(name, ContractLimits{}.name_max),
                      "an attribute has a name that anybody could have set");
    }
    for (const unsigned count : {sentinel_replies(false), sentinel_replies(true)}) {
        if (replies.size() < count) continue;
        const auto answer = read_sentinel_answer(replies.first(count));
        check(!answer || !answer->vote.knows || answer->vote.master.port != 0,
              "a master that is known has an address");
    }
}

// A command is an array of texts.
void check_command(std::string_view bytes) {
    const std::array<std::string_view, 3> words = {"EVALSHA", bytes,
                                                   bytes.substr(bytes.size() / 2)};
    std::string command;
    append_command(command, words);
    const Replies replies = read(command, Cut::often);
    check(!replies.bad && replies.all.size() == 1 && replies.all[0].elements.size() == words.size(),
          "a command is read as what it is");
    for (std::size_t i = 0; i < words.size(); ++i)
        check_same(replies.all[0].elements[i].view(), words[i], "a word arrives as it was");
}

void run(Input input) {
    const std::string_view bytes = input.bytes();
    const Replies whole = read(bytes, Cut::whole);
    for (const Cut cut : {Cut::twice, Cut::often, Cut::everywhere}) {
        const Replies other = read(bytes, cut);
        check_same(other.text, whole.text, "replies are the same however they are split");
        check(other.bad == whole.bad, "bytes are bad however they are split");
    }
    check_replies(whole.all);
    check_command(bytes);
}

}  // namespace

std::optional<Seed> seed_of(const test::Row&) { return {}; }

}  // namespace baton::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    baton::fuzz::run({data, size});
    return 0;
}
