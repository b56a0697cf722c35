#include "session/sentinel.h"

#include <algorithm>
#include <utility>

namespace baton {

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

void SentinelWatch::discover(const std::vector<Endpoint>& sentinels) {
    for (const Endpoint& sentinel : sentinels) {
        // One that is configured by its name, and told by its address.
        const auto address = sentinel.address();
        const bool known =
            address && std::any_of(peers_.begin(), peers_.end(),
                                   [&](const auto& peer) { return peer->address() == *address; });
        if (!known) add(sentinel, false);
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

// Whether it is an earlier one under another name.
bool SentinelWatch::is_double(std::size_t place) const noexcept {
    const Address& address = peers_[place]->address();
    return address.raw()->sa_family != AF_UNSPEC &&
           std::any_of(peers_.begin(), peers_.begin() + static_cast<std::ptrdiff_t>(place),
                       [&](const auto& peer) { return peer->address() == address; });
}

void SentinelWatch::finish() {
    running_ = false;
    late_.disarm();
    std::vector<MasterVote> votes;
    std::size_t known = 0;
    bool named = false;
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        const SentinelPeer& peer = *peers_[i];
        if (is_double(i)) continue;
        // One that was told and never reached may be beyond reach: it would be missed by every
        // majority.
        if (peer.configured() || peer.ever_answered()) ++known;
        if (!peer.has_answered(round_)) continue;
        votes.push_back(peer.said().vote);
        named = named || peer.said().vote.knows;
    }
    const auto choice = choose_master(votes, known, last_);
    found_ = choice.has_value();
    if (!votes.empty() && !named && unknown_master_.due(needs_.loop.now()))
        log::error("no sentinel knows the master", {{"master", needs_.master}});
    if (again_) begin();
    if (choice) return events_->chosen(holder_, *choice);
    events_->unknown(holder_, votes.empty() ? Why::no_answer
                              : !named      ? Why::unknown_name
                                            : Why::only_older);
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
    if (news.kind != SentinelNews::Kind::switched) return;
    if (news.to != told_)
        log::info("master switched", {{"master", needs_.master},
                                      {"from", news.from.text()},
                                      {"to", news.to.text()},
                                      {"sentinel", peer.at().text()}});
    told_ = news.to;
    events_->switched(holder_, news.to, news.from);
}

void SentinelWatch::set_last(const MasterChoice& choice, bool reachable) {
    last_ = LastMaster{choice, reachable};
}

std::vector<SentinelView> SentinelWatch::view() const {
    std::vector<SentinelView> views;
    views.reserve(peers_.size());
    for (const auto& peer : peers_) views.push_back(peer->view());
    return views;
}

}  // namespace baton
