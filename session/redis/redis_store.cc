#include "session/redis/redis_store.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "net/random.h"
#include "session/redis/redis_rights.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

// How often commands that wait are looked after.
constexpr std::chrono::milliseconds waiting_every = 50ms;
// A write that was refused for now is tried again after this ...
constexpr std::uint64_t refused_again_ms = 100;
// ... in the first moments of a new master, whose replicas are not back yet.
constexpr std::uint64_t settles_ms = 10'000;
// Touches can wait: none is sent for this long after a write was refused.
constexpr std::uint64_t touches_rest_ms = 1000;
// So many answers in a row that did not come in time are more than a hiccup: a longer rest.
constexpr unsigned slow_in_a_row_max = 5;
constexpr std::chrono::milliseconds rest_of_the_slow = 1s;
// How often a change that came too late is sent again: the server's clock may have jumped, and its word
// tells where it is now.
constexpr std::uint8_t late_max = 3;
// A wrong password does not become right by itself.
constexpr std::chrono::milliseconds rest_of_the_refused = 2s;

}  // namespace

const RedisLink::Events RedisStore::link_events = {
    [](void* store) { static_cast<RedisStore*>(store)->on_ready(); },
    [](void* store, std::uint64_t, std::span<RedisReply> replies) {
        static_cast<RedisStore*>(store)->on_answered(replies);
    },
    [](void* store, RedisLoss loss, std::string_view text) {
        static_cast<RedisStore*>(store)->on_lost(loss, text);
    },
};

RedisStore::RedisStore(Loop& loop, Needs needs)
    : loop_(loop),
      needs_(std::move(needs)),
      link_(loop, needs_.access, this, link_events, tcp_),
      load_command_(needs_.prefix),
      back_off_(random_number()),
      retry_(loop, *this),
      waiting_timer_(loop, *this),
      waiting_(needs_.wait_queue_max),
      reader_(loop, link_, counters_),
      lane_(random_number()) {}

void RedisStore::follow(const RedisMaster& master) {
    if (master.address != master_.address) switched_at_ms_ = loop_.now();
    master_ = master;
    if (master_.address.port == 0) {
        // Now, not when it notices: an old master may go on answering for seconds.
        link_.close();
        return put_aside();
    }
    if (link_.is_open() && link_.peer() == master_.address) {
        if (link_.is_ready()) on_waiting();  // what was held back
        return;
    }
    retry_.disarm();
    link_.open(master_.address);
    put_aside();
}

// For a change that has no name.
TransactionId RedisStore::next_transaction() noexcept { return {lane_, ++changes_}; }

StoreCommand RedisStore::command(Kind kind, const SessionKey& key, const StoreAsk& ask) const {
    StoreCommand command;
    command.kind = kind;
    command.ticket = ask.ticket;
    command.key = key;
    // A change is about a session that was found.
    command.known = kind == Kind::commit || kind == Kind::kill || reader_.has_seen(key);
    command.give_up_at_ms =
        loop_.now() + static_cast<std::uint64_t>(std::max<std::int64_t>(ask.wait_ms, 0));
    return command;
}

std::optional<StoreAnswer> RedisStore::load(const SessionKey& key, ShownBy, const StoreAsk& ask) {
    if (reader_.is_too_large(key)) return StoreAnswer::of(StoreAnswer::Kind::none);
    return ask_or_wait(command(Kind::load, key, ask));
}

std::optional<StoreAnswer> RedisStore::load_several(std::span<const SessionKey> keys, ShownBy,
                                                    const StoreAsk& ask) {
    StoreCommand load = command(Kind::load, keys.front(), ask);
    load.several.assign(keys.begin(), keys.end());
    for (const SessionKey& key : keys) {
        load.known = load.known || reader_.has_seen(key);
        // In place of one that rests one that nobody has is asked for.
        const bool rests = reader_.is_too_large(key);
        load.bytes.append(load_command_.of(rests ? SessionKey{} : key));
    }
    return ask_or_wait(std::move(load));
}

