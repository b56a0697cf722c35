#include "session/redis/sentinel_answer.h"

#include <algorithm>
#include <array>
#include <limits>

#include "net/text.h"

namespace baton {
namespace {

// https://redis.io/docs/management/sentinel/#pubsub-messages
constexpr std::array<std::string_view, 11> channels = {
    "+switch-master",  "+failover-state-send-slaveof-noone",
    "+promoted-slave", "-failover-abort-slave-timeout",
    "+reset-master",   "+monitor",
    "+sentinel",       "+sdown",
    "-sdown",          "+odown",
    "-odown"};
constexpr std::size_t identity_max = 64;  // Redis' own have 40 digits

bool is_text(const RedisReply& reply) noexcept { return reply.type == RedisReply::Type::text; }

// A number that no Sentinel has more of.
std::optional<unsigned> count_in(const SentinelFields& fields, std::string_view name) noexcept {
    const auto number = fields.number(name);
    if (!number || *number > std::numeric_limits<int>::max()) return std::nullopt;
    return static_cast<unsigned>(*number);
}

// Both return false if the reply is none of a Sentinel's.
bool read_state(const RedisReply& reply, SentinelAnswer& answer) {
    if (reply.is_error()) return true;  // it may not tell, or does not know the name
    const auto fields = SentinelFields::of(reply);
    if (!fields || !fields->find("flags")) return false;
    const auto epoch = fields->number("config-epoch");
    const auto quorum = count_in(*fields, "quorum");
    const auto others = count_in(*fields, "num-other-sentinels");
    const auto replicas = count_in(*fields, "num-slaves");
    if (!epoch || !quorum || !others || !replicas) return false;
    answer.down_after_ms = count_in(*fields, "down-after-milliseconds");
    answer.vote.epoch = static_cast<std::uint64_t>(*epoch);
    answer.quorum = quorum;
    answer.others = others;
    answer.replicas = replicas;
    return true;
}

bool read_sentinels(const RedisReply& reply, SentinelAnswer& answer) {
    if (reply.is_error()) return true;
    if (!reply.is_array()) return false;
    for (const RedisReply& element : reply.elements) {
        const auto fields = SentinelFields::of(element);
        if (!fields || !fields->find("ip") || !fields->find("port")) return false;
        // Port 0: another one listens at its address by now (+sentinel-invalid-addr).
        auto endpoint = fields->endpoint();
        if (!endpoint) continue;
        const std::string_view runid = fields->find("runid").value_or("");
        answer.sentinels.push_back({std::move(*endpoint), {}});
        if (runid.size() <= identity_max) answer.sentinels.back().identity = runid;
    }
    return true;
}

// https://redis.io/commands/sentinel-myid/
bool read_identity(const RedisReply& reply, SentinelAnswer& answer) {
    if (reply.is_error()) return true;
    if (!is_text(reply) || reply.text.size() > identity_max) return false;
    answer.identity = reply.text;
    return true;
}

// The words between single spaces; at most so many.
std::vector<std::string_view> words_of(std::string_view text, std::size_t most) {
    std::vector<std::string_view> words;
    while (words.size() < most) {
        const std::size_t end = text.find(' ');
        words.push_back(text.substr(0, end));
        if (end == text.npos) break;
        text.remove_prefix(end + 1);
    }
    return words;
}

}  // namespace

std::optional<SentinelFields> SentinelFields::of(const RedisReply& reply) noexcept {
    if (!reply.is_array() || reply.elements.empty() || reply.elements.size() % 2 != 0 ||
        !std::all_of(reply.elements.begin(), reply.elements.end(), is_text))
        return std::nullopt;
    return SentinelFields{reply.elements};
}

std::optional<std::string_view> SentinelFields::find(std::string_view name) const noexcept {
    for (std::size_t i = 0; i < fields_.size(); i += 2)
        if (fields_[i].view() == name) return fields_[i + 1].view();
    return std::nullopt;
}

std::optional<std::int64_t> SentinelFields::number(std::string_view name) const noexcept {
    const auto number = parse_decimal(find(name).value_or(""));
    return number && *number >= 0 ? number : std::nullopt;
}

std::optional<Endpoint> SentinelFields::endpoint() const {
    return endpoint_of(find("ip").value_or(""), find("port").value_or(""));
}

std::optional<Endpoint> endpoint_of(std::string_view host, std::string_view port) {
    const bool is_v6 = host.find(':') != host.npos;
    std::string text{host};
    if (is_v6) text.insert(0, 1, '[').push_back(']');
    return parse_endpoint(text.append(1, ':').append(port));
}

std::string sentinel_question(std::string_view master, bool discover) {
    std::string commands;
    // The state goes first: if a failover comes in between, it is the older half of the answer that
    // has the number.
    append_command(commands, {"SENTINEL", "MASTER", master});
    append_command(commands, {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", master});
    append_command(commands, {"SENTINEL", "MYID"});
    if (discover) append_command(commands, {"SENTINEL", "SENTINELS", master});
    return commands;
}

std::optional<SentinelAnswer> read_sentinel_answer(std::span<const RedisReply> replies) {
    SentinelAnswer answer;
    const RedisReply& address = address_reply(replies);
    if (!read_state(replies[0], answer)) return std::nullopt;
    if (!read_identity(replies[2], answer)) return std::nullopt;
    if (replies.size() > 3 && !read_sentinels(replies[3], answer)) return std::nullopt;
    if (address.type == RedisReply::Type::nil) {
        SentinelAnswer unknown;
        unknown.identity = std::move(answer.identity);
        return unknown;
    }
    if (!address.is_array() || address.elements.size() != 2 || !is_text(address.elements[0]) ||
        !is_text(address.elements[1]))
        return std::nullopt;
    auto master = endpoint_of(address.elements[0].view(), address.elements[1].view());
    if (!master) return std::nullopt;
    answer.vote.master = std::move(*master);
    answer.vote.knows = true;
    return answer;
}

SentinelRefusal refusal_of(const RedisReply& error) noexcept {
    const std::string_view text = error.view();
    if (!error.is_error()) return SentinelRefusal::other;
    if (text.starts_with("WRONGPASS")) return SentinelRefusal::wrong_password;
    if (text.starts_with("NOAUTH")) return SentinelRefusal::wants_password;
    if (text.starts_with("NOPERM")) return SentinelRefusal::not_allowed;
    if (text.starts_with("ERR unknown command")) return SentinelRefusal::no_sentinel;
    if (text.starts_with("ERR AUTH <password> called without any password configured") ||
        text.starts_with("ERR Client sent AUTH, but no password is set"))  // before Redis 6
        return SentinelRefusal::no_password_set;
    return SentinelRefusal::other;
}

std::string_view text_of(SentinelRefusal refusal) noexcept {
    switch (refusal) {
    case SentinelRefusal::wrong_password: return "wrong password";
    case SentinelRefusal::wants_password: return "password wanted";
    case SentinelRefusal::no_password_set: return "no password set";
    case SentinelRefusal::no_sentinel: return "no sentinel";
    case SentinelRefusal::not_allowed: return "not allowed";
    case SentinelRefusal::other: return "bad answer";
    }
    return "?";
}

SentinelNews read_sentinel_news(const RedisReply& message, std::string_view master) {
    SentinelNews news;
    if (message.elements.size() != 3 || !is_text(message.elements[1]) ||
        !is_text(message.elements[2]))
        return news;
    news.word = message.elements[1].view();
    const auto words = words_of(message.elements[2].view(), 9);
    if (std::find(channels.begin(), channels.end(), news.word) == channels.end()) return news;
    if (news.word == "+switch-master") {
        if (words.size() != 5 || words[0] != master) return news;
        auto from = endpoint_of(words[1], words[2]);
        auto to = endpoint_of(words[3], words[4]);
        if (!from || !to) return news;
        news = {SentinelNews::Kind::switched, news.word, std::move(*from), std::move(*to)};
    } else if (news.word == "+promoted-slave" ||
               news.word == "+failover-state-send-slaveof-noone") {
        // "slave <name> <ip> <port> @ <master> <ip> <port>"
        if (words.size() != 8 || words[4] != "@" || words[5] != master) return news;
        auto from = endpoint_of(words[6], words[7]);
        auto to = endpoint_of(words[2], words[3]);
        if (!from || !to) return news;
        news = {SentinelNews::Kind::promoting, news.word, std::move(*from), std::move(*to)};
    } else if (news.word == "+sentinel") {
        const bool ours = words.size() >= 6 && words[4] == "@" && words[5] == master;
        if (ours) news.kind = SentinelNews::Kind::changed;
    } else if (words.size() >= 4 && words[0] == "master" && words[1] == master) {
        news.kind = SentinelNews::Kind::changed;
        if (news.word.ends_with("down")) news.kind = SentinelNews::Kind::state;
        if (news.word.starts_with("-failover-abort")) news.kind = SentinelNews::Kind::aborted;
    }
    return news;
}

std::span<const std::string_view> sentinel_channels() noexcept { return channels; }

}  // namespace baton
