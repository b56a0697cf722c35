#include "session/redis/redis_guide.h"

#include <algorithm>
#include <utility>

#include "session/redis/redis_command.h"
#include "session/redis/redis_scripts.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

// A failover that takes longer is none any more.
constexpr std::uint64_t failover_max_ms = 60'000;
// Asked at once: their answers take less than a connection's time-out.
constexpr std::size_t revocations_at_once = 1000;
// How long after a master became ready a worker may still tell of what it did at the one before.
constexpr std::uint64_t late_reports_ms = 10'000;

// How long questions wait for the Sentinels' answers after one of them told of a switch.
constexpr std::uint64_t switch_hold_ms = 1000;
// How long changes wait after a Sentinel told of a promotion: it finds out within a second that the
// replica obeyed, and the others hear of it at once.
constexpr std::uint64_t promotion_hold_ms = 3000;
// How long changes wait at most while a majority names a newer master that cannot be used: the
// Sentinels make the old one a replica meanwhile.
constexpr std::uint64_t deposed_hold_ms = 10'000;
constexpr std::uint64_t deposed_step_ms = 1500;  // a round comes each second

constexpr std::uint64_t tag_revocation = 2;
constexpr std::uint64_t tag_script = 4;

}  // namespace

const RedisLink::Events RedisGuide::link_events = {
    [](void* contact) {
        auto& self = *static_cast<Contact*>(contact);
        self.guide->adopt(self);
    },
    [](void* contact, std::uint64_t tag, std::span<RedisReply> replies) {
        static_cast<Contact*>(contact)->guide->on_answered(tag, replies);
    },
    [](void* contact, RedisLoss loss, std::string_view text) {
        auto& self = *static_cast<Contact*>(contact);
        self.guide->on_lost(self, loss, text);
    },
};

const SentinelWatch::Events RedisGuide::sentinel_events = {
    [](void* guide, const SentinelRound& round) {
        static_cast<RedisGuide*>(guide)->on_found(round);
    },
    [](void* guide, const SentinelNews& news, const Endpoint& sentinel) {
        static_cast<RedisGuide*>(guide)->on_told(news, sentinel);
    },
};

RedisGuide::Contact::Contact(RedisGuide& its_guide, MasterChoice its_choice)
    : guide(&its_guide),
      choice(std::move(its_choice)),
      link(its_guide.loop_, its_guide.needs_.access, this, link_events, its_guide.tcp_) {}

RedisGuide::RedisGuide(Loop& loop, Needs needs)
    : loop_(loop),
      needs_(std::move(needs)),
      retry_(loop, *this),
      second_(loop, *this),
      monitor_(needs_.access, needs_.prefix, needs_.address.port == 0) {}

void RedisGuide::start() {
    if (needs_.address.port == 0)
        sentinels_ = std::make_unique<SentinelWatch>(
            SentinelNeeds{loop_, tcp_, needs_.sentinels, needs_.master, needs_.sentinel_username,
                          needs_.sentinel_password, needs_.access.times, needs_.discover},
            this, sentinel_events);
    second_.repeat(1s);
    seek();
}

StoreState RedisGuide::state() const noexcept {
    if (is_ready()) return monitor_.refuses_writes() ? StoreState::read_only : StoreState::ready;
    const bool recent = ever_ready() && loop_.now() < lost_at_ms_ + failover_max_ms;
    return recent ? StoreState::failover : StoreState::down;
}

StoreView RedisGuide::view() const {
    StoreView view;
    view.state = state();
    view.ever_ready = ever_ready();
    const auto& shown = is_ready() ? std::optional{last_->choice} : tried_;
    if (shown) {
        view.master = shown->master.text();
        view.epoch = shown->epoch;
    }
    if (!is_ready()) view.trouble = trouble_;
    view.dissent = dissent_;
    if (is_ready()) view.other_trouble = other_trouble_;
    view.missing_rights = monitor_.missing_rights();
    view.replicas = monitor_.replicas();
    if (sentinels_) view.sentinels = sentinels_->view();
    view.failovers = failovers_;
    view.last_failover_ms = last_failover_ms_;
    view.losses = losses_;
    view.data_losses = monitor_.data_losses();
    view.revocations = to_revoke_.size() + revoking_.size() + refused_revocations_.size();
    return view;
}

