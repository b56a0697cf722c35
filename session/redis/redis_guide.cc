#include "session/redis/redis_guide.h"

#include <algorithm>
#include <array>
#include <utility>

#include "session/redis/redis_command.h"
#include "session/redis/redis_info.h"
#include "session/redis/redis_rights.h"
#include "session/redis/redis_scripts.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

// A password or an ACL that is mended is noticed within this.
constexpr std::chrono::milliseconds rest_of_the_refused = 2s;
// A server that says it is no master may become one, or Sentinel may not have heard yet.
constexpr std::chrono::milliseconds rest_of_replicas = 200ms;
// A failover that takes longer is none any more.
constexpr std::uint64_t failover_max_ms = 60'000;
// Asked at once: their answers take less than a connection's time-out.
constexpr std::size_t revocations_at_once = 1000;
// A write of our own: a session of no attributes, which has expired before the next one is tried.
constexpr std::int64_t probe_life_ms = 500;
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
// A Sentinel whose message led to no other master holds nobody up for this long.
constexpr std::uint64_t doubt_ms = 60'000;
// An address that was tried is forgotten after this.
constexpr std::uint64_t rests_known_ms = 60'000;

constexpr std::uint64_t tag_replication = 1;
constexpr std::uint64_t tag_revocation = 2;
constexpr std::uint64_t tag_settings = 3;
constexpr std::uint64_t tag_script = 4;
constexpr std::uint64_t tag_rights = 5;
constexpr std::uint64_t tag_probe = 6;

// Nothing that will pass by itself.
bool is_hopeless(RedisLoss loss) noexcept {
    return loss == RedisLoss::refused || loss == RedisLoss::too_old;
}

}  // namespace

std::string_view text_of(StoreState state) noexcept {
    switch (state) {
    case StoreState::ready: return "ready";
    case StoreState::read_only: return "readonly";
    case StoreState::failover: return "failover";
    case StoreState::down: return "down";
    }
    return "?";
}

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
    : loop_(loop), needs_(std::move(needs)), rest_(loop, *this), second_(loop, *this) {
    last_probe_.lane = uv_hrtime();
}

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
    if (announced_) return refuses_writes_ ? StoreState::read_only : StoreState::ready;
    const bool recent = ever_ready_ && loop_.now() < lost_at_ms_ + failover_max_ms;
    return recent ? StoreState::failover : StoreState::down;
}

StoreView RedisGuide::view() const {
    StoreView view;
    view.state = state();
    view.ever_ready = ever_ready_;
    const auto& shown = announced_ ? std::optional{last_->choice} : tried_;
    if (shown) {
        view.master = shown->master.text();
        view.epoch = shown->epoch;
    }
    if (!announced_) view.trouble = trouble_;
    view.dissent = dissent_;
    if (announced_) view.other_trouble = other_trouble_;
    view.missing_rights = missing_rights_;
    view.replicas = replicas_;
    if (sentinels_) view.sentinels = sentinels_->view();
    view.failovers = failovers_;
    view.last_failover_ms = last_failover_ms_;
    view.losses = losses_;
    view.data_losses = data_losses_;
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
        if (in_use && !round.out_of_date) give_up(all_hold_);
        return consider(round.candidates);
    }
    const auto& known = last_ ? std::optional{last_->choice} : tried_;
    if (!needs_.last_known || !known) {
        if (!announced_) trouble_ = text_of(round.why);
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
        if (!rests(choice.master)) return try_out(choice);
    }
    trial_.reset();
    if (announced_) announce();
}

void RedisGuide::keep(const MasterChoice& choice) {
    trial_.reset();
    if (last_->choice != choice) set_last(choice, true);
    if (announced_) announce();  // for a store that has lost its connection
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
    if (std::exchange(announced_, false)) {
        lost_at_ms_ = loop_.now();
        ++losses_;
        needs_.lead({});
    }
    set_last(contact.choice, true);
    master_ = std::move(trial_);
    std::erase_if(rests_, [&](const Rest& one) { return one.at == contact.choice.master; });
    all_hold_ = changes_hold_ = {};
    deposed_since_ms_.reset();
    trouble_.clear();
    other_trouble_.clear();
    missing_rights_.clear();
    replicas_.clear();
    ready_since_ms_ = loop_.now();
    to_revoke_ = revocations_.recent(loop_.now());
    revoking_.clear();
    refused_revocations_.clear();
    if (ready_at_ != master()->peer()) ask_settings();
    // A master that comes back empty has lost them, too. Who was away for long has missed their ends.
    if (loop_.now() >= lost_at_ms_ + failover_max_ms) keys_ = 0;
    probing_ = false;
    ask_replication();
    ask_rights();
    if (refuses_writes_) probe_writes();
    revoke();
}

