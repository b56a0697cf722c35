#include "session/redis/sentinel.h"

#include <algorithm>
#include <utility>

namespace baton {

std::string_view text_of(NoMaster why) noexcept {
    switch (why) {
    case NoMaster::no_answer: return "no sentinel answers";
    case NoMaster::unknown_name: return "no sentinel knows the master";
    case NoMaster::only_older: return "the sentinels do not agree on a master";
    }
    return "?";
}

const SentinelPeer::Events SentinelWatch::peer_events = {
    .ready = [](void* watch,
                SentinelPeer& peer) { static_cast<SentinelWatch*>(watch)->on_ready(peer); },
    .settled = [](void* watch,
                  SentinelPeer& peer) { static_cast<SentinelWatch*>(watch)->on_settled(peer); },
    .told =
        [](void* watch, SentinelPeer& peer, const SentinelNews& news) {
            static_cast<SentinelWatch*>(watch)->on_told(peer, news);
        },
};

SentinelWatch::SentinelWatch(SentinelNeeds needs, void* holder, const Events& events)
    : needs_(std::move(needs)),
      holder_(holder),
      events_(&events),
      late_(needs_.loop, *this),
      second_(needs_.loop, *this) {
    // The loop's clock stands while the loop does not turn, as when the process begins.
    uv_update_time(needs_.loop.uv());
    for (const Endpoint& sentinel : needs_.sentinels) add(sentinel, true);
    second_.repeat(interval);
    begin();
}

void SentinelWatch::add(const Endpoint& sentinel, bool configured) {
    const bool known = std::any_of(peers_.begin(), peers_.end(),
                                   [&](const auto& peer) { return peer->at() == sentinel; });
    if (known || peers_.size() == peers_max) return;
    peers_.push_back(std::make_unique<SentinelPeer>(needs_, complaints_, sentinel, configured, this,
                                                    peer_events));
}

void SentinelWatch::discover(const std::vector<SentinelAnswer::Other>& sentinels) {
    for (const SentinelAnswer::Other& sentinel : sentinels) {
        // One that is known by its name or by another address of it.
        const auto address = sentinel.at.address();
        const bool known = std::any_of(peers_.begin(), peers_.end(), [&](const auto& peer) {
            return (address && peer->address() == *address) ||
                   (!sentinel.identity.empty() && peer->said().identity == sentinel.identity);
        });
        if (!known) add(sentinel.at, false);
    }
}

// ------------------------------------------------------------ rounds

void SentinelWatch::ask_now() {
    if (running_)
        again_ = true;
    else
        begin();
}

void SentinelWatch::begin() {
    running_ = true;
    renewed_ = again_ = false;
    late_.arm(round_time);
    ask_all();
}

void SentinelWatch::ask_all() {
    ++round_;
    for (const auto& peer : peers_) peer->ask(round_);
}

void SentinelWatch::on_ready(SentinelPeer& peer) {
    // What may change the choice is not left for the next second.
    if (!running_ && !(found_ && peer.ever_answered())) return begin();
    if (running_ && !peer.awaits(round_) && !peer.has_answered(round_)) peer.ask(round_);
}

void SentinelWatch::on_settled(SentinelPeer& peer) {
    if (peer.has_answered(round_)) discover(peer.said().sentinels);
    if (running_ && is_over()) finish();
}

// Nobody waits for one that failed, unless there is nobody else.
bool SentinelWatch::is_over() const noexcept {
    bool answered = false;
    for (const auto& peer : peers_) {
        if (peer->awaits(round_) && !peer->has_failed()) return false;
        answered = answered || peer->has_answered(round_);
    }
    return answered;
}

// Each Sentinel once, whatever its names and addresses: by one that `speaks`, if there is one.
std::vector<const SentinelPeer*> SentinelWatch::distinct(
    const std::function<bool(const SentinelPeer&)>& speaks) const {
    const auto is_same = [](const SentinelPeer& one, const SentinelPeer& other) {
        const bool found = one.address().raw()->sa_family != AF_UNSPEC;
        return (found && one.address() == other.address()) ||
               (!one.said().identity.empty() && one.said().identity == other.said().identity);
    };
    std::vector<const SentinelPeer*> all;
    for (const auto& peer : peers_) {
        const auto known = std::find_if(all.begin(), all.end(), [&](const SentinelPeer* other) {
            return is_same(*peer, *other);
        });
        if (known == all.end())
            all.push_back(peer.get());
        else if (!speaks(**known) && speaks(*peer))
            *known = peer.get();
    }
    return all;
}

void SentinelWatch::finish() {
    running_ = false;
    late_.disarm();
    const auto answered = [this](const SentinelPeer& peer) { return peer.has_answered(round_); };
    std::vector<MasterVote> votes;
    std::size_t known = 0;
    bool named = false;
    for (const SentinelPeer* peer : distinct(answered)) {
        // One that was told and never reached may be beyond reach: it would be missed by every
        // majority.
        if (peer->configured() || peer->ever_answered()) ++known;
        if (!answered(*peer)) continue;
        votes.push_back(peer->said().vote);
        named = named || peer->said().vote.knows;
    }
    SentinelRound round;
    round.candidates = master_candidates(votes, known, last_, judge_agreement(votes, known));
    round.dissent = judge_dissent(votes, known);
    const auto agreed = agreed_master(votes, known);
    round.deposed = known >= 3 && agreed && last_ && agreed->master != last_->choice.master &&
                    agreed->epoch > last_->choice.epoch;
    round.out_of_date = again_;
    round.why = votes.empty() ? NoMaster::no_answer
                : !named      ? NoMaster::unknown_name
                              : NoMaster::only_older;
    found_ = !round.candidates.empty();
    if (!votes.empty() && !named && unknown_master_.due(needs_.loop.now()))
        log::error("no sentinel knows the master", {{"master", needs_.master}});
    if (again_) begin();
    events_->found(holder_, round);
}

// A majority stands until as many say otherwise that it cannot be one any more: a Sentinel that is
// slow now and then does not end it.
Agreement SentinelWatch::judge_agreement(std::span<const MasterVote> votes, std::size_t known) {
    const auto agreed = agreed_master(votes, known);
    if (agreed && (!last_ || agreed->master == last_->choice.master)) agreed_ = Endpoint{};
    if (agreed && last_ && agreed->master != last_->choice.master && agreed->master != agreed_) {
        agreed_ = agreed->master;
        agreed_since_ms_ = needs_.loop.now();
    }
    const auto against = static_cast<std::size_t>(
        std::count_if(votes.begin(), votes.end(),
                      [&](const MasterVote& vote) { return vote.master != agreed_; }));
    if (known - against < known / 2 + 1) agreed_ = Endpoint{};
    const bool lasting = agreed_.port != 0 && needs_.loop.now() >= agreed_since_ms_ + agreement_ms;
    return lasting ? Agreement::lasting : Agreement::fresh;
}

std::optional<SentinelDissent> SentinelWatch::judge_dissent(std::span<const MasterVote> votes,
                                                            std::size_t known) {
    SentinelDissent dissent;
    dissent.known = known;
    for (const MasterVote& vote : votes) {
        if (!vote.knows || !last_ || vote.master == last_->choice.master) continue;
        const auto same = static_cast<std::size_t>(std::count_if(
            votes.begin(), votes.end(),
            [&](const MasterVote& other) { return other.knows && other.master == vote.master; }));
        if (same <= dissent.sentinels) continue;
        dissent.master = vote.master;
        dissent.sentinels = same;
    }
    if (dissent.sentinels == 0)
        dissent_since_ms_.reset();
    else if (!dissent_since_ms_)
        dissent_since_ms_ = needs_.loop.now();
    const bool lasts = dissent_since_ms_ && needs_.loop.now() >= *dissent_since_ms_ + dissent_ms;
    return lasts ? std::optional{dissent} : std::nullopt;
}

void SentinelWatch::on_second() {
    for (const auto& peer : peers_) peer->on_second();
    if (!running_) begin();
}

// ------------------------------------------------------------ what they tell by themselves

void SentinelWatch::on_told(const SentinelPeer& peer, const SentinelNews& news) {
    // What was answered before is out of date. But no more than once in a round: it has to end.
    if (running_ && !renewed_) {
        renewed_ = true;
        ask_all();
    } else {
        ask_now();
    }
    if (news.kind != SentinelNews::Kind::changed) events_->told(holder_, news, peer.at());
}

void SentinelWatch::set_last(const LastMaster& last) {
    const bool same = last_ && last_->choice.master == last.choice.master;
    last_ = last;
    if (same) return;
    agreed_ = Endpoint{};
    dissent_since_ms_.reset();
}

std::vector<SentinelView> SentinelWatch::view() const {
    std::vector<SentinelView> views;
    for (const SentinelPeer* peer : distinct(&SentinelPeer::answers)) views.push_back(peer->view());
    return views;
}

}  // namespace baton
