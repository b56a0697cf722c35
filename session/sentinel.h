#pragma once

// Follows a master by what the Sentinels say
// (https://redis.io/docs/reference/sentinel-clients/): all of them are asked each second, or as soon
// as one of them tells of a change. What they tell by themselves only speeds that up.

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "session/master_choice.h"
#include "session/sentinel_line.h"
#include "session/sentinel_peer.h"

namespace baton {

// The control thread.
class SentinelWatch {
public:
    // Why a round ended without a master.
    enum class Why : std::uint8_t {
        no_answer,     // no Sentinel answered
        unknown_name,  // none of those that did has a master of that name
        only_older,    // none of what they said counts (choose_master)
    };
    // From the loop only, never from within a call of the holder's. The holder may destroy the watch
    // during each of them.
    struct Events {
        // A round has found the master: the same again, mostly.
        void (*chosen)(void* holder, const MasterChoice& choice);
        void (*unknown)(void* holder, Why why);
        // A Sentinel says so just now, and each of them may: `from` is to be left. A round follows
        // at once.
        void (*switched)(void* holder, const Endpoint& to, const Endpoint& from);
    };

    // `events` and what `needs` refers to outlive the watch. The first round begins at once.
    SentinelWatch(SentinelNeeds needs, void* holder, const Events& events);
    SentinelWatch(const SentinelWatch&) = delete;
    SentinelWatch& operator=(const SentinelWatch&) = delete;

    // Begins a round. If one runs, one more follows it.
    void ask_now();
    // The master that is used now, and whether it answers as one. Older ones count no more.
    void set_last(const MasterChoice& choice, bool reachable);
    std::vector<SentinelView> view() const;

private:
    static constexpr std::size_t peers_max = 32;
    static constexpr std::chrono::milliseconds round_time{300};
    static constexpr std::chrono::milliseconds interval{1000};
    static const SentinelPeer::Events peer_events;

    void begin();
    void ask_all();
    void finish();
    void add(const Endpoint& sentinel, bool configured);
    void discover(const std::vector<Endpoint>& sentinels);
    bool is_over() const noexcept;
    bool is_double(std::size_t place) const noexcept;
    void on_ready(SentinelPeer& peer);
    void on_settled(SentinelPeer& peer);
    void on_told(const SentinelPeer& peer, const SentinelNews& news);
    void on_second();

    const SentinelNeeds needs_;
    void* holder_;
    const Events* events_;
    SentinelComplaints complaints_;
    log::OncePerMinute unknown_master_;
    std::vector<std::unique_ptr<SentinelPeer>> peers_;
    std::optional<LastMaster> last_;
    Endpoint told_;            // the last switch's
    std::uint64_t round_ = 0;  // of questions; answers to earlier ones do not count
    bool running_ = false;
    bool renewed_ = false;  // news came while it ran: all were asked again
    bool again_ = false;
    bool found_ = false;  // by the last round
    Timer<&SentinelWatch::finish> late_;
    Timer<&SentinelWatch::on_second> second_;
};

}  // namespace baton
