#pragma once

// What is asked of the master in use besides sessions: each second who copies it, whether its keys are
// still there, and, where something was refused, whether it takes writes and what our user may do; once,
// how it is set. The log is told what an operator should know. The control thread's; times are the
// loop's, in ms.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/log.h"
#include "session/redis/redis_link.h"
#include "session/redis/redis_reply.h"
#include "session/redis/store_view.h"
#include "session/store.h"

namespace baton {

class MasterMonitor {
public:
    // The tags of its commands are these and those above.
    static constexpr std::uint64_t first_tag = 16;

    // What is handed over outlives the monitor.
    MasterMonitor(const RedisAccess& access, const std::string& prefix, bool with_sentinel);
    MasterMonitor(const MasterMonitor&) = delete;
    MasterMonitor& operator=(const MasterMonitor&) = delete;

    struct Beginning {
        bool is_another = false;     // than the last one
        bool was_away_long = false;  // whoever counted keys before has missed their ends
    };
    // `master` is ready, as with all calls below.
    void begin(RedisLink& master, Beginning how);
    void on_second(RedisLink& master, std::uint64_t now_ms);
    void on_answered(RedisLink& master, std::uint64_t tag, std::span<RedisReply> replies,
                     std::uint64_t now_ms);
    // There is none any more.
    void end();

    // What a store has met: a write was refused for now, or was not; the user was denied something, and
    // there is a master or null.
    void set_refuses_writes(bool refuses) noexcept { refuses_writes_ = refuses; }
    void on_denied(RedisLink* master, std::uint64_t now_ms);

    // As the last one showed, whichever master it was.
    bool refuses_writes() const noexcept { return refuses_writes_; }
    const std::string& missing_rights() const noexcept { return missing_rights_; }
    const std::vector<StoreView::Replica>& replicas() const noexcept { return replicas_; }
    // Most keys were gone from one second to the next, so often.
    std::uint64_t data_losses() const noexcept { return data_losses_; }

private:
    void ask_replication(RedisLink& master);
    void ask_settings(RedisLink& master);
    void ask_rights(RedisLink& master);
    void probe_writes(RedisLink& master);
    void on_replication(const RedisLink& master, std::span<const RedisReply> replies);
    void on_keys(const RedisLink& master, std::int64_t keys, std::int64_t dropped);
    void on_settings(const RedisLink& master, std::span<const RedisReply> replies);
    void on_rights(const RedisLink& master, std::span<const RedisReply> replies,
                   std::uint64_t now_ms);
    void on_probed(const RedisReply& reply);

    const RedisAccess& access_;
    const std::string& prefix_;
    const bool with_sentinel_;
    std::vector<StoreView::Replica> replicas_;
    std::string missing_rights_;  // at this master
    std::uint64_t ask_rights_until_ms_ = 0;
    log::OncePerMinute rights_warning_;
    bool refuses_writes_ = false;
    bool probe_sent_ = false;  // a write of our own, and not answered
    TransactionId last_probe_;
    std::int64_t keys_ = 0;     // of the master, a second ago
    std::int64_t dropped_ = 0;  // by itself, since it began to count: expired, evicted
    std::uint64_t data_losses_ = 0;
};

}  // namespace baton