std::optional<StoreAnswer> RedisStore::create(const SessionKey& key, NewSession session,
                                              const StoreAsk& ask) {
    if (!is_within(needs_.limits, session.attributes))
        return StoreAnswer::of(StoreAnswer::Kind::limit);
    StoreCommand create = command(Kind::create, key, ask);
    create.script = RedisScript::create;
    if (session.replaces) create.ends = EndedId{*session.replaces, EndedId::As::dead};
    // Made for what a server wants to keep, not just because somebody came.
    create.known = session.replaces || !session.attributes.empty();
    const std::string replaced =
        session.replaces ? redis_key(needs_.prefix, *session.replaces) : std::string{};
    append_create(create.bytes, redis_key(needs_.prefix, key), replaced, session,
                  next_transaction());
    create.session = std::make_unique<NewSession>(std::move(session));
    return ask_or_wait(std::move(create));
}

std::optional<StoreAnswer> RedisStore::commit(const SessionKey& key, SessionChange change,
                                              const StoreAsk& ask) {
    StoreCommand commit = command(Kind::commit, key, ask);
    commit.script = RedisScript::commit;
    if (change.transaction == TransactionId{}) change.transaction = next_transaction();
    const std::string to =
        change.rotation ? redis_key(needs_.prefix, change.rotation->to) : std::string{};
    if (change.rotation)
        commit.ends = {key, change.rotation->alias ? EndedId::As::redirect : EndedId::As::dead};
    append_commit(commit.bytes, redis_key(needs_.prefix, key), to, change, needs_.limits);
    return ask_or_wait(std::move(commit));
}

std::optional<StoreAnswer> RedisStore::kill(const SessionKey& key, const StoreAsk& ask) {
    StoreCommand kill = command(Kind::kill, key, ask);
    kill.script = RedisScript::kill;
    kill.ends = EndedId{key, EndedId::As::dead};
    append_kill(kill.bytes, redis_key(needs_.prefix, key));
    return ask_or_wait(std::move(kill));
}

void RedisStore::touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t) {
    const bool rests = refused_at_ms_ != 0 && loop_.now() < refused_at_ms_ + touches_rest_ms;
    const bool held = loop_.now() < master_.changes_wait_until_ms;
    if (!link_.is_ready() || rests || held) return counters_.touches_dropped.add();
    if (!touching_.insert(key).second) return;
    StoreCommand touch = command(Kind::touch, key, {});
    touch.script = RedisScript::touch;
    append_touch(touch.bytes, redis_key(needs_.prefix, key), slack_ms);
    send(std::move(touch));
}

void RedisStore::forget(StoreTicket ticket) noexcept {
    for (std::deque<StoreCommand>* commands : {&asked_, &over_})
        for (StoreCommand& command : *commands)
            if (command.ticket == ticket) command.ticket = 0;
    std::erase_if(unsure_, [&](const StoreCommand& command) { return command.ticket == ticket; });
    waiting_.forget(ticket);
    counters_.waiting.set(waiting_.size());
}

std::optional<StoreAnswer> RedisStore::ask_or_wait(StoreCommand command) {
    // Whoever does not wait for a master that is away waits for the word of the Sentinels.
    command.give_up_at_ms = std::max(command.give_up_at_ms, held_until_ms(command));
    if (may_ask(command)) {
        send(std::move(command));
        return std::nullopt;
    }
    if (may_wait(command)) {
        wait(std::move(command));
        return std::nullopt;
    }
    counters_.unavailable.add();
    return StoreAnswer::of(StoreAnswer::Kind::unavailable);
}

// Until when it waits although there is a master; 0: it does not.
std::uint64_t RedisStore::held_until_ms(const StoreCommand& command) const noexcept {
    return command.kind == Kind::load ? master_.all_wait_until_ms : master_.changes_wait_until_ms;
}

bool RedisStore::may_ask(const StoreCommand& command) const noexcept {
    const std::uint64_t held_until = held_until_ms(command);
    return link_.is_ready() && (held_until == 0 || held_until <= loop_.now());
}

