#include "proxy/exchange/tunnel_session.h"

#include <algorithm>
#include <utility>

#include "session/ended_sessions.h"

namespace baton {
namespace {

using Kind = StoreAnswer::Kind;

// A logout closes its tunnels within a second, if this process has seen it.
constexpr std::uint64_t ended_here_every_ms = 500;

}  // namespace

std::int64_t watch_interval_ms(const SessionConfig& config, std::int64_t idle_ms) noexcept {
    const std::int64_t slack = touch_slack_ms(idle_ms);
    return config.renew_after.count() > 0 ? std::min(slack, alias_ms / 2) : slack;
}

TunnelSession::TunnelSession(Lane& lane, const SessionConfig& config, Facts facts)
    : lane_(&lane),
      facts_(std::move(facts)),
      closes_(config.close_tunnels),
      followed_(config.close_tunnels || config.renew_after.count() > 0),
      interval_ms_(static_cast<std::uint64_t>(watch_interval_ms(config, facts_.idle_ms))) {
    if (closes_)
        interval_ms_ =
            std::min(interval_ms_, static_cast<std::uint64_t>(config.close_tunnels_check.count()));
    use(facts_.id);
}

void TunnelSession::use(const SessionId& id) {
    facts_.id = id;
    key_ = session_key(facts_.scope, facts_.cookie, id);
}

void TunnelSession::begin(StoreTicket ticket) {
    ticket_ = ticket;
    looked_at_ = noted_at_ = lane_->loop.now();
    touch();
}

void TunnelSession::touch() {
    lane_->store->touch(key_, touch_slack_ms(facts_.idle_ms), lane_->epoch_now_ms());
}

std::uint64_t TunnelSession::next_look() const noexcept {
    if (!followed_ || facts_.known == Known::ended) return 0;
    const std::uint64_t look = looked_at_ + interval_ms_;
    return closes_ ? std::min(look, noted_at_ + ended_here_every_ms) : look;
}

// As far as this process knows: since the last call.
bool TunnelSession::has_ended_here() noexcept {
    const EndedSessions* ended = lane_->store->ended();
    if (ended == nullptr) return false;
    const std::uint64_t before = std::exchange(ended_seen_, ended->count());
    return before != ended_seen_ && ended->has_since(key_, before);
}

TunnelSession::Step TunnelSession::look_after(std::uint64_t used_at_ms) {
    if (facts_.known == Known::ended) return Step::done;
    const std::uint64_t now = lane_->loop.now();
    in_use_ = used_at_ms > looked_at_;
    bool due = now >= looked_at_ + interval_ms_ && (in_use_ || followed_);
    if (closes_) {
        noted_at_ = now;
        due = has_ended_here() || due;
    }
    if (!due) return Step::done;
    looked_at_ = now;
    return load();
}

// A tunnel goes on while the store is away: it need not queue for an answer.
TunnelSession::Step TunnelSession::load() {
    auto answer = lane_->store->load(key_, ShownBy::server, {ticket_, lane_->epoch_now_ms(), 0});
    return answer ? answered(std::move(*answer)) : Step::waits;
}

TunnelSession::Step TunnelSession::answered(StoreAnswer&& answer) {
    switch (answer.kind) {
    case Kind::moved: use(veiled(answer.moved_to, facts_.id)); return load();
    case Kind::unavailable: return Step::done;
    case Kind::live: break;
    default: facts_.known = Known::ended; return Step::done;
    }
    if (std::exchange(facts_.known, Known::live) == Known::unsure)
        facts_.idle_ms = answer.record.idle_ms;
    if (in_use_ && answer.record.ttl_ms <= answer.record.idle_ms) touch();
    return Step::done;
}

}  // namespace baton
