#include "session/redis_guide.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "session/redis_command.h"
#include "session/redis_scripts.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds rest_of_the_refused = 5s;
// A server that says it is no master may become one, or Sentinel may not have heard yet.
constexpr std::chrono::milliseconds rest_of_replicas = 200ms;
// A failover that takes longer is none any more.
constexpr std::uint64_t failover_max_ms = 60'000;
// Asked at once: their answers take less than a connection's time-out.
constexpr std::size_t revocations_at_once = 1000;
// How long writes count as refused after the last one that was: the worker that tells of it may have
// no other write soon.
constexpr std::uint64_t refused_shown_ms = 10'000;
// How long after a master became ready a worker may still tell of what it did at the one before.
constexpr std::uint64_t late_reports_ms = 10'000;

constexpr std::uint64_t tag_replication = 1;
constexpr std::uint64_t tag_revocation = 2;
constexpr std::uint64_t tag_settings = 3;
constexpr std::uint64_t tag_script = 4;

std::string command(std::initializer_list<std::string_view> words) {
    std::string out;
    append_command(out, words);
    return out;
}

// The value of "name=value" in a line of values separated by commas.
std::string_view item(std::string_view line, std::string_view name) noexcept {
    while (!line.empty()) {
        const std::string_view one = line.substr(0, line.find(','));
        line.remove_prefix(std::min(one.size() + 1, line.size()));
        if (one.starts_with(name) && one.substr(name.size()).starts_with('='))
            return one.substr(name.size() + 1);
    }
    return {};
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

std::vector<StoreView::Replica> read_replicas(std::string_view info) {
    std::vector<StoreView::Replica> replicas;
    while (!info.empty()) {
        std::string_view line = info.substr(0, info.find('\n'));
        info.remove_prefix(std::min(line.size() + 1, info.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        // "slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=0"
        if (!line.starts_with("slave") || line.size() < 6 || line[5] < '0' || line[5] > '9')
            continue;
        const std::string_view values = line.substr(std::min(line.find(':') + 1, line.size()));
        StoreView::Replica replica;
        replica.address = std::string{item(values, "ip")} + ":" + std::string{item(values, "port")};
        replica.state = item(values, "state");
        RedisReply lag;
        lag.type = RedisReply::Type::text;
        lag.text = item(values, "lag");
        replica.lag = lag.number(-1);
        replicas.push_back(std::move(replica));
    }
    return replicas;
}

std::vector<std::string> setting_warnings(
    const std::function<std::optional<std::string>(std::string_view)>& value, bool with_sentinel) {
    std::vector<std::string> warnings;
    const auto policy = value("maxmemory-policy");
    if (policy && policy->starts_with("allkeys-"))
        warnings.push_back("maxmemory-policy " + *policy +
                           " lets Redis drop live sessions: noeviction is what sessions need");
    const auto replicas = value("min-replicas-to-write");
    if (with_sentinel && replicas && *replicas == "0")
        warnings.emplace_back(
            "min-replicas-to-write 0: a master that is cut off goes on taking writes that are lost "
            "later, set it to 1");
    const auto append_only = value("appendonly");
    const auto save = value("save");
    if (append_only && save && *append_only == "no" && save->empty())
        warnings.emplace_back(
            "no persistence: a master that restarts before Sentinel notices comes back empty, and "
            "its replicas with it");
    return warnings;
}

const RedisLink::Events RedisGuide::link_events = {
    [](void* guide) { static_cast<RedisGuide*>(guide)->on_ready(); },
    [](void* guide, std::uint64_t tag, std::span<RedisReply> replies) {
        static_cast<RedisGuide*>(guide)->on_answered(tag, replies);
    },
    [](void* guide, RedisLoss loss, std::string_view text) {
        static_cast<RedisGuide*>(guide)->on_lost(loss, text);
    },
};

const SentinelWatch::Events RedisGuide::sentinel_events = {
    [](void* guide, const MasterChoice& choice) {
        static_cast<RedisGuide*>(guide)->on_chosen(choice);
    },
    [](void* guide, SentinelWatch::Why why) { static_cast<RedisGuide*>(guide)->on_unknown(why); },
    [](void* guide, const Endpoint& to, const Endpoint& from) {
        static_cast<RedisGuide*>(guide)->on_switched(to, from);
    },
};

RedisGuide::RedisGuide(Loop& loop, Needs needs)
    : loop_(loop),
      needs_(std::move(needs)),
      link_(loop, needs_.access, this, link_events, tcp_),
      back_off_(static_cast<std::uint64_t>(uv_hrtime())),
      rest_(loop, *this),
      second_(loop, *this) {}

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
    if (announced_)
        return loop_.now() < refused_until_ms_ ? StoreState::read_only : StoreState::ready;
    const bool recent = ever_ready_ && loop_.now() < lost_at_ms_ + failover_max_ms;
    return recent ? StoreState::failover : StoreState::down;
}

StoreView RedisGuide::view() const {
    StoreView view;
    view.state = state();
    view.ever_ready = ever_ready_;
    if (master_) {
        view.master = master_->master.text();
        view.epoch = master_->epoch;
    }
    if (!announced_) view.trouble = trouble_;
    view.replicas = replicas_;
    if (sentinels_) view.sentinels = sentinels_->view();
    view.failovers = failovers_;
    view.last_failover_ms = last_failover_ms_;
    view.losses = losses_;
    view.data_losses = data_losses_;
    view.revocations = to_revoke_.size() + revoking_.size() + refused_revocations_.size();
    return view;
}

void RedisGuide::seek() {
    if (sentinels_) return sentinels_->ask_now();
    on_chosen({needs_.address, {}});
}

void RedisGuide::on_chosen(const MasterChoice& choice) {
    // A Sentinel that has not heard of the switch yet.
    const bool is_newer = master_ && choice.epoch > master_->epoch;
    if (choice.master == left_ && left_.port != 0 && !is_newer) return;
    if (link_.is_open() && link_.peer() == choice.master) {
        master_ = choice;
        if (announced_) announce();  // for a store that has lost its connection
        return;
    }
    if (resting_ && master_ && choice.master == master_->master) return;
    open(choice);
}

void RedisGuide::on_unknown(SentinelWatch::Why) {
    if (!needs_.last_known || !master_ || resting_ || master_->master == left_) return;
    if (!link_.is_open()) return open(*master_);
    if (announced_) announce();
}

void RedisGuide::on_switched(const Endpoint& to, const Endpoint& from) {
    if (link_.is_ready() && link_.peer() == to) return;
    log::info("session store: the master is another one now",
              {{"master", to.text()}, {"before", from.text()}});
    left_ = from;
    if (!master_ || master_->master != from) return;
    link_.close();
    if (std::exchange(announced_, false)) {
        lost_at_ms_ = loop_.now();
        ++losses_;
    }
    trouble_ = "the master is another one now";
    seen_ready_ = false;
    replicas_.clear();
    needs_.lead({});
}

void RedisGuide::open(const MasterChoice& choice) {
    if (link_.is_ready() && std::exchange(announced_, false)) {
        lost_at_ms_ = loop_.now();
        needs_.lead({});
    }
    master_ = choice;
    resting_ = false;
    rest_.disarm();
    replicas_.clear();
    link_.open(choice.master);
}

void RedisGuide::on_ready() {
    trouble_.clear();
    back_off_.reset();
    left_ = Endpoint{};
    ready_since_ms_ = loop_.now();
    if (sentinels_) sentinels_->set_last(*master_, true);
    to_revoke_ = revocations_.recent(loop_.now());
    revoking_.clear();
    refused_revocations_.clear();
    std::string settings;
    for (const std::string_view name :
         {"maxmemory-policy", "min-replicas-to-write", "appendonly", "save"})
        append_command(settings, {"CONFIG", "GET", name});
    if (ready_at_ != link_.peer()) link_.ask(tag_settings, settings, 4);
    keys_ = 0;
    ask_replication();
    revoke();
}

void RedisGuide::ask_replication() {
    std::string commands;
    append_command(commands, {"INFO", "replication"});
    append_command(commands, {"DBSIZE"});
    link_.ask(tag_replication, commands, 2);
}

// A flush, or a master that came back empty: nothing breaks, but everybody is logged out.
void RedisGuide::on_keys(std::int64_t keys) {
    constexpr std::int64_t worth_a_word = 100;
    if (keys_ >= worth_a_word && keys < keys_ / 2) {
        ++data_losses_;
        log::error("session store: most keys are gone",
                   {{"master", link_.peer().text()}, {"keys", keys}, {"before", keys_}});
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
    link_.ask(tag_script, command({"SCRIPT", "LOAD", text_of(RedisScript::kill)}));
    while (!to_revoke_.empty() && revoking_.size() < revocations_at_once) {
        commands.clear();
        append_kill(commands, redis_key(needs_.prefix, to_revoke_.back()));
        link_.ask(tag_revocation, commands);
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
        const bool other = ever_ready_ && ready_at_ != link_.peer();
        if (other) {
            ++failovers_;
            last_failover_ms_ = loop_.now();
        }
        ever_ready_ = true;
        ready_at_ = link_.peer();
        if (!std::exchange(seen_ready_, true))
            log::info("session store ready",
                      {{"master", link_.peer().text()},
                       {"epoch", master_->epoch ? std::to_string(*master_->epoch) : "none"}});
    }
    needs_.lead({link_.peer(), master_->epoch.value_or(0)});
}

void RedisGuide::on_lost(RedisLoss loss, std::string_view text) {
    if (std::exchange(announced_, false)) {
        lost_at_ms_ = loop_.now();
        ++losses_;
    }
    trouble_ = std::string{text_of(loss)} + ": " + std::string{text};
    const bool hopeless = loss == RedisLoss::refused || loss == RedisLoss::too_old;
    log::OncePerMinute& warning = lost_warnings_[static_cast<std::size_t>(loss)];
    if (std::exchange(seen_ready_, false) || warning.due(loop_.now())) {
        const std::string master = link_.peer().text();
        const log::Fields fields = {{"master", master}, {"reason", text_of(loss)}, {"error", text}};
        hopeless ? log::error("session store not ready", fields)
                 : log::warn("session store not ready", fields);
    }
    replicas_.clear();
    if (sentinels_ && master_) sentinels_->set_last(*master_, false);
    auto rest = back_off_.next();
    if (hopeless) rest = rest_of_the_refused;
    if (loss == RedisLoss::not_master || loss == RedisLoss::busy)
        rest = std::max(rest, rest_of_replicas);
    resting_ = true;
    rest_.arm(rest);
}

void RedisGuide::on_rest_over() {
    resting_ = false;
    seek();
}

void RedisGuide::reported(const RedisReport& report) {
    switch (report.kind) {
    case RedisReport::Kind::wants_master: return seek();
    case RedisReport::Kind::killed: return on_killed(report.key);
    case RedisReport::Kind::refused: refused_until_ms_ = loop_.now() + refused_shown_ms; return;
    case RedisReport::Kind::written: refused_until_ms_ = 0; return;
    }
}

// The master before may have been the one that was told of it: a worker's report comes later.
void RedisGuide::on_killed(const SessionKey& key) {
    revocations_.add(key, loop_.now());
    if (!link_.is_ready() || loop_.now() >= ready_since_ms_ + late_reports_ms) return;
    to_revoke_.push_back(key);
    revoke();
}

void RedisGuide::on_second() {
    if (!link_.is_ready()) return;
    ask_replication();
    if (!revoking_.empty() || refused_revocations_.empty()) return;
    to_revoke_ = std::exchange(refused_revocations_, {});
    revoke();
}

void RedisGuide::on_answered(std::uint64_t tag, std::span<RedisReply> replies) {
    switch (tag) {
    case tag_replication:
        replicas_ = read_replicas(replies[0].view());
        return on_keys(replies[1].number(0));
    case tag_revocation: return on_revoked(replies[0]);
    case tag_settings: return on_settings(replies);
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
        log::warn("session store: unwise setting",
                  {{"master", link_.peer().text()}, {"setting", warning}});
}

}  // namespace baton
