#pragma once

// Leads the stores of all loops to the master: finds it, through Sentinel or by its one address;
// goes there first; tells it of ids that are dead; then says where it is. A master that is in use is
// left only for one that was tried and says that it is a master. One per process, on the control
// thread. It never gives up.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "session/redis/command_holds.h"
#include "session/redis/master_choice.h"
#include "session/redis/master_monitor.h"
#include "session/redis/redis_link.h"
#include "session/redis/redis_store.h"
#include "session/redis/retry_delays.h"
#include "session/redis/revocations.h"
#include "session/redis/sentinel.h"
#include "session/redis/store_view.h"

namespace baton {

class RedisGuide {
public:
    struct Needs {
        RedisAccess access;
        std::string prefix = "baton";
        Endpoint address;  // port 0: ask the Sentinels
        // Used without an address.
        std::vector<Endpoint> sentinels;
        std::string master;  // its name there
        std::string sentinel_username;
        std::string sentinel_password;
        bool discover = true;
        // How long requests wait for the store; 0: not at all.
        std::int64_t failover_wait_ms = 0;
        bool last_known = true;  // go on with the last master while no Sentinel answers
        // Tells every store. On this loop.
        std::function<void(const RedisMaster&)> lead;
    };
    RedisGuide(Loop& loop, Needs needs);
    RedisGuide(const RedisGuide&) = delete;
    RedisGuide& operator=(const RedisGuide&) = delete;

    void start();
    // What a store has said. This loop's thread.
    void reported(const RedisReport& report);

    StoreState state() const noexcept;
    StoreView view() const;

private:
    // A connection to the master, or to a server that may be it.
    struct Contact {
        RedisGuide* guide;
        MasterChoice choice;
        RedisLink link;
        Contact(RedisGuide& its_guide, MasterChoice its_choice);
    };
    enum class Phase : std::uint8_t {
        down,   // no master is ready, and the log has said so or never said otherwise
        lost,   // it was ready, which the log said last
        ready,  // and all stores know of it
    };
    static const RedisLink::Events link_events;
    static const SentinelWatch::Events sentinel_events;

    void seek();
    void on_found(const SentinelRound& round);
    void on_told(const SentinelNews& news, const Endpoint& sentinel);
    void consider(std::span<const MasterChoice> candidates);
    void keep(const MasterChoice& choice);
    void try_out(const MasterChoice& choice);
    void adopt(Contact& contact);
    void set_last(const MasterChoice& choice, bool reachable);
    void note_dissent(const SentinelRound& round);

    void hold(CommandHolds::Of what, std::uint64_t ms, const Endpoint& by);
    void give_up(CommandHolds::Of what);

    void on_lost(Contact& contact, RedisLoss loss, std::string_view text);
    bool note_loss();
    void lose_master();
    void warn(const Contact& contact, RedisLoss loss, std::string_view text);
    void arm_retry(std::uint64_t from_ms);
    void on_retry();

    bool is_ready() const noexcept { return phase_ == Phase::ready; }
    bool ever_ready() const noexcept { return ready_at_.port != 0; }
    // The master's, while it is ready; else null.
    RedisLink* master() const noexcept;
    void on_answered(std::uint64_t tag, std::span<RedisReply> replies);
    void revoke();
    void on_revoked(const RedisReply& reply);
    void on_killed(const SessionKey& key);
    void announce();
    void lead();
    void warn_of_wait();
    void on_second();

    Loop& loop_;
    const Needs needs_;
    TcpCounts tcp_;
    std::unique_ptr<Contact> master_;           // the one in use, or that was
    std::unique_ptr<Contact> trial_;            // one that may be the next
    std::unique_ptr<SentinelWatch> sentinels_;  // none with an address of its own
    RetryDelays delays_;                        // of servers that were of no use
    Timer<&RedisGuide::on_retry> retry_;
    Timer<&RedisGuide::on_second> second_;
    MasterMonitor monitor_;
    Revocations revocations_;
    std::vector<SessionKey> to_revoke_;            // at this master
    std::deque<SessionKey> revoking_;              // asked, in the order of their answers
    std::vector<SessionKey> refused_revocations_;  // for now: another second, another try

    std::optional<LastMaster> last_;     // the master that is in use, or was last
    std::optional<MasterChoice> tried_;  // who was gone to last
    CommandHolds holds_;
    std::optional<std::uint64_t> deposed_since_ms_;  // the master, by a majority
    std::optional<SentinelDissent> dissent_;
    std::string other_trouble_;
    Phase phase_ = Phase::down;
    bool wait_judged_ = false;
    std::uint64_t lost_at_ms_ = 0;
    std::uint64_t ready_since_ms_ = 0;
    Endpoint ready_at_;  // the last master that was ready; port 0: none ever was
    std::string trouble_;
    std::uint64_t failovers_ = 0;
    std::uint64_t last_failover_ms_ = 0;
    std::uint64_t losses_ = 0;
    std::array<log::OncePerMinute, redis_losses_count> lost_warnings_;  // one for each reason
    log::OncePerMinute trial_warning_;
    log::OncePerMinute dissent_warning_;
};

}  // namespace baton