bool RedisStore::may_wait(const StoreCommand& command) {
    return command.give_up_at_ms > loop_.now() && waiting_.make_room(command, over_);
}

void RedisStore::send(StoreCommand command) {
    if (command.sends++ > 0) counters_.retries.add();
    if (command.kind == Kind::load) {
        const auto loads = static_cast<unsigned>(std::max<std::size_t>(command.several.size(), 1));
        const unsigned replies = 2 * loads;
        counters_.commands.add(replies);
        link_.ask(0, command.several.empty() ? load_command_.of(command.key) : command.bytes,
                  replies);
    } else {
        if (command.kind != Kind::script) {
            const auto answer_ms = needs_.access.times.answer.count();
            set_latest(command.bytes, link_.server_now_ms() + answer_ms);
            command.late_at_ms = loop_.now() + static_cast<std::uint64_t>(answer_ms);
        }
        counters_.commands.add();
        link_.ask(0, command.bytes);
    }
    asked_.push_back(std::move(command));
}

void RedisStore::wait(StoreCommand command) {
    keep_looking();
    counters_.waited.add();
    waiting_.add(std::move(command));
    counters_.waiting.set(waiting_.size());
}

void RedisStore::keep_looking() {
    if (!std::exchange(looking_, true)) waiting_timer_.repeat(waiting_every);
}

void RedisStore::answer(const StoreCommand& command, StoreAnswer answer) {
    if (command.kind == Kind::touch) touching_.erase(command.key);
    if (command.ticket != 0) answer_later(command.ticket, std::move(answer));
}

void RedisStore::answer_unavailable(const StoreCommand& command) {
    (command.kind == Kind::touch ? counters_.touches_dropped : counters_.unavailable).add();
    answer(command, StoreAnswer::of(StoreAnswer::Kind::unavailable));
}

// Nobody is told that a change was not made while what was sent before may still come to the server.
void RedisStore::give_up(StoreCommand command) {
    if (rests(command)) return answer(command, StoreAnswer::of(StoreAnswer::Kind::none));
    const bool is_over = command.kind == Kind::touch || command.unsure_until_ms <= loop_.now();
    if (is_over) return answer_unavailable(command);
    unsure_.push_back(std::move(command));
    keep_looking();
}

void RedisStore::on_ready() {
    counters_.connections.add();
    back_off_.reset();
    on_waiting();
}

void RedisStore::on_answered(std::span<RedisReply> replies) {
    StoreCommand command = std::move(asked_.front());
    asked_.pop_front();
    slow_in_a_row_ = 0;
    if (command.kind == Kind::script) return;
    const bool is_change = command.kind != Kind::load;
    if (const auto server_ms = is_change ? read_late(replies[0]) : std::nullopt)
        return on_late(std::move(command), *server_ms);
    if (command.several.empty() && replies[0].is_too_large())
        return on_too_large(std::move(command));
    for (const RedisReply& reply : replies)
        if (const RedisTrouble trouble = trouble_of(reply);
            trouble != RedisTrouble::none &&
            (command.several.empty() || trouble != RedisTrouble::wrong_type))
            return on_trouble(std::move(command), reply, trouble);
    auto told = read(command, replies);
    if (!told) {
        if (reply_warning_.due(loop_.now())) log::warn("session store: unexpected reply");
        return give_up(std::move(command));
    }
    note_done(command, *told);
    answer(command, std::move(*told));
}

std::optional<StoreAnswer> RedisStore::read(StoreCommand& command, std::span<RedisReply> replies) {
    switch (command.kind) {
    case Kind::load:
        if (!command.several.empty()) return reader_.read_several(command.several, replies);
        return reader_.read(command.key, replies);
    case Kind::create: return read_create(replies[0], std::move(*command.session));
    case Kind::commit: return read_commit(replies[0]);
    case Kind::kill: return read_kill(replies[0]);
    // 1: moved on; 0: no need to; -1: no session.
    default:
        return StoreAnswer::of(replies[0].number(0) == 1 ? StoreAnswer::Kind::done
                                                         : StoreAnswer::Kind::none);
    }
}

