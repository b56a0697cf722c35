#include "session/redis/sentinel_peer.h"

#include <array>
#include <utility>

#include "net/wall_clock.h"

namespace baton {

const SentinelLine::Events SentinelPeer::ask_events = {
    .ready =
        [](void* peer) {
            auto& self = *static_cast<SentinelPeer*>(peer);
            self.events_->ready(self.holder_, self);
        },
    .answered =
        [](void* peer, std::uint64_t round, std::span<RedisReply> replies) {
            static_cast<SentinelPeer*>(peer)->on_reply(round, replies);
        },
    .pushed = [](void*, RedisReply&) {},
    .lost = [](void* peer, std::string_view why,
               std::string_view text) { static_cast<SentinelPeer*>(peer)->fail(why, text); },
};

const SentinelLine::Events SentinelPeer::listen_events = {
    .ready = [](void* peer) { static_cast<SentinelPeer*>(peer)->subscribe(); },
    .answered =
        [](void* peer, std::uint64_t tag, std::span<RedisReply> replies) {
            static_cast<SentinelPeer*>(peer)->on_listen_reply(tag, replies[0]);
        },
    .pushed = [](void* peer,
                 RedisReply& message) { static_cast<SentinelPeer*>(peer)->on_message(message); },
    .lost = [](void*, std::string_view, std::string_view) {},
};

SentinelPeer::SentinelPeer(const SentinelNeeds& needs, SentinelComplaints& complaints,
                           const Endpoint& at, bool configured, void* holder, const Events& events)
    : needs_(needs),
      complaints_(complaints),
      at_(at),
      configured_(configured),
      holder_(holder),
      events_(&events),
      ask_(needs, complaints, at_, this, ask_events),
      listen_(needs, complaints, at_, this, listen_events) {
    ask_.open();
}

void SentinelPeer::ask(std::uint64_t round) {
    RedisPipe* pipe = ask_.pipe();
    if (pipe == nullptr) return;
    asked_ = round;
    pipe->ask(round, sentinel_question(needs_.master, needs_.discover),
              sentinel_replies(needs_.discover));
}

void SentinelPeer::on_reply(std::uint64_t round, std::span<RedisReply> replies) {
    if (asked_ == round) asked_.reset();
    auto answer = read_sentinel_answer(replies);
    if (!answer) {
        on_refusal(refusal_of(address_reply(replies)));
        return fail(text_of(refusal_of(address_reply(replies))), "");
    }
    complain_of_rights(replies);
    if (state_ != State::answers) log::info("sentinel connected", {{"sentinel", at_.text()}});
    state_ = State::answers;
    said_ = std::move(*answer);
    answered_ = round;
    answered_at_ms_ = wall_now_ms();
    ask_.is_of_use();
    listen_.open();
    events_->settled(holder_, *this);
}

// It goes without these, but not as well.
void SentinelPeer::complain_of_rights(std::span<const RedisReply> replies) {
    constexpr std::array<std::string_view, 4> rights = {"+sentinel|master",
                                                        "+sentinel|get-master-addr-by-name",
                                                        "+sentinel|myid", "+sentinel|sentinels"};
    std::string missing;
    for (std::size_t i = 0; i < replies.size(); ++i)
        if (refusal_of(replies[i]) == SentinelRefusal::not_allowed)
            missing.append(missing.empty() ? "" : " ").append(rights[i]);
    if (missing.empty() || !complaints_.is_worth_a_line(missing, needs_.loop.now())) return;
    log::warn("sentinel user lacks rights", {{"sentinel", at_.text()}, {"rights", missing}});
}

void SentinelPeer::on_refusal(SentinelRefusal refusal) {
    complaints_.make(refusal, at_, needs_.loop.now());
    if (refusal != SentinelRefusal::no_sentinel) return;
    // Whoever may write to a data node may publish what looks like a Sentinel's message.
    listen_.close();
    if (data_node_.due(needs_.loop.now()))
        log::error("sentinel address is a Redis data node",
                   {{"sentinel", at_.text()}, {"hint", "Sentinels usually listen on 26379"}});
}

void SentinelPeer::fail(std::string_view why, std::string_view text) {
    if (ask_.pipe() == nullptr) asked_.reset();
    if (state_ != State::failed)
        log::warn("sentinel lost", {{"sentinel", at_.text()}, {"reason", why}, {"error", text}});
    state_ = State::failed;
    events_->settled(holder_, *this);
}

SentinelView SentinelPeer::view() const {
    SentinelView view;
    view.address = at_.text();
    view.configured = configured_;
    view.answers = answers();
    if (said_.vote.knows) view.master = said_.vote.master.text();
    view.epoch = said_.vote.epoch;
    view.answered_at_ms = answered_at_ms_;
    view.quorum = said_.quorum;
    view.others = said_.others;
    view.replicas = said_.replicas;
    view.down_after_ms = said_.down_after_ms;
    return view;
}

// ------------------------------------------------------------ what it tells by itself

void SentinelPeer::subscribe() {
    refused_ = false;
    listen_.pipe()->subscribed();
    std::uint64_t tag = ping_tag;
    // One command for each: one that is refused refuses no other.
    for (const std::string_view channel : sentinel_channels()) {
        listen_.pipe()->ask(++tag, redis_command({"SUBSCRIBE", channel}));
    }
}

void SentinelPeer::on_listen_reply(std::uint64_t tag, const RedisReply& reply) {
    if (tag == ping_tag) return listen_.is_of_use();
    if (!reply.is_error() && !reply.is_array()) return listen_.give_up();
    refused_ = refused_ || reply.is_error();
    if (tag != sentinel_channels().size()) return;
    if (refused_ && !deaf_)
        log::info("sentinel refuses events, polling it", {{"sentinel", at_.text()}});
    deaf_ = refused_;
}

void SentinelPeer::on_message(const RedisReply& message) {
    const SentinelNews news = read_sentinel_news(message, needs_.master);
    if (news.kind == SentinelNews::Kind::nothing) return;
    const bool worth_a_line = news.kind != SentinelNews::Kind::changed &&
                              complaints_.is_worth_a_line(news.word, needs_.loop.now());
    if (worth_a_line)
        log::info("sentinel event",
                  {{"word", news.word}, {"master", needs_.master}, {"sentinel", at_.text()}});
    if (news.kind != SentinelNews::Kind::state) events_->told(holder_, *this, news);
}

void SentinelPeer::on_second() {
    if (!listen_.is_ready() || listen_.pipe()->asked() > 0) return;
    listen_.pipe()->ask(ping_tag, redis_command({"PING"}));
}

}  // namespace baton
