#include "session/redis_store.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "net/check.h"
#include "session/redis_rights.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

// How often questions that wait are looked after.
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
// A wrong password does not become right by itself.
constexpr std::chrono::milliseconds rest_of_the_refused = 2s;

std::uint64_t random_lane() noexcept {
    std::uint64_t lane = 0;
    if (getrandom(&lane, sizeof lane, 0) != sizeof lane) die("the kernel gives no random bytes");
    return lane;
}

StoreAnswer only(StoreAnswer::Kind kind) {
    StoreAnswer answer;
    answer.kind = kind;
    return answer;
}

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
      back_off_(random_lane()),
      retry_(loop, *this),
      waiting_timer_(loop, *this),
      lane_(random_lane()) {}

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

RedisStore::Question RedisStore::question(Kind kind, const SessionKey& key,
                                          const StoreAsk& ask) const {
    Question question;
    question.kind = kind;
    question.ticket = ask.ticket;
    question.key = key;
    question.give_up_at_ms =
        loop_.now() + static_cast<std::uint64_t>(std::max<std::int64_t>(ask.wait_ms, 0));
    return question;
}

std::optional<StoreAnswer> RedisStore::load(const SessionKey& key, ShownBy, const StoreAsk& ask) {
    return ask_or_wait(question(Kind::load, key, ask));
}

std::optional<StoreAnswer> RedisStore::load_several(std::span<const SessionKey> keys, ShownBy,
                                                    const StoreAsk& ask) {
    Question load = question(Kind::load, keys.front(), ask);
    load.loads = static_cast<std::uint8_t>(keys.size());
    for (const SessionKey& key : keys) load.command.append(load_command_.of(key));
    return ask_or_wait(std::move(load));
}

std::optional<StoreAnswer> RedisStore::create(const SessionKey& key, NewSession session,
                                              const StoreAsk& ask) {
    if (!is_within(needs_.limits, session.attributes)) return only(StoreAnswer::Kind::limit);
    Question create = question(Kind::create, key, ask);
    create.script = RedisScript::create;
    append_create(create.command, redis_key(needs_.prefix, key), session, next_transaction());
    create.session = std::make_unique<NewSession>(std::move(session));
    return ask_or_wait(std::move(create));
}

std::optional<StoreAnswer> RedisStore::commit(const SessionKey& key, SessionChange change,
                                              const StoreAsk& ask) {
    Question commit = question(Kind::commit, key, ask);
    commit.script = RedisScript::commit;
    if (change.transaction == TransactionId{}) change.transaction = next_transaction();
    const std::string to =
        change.rotation ? redis_key(needs_.prefix, change.rotation->to) : std::string{};
    commit.ends_id = change.rotation && !change.rotation->alias;
    append_commit(commit.command, redis_key(needs_.prefix, key), to, change, needs_.limits);
    return ask_or_wait(std::move(commit));
}

std::optional<StoreAnswer> RedisStore::kill(const SessionKey& key, const StoreAsk& ask) {
    Question kill = question(Kind::kill, key, ask);
    kill.script = RedisScript::kill;
    append_kill(kill.command, redis_key(needs_.prefix, key));
    return ask_or_wait(std::move(kill));
}

void RedisStore::touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t) {
    const bool rests = refused_at_ms_ != 0 && loop_.now() < refused_at_ms_ + touches_rest_ms;
    const bool held = loop_.now() < master_.changes_wait_until_ms;
    if (!link_.is_ready() || rests || held) return counters_.touches_dropped.add();
    if (!touching_.insert(key).second) return;
    Question touch = question(Kind::touch, key, {});
    touch.script = RedisScript::touch;
    append_touch(touch.command, redis_key(needs_.prefix, key), slack_ms);
    send(std::move(touch));
}

void RedisStore::forget(StoreTicket ticket) noexcept {
    for (std::deque<Question>* questions : {&asked_, &over_})
        for (Question& question : *questions)
            if (question.ticket == ticket) question.ticket = 0;
    // What a server has asked for is done without its client, too.
    std::erase_if(waiting_, [&](Question& question) {
        if (question.ticket != ticket) return false;
        question.ticket = 0;
        return question.kind == Kind::load;
    });
    counters_.waiting.set(waiting_.size());
}