// Sentinels that are not followed, and a master that is in use against the word of most of them.
void RedisGuide::note_dissent(const SentinelRound& round) {
    dissent_ = round.dissent;
    if (dissent_ && announced_ && dissent_warning_.due(loop_.now()))
        log::warn("session store: sentinels name another master",
                  {{"master", last_->choice.master.text()},
                   {"named", dissent_->master.text()},
                   {"sentinels", static_cast<std::int64_t>(dissent_->sentinels)},
                   {"known", static_cast<std::int64_t>(dissent_->known)}});
    if (!announced_ || !round.deposed) return deposed_since_ms_.reset();
    if (!deposed_since_ms_) deposed_since_ms_ = loop_.now();
    if (loop_.now() < *deposed_since_ms_ + deposed_hold_ms)
        begin(changes_hold_, deposed_step_ms, {});
}

// ------------------------------------------------------------ what Sentinels tell by themselves

// Nobody is left because of a message. But what is asked meanwhile might be answered by a master
// that is one no more.
void RedisGuide::on_told(const SentinelNews& news, const Endpoint& sentinel) {
    if (!announced_ || news.to == last_->choice.master) return;
    switch (news.kind) {
    case SentinelNews::Kind::switched: return begin(all_hold_, switch_hold_ms, sentinel);
    case SentinelNews::Kind::promoting:
        if (news.from == last_->choice.master) begin(changes_hold_, promotion_hold_ms, sentinel);
        return;
    case SentinelNews::Kind::aborted:
        if (changes_hold_.by == sentinel) give_up(changes_hold_);
        return;
    default: return;
    }
}

void RedisGuide::begin(Hold& hold, std::uint64_t ms, const Endpoint& by) {
    look_at_holds();
    const std::uint64_t now = loop_.now();
    std::erase_if(doubted_, [&](const auto& one) { return one.second <= now; });
    const bool doubted = std::any_of(doubted_.begin(), doubted_.end(),
                                     [&](const auto& one) { return one.first == by; });
    if (doubted) return;
    hold = {std::max(hold.until_ms, now + ms), by};
    lead();
}

// It led to no other master. Else a Sentinel that is wrong all the time would hold everybody up all
// the time.
void RedisGuide::give_up(Hold& hold) {
    if (hold.until_ms == 0) return;
    if (hold.by.port != 0) doubted_.emplace_back(hold.by, loop_.now() + doubt_ms);
    hold = {};
    lead();
}

// The stores know by themselves when it is over.
void RedisGuide::look_at_holds() {
    for (Hold* hold : {&all_hold_, &changes_hold_})
        if (hold->until_ms <= loop_.now()) give_up(*hold);
}

// ------------------------------------------------------------ while there is a master

void RedisGuide::ask_replication() {
    master()->ask(tag_replication,
                  redis_command({"INFO", "replication", "stats"}) + redis_command({"DBSIZE"}), 2);
}

void RedisGuide::note_replicas(std::string_view info) {
    replicas_.clear();
    for (const ReplicaLine& line : replica_lines(info))
        replicas_.push_back({std::string{line.host}.append(":").append(line.port),
                             std::string{line.state}, line.lag});
}

void RedisGuide::ask_settings() {
    std::string commands;
    for (const std::string_view name : risky_settings)
        append_command(commands, {"CONFIG", "GET", name});
    master()->ask(tag_settings, commands, std::size(risky_settings));
}

void RedisGuide::ask_rights() {
    std::string commands;
    append_rights_probes(commands, needs_.prefix);
    master()->ask(tag_rights, commands, static_cast<unsigned>(redis_rights().size()));
}

void RedisGuide::on_rights(std::span<const RedisReply> replies) {
    const std::string before =
        std::exchange(missing_rights_, missing_rights(replies, needs_.prefix));
    if (missing_rights_.empty()) return;
    if (missing_rights_ == before && !rights_warning_.due(loop_.now())) return;
    const std::string_view user = needs_.access.username;
    log::error("session store: the user lacks rights", {{"master", master()->peer().text()},
                                                        {"user", user.empty() ? "default" : user},
                                                        {"rights", missing_rights_}});
}

