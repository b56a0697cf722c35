#include "session/redis/redis_command.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <deque>
#include <utility>
#include <vector>

#include "session/contract.h"
#include "session/redis/redis_scripts.h"

namespace baton {
namespace {

using Kind = StoreAnswer::Kind;

// A session whose expiry is this near to its absolute deadline is at it: a touch would move nothing
// worth it. What is known of the server's clock is this exact and better.
constexpr std::int64_t cap_tolerance_ms = 1000;

constexpr std::size_t digits = 2 * sizeof(SessionKey::bytes);  // of a key

// The latest time of a command, as many digits whatever it is.
constexpr std::string_view never = "0000000000000000";

// Words of one command. Numbers are kept here until it is written.
class Words {
public:
    explicit Words(RedisScript script, std::string_view key, std::string_view second_key = {}) {
        add("EVALSHA").add(sha1_of(script)).add(second_key.empty() ? "1" : "2").add(key);
        if (!second_key.empty()) add(second_key);
    }
    Words& add(std::string_view word) {
        words_.push_back(word);
        return *this;
    }
    Words& add_number(std::int64_t number) {
        numbers_.push_back(std::to_string(number));
        return add(numbers_.back());
    }
    // With room for the latest time, at the end.
    void append_to(std::string& out) {
        add(never);
        append_command(out, words_);
    }

private:
    std::vector<std::string_view> words_;
    std::deque<std::string> numbers_;  // which do not move
};

std::size_t bytes_of(const Attributes& attributes) noexcept {
    std::size_t bytes = 0;
    for (const auto& [name, value] : attributes) bytes += name.size() + value.size();
    return bytes;
}

// {word, …}: the word; empty if it is none.
std::string_view word_of(const RedisReply& reply) noexcept {
    return reply.elements.empty() ? std::string_view{} : reply.elements[0].view();
}

// `alias` or, if it is empty, `otherwise`. Nothing if it is no id.
std::optional<StoreAnswer> moved(std::string_view alias, Kind otherwise) {
    if (alias.empty()) return StoreAnswer::of(otherwise);
    const auto id = parse_session_id(alias);
    if (!id) return std::nullopt;
    StoreAnswer told = StoreAnswer::of(Kind::moved);
    told.moved_to = *id;
    return told;
}

StoreAnswer with_names(Kind kind, const RedisReply& reply) {
    StoreAnswer told = StoreAnswer::of(kind);
    told.record.version = static_cast<std::uint64_t>(reply.elements[1].number(0));
    for (std::size_t i = 2; i < reply.elements.size() && told.names.size() < names_max; ++i)
        told.names.emplace_back(reply.elements[i].view());
    return told;
}

enum class FieldIs : std::uint8_t { ours, foreign, broken };

// One field of the hash into the record. It is foreign if nobody could have set an attribute of that
// name, and broken if an attribute lacks its version.
FieldIs take_field(std::string_view name, const RedisReply& value, SessionRecord& record,
                   std::int64_t& id_since_ms, std::int64_t& absolute_at_ms) {
    if (name.starts_with("a:")) {
        name.remove_prefix(2);
        if (!is_attribute_name(name, ContractLimits{}.name_max)) return FieldIs::foreign;
        const std::size_t colon = value.view().find(':');
        if (colon == std::string_view::npos) return FieldIs::broken;
        record.attributes.emplace_back(name, value.view().substr(colon + 1));
        return FieldIs::ours;
    }
    if (name == "_dv") return FieldIs::ours;
    if (name.size() != 2 || name[0] != '_') return FieldIs::foreign;
    switch (name[1]) {
    case 'v':
        record.version = static_cast<std::uint64_t>(std::max<std::int64_t>(value.number(0), 0));
        break;
    case 'c': record.created_ms = value.number(0); break;
    case 'i': record.idle_ms = value.number(0); break;
    case 'r': id_since_ms = value.number(0); break;
    case 'x': absolute_at_ms = value.number(0); break;
    case 'w':
    case 'n': break;
    default: return FieldIs::foreign;
    }
    return FieldIs::ours;
}

}  // namespace

RedisTrouble trouble_of(const RedisReply& reply) noexcept {
    if (!reply.is_error()) return RedisTrouble::none;
    const std::string_view text = reply.view();
    const std::string_view word = text.substr(0, text.find(' '));
    // Servers before 7.0 wrap what a script met in an error of their own.
    if (word == "MASTERDOWN" || text.find("READONLY") != text.npos) return RedisTrouble::not_master;
    if (word == "NOREPLICAS" || word == "OOM" || word == "MISCONF") return RedisTrouble::read_only;
    if (word == "LOADING" || word == "BUSY") return RedisTrouble::busy;
    if (word == "NOSCRIPT") return RedisTrouble::no_script;
    if (word == "WRONGTYPE") return RedisTrouble::wrong_type;
    if (word == "WRONGPASS" || word == "NOAUTH" || word == "NOPERM" || word == "DENIED")
        return RedisTrouble::refused;
    return RedisTrouble::other;
}

std::string_view log_text(const RedisReply& error) noexcept {
    // "ERR unknown command 'AUTH', with args beginning with: 'secret' "
    return error.view().substr(0, error.view().find(", with args"));
}

std::string_view error_word(const RedisReply& error) noexcept {
    const std::string_view word = error.view().substr(0, error.view().find(' '));
    const bool is_word =
        std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    return is_word ? word : "an error";
}

std::array<char, 8> redis_name(const TransactionId& transaction) noexcept {
    std::uint64_t name = short_name(transaction);
    std::array<char, 8> bytes;
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte, name >>= 8)
        *byte = static_cast<char>(name & 0xFF);
    return bytes;
}