std::optional<StoreAnswer> RedisStore::ask_or_wait(Question question) {
    // Whoever does not wait for a master that is away waits for the word of the Sentinels.
    question.give_up_at_ms = std::max(question.give_up_at_ms, held_until_ms(question));
    if (may_ask(question)) {
        send(std::move(question));
        return std::nullopt;
    }
    if (may_wait(question)) {
        wait(std::move(question));
        return std::nullopt;
    }
    counters_.unavailable.add();
    return only(StoreAnswer::Kind::unavailable);
}

// Until when it waits although there is a master; 0: it does not.
std::uint64_t RedisStore::held_until_ms(const Question& question) const noexcept {
    return question.kind == Kind::load ? master_.all_wait_until_ms : master_.changes_wait_until_ms;
}

bool RedisStore::may_ask(const Question& question) const noexcept {
    const std::uint64_t held_until = held_until_ms(question);
    return link_.is_ready() && (held_until == 0 || held_until <= loop_.now());
}

bool RedisStore::may_wait(const Question& question) const noexcept {
    return question.give_up_at_ms > loop_.now() && waiting_.size() < needs_.wait_queue_max;
}

void RedisStore::send(Question question) {
    if (question.asked_before) counters_.retries.add();
    question.asked_before = true;
    if (question.kind == Kind::load) {
        const unsigned replies = 2U * question.loads;
        counters_.commands.add(replies);
        link_.ask(0, question.loads == 1 ? load_command_.of(question.key) : question.command,
                  replies);
    } else {
        counters_.commands.add();
        link_.ask(0, question.command);
    }
    asked_.push_back(std::move(question));
}

void RedisStore::wait(Question question) {
    if (waiting_.empty()) waiting_timer_.repeat(waiting_every);
    counters_.waited.add();
    waiting_.push_back(std::move(question));
    counters_.waiting.set(waiting_.size());
}

void RedisStore::answer(const Question& question, StoreAnswer answer) {
    if (question.kind == Kind::touch) touching_.erase(question.key);
    if (question.ticket != 0) answer_later(question.ticket, std::move(answer));
}

void RedisStore::answer_unavailable(const Question& question) {
    (question.kind == Kind::touch ? counters_.touches_dropped : counters_.unavailable).add();
    answer(question, only(StoreAnswer::Kind::unavailable));
}

void RedisStore::on_ready() {
    counters_.connections.add();
    back_off_.reset();
    on_waiting();
}

void RedisStore::on_answered(std::span<RedisReply> replies) {
    Question question = std::move(asked_.front());
    asked_.pop_front();
    slow_in_a_row_ = 0;
    if (question.kind == Kind::script) return;
    for (const RedisReply& reply : replies)
        if (const RedisTrouble trouble = trouble_of(reply);
            trouble != RedisTrouble::none &&
            (question.loads == 1 || trouble != RedisTrouble::wrong_type))
            return on_trouble(std::move(question), reply, trouble);
    auto told = read(question, replies);
    if (!told) {
        if (reply_warning_.due(loop_.now())) log::warn("session store: unexpected reply");
        return answer_unavailable(question);
    }
    note_done(question, *told);
    answer(question, std::move(*told));
}

// One that cannot be read is no session; the others are told all the same.
StoreAnswer RedisStore::read_loads(std::span<RedisReply> replies) {
    StoreAnswer told = only(StoreAnswer::Kind::several);
    for (std::size_t i = 0; i + 1 < replies.size(); i += 2) {
        if (trouble_of(replies[i]) == RedisTrouble::wrong_type) counters_.foreign.add();
        auto one = read_load(replies.subspan(i, 2), link_.server_now_ms());
        told.each.push_back(one ? std::move(*one) : only(StoreAnswer::Kind::none));
    }
    return told;
}

std::optional<StoreAnswer> RedisStore::read(Question& question, std::span<RedisReply> replies) {
    switch (question.kind) {
    case Kind::load:
        if (question.loads > 1) return read_loads(replies);
        return read_load(replies, link_.server_now_ms());
    case Kind::create: return read_create(replies[0], std::move(*question.session));
    case Kind::commit: return read_commit(replies[0]);
    case Kind::kill: return read_kill(replies[0]);
    // 1: moved on; 0: no need to; -1: no session.
    default:
        return only(replies[0].number(0) == 1 ? StoreAnswer::Kind::done : StoreAnswer::Kind::none);
    }
}