// A flush, or a master that came back empty: nothing breaks, but everybody is logged out. What the
// server has dropped by itself is not gone: sessions that were made together expire together. Its count
// begins anew when somebody resets it.
void RedisGuide::on_keys(std::int64_t keys, std::int64_t dropped) {
    constexpr std::int64_t worth_a_word = 100;
    const std::int64_t since = dropped >= dropped_ ? dropped - dropped_ : dropped;
    dropped_ = dropped;
    if (keys_ >= worth_a_word && keys_ - keys - since > keys_ / 2) {
        ++data_losses_;
        log::error("session store: most keys are gone",
                   {{"master", master()->peer().text()}, {"keys", keys}, {"before", keys_}});
    }
    keys_ = keys;
}

// Before anybody asks it for a session.
void RedisGuide::revoke() {
    if (!revoking_.empty()) return;
    if (to_revoke_.empty()) {
        if (!announced_) announce();
        return;
    }
    std::string commands;
    master()->ask(tag_script, redis_command({"SCRIPT", "LOAD", text_of(RedisScript::kill)}));
    while (!to_revoke_.empty() && revoking_.size() < revocations_at_once) {
        commands.clear();
        append_kill(commands, redis_key(needs_.prefix, to_revoke_.back()));
        master()->ask(tag_revocation, commands);
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
    if (!std::exchange(announced_, true)) {
        const Endpoint& at = master()->peer();
        const std::string epoch =
            last_->choice.epoch ? std::to_string(*last_->choice.epoch) : "none";
        if (ever_ready_ && ready_at_ != at) {
            ++failovers_;
            last_failover_ms_ = loop_.now();
            log::info("session store: new master",
                      {{"master", at.text()}, {"before", ready_at_.text()}, {"epoch", epoch}});
        }
        ever_ready_ = true;
        ready_at_ = at;
        if (!std::exchange(seen_ready_, true))
            log::info("session store ready", {{"master", at.text()}, {"epoch", epoch}});
    }
    lead();
}

void RedisGuide::lead() {
    if (!announced_) return;
    needs_.lead({.address = last_->choice.master,
                 .epoch = last_->choice.epoch.value_or(0),
                 .all_wait_until_ms = all_hold_.until_ms,
                 .changes_wait_until_ms = std::max(all_hold_.until_ms, changes_hold_.until_ms)});
}

// ------------------------------------------------------------ what goes wrong

void RedisGuide::on_lost(Contact& contact, RedisLoss loss, std::string_view text) {
    if (&contact == master_.get()) lose_master();
    if (announced_)
        other_trouble_ = contact.choice.master.text() + ": " + text_of(loss, text);
    else
        trouble_ = text_of(loss, text);
    warn(contact, loss, text);
    let_rest(contact.choice.master, loss);
}

void RedisGuide::lose_master() {
    if (std::exchange(announced_, false)) {
        lost_at_ms_ = loop_.now();
        ++losses_;
    }
    all_hold_ = changes_hold_ = {};
    replicas_.clear();
    missing_rights_.clear();
    set_last(last_->choice, false);
}

void RedisGuide::warn(const Contact& contact, RedisLoss loss, std::string_view text) {
    const std::string server = contact.choice.master.text();
    if (announced_) {
        if (trial_warning_.due(loop_.now()))
            log::warn("session store: the master that sentinels name cannot be used",
                      {{"named", server},
                       {"reason", text_of(loss, text)},
                       {"master", last_->choice.master.text()}});
        return;
    }
    log::OncePerMinute& warning = lost_warnings_[static_cast<std::size_t>(loss)];
    const bool due = warning.due(loop_.now());
    if (!std::exchange(seen_ready_, false) && !due) return;
    const log::Fields all = {{"master", server}, {"reason", text_of(loss)}, {"error", text}};
    const log::Fields reason = {{"master", server}, {"reason", text_of(loss)}};
    const log::Fields& fields = text.empty() ? reason : all;
    is_hopeless(loss) ? log::error("session store not ready", fields)
                      : log::warn("session store not ready", fields);
}

void RedisGuide::let_rest(const Endpoint& at, RedisLoss loss) {
    const std::uint64_t now = loop_.now();
    std::erase_if(rests_, [&](const Rest& one) {
        return one.at != at && one.until_ms + rests_known_ms <= now;
    });
    auto rest =
        std::find_if(rests_.begin(), rests_.end(), [&](const Rest& one) { return one.at == at; });
    if (rest == rests_.end()) rest = rests_.insert(rest, Rest{at, BackOff{uv_hrtime()}, 0});
    auto time = rest->back_off.next();
    if (is_hopeless(loss)) time = rest_of_the_refused;
    if (loss == RedisLoss::not_master || loss == RedisLoss::busy)
        time = std::max(time, rest_of_replicas);
    rest->until_ms = now + static_cast<std::uint64_t>(time.count());
    arm_rest(now);
}

bool RedisGuide::rests(const Endpoint& at) const noexcept {
    return std::any_of(rests_.begin(), rests_.end(),
                       [&](const Rest& one) { return one.at == at && one.until_ms > loop_.now(); });
}

// For the rest that is over first, of those that are at `from_ms` or later.
void RedisGuide::arm_rest(std::uint64_t from_ms) {
    std::optional<std::uint64_t> first;
    for (const Rest& one : rests_)
        if (one.until_ms >= from_ms) first = std::min(first.value_or(one.until_ms), one.until_ms);
    if (first) rest_.arm(std::chrono::milliseconds{*first - loop_.now()});
}

void RedisGuide::on_rest_over() {
    arm_rest(loop_.now() + 1);
    seek();
}

void RedisGuide::reported(const RedisReport& report) {
    switch (report.kind) {
    case RedisReport::Kind::wants_master: return seek();
    case RedisReport::Kind::killed: return on_killed(report.key);
    case RedisReport::Kind::refused: refuses_writes_ = true; return;
    case RedisReport::Kind::written: refuses_writes_ = false; return;
    case RedisReport::Kind::denied:
        // More of them may follow that are not told.
        ask_rights_until_ms_ = loop_.now() + 2000;
        if (master() != nullptr) ask_rights();
        return;
    }
}

// Nobody may write for a while, and the worker whose write was refused may be another one than that
// whose next write is not. So we write ourselves, with what a worker needs for its sessions.
void RedisGuide::probe_writes() {
    if (std::exchange(probing_, true)) return;
    ++last_probe_.count;
    std::string commands;
    append_create(commands, needs_.prefix + ":s:probe-" + needs_.access.client_name, {},
                  {.idle_ms = probe_life_ms, .slack_ms = 0, .absolute_ms = 0, .attributes = {}},
                  last_probe_);
    master()->ask(tag_script, redis_command({"SCRIPT", "LOAD", text_of(RedisScript::create)}));
    master()->ask(tag_probe, commands);
}

// Nothing else is a proof.
void RedisGuide::on_probed(const RedisReply& reply) {
    probing_ = false;
    const auto told = read_create(reply, {});
    if (told && told->kind == StoreAnswer::Kind::created) refuses_writes_ = false;
}

// The master before may have been the one that was told of it: a worker's report comes later.
void RedisGuide::on_killed(const SessionKey& key) {
    revocations_.add(key, loop_.now());
    if (master() == nullptr || loop_.now() >= ready_since_ms_ + late_reports_ms) return;
    to_revoke_.push_back(key);
    revoke();
}

void RedisGuide::on_second() {
    look_at_holds();
    if (master() == nullptr) return;
    ask_replication();
    // Whether they are there now, or are missing.
    if (!missing_rights_.empty() || loop_.now() < ask_rights_until_ms_) ask_rights();
    if (refuses_writes_) probe_writes();
    if (!revoking_.empty() || refused_revocations_.empty()) return;
    to_revoke_ = std::exchange(refused_revocations_, {});
    revoke();
}

void RedisGuide::on_answered(std::uint64_t tag, std::span<RedisReply> replies) {
    switch (tag) {
    case tag_replication:
        note_replicas(replies[0].view());
        if (replies[0].is_error() || replies[1].is_error()) return;  // of keys it says nothing
        return on_keys(replies[1].number(0), read_dropped_keys(replies[0].view()));
    case tag_revocation: return on_revoked(replies[0]);
    case tag_probe: return on_probed(replies[0]);
    case tag_settings: return on_settings(replies);
    case tag_rights: return on_rights(replies);
    default: return;
    }
}

// Once for each master. A user that may not ask them is no trouble.
void RedisGuide::on_settings(std::span<const RedisReply> replies) {
    const auto value = [&](std::string_view name) -> std::optional<std::string> {
        for (const RedisReply& reply : replies)
            if (reply.elements.size() == 2 && reply.elements[0].view() == name)
                return std::string{reply.elements[1].view()};
        return std::nullopt;
    };
    for (const std::string& warning : setting_warnings(value, sentinels_ != nullptr))
        log::warn("session store: risky setting",
                  {{"master", master()->peer().text()}, {"setting", warning}});
}

}  // namespace baton
