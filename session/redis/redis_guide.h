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
#include <utility>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "session/redis/back_off.h"
#include "session/redis/master_choice.h"
#include "session/redis/redis_link.h"
#include "session/redis/redis_store.h"
#include "session/redis/revocations.h"
#include "session/redis/sentinel.h"

namespace baton {

// How the store is, as operators are told.
enum class StoreState : std::uint8_t {
    ready,
    read_only,  // it refuses writes for now
    failover,   // it was ready, and its master is being looked for
    down,
};
std::string_view text_of(StoreState state) noexcept;

// What the guide knows, for operators. Times are the loop's.
struct StoreView {
    StoreState state = StoreState::down;
    bool ever_ready = false;
    std::string master;  // "host:port", empty if there is none
    std::optional<std::uint64_t> epoch;
    std::string trouble;  // why it is not ready
    // It is ready, and the Sentinels name another master: what they say, and why it is not used.
    std::optional<SentinelDissent> dissent;
    std::string missing_rights;  // of our user there: "+hdel +rename"
    std::string other_trouble;   // "10.0.0.6:6379: refused: WRONGPASS"; empty: none was tried
    struct Replica {
        std::string address;
        std::string state;     // "online", …
        std::int64_t lag = 0;  // s, since it was last heard of; -1: not told
    };
    std::vector<Replica> replicas;
    std::vector<SentinelView> sentinels;
    std::uint64_t failovers = 0;         // masters that took another's place
    std::uint64_t last_failover_ms = 0;  // 0: none
    std::uint64_t losses = 0;            // of a master that was ready
    std::uint64_t data_losses = 0;       // most of its keys were gone from one second to the next
    std::size_t revocations = 0;         // not yet told to this master
};

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
    // A server that was of no use is not tried again before the rest is over.
    struct Rest {
        Endpoint at;
        BackOff back_off;
        std::uint64_t until_ms = 0;
    };
    // Questions wait for the word of all Sentinels, because one of them told of something.
    struct Hold {
        std::uint64_t until_ms = 0;  // 0: they do not
        Endpoint by;                 // port 0: by what all of them say
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

    void begin(Hold& hold, std::uint64_t ms, const Endpoint& by);
    void give_up(Hold& hold);
    void look_at_holds();

    void on_lost(Contact& contact, RedisLoss loss, std::string_view text);
    void lose_master();
    void warn(const Contact& contact, RedisLoss loss, std::string_view text);
    void let_rest(const Endpoint& at, RedisLoss loss);
    bool rests(const Endpoint& at) const noexcept;
    void arm_rest(std::uint64_t from_ms);
    void on_rest_over();

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
    void ask_replication();
    void note_replicas(std::string_view info);
    void ask_settings();
    void ask_rights();
    void on_rights(std::span<const RedisReply> replies);
    void on_keys(std::int64_t keys, std::int64_t dropped);
    void probe_writes();
    void on_probed(const RedisReply& reply);
    void on_settings(std::span<const RedisReply> replies);

    Loop& loop_;
    const Needs needs_;
    TcpCounts tcp_;
    std::unique_ptr<Contact> master_;           // the one in use, or that was
    std::unique_ptr<Contact> trial_;            // one that may be the next
    std::unique_ptr<SentinelWatch> sentinels_;  // none with an address of its own
    std::vector<Rest> rests_;
    Timer<&RedisGuide::on_rest_over> rest_;
    Timer<&RedisGuide::on_second> second_;
    Revocations revocations_;
    std::vector<SessionKey> to_revoke_;            // at this master
    std::deque<SessionKey> revoking_;              // asked, in the order of their answers
    std::vector<SessionKey> refused_revocations_;  // for now: another second, another try

    std::optional<LastMaster> last_;     // the master that is in use, or was last
    std::optional<MasterChoice> tried_;  // who was gone to last
    Hold all_hold_;                      // all questions: it told of a switch
    Hold changes_hold_;                  // changes: it told of a promotion
    std::vector<std::pair<Endpoint, std::uint64_t>> doubted_;  // Sentinels, and until when
    std::optional<std::uint64_t> deposed_since_ms_;            // the master, by a majority
    std::optional<SentinelDissent> dissent_;
    std::string other_trouble_;
    bool announced_ = false;  // all stores know of the master, and it is ready
    bool wait_judged_ = false;
    bool ever_ready_ = false;
    bool seen_ready_ = false;      // since the last failure that was logged
    bool refuses_writes_ = false;  // as the last one showed, of whomever it was
    bool probing_ = false;         // a write of our own is asked
    std::uint64_t lost_at_ms_ = 0;
    std::uint64_t ready_since_ms_ = 0;
    Endpoint ready_at_;  // the last master that was ready
    std::string trouble_;
    std::string missing_rights_;  // at this master
    std::uint64_t ask_rights_until_ms_ = 0;
    std::vector<StoreView::Replica> replicas_;
    std::uint64_t failovers_ = 0;
    std::uint64_t last_failover_ms_ = 0;
    std::uint64_t losses_ = 0;
    std::int64_t keys_ = 0;     // of the master, a second ago
    std::int64_t dropped_ = 0;  // by itself, since it began to count: expired, evicted
    TransactionId last_probe_;
    std::uint64_t data_losses_ = 0;
    std::array<log::OncePerMinute, redis_losses_count> lost_warnings_;  // one for each reason
    log::OncePerMinute trial_warning_;
    log::OncePerMinute dissent_warning_;
    log::OncePerMinute rights_warning_;
};

}  // namespace baton