std::string farewell_text(std::string_view text, std::string_view secret) {
    RedisReply error;
    error.type = RedisReply::Type::error;
    error.text = text;
    const bool shows_it = !secret.empty() && text.find(secret) != text.npos;
    return std::string{shows_it ? error_word(error) : log_text(error)};
}

std::string auth_command(std::string_view username, std::string_view password) {
    if (password.empty()) return {};
    if (username.empty()) return redis_command({"AUTH", password});
    return redis_command({"AUTH", username, password});
}

std::string redis_key(std::string_view prefix, const SessionKey& key) {
    std::string text{prefix};
    text.append(":s:").append(digits, '0');
    key.write_hex(text.data() + text.size() - digits);
    return text;
}

void append_load(std::string& out, std::string_view key) {
    append_command(out, {"HGETALL", key});
    append_command(out, {"PTTL", key});
}

LoadCommand::LoadCommand(std::string_view prefix) {
    const std::string key = redis_key(prefix, SessionKey{});
    append_load(bytes_, key);
    first_ = bytes_.find(key) + key.size() - digits;
    second_ = bytes_.rfind(key) + key.size() - digits;
}

std::string_view LoadCommand::of(const SessionKey& key) noexcept {
    key.write_hex(bytes_.data() + first_);
    bytes_.replace(second_, digits, bytes_, first_, digits);
    return bytes_;
}

void append_create(std::string& out, std::string_view key, std::string_view replaced,
                   const NewSession& session, const TransactionId& transaction) {
    Words words{RedisScript::create, key, replaced};
    const auto who = redis_name(transaction);
    words.add_number(session.idle_ms).add_number(session.slack_ms).add_number(session.absolute_ms);
    words.add({who.data(), who.size()});
    words.add_number(static_cast<std::int64_t>(bytes_of(session.attributes)));
    words.add_number(tombstone_ms);
    for (const auto& [name, value] : session.attributes) words.add(name).add(value);
    words.append_to(out);
}

void append_commit(std::string& out, std::string_view key, std::string_view to,
                   const SessionChange& change, const RedisLimits& limits) {
    Words words{RedisScript::commit, key, to};
    const auto who = redis_name(change.transaction);
    if (change.base)
        words.add_number(static_cast<std::int64_t>(*change.base));
    else
        words.add("");
    words.add_number(change.slack_ms);
    if (change.idle_ms > 0)
        words.add_number(change.idle_ms);
    else
        words.add("");
    words.add_number(static_cast<std::int64_t>(limits.attributes_max));
    words.add_number(static_cast<std::int64_t>(limits.data_max)).add({who.data(), who.size()});
    const bool alias = change.rotation && change.rotation->alias;
    words.add(alias ? change.rotation->alias->view() : std::string_view{});
    words.add_number(alias ? alias_ms : tombstone_ms);
    words.add_number(static_cast<std::int64_t>(change.set.size()));
    for (const auto& [name, value] : change.set) words.add(name).add(value);
    words.add_number(static_cast<std::int64_t>(change.unset.size()));
    for (const std::string& name : change.unset) words.add(name);
    words.add_number(static_cast<std::int64_t>(change.increments.size()));
    for (const Increment& one : change.increments) words.add(one.name).add_number(one.delta);
    words.add_number(static_cast<std::int64_t>(change.encoded_max));
    words.append_to(out);
}

void append_kill(std::string& out, std::string_view key) {
    Words{RedisScript::kill, key}.add_number(tombstone_ms).append_to(out);
}