RedisLink* RedisGuide::master() const noexcept {
    return master_ != nullptr && master_->link.is_ready() ? &master_->link : nullptr;
}

// ------------------------------------------------------------ who is master

void RedisGuide::seek() {
    if (sentinels_) return sentinels_->ask_now();
    const MasterChoice only = {needs_.address, {}};
    consider({&only, 1});
}

void RedisGuide::on_found(const SentinelRound& round) {
    note_dissent(round);
    if (!round.candidates.empty()) {
        const bool in_use = master() != nullptr && round.candidates[0].master == master()->peer();
        if (in_use && !round.out_of_date) give_up(CommandHolds::Of::all);
        return consider(round.candidates);
    }
    const auto& known = last_ ? std::optional{last_->choice} : tried_;
    if (!needs_.last_known || !known) {
        if (!is_ready()) trouble_ = text_of(round.why);
        return;
    }
    consider({&*known, 1});
}

// The first of them that is of use is the master.
void RedisGuide::consider(std::span<const MasterChoice> candidates) {
    for (const MasterChoice& choice : candidates) {
        if (master() != nullptr && master()->peer() == choice.master) return keep(choice);
        if (trial_ != nullptr && trial_->link.is_open() && trial_->choice.master == choice.master) {
            trial_->choice = choice;
            return;
        }
        if (!delays_.has(choice.master, loop_.now())) return try_out(choice);
    }
    trial_.reset();
    if (is_ready()) announce();
}

void RedisGuide::keep(const MasterChoice& choice) {
    trial_.reset();
    if (last_->choice != choice) set_last(choice, true);
    if (is_ready()) announce();  // for a store that has lost its connection
}

void RedisGuide::try_out(const MasterChoice& choice) {
    tried_ = choice;
    Address known;
    for (const Contact* before : {master_.get(), trial_.get()})
        if (before != nullptr && before->choice.master == choice.master)
            known = before->link.known();
    trial_ = std::make_unique<Contact>(*this, choice);
    trial_->link.open(choice.master, known);
}

void RedisGuide::set_last(const MasterChoice& choice, bool reachable) {
    LastMaster next = {choice, reachable, {}};
    if (last_) {
        const bool other = last_->choice.master != choice.master;
        const bool overrules = other && choice.epoch <= last_->choice.epoch;
        next.overruled = overrules ? last_->choice : last_->overruled;
    }
    last_ = next;
    if (sentinels_) sentinels_->set_last(*last_);
}

// It is ready, and a master by its own word.
void RedisGuide::adopt(Contact& contact) {
    if (note_loss()) needs_.lead({});
    set_last(contact.choice, true);
    master_ = std::move(trial_);
    delays_.remove(contact.choice.master);
    holds_.clear();
    deposed_since_ms_.reset();
    trouble_.clear();
    other_trouble_.clear();
    ready_since_ms_ = loop_.now();
    to_revoke_ = revocations_.recent(loop_.now());
    revoking_.clear();
    refused_revocations_.clear();
    monitor_.begin(*master(), {.is_another = ready_at_ != master()->peer(),
                               .was_away_long = loop_.now() >= lost_at_ms_ + failover_max_ms});
    revoke();
}

// Sentinels that are not followed, and a master that is in use against the word of most of them.
void RedisGuide::note_dissent(const SentinelRound& round) {
    dissent_ = round.dissent;
    if (dissent_ && is_ready() && dissent_warning_.due(loop_.now()))
        log::warn("session store: sentinels name another master",
                  {{"master", last_->choice.master.text()},
                   {"named", dissent_->master.text()},
                   {"sentinels", static_cast<std::int64_t>(dissent_->sentinels)},
                   {"known", static_cast<std::int64_t>(dissent_->known)}});
    if (!is_ready() || !round.deposed) return deposed_since_ms_.reset();
    if (!deposed_since_ms_) deposed_since_ms_ = loop_.now();
    if (loop_.now() < *deposed_since_ms_ + deposed_hold_ms)
        hold(CommandHolds::Of::changes, deposed_step_ms, {});
}

