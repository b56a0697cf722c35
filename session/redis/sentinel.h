#pragma once

// Follows a master by what the Sentinels say
// (https://redis.io/docs/reference/sentinel-clients/): all of them are asked each second, or as soon
// as one of them tells of a change. What they tell by themselves only speeds that up.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "session/redis/master_choice.h"
#include "session/redis/sentinel_line.h"
#include "session/redis/sentinel_peer.h"

namespace baton {

// Why a round ended without a master to try.
enum class NoMaster : std::uint8_t {
    no_answer,     // no Sentinel answered
    unknown_name,  // none of those that did has a master of that name
    only_older,    // none of what they said counts (master_candidates)
};
std::string_view text_of(NoMaster why) noexcept;

// Sentinels that have named another master than the last one for a while, and are not followed.
struct SentinelDissent {
    Endpoint master;  // the one that most of them name
    std::size_t sentinels = 0;
    std::size_t known = 0;  // all, those that agree and those that are silent too
    bool is_majority() const noexcept { return sentinels >= known / 2 + 1; }
};

// What the Sentinels have answered when all of them were asked.
struct SentinelRound {
    std::vector<MasterChoice> candidates;  // the likeliest first
    NoMaster why = NoMaster::no_answer;    // if there is none
    std::optional<SentinelDissent> dissent;
    // A majority of three or more names another master than the last one, with a higher epoch.
    bool deposed = false;
    // A Sentinel told of a change since they were asked: another round follows at once.
    bool out_of_date = false;
};

// The control thread.
class SentinelWatch {
public:
    // From the loop only, never from within a call of the holder's. The holder may destroy the watch
    // during each of them.
    struct Events {
        void (*found)(void* holder, const SentinelRound& round);
        // A Sentinel tells of a switch, a promotion or the end of one just now; each of them may, and
        // it may be wrong. A round follows at once.
        void (*told)(void* holder, const SentinelNews& news, const Endpoint& sentinel);
    };

    // `events` and what `needs` refers to outlive the watch. The first round begins at once.
    SentinelWatch(SentinelNeeds needs, void* holder, const Events& events);
    SentinelWatch(const SentinelWatch&) = delete;
    SentinelWatch& operator=(const SentinelWatch&) = delete;

    // Begins a round. If one runs, one more follows it.
    void ask_now();
    // The master that is used now, or was last: what the next rounds are judged by.
    void set_last(const LastMaster& last);
    std::vector<SentinelView> view() const;

private:
    static constexpr std::size_t peers_max = 32;
    static constexpr std::chrono::milliseconds round_time{300};
    static constexpr std::chrono::milliseconds interval{1000};
    // After so long a majority is followed although the last master still answers.
    static constexpr std::uint64_t agreement_ms = 10'000;
    // Sentinels tell each other of a switch within this.
    static constexpr std::uint64_t dissent_ms = 3'000;
    static const SentinelPeer::Events peer_events;

    void begin();
    void ask_all();
    void finish();
    void add(const Endpoint& sentinel, bool configured);
    void discover(const std::vector<SentinelAnswer::Other>& sentinels);
    bool is_over() const noexcept;
    std::vector<const SentinelPeer*> distinct(
        const std::function<bool(const SentinelPeer&)>& speaks) const;
    Agreement judge_agreement(std::span<const MasterVote> votes, std::size_t known);
    std::optional<SentinelDissent> judge_dissent(std::span<const MasterVote> votes,
                                                 std::size_t known);
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
    Endpoint agreed_;  // by a majority that is not for the last master; port 0: there is none
    std::uint64_t agreed_since_ms_ = 0;
    std::optional<std::uint64_t> dissent_since_ms_;
    std::uint64_t round_ = 0;  // of questions; answers to earlier ones do not count
    bool running_ = false;
    bool renewed_ = false;  // news came while it ran: all were asked again
    bool again_ = false;
    bool found_ = false;  // by the last round
    Timer<&SentinelWatch::finish> late_;
    Timer<&SentinelWatch::on_second> second_;
};

}  // namespace baton