void append_touch(std::string& out, std::string_view key, std::int64_t slack_ms) {
    Words{RedisScript::touch, key}.add_number(slack_ms).append_to(out);
}

void set_latest(std::string& out, std::int64_t server_ms) noexcept {
    // Before the end of the last word's line.
    auto digit = out.rbegin() + 2;
    for (std::size_t i = 0; i < never.size(); ++i, ++digit, server_ms /= 10)
        *digit = static_cast<char>('0' + server_ms % 10);
}

std::optional<std::int64_t> read_late(const RedisReply& reply) noexcept {
    if (reply.elements.size() != 2 || reply.elements[0].view() != "LATE") return std::nullopt;
    return reply.elements[1].number(0);
}

bool is_within(const RedisLimits& limits, const Attributes& attributes) noexcept {
    return attributes.size() <= limits.attributes_max && bytes_of(attributes) <= limits.data_max;
}

std::optional<StoreAnswer> read_load(std::span<const RedisReply> replies,
                                     std::int64_t server_now_ms, std::size_t& foreign) {
    if (replies.size() != 2 || !replies[0].is_array()) return std::nullopt;
    const std::vector<RedisReply>& fields = replies[0].elements;
    const std::int64_t ttl_ms = replies[1].number(-3);
    if (fields.size() % 2 != 0 || ttl_ms == -3) return std::nullopt;
    // Expired between the two commands; or a hash without expiry, which is none of ours.
    if (fields.empty() || ttl_ms < 0) return StoreAnswer::of(Kind::none);

    StoreAnswer live = StoreAnswer::of(Kind::live);
    SessionRecord& record = live.record;
    std::int64_t id_since_ms = 0;
    std::int64_t absolute_at_ms = 0;
    for (std::size_t i = 0; i < fields.size(); i += 2) {
        const std::string_view name = fields[i].view();
        if (name == "_to") return moved(fields[i + 1].view(), Kind::dead);
        switch (take_field(name, fields[i + 1], record, id_since_ms, absolute_at_ms)) {
        case FieldIs::ours: break;
        case FieldIs::foreign: ++foreign; break;
        case FieldIs::broken: return std::nullopt;
        }
    }
    if (record.version == 0 || record.idle_ms <= 0) return StoreAnswer::of(Kind::none);
    std::sort(record.attributes.begin(), record.attributes.end());
    record.ttl_ms = ttl_ms;
    record.id_age_ms = std::max<std::int64_t>(server_now_ms - id_since_ms, 0);
    record.capped =
        absolute_at_ms > 0 && server_now_ms + ttl_ms >= absolute_at_ms - cap_tolerance_ms;
    return live;
}

std::optional<StoreAnswer> read_create(const RedisReply& reply, NewSession session) {
    const std::string_view word = word_of(reply);
    if (word == "EXISTS") return StoreAnswer::of(Kind::exists);
    if (reply.elements.size() != 2) return std::nullopt;
    if (word == "MOVED" && !reply.elements[1].view().empty())
        return moved(reply.elements[1].view(), Kind::none);
    if (word != "OK") return std::nullopt;
    StoreAnswer created = StoreAnswer::of(Kind::created);
    SessionRecord& record = created.record;
    const std::int64_t at_most = session.idle_ms + session.slack_ms;
    record.version = 1;
    record.created_ms = reply.elements[1].number(0);
    record.idle_ms = session.idle_ms;
    record.capped = session.absolute_ms > 0 && session.absolute_ms <= at_most;
    record.ttl_ms = record.capped ? session.absolute_ms : at_most;
    record.attributes = std::move(session.attributes);
    return created;
}

std::optional<StoreAnswer> read_commit(const RedisReply& reply) {
    const std::string_view word = word_of(reply);
    if (word == "LIMIT") return StoreAnswer::of(Kind::limit);
    if (word == "LONG") return StoreAnswer::of(Kind::too_long);
    if (word == "EXISTS") return StoreAnswer::of(Kind::exists);
    if (reply.elements.size() < 2) return std::nullopt;
    if (word == "OK") return with_names(Kind::committed, reply);
    if (word == "CONFLICT") return with_names(Kind::conflict, reply);
    if (word == "NOTINT") return with_names(Kind::not_integer, reply);
    if (word == "MOVED") return moved(reply.elements[1].view(), Kind::gone);
    return std::nullopt;
}

std::optional<StoreAnswer> read_kill(const RedisReply& reply) {
    if (word_of(reply) != "MOVED" || reply.elements.size() != 2) return std::nullopt;
    return moved(reply.elements[1].view(), Kind::done);
}

}  // namespace baton