// Nobody is left because of a message. But what is asked meanwhile might be answered by a master
// that is one no more.
void RedisGuide::on_told(const SentinelNews& news, const Endpoint& sentinel) {
    if (!is_ready() || news.to == last_->choice.master) return;
    switch (news.kind) {
    case SentinelNews::Kind::switched: return hold(CommandHolds::Of::all, switch_hold_ms, sentinel);
    case SentinelNews::Kind::promoting:
        if (news.from == last_->choice.master)
            hold(CommandHolds::Of::changes, promotion_hold_ms, sentinel);
        return;
    case SentinelNews::Kind::aborted:
        if (holds_.changes().by == sentinel) give_up(CommandHolds::Of::changes);
        return;
    default: return;
    }
}

void RedisGuide::hold(CommandHolds::Of what, std::uint64_t ms, const Endpoint& by) {
    if (holds_.begin(what, ms, by, loop_.now())) lead();
}

void RedisGuide::give_up(CommandHolds::Of what) {
    if (holds_.give_up(what, loop_.now())) lead();
}

// Before anybody asks it for a session.
void RedisGuide::revoke() {
    if (!revoking_.empty()) return;
    if (to_revoke_.empty()) {
        if (!is_ready()) announce();
        return;
    }
    master()->ask(tag_script, redis_command({"SCRIPT", "LOAD", text_of(RedisScript::kill)}));
    while (!to_revoke_.empty() && revoking_.size() < revocations_at_once) {
        std::string command;
        append_kill(command, redis_key(needs_.prefix, to_revoke_.back()));
        master()->ask(tag_revocation, command);
        revoking_.push_back(to_revoke_.back());
        to_revoke_.pop_back();
    }
}

void RedisGuide::on_revoked(const RedisReply& reply) {
    // Answered in the order they were asked.
    const RedisTrouble trouble = trouble_of(reply);
    if (trouble != RedisTrouble::none && trouble != RedisTrouble::wrong_type)
        refused_revocations_.push_back(revoking_.front());
    revoking_.pop_front();
    revoke();
}

// A failover takes the time until the master counts as down, and about 1.25 s more.
void RedisGuide::warn_of_wait() {
    if (sentinels_ == nullptr || needs_.failover_wait_ms == 0 || std::exchange(wait_judged_, true))
        return;
    constexpr std::int64_t failover_ms = 2000;
    std::int64_t down_after_ms = 0;
    for (const SentinelView& sentinel : sentinels_->view())
        down_after_ms = std::max(down_after_ms, sentinel.down_after_ms.value_or(0));
    if (down_after_ms == 0 || needs_.failover_wait_ms >= down_after_ms + failover_ms) return;
    log::warn("session store: failover_wait is shorter than a failover",
              {{"failover_wait_ms", needs_.failover_wait_ms},
               {"down_after_ms", down_after_ms},
               {"wanted_ms", down_after_ms + failover_ms}});
}

void RedisGuide::announce() {
    warn_of_wait();
    const Phase before = std::exchange(phase_, Phase::ready);
    if (before != Phase::ready) {
        const Endpoint& at = master()->peer();
        const std::string epoch =
            last_->choice.epoch ? std::to_string(*last_->choice.epoch) : "none";
        if (ever_ready() && ready_at_ != at) {
            ++failovers_;
            last_failover_ms_ = loop_.now();
            log::info("session store: new master",
                      {{"master", at.text()}, {"before", ready_at_.text()}, {"epoch", epoch}});
        }
        ready_at_ = at;
        if (before == Phase::down)
            log::info("session store ready", {{"master", at.text()}, {"epoch", epoch}});
    }
    lead();
}