// Writes are done again; ids that are dead stay so, whatever master comes next.
void RedisStore::note_done(const Question& question, const StoreAnswer& told) {
    if (question.kind == Kind::load) return;
    const bool written = told.kind == StoreAnswer::Kind::created ||
                         told.kind == StoreAnswer::Kind::committed ||
                         told.kind == StoreAnswer::Kind::done;
    if (written && std::exchange(refused_at_ms_, 0) != 0)
        needs_.report({RedisReport::Kind::written});
    const bool killed = question.kind == Kind::kill && told.kind == StoreAnswer::Kind::done;
    const bool rotated = question.ends_id && told.kind == StoreAnswer::Kind::committed;
    if (!killed && !rotated) return;
    note_ended(question.key);
    needs_.report({RedisReport::Kind::killed, question.key});
}

void RedisStore::on_trouble(Question question, const RedisReply& reply, RedisTrouble trouble) {
    switch (trouble) {
    case RedisTrouble::not_master:
    case RedisTrouble::busy:
        asked_.push_front(std::move(question));
        return leave(trouble == RedisTrouble::busy ? RedisLoss::busy : RedisLoss::not_master,
                     log_text(reply));
    case RedisTrouble::read_only: return on_refused(std::move(question), log_text(reply));
    case RedisTrouble::no_script:
        if (question.scripts_loaded++ == 3) break;
        {
            Question load;
            load.kind = Kind::script;
            append_command(load.command, {"SCRIPT", "LOAD", text_of(question.script)});
            send(std::move(load));
        }
        return send(std::move(question));
    case RedisTrouble::wrong_type:
        counters_.foreign.add();
        switch (question.kind) {
        case Kind::load: return answer(question, only(StoreAnswer::Kind::none));
        case Kind::create: return answer(question, only(StoreAnswer::Kind::exists));
        case Kind::kill: return answer(question, only(StoreAnswer::Kind::done));
        default: return answer(question, only(StoreAnswer::Kind::gone));
        }
    default: break;
    }
    if (is_denied(reply) && denied_report_.due(loop_.now()))
        needs_.report({RedisReport::Kind::denied});
    if (reply_warning_.due(loop_.now()))
        log::error("session store: the server refuses a command", {{"error", log_text(reply)}});
    answer_unavailable(question);
}

void RedisStore::on_refused(Question question, std::string_view text) {
    counters_.refusals.add();
    refused_at_ms_ = loop_.now();
    if (refused_report_.due(loop_.now())) needs_.report({RedisReport::Kind::refused});
    if (refused_warning_.due(loop_.now()))
        log::warn("session store: the server refuses writes", {{"error", text}});
    const bool settles =
        text.starts_with("NOREPLICAS") && loop_.now() < switched_at_ms_ + settles_ms;
    if (question.kind == Kind::touch || !settles || !may_wait(question))
        return answer_unavailable(question);
    question.not_before_ms = loop_.now() + refused_again_ms;
    wait(std::move(question));
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
    put_aside();
}

// What was asked and not answered waits for the next connection, before all that waits already; what
// may not wait any longer is answered.
void RedisStore::put_aside() {
    std::deque<Question> open = std::exchange(asked_, {});
    std::deque<Question> done;
    while (!open.empty()) {
        Question question = std::move(open.back());
        open.pop_back();
        if (question.kind == Kind::script) continue;
        question.scripts_loaded = 0;
        if (question.kind == Kind::touch || question.give_up_at_ms <= loop_.now())
            done.push_front(std::move(question));
        else
            waiting_.push_front(std::move(question));
    }
    counters_.waiting.set(waiting_.size());
    if (!waiting_.empty()) waiting_timer_.repeat(waiting_every);
    std::move(done.begin(), done.end(), std::back_inserter(over_));
    answer_over();
}

// One after the other: who is answered may forget another one of them.
void RedisStore::answer_over() {
    while (!over_.empty()) {
        const Question question = std::move(over_.front());
        over_.pop_front();
        answer_unavailable(question);
    }
}

void RedisStore::on_retry() {
    if (!link_.is_open()) needs_.report({RedisReport::Kind::wants_master});
}

// Sends what can be sent, and answers what has waited long enough.
void RedisStore::on_waiting() {
    std::deque<Question> before = std::exchange(waiting_, {});
    for (Question& question : before) {
        if (may_ask(question) && question.not_before_ms <= loop_.now())
            send(std::move(question));
        else if (std::max(question.give_up_at_ms, held_until_ms(question)) <= loop_.now())
            over_.push_back(std::move(question));
        else
            waiting_.push_back(std::move(question));
    }
    counters_.waiting.set(waiting_.size());
    if (waiting_.empty()) waiting_timer_.disarm();
    answer_over();
}

}  // namespace baton