// The server's clock has jumped, or the change was long on its way. It was not made.
void RedisStore::on_late(StoreCommand command, std::int64_t server_ms) {
    link_.set_server_now_ms(server_ms);
    if (command.kind == Kind::touch || ++command.came_late > late_max)
        return give_up(std::move(command));
    send(std::move(command));
}

// Of this one command alone: for the client there is no session. As each try costs the server as much
// as it does us, the next one waits.
void RedisStore::on_too_large(StoreCommand command) {
    reader_.note_too_large(command.key);
    if (command.kind != Kind::load) return give_up(std::move(command));
    answer(command, StoreAnswer::of(StoreAnswer::Kind::none));
}

// Of several each is told by itself.
bool RedisStore::rests(const StoreCommand& command) const {
    return command.kind == Kind::load && command.several.empty() &&
           reader_.is_too_large(command.key);
}

// Writes are done again, if this one takes memory: to end a session or to move its expiry on takes
// none. Ids that are dead stay so, whatever master comes next.
void RedisStore::note_done(const StoreCommand& command, const StoreAnswer& told) {
    const bool written =
        told.kind == StoreAnswer::Kind::created || told.kind == StoreAnswer::Kind::committed;
    if (written && std::exchange(refused_at_ms_, 0) != 0)
        needs_.report({RedisReport::Kind::written});
    if (!command.ends || (!written && told.kind != StoreAnswer::Kind::done)) return;
    const auto& [key, as] = *command.ends;
    reader_.forget_too_large(key);
    note_ended(key);
    if (as == EndedId::As::dead) needs_.report({RedisReport::Kind::killed, key});
}

void RedisStore::on_trouble(StoreCommand command, const RedisReply& reply, RedisTrouble trouble) {
    switch (trouble) {
    case RedisTrouble::not_master:
        // Nor will it carry out what was asked behind this.
        for (StoreCommand& behind : asked_) behind.late_at_ms = 0;
        [[fallthrough]];
    case RedisTrouble::busy:
        command.late_at_ms = 0;
        asked_.push_front(std::move(command));
        return leave(trouble == RedisTrouble::busy ? RedisLoss::busy : RedisLoss::not_master,
                     log_text(reply));
    case RedisTrouble::read_only: return on_refused(std::move(command), log_text(reply));
    case RedisTrouble::no_script:
        if (command.scripts_loaded++ == 3) break;
        {
            StoreCommand load;
            load.kind = Kind::script;
            append_command(load.bytes, {"SCRIPT", "LOAD", text_of(command.script)});
            send(std::move(load));
        }
        return send(std::move(command));
    case RedisTrouble::wrong_type:
        counters_.foreign.add();
        switch (command.kind) {
        case Kind::load: return answer(command, StoreAnswer::of(StoreAnswer::Kind::none));
        case Kind::create: return answer(command, StoreAnswer::of(StoreAnswer::Kind::exists));
        case Kind::kill: return answer(command, StoreAnswer::of(StoreAnswer::Kind::done));
        default: return answer(command, StoreAnswer::of(StoreAnswer::Kind::gone));
        }
    default: break;
    }
    if (is_denied(reply) && denied_report_.due(loop_.now()))
        needs_.report({RedisReport::Kind::denied});
    if (reply_warning_.due(loop_.now()))
        log::error("session store: the server refuses a command", {{"error", log_text(reply)}});
    give_up(std::move(command));
}

void RedisStore::on_refused(StoreCommand command, std::string_view text) {
    counters_.refusals.add();
    refused_at_ms_ = loop_.now();
    if (refused_report_.due(loop_.now())) needs_.report({RedisReport::Kind::refused});
    if (refused_warning_.due(loop_.now()))
        log::warn("session store: the server refuses writes", {{"error", text}});
    const bool settles =
        text.starts_with("NOREPLICAS") && loop_.now() < switched_at_ms_ + settles_ms;
    if (command.kind == Kind::touch || !settles || !may_wait(command))
        return give_up(std::move(command));
    command.not_before_ms = loop_.now() + refused_again_ms;
    wait(std::move(command));
}