void RedisGuide::lead() {
    if (!is_ready()) return;
    needs_.lead(
        {.address = last_->choice.master,
         .epoch = last_->choice.epoch.value_or(0),
         .all_wait_until_ms = holds_.all().until_ms,
         .changes_wait_until_ms = std::max(holds_.all().until_ms, holds_.changes().until_ms)});
}

// ------------------------------------------------------------ what goes wrong

void RedisGuide::on_lost(Contact& contact, RedisLoss loss, std::string_view text) {
    if (&contact == master_.get()) lose_master();
    if (is_ready())
        other_trouble_ = contact.choice.master.text() + ": " + text_of(loss, text);
    else
        trouble_ = text_of(loss, text);
    warn(contact, loss, text);
    delays_.add(contact.choice.master, loss, loop_.now());
    arm_retry(loop_.now());
}

// False if it was not ready.
bool RedisGuide::note_loss() {
    if (!is_ready()) return false;
    phase_ = Phase::lost;
    lost_at_ms_ = loop_.now();
    ++losses_;
    return true;
}

void RedisGuide::lose_master() {
    note_loss();
    holds_.clear();
    monitor_.end();
    set_last(last_->choice, false);
}

void RedisGuide::warn(const Contact& contact, RedisLoss loss, std::string_view text) {
    const std::string server = contact.choice.master.text();
    if (is_ready()) {
        if (trial_warning_.due(loop_.now()))
            log::warn("session store: the master that sentinels name cannot be used",
                      {{"named", server},
                       {"reason", text_of(loss, text)},
                       {"master", last_->choice.master.text()}});
        return;
    }
    log::OncePerMinute& warning = lost_warnings_[static_cast<std::size_t>(loss)];
    const bool due = warning.due(loop_.now());
    if (std::exchange(phase_, Phase::down) != Phase::lost && !due) return;
    const log::Fields all = {{"master", server}, {"reason", text_of(loss)}, {"error", text}};
    const log::Fields reason = {{"master", server}, {"reason", text_of(loss)}};
    const log::Fields& fields = text.empty() ? reason : all;
    is_hopeless(loss) ? log::error("session store not ready", fields)
                      : log::warn("session store not ready", fields);
}

// For the delay that ends first, of those that end at `from_ms` or later.
void RedisGuide::arm_retry(std::uint64_t from_ms) {
    if (const auto end_ms = delays_.next_end_ms(from_ms))
        retry_.arm(std::chrono::milliseconds{*end_ms - loop_.now()});
}

void RedisGuide::on_retry() {
    arm_retry(loop_.now() + 1);
    seek();
}

void RedisGuide::reported(const RedisReport& report) {
    switch (report.kind) {
    case RedisReport::Kind::wants_master: return seek();
    case RedisReport::Kind::killed: return on_killed(report.key);
    case RedisReport::Kind::refused: return monitor_.set_refuses_writes(true);
    case RedisReport::Kind::written: return monitor_.set_refuses_writes(false);
    case RedisReport::Kind::denied: return monitor_.on_denied(master(), loop_.now());
    }
}

// The master before may have been the one that was told of it: a worker's report comes later.
void RedisGuide::on_killed(const SessionKey& key) {
    revocations_.add(key, loop_.now());
    if (master() == nullptr || loop_.now() >= ready_since_ms_ + late_reports_ms) return;
    to_revoke_.push_back(key);
    revoke();
}

void RedisGuide::on_second() {
    // The stores know by themselves when a hold is over.
    if (holds_.give_up_expired(loop_.now())) lead();
    if (master() == nullptr) return;
    monitor_.on_second(*master(), loop_.now());
    if (!revoking_.empty() || refused_revocations_.empty()) return;
    to_revoke_ = std::exchange(refused_revocations_, {});
    revoke();
}

void RedisGuide::on_answered(std::uint64_t tag, std::span<RedisReply> replies) {
    if (tag == tag_revocation) return on_revoked(replies[0]);
    monitor_.on_answered(*master(), tag, replies, loop_.now());
}

}  // namespace baton
