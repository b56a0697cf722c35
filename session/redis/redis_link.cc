#include "session/redis/redis_link.h"

#include <charconv>
#include <utility>

#include "session/redis/redis_command.h"
#include "session/redis/redis_info.h"
#include "session/redis/redis_rights.h"
#include "session/redis/redis_scripts.h"

namespace baton {
namespace {

// How often a ready link is asked what it is. A server that was made a replica closes its
// connections, but not always; one that hangs does not.
constexpr std::chrono::seconds heartbeat_every{1};

constexpr int version_min = 7;  // PEXPIREAT … GT

// The questions of a greeting, all asked at once. `last` is the last of them: the scripts.
enum Tag : std::uint64_t {
    tag_auth = RedisLink::own_tags,
    tag_select,
    tag_name,
    tag_info,
    tag_role,
    tag_time,
    tag_script,
    tag_last_script,
    tag_heartbeat,
};

RedisLoss loss_of(RedisPipe::End end) noexcept {
    switch (end) {
    case RedisPipe::End::connect_slow:
    case RedisPipe::End::answer_slow: return RedisLoss::slow;
    case RedisPipe::End::bad_reply: return RedisLoss::bad_reply;
    case RedisPipe::End::too_large: return RedisLoss::too_large;
    default: return RedisLoss::no_connection;
    }
}

RedisLoss loss_of(const RedisReply& error) noexcept {
    switch (trouble_of(error)) {
    case RedisTrouble::not_master: return RedisLoss::not_master;
    case RedisTrouble::busy: return RedisLoss::busy;
    case RedisTrouble::refused: return RedisLoss::refused;
    default: return RedisLoss::bad_reply;
    }
}

// The right that a question of the greeting takes.
std::string_view right_of(std::uint64_t tag) noexcept {
    switch (tag) {
    case tag_auth: return "+auth";
    case tag_select: return "+select";
    case tag_info: return "+info";
    case tag_role: return "+role";
    case tag_time: return "+time";
    default: return "+script|load";
    }
}

// Of an error that nobody asked for. Without a word of its own it is about room.
RedisLoss loss_of_farewell(std::string_view text) {
    RedisReply error;
    error.type = RedisReply::Type::error;
    error.text = text;
    return trouble_of(error) == RedisTrouble::other ? RedisLoss::no_connection : loss_of(error);
}

}  // namespace

std::string_view text_of(RedisLoss loss) noexcept {
    switch (loss) {
    case RedisLoss::no_connection: return "no connection";
    case RedisLoss::slow: return "no answer in time";
    case RedisLoss::bad_reply: return "bad reply";
    case RedisLoss::too_large: return "reply too large";
    case RedisLoss::refused: return "refused";
    case RedisLoss::too_old: return "redis 7.0 or newer is required";
    case RedisLoss::not_master: return "not a master";
    case RedisLoss::busy: return "busy";
    }
    return "?";
}

std::string text_of(RedisLoss loss, std::string_view text) {
    std::string words{text_of(loss)};
    if (!text.empty()) words.append(": ").append(text);
    return words;
}

const RedisPipe::Events RedisLink::pipe_events = {
    [](void* link) { static_cast<RedisLink*>(link)->greet(); },
    [](void* link, std::uint64_t tag, std::span<RedisReply> replies) {
        static_cast<RedisLink*>(link)->on_answered(tag, replies);
    },
    [](void*, RedisReply&) {},  // nothing was subscribed to
    [](void* link, RedisPipe::End end, std::string_view text) {
        static_cast<RedisLink*>(link)->on_ended(end, text);
    },
};

RedisLink::RedisLink(Loop& loop, const RedisAccess& access, void* holder, const Events& events,
                     TcpCounts& counts)
    : loop_(loop),
      access_(access),
      holder_(holder),
      events_(&events),
      counts_(counts),
      second_(loop, *this) {}

void RedisLink::open(const Endpoint& to, const Address& known) {
    close();
    if (to != peer_) known_ = Address{};
    if (known.raw()->sa_family != AF_UNSPEC) known_ = known;
    peer_ = to;
    pipe_ =
        std::make_unique<RedisPipe>(loop_, to, known_, access_.times, this, pipe_events, counts_);
}

void RedisLink::close() noexcept {
    ready_ = false;
    second_.disarm();
    pipe_.reset();
}

// All at once: a greeting costs one round trip. What refuses us first decides.
void RedisLink::greet() {
    known_ = pipe_->address();
    denied_.clear();
    if (const auto auth = auth_command(access_.username, access_.password); !auth.empty())
        pipe_->ask(tag_auth, auth);
    if (access_.database != 0)
        pipe_->ask(tag_select, redis_command({"SELECT", std::to_string(access_.database)}));
    pipe_->ask(tag_name, redis_command({"CLIENT", "SETNAME", access_.client_name}));
    pipe_->ask(tag_info, redis_command({"INFO", "server"}));
    pipe_->ask(tag_role, redis_command({"ROLE"}));
    pipe_->ask(tag_time, redis_command({"TIME"}));
    for (const RedisScript script : redis_scripts) {
        const bool last = script == redis_scripts.back();
        pipe_->ask(last ? tag_last_script : tag_script,
                   redis_command({"SCRIPT", "LOAD", text_of(script)}));
    }
}

void RedisLink::on_answered(std::uint64_t tag, std::span<RedisReply> replies) {
    if (tag < own_tags) return events_->answered(holder_, tag, replies);
    if (tag == tag_heartbeat) return on_heartbeat(replies);
    on_greeting(tag, replies[0]);
}

void RedisLink::on_greeting(std::uint64_t tag, const RedisReply& reply) {
    if (tag == tag_name) return;  // a courtesy, which the user may not be allowed
    if (reply.is_error() && tag == tag_auth) return lose(RedisLoss::refused, error_word(reply));
    if (is_denied(reply)) {
        note_denied(right_of(tag));
    } else {
        if (reply.is_error() && !denied_.empty()) return lose_denied();
        if (reply.is_error()) return lose(loss_of(reply), log_text(reply));
        if (tag == tag_info && !check_version(reply)) return;
        if (tag == tag_role && !check_role(reply)) return;
        if (tag == tag_time && !take_clock(reply)) return lose(RedisLoss::bad_reply, "TIME");
    }
    if (tag != tag_last_script) return;
    if (!denied_.empty()) return lose_denied();
    ready_ = true;
    heartbeat_asked_ = false;
    second_.repeat(heartbeat_every);
    events_->ready(holder_);
}

// Of several that are missing each is named: an operator adds all of them at once.
void RedisLink::note_denied(std::string_view right) {
    if (denied_.find(right) != denied_.npos) return;
    denied_.append(denied_.empty() ? "" : " ").append(right);
}

void RedisLink::lose_denied() { lose(RedisLoss::refused, "NOPERM: the user lacks " + denied_); }

bool RedisLink::check_version(const RedisReply& info) {
    const std::string_view version = info_value(info.view(), "redis_version");
    int major = 0;
    std::from_chars(version.data(), version.data() + version.size(), major);
    if (major >= version_min) return true;
    lose(RedisLoss::too_old, version.empty() ? std::string_view{"found no version"} : version);
    return false;
}

// https://redis.io/commands/role/
bool RedisLink::check_role(const RedisReply& role) {
    const std::string_view word = role.elements.empty() ? role.view() : role.elements[0].view();
    if (word == "master") return true;
    lose(RedisLoss::not_master, word);
    return false;
}

bool RedisLink::take_clock(const RedisReply& time) noexcept {
    if (time.elements.size() != 2) return false;
    const std::int64_t seconds = time.elements[0].number(-1);
    const std::int64_t microseconds = time.elements[1].number(-1);
    if (seconds < 0 || microseconds < 0) return false;
    set_server_now_ms(seconds * 1000 + microseconds / 1000);
    return true;
}

void RedisLink::set_server_now_ms(std::int64_t server_ms) noexcept {
    loop_.look_at_clock();  // which stands during a turn
    clock_offset_ms_ = server_ms - static_cast<std::int64_t>(loop_.now());
}

void RedisLink::on_second() {
    if (std::exchange(heartbeat_asked_, true)) return;  // the pipe's time-out will tell
    pipe_->ask(tag_heartbeat, redis_command({"ROLE"}) + redis_command({"TIME"}), 2);
}

void RedisLink::on_heartbeat(std::span<RedisReply> replies) {
    heartbeat_asked_ = false;
    for (const RedisReply& reply : replies)
        if (reply.is_error()) return lose(loss_of(reply), log_text(reply));
    if (!check_role(replies[0])) return;
    if (!take_clock(replies[1])) lose(RedisLoss::bad_reply, "TIME");
}

void RedisLink::on_ended(RedisPipe::End end, std::string_view text) {
    if (end == RedisPipe::End::turned_away)
        return lose(loss_of_farewell(text), farewell_text(text, access_.password));
    // What the loss says already is not said again.
    std::string words;
    if (text_of(end) != text_of(loss_of(end))) words = text_of(end);
    if (!words.empty() && !text.empty()) words += ": ";
    words += text;
    lose(loss_of(end), words);
}

void RedisLink::lose(RedisLoss loss, std::string_view text) {
    const std::string copy{text};  // it may lie in the pipe
    close();
    events_->lost(holder_, loss, copy);
}

}  // namespace baton
