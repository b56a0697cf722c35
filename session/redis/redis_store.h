#pragma once

// The session table in Redis: the handle of one loop, with one connection. Which master to use is
// said by `follow`; while none can be asked, commands wait as long as they may.
//
// A command whose answer was lost with its connection is asked again: reading is harmless, and each
// change has a name of its own, by which the server knows that it was made already. A change that the
// server meets later than its answer is waited for is not made; and before that time nobody is told
// that it was not.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/tcp.h"
#include "session/redis/back_off.h"
#include "session/redis/redis_command.h"
#include "session/redis/redis_counters.h"
#include "session/redis/redis_link.h"
#include "session/redis/session_reader.h"
#include "session/redis/store_queue.h"
#include "session/store.h"

namespace baton {

// The master all stores of the process are to use.
struct RedisMaster {
    Endpoint address;  // port 0: there is none, leave the one you have
    std::uint64_t epoch = 0;
    // Until then, by the loop's clock, it may be one no more: commands wait, or those that change
    // something. 0: they do not.
    std::uint64_t all_wait_until_ms = 0;
    std::uint64_t changes_wait_until_ms = 0;
};

// What a store tells who leads it.
struct RedisReport {
    enum class Kind : std::uint8_t {
        wants_master,  // it has no connection any more, and has waited as it should
        killed,        // this session's id is dead for ever
        refused,       // a write was refused for now; once a second
        written,       // and now one was not that takes memory
        denied,        // the user may not do something; once a second
    };
    Kind kind = Kind::wants_master;
    SessionKey key{};
};

class RedisStore final : public Store {
public:
    struct Needs {
        RedisAccess access;
        std::string prefix = "baton";
        RedisLimits limits;
        std::size_t wait_queue_max = 1024;
        // Called on this store's loop.
        std::function<void(const RedisReport&)> report;
    };
    RedisStore(Loop& loop, Needs needs);
    RedisStore(const RedisStore&) = delete;
    RedisStore& operator=(const RedisStore&) = delete;

    // This loop's thread. The same master again: connects if there is no connection.
    void follow(const RedisMaster& master);

    std::optional<StoreAnswer> load(const SessionKey& key, ShownBy shown_by,
                                    const StoreAsk& ask) override;
    std::optional<StoreAnswer> load_several(std::span<const SessionKey> keys, ShownBy shown_by,
                                            const StoreAsk& ask) override;
    std::optional<StoreAnswer> create(const SessionKey& key, NewSession session,
                                      const StoreAsk& ask) override;
    std::optional<StoreAnswer> commit(const SessionKey& key, SessionChange change,
                                      const StoreAsk& ask) override;
    std::optional<StoreAnswer> kill(const SessionKey& key, const StoreAsk& ask) override;
    void touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t now_ms) override;
    void forget(StoreTicket ticket) noexcept override;

    const RedisCounters& counters() const noexcept { return counters_; }
    const TcpCounts& tcp() const noexcept { return tcp_; }  // this loop's thread
    bool is_ready() const noexcept { return link_.is_ready(); }

private:
    using Kind = StoreCommand::Kind;
    static const RedisLink::Events link_events;

    StoreCommand command(Kind kind, const SessionKey& key, const StoreAsk& ask) const;
    std::optional<StoreAnswer> ask_or_wait(StoreCommand command);
    std::uint64_t held_until_ms(const StoreCommand& command) const noexcept;
    bool may_ask(const StoreCommand& command) const noexcept;
    bool may_wait(const StoreCommand& command);
    void send(StoreCommand command);
    void wait(StoreCommand command);
    void answer(const StoreCommand& command, StoreAnswer answer);
    void answer_unavailable(const StoreCommand& command);
    void give_up(StoreCommand command);

    void on_ready();
    void on_answered(std::span<RedisReply> replies);
    std::optional<StoreAnswer> read(StoreCommand& command, std::span<RedisReply> replies);
    void on_late(StoreCommand command, std::int64_t server_ms);
    void on_too_large(StoreCommand command);
    bool rests(const StoreCommand& command) const;
    void on_trouble(StoreCommand command, const RedisReply& reply, RedisTrouble trouble);
    void on_refused(StoreCommand command, std::string_view text);
    void note_done(const StoreCommand& command, const StoreAnswer& answer);
    void on_lost(RedisLoss loss, std::string_view text);
    void leave(RedisLoss loss, std::string_view text);
    void put_aside();
    void answer_over();
    void keep_looking();
    void on_retry();
    void on_waiting();
    TransactionId next_transaction() noexcept;

    Loop& loop_;
    const Needs needs_;
    TcpCounts tcp_;
    RedisCounters counters_;
    RedisLink link_;
    LoadCommand load_command_;
    RedisMaster master_;
    BackOff back_off_;
    Timer<&RedisStore::on_retry> retry_;
    Timer<&RedisStore::on_waiting> waiting_timer_;
    std::deque<StoreCommand> asked_;   // in the order of their answers
    StoreQueue waiting_;               // for a connection, or for another try
    std::deque<StoreCommand> over_;    // to be answered now: they cannot be asked any more
    std::deque<StoreCommand> unsure_;  // as these, once the server would refuse them as late
    SessionReader reader_;
    bool looking_ = false;  // after those that wait
    std::unordered_set<SessionKey, SessionKeyHash> touching_;
    std::uint64_t lane_;  // with the count, the name of a change
    std::uint64_t changes_ = 0;
    std::uint64_t switched_at_ms_ = 0;
    std::uint64_t refused_at_ms_ = 0;  // the last write that was; 0: none since one was done
    unsigned slow_in_a_row_ = 0;
    log::OncePerSecond refused_report_;
    log::OncePerSecond denied_report_;
    inline static log::OncePerMinute loss_warning_;  // for all workers: they lose it together
    log::OncePerMinute refused_warning_;
    log::OncePerMinute reply_warning_;
};

}  // namespace baton