void RedisStore::leave(RedisLoss loss, std::string_view text) {
    const std::string copy{text};
    link_.close();
    on_lost(loss, copy);
}

void RedisStore::on_lost(RedisLoss loss, std::string_view text) {
    counters_.losses.add();
    if (loss_warning_.due(loop_.now()))
        log::info("session store: connection of a worker lost",
                  {{"master", link_.peer().text()}, {"reason", text_of(loss, text)}});
    auto rest = back_off_.next();
    if (loss == RedisLoss::slow && ++slow_in_a_row_ >= slow_in_a_row_max)
        rest = std::max(rest, rest_of_the_slow);
    if (loss == RedisLoss::refused || loss == RedisLoss::too_old) rest = rest_of_the_refused;
    if (loss == RedisLoss::not_master || loss == RedisLoss::busy) rest = std::max(rest, 200ms);
    retry_.arm(rest);
    // Asked again and again it would end each connection.
    if (loss == RedisLoss::too_large && !asked_.empty()) {
        StoreCommand& too_large = asked_.front();
        too_large.give_up_at_ms = 0;
        if (too_large.several.empty()) reader_.note_too_large(too_large.key);
    } else if (loss == RedisLoss::bad_reply && !asked_.empty()) {
        if (++asked_.front().bad_replies > 1) asked_.front().give_up_at_ms = 0;
    }
    put_aside();
}

// What was asked and not answered waits for the next connection, before all that waits already; what
// may not wait any longer is answered.
void RedisStore::put_aside() {
    std::deque<StoreCommand> open = std::exchange(asked_, {});
    std::deque<StoreCommand> done;
    while (!open.empty()) {
        StoreCommand command = std::move(open.back());
        open.pop_back();
        if (command.kind == Kind::script) continue;
        command.scripts_loaded = 0;
        command.unsure_until_ms = std::max(command.unsure_until_ms, command.late_at_ms);
        if (command.kind == Kind::touch || command.give_up_at_ms <= loop_.now() || rests(command))
            done.push_front(std::move(command));
        else
            waiting_.add_first(std::move(command));
    }
    std::move(done.begin(), done.end(), std::back_inserter(over_));
    waiting_.drop_excess(over_);
    counters_.waiting.set(waiting_.size());
    if (!waiting_.empty()) keep_looking();
    answer_over();
}

// One after the other: who is answered may forget another one of them.
void RedisStore::answer_over() {
    while (!over_.empty()) {
        StoreCommand command = std::move(over_.front());
        over_.pop_front();
        give_up(std::move(command));
    }
}

void RedisStore::on_retry() {
    if (!link_.is_open()) needs_.report({RedisReport::Kind::wants_master});
}

// Sends what can be sent, and answers what has waited long enough.
void RedisStore::on_waiting() {
    std::deque<StoreCommand> before = waiting_.take_all();
    for (StoreCommand& command : before) {
        if (may_ask(command) && command.not_before_ms <= loop_.now())
            send(std::move(command));
        else if (std::max(command.give_up_at_ms, held_until_ms(command)) <= loop_.now())
            over_.push_back(std::move(command));
        else
            waiting_.add(std::move(command));
    }
    counters_.waiting.set(waiting_.size());
    const auto still = std::stable_partition(
        unsure_.begin(), unsure_.end(),
        [&](const StoreCommand& command) { return command.unsure_until_ms > loop_.now(); });
    std::move(still, unsure_.end(), std::back_inserter(over_));
    unsure_.erase(still, unsure_.end());
    if (waiting_.empty() && unsure_.empty()) {
        waiting_timer_.disarm();
        looking_ = false;
    }
    answer_over();
}

}  // namespace baton
