#pragma once

// The in-memory session table: one per process, shared by all workers, in shards with a mutex each,
// held for one operation. Time is an argument, so expiry is tested without waiting.
//
// It is bounded by the number of sessions and by memory, over all shards together. An operation
// takes its room while it holds its own shard; if there is none it lets go, drops one entry from
// whichever shard has the right one, and begins anew. So the totals never pass the limits, not even
// for a moment. Only what has two ids, a rotation and a session that takes
// another's place, holds two locks, in the order of the shards. What goes first when the table is
// full:
//   1. what has expired (each create and commit drops up to 8 such entries of its shard in any
//      case, and `sweep` drops the rest);
//   2. if it is memory that lacks: tombstones, oldest first (they do not count as sessions);
//   3. the least recently used unconfirmed session: its cookie never came back, so a flood of clients
//      without cookies pushes out only itself;
//   4. the least recently used confirmed session.
// Used is a session when it is made, changed, touched, or shown by its client.
// Ages are compared over all shards: each list's first entry has a stamp that can be read without
// its lock.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "session/memory/table_shard.h"
#include "session/store.h"

namespace baton {

class TableDraft;

struct TableLimits {
    std::size_t sessions_max = 100'000;
    std::size_t memory_max = std::size_t{256} << 20;  // bytes, all sessions with their bookkeeping
    std::size_t attributes_max = 64;                  // of a session
    std::size_t data_max = std::size_t{24} << 10;     // bytes of names and values of a session
};

// Any thread.
class MemoryTable {
public:
    explicit MemoryTable(TableLimits limits) noexcept : limits_(limits) {}
    MemoryTable(const MemoryTable&) = delete;
    MemoryTable& operator=(const MemoryTable&) = delete;

    // A live session that the client has shown is confirmed, and the most recently used one. One that a
    // server has shown stays what it is: reading is no use.
    StoreAnswer load(const SessionKey& key, std::int64_t now_ms,
                     ShownBy shown_by = ShownBy::client);
    // `too_large` only if this session alone would not fit into the table.
    StoreAnswer create(const SessionKey& key, NewSession session, std::int64_t now_ms);
    StoreAnswer commit(const SessionKey& key, const SessionChange& change, std::int64_t now_ms);
    StoreAnswer kill(const SessionKey& key, std::int64_t now_ms);
    // Moves the expiry on, never back, never past the absolute deadline.
    StoreAnswer touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t now_ms);

    // Drops what has expired in the next shard in turn. Called once a second by the control thread.
    void sweep(std::int64_t now_ms);

    // Live ones, tombstones not counted; may count expired ones that are not dropped yet.
    std::size_t sessions() const noexcept { return sessions_.load(std::memory_order_relaxed); }
    std::size_t memory() const noexcept { return memory_.load(std::memory_order_relaxed); }
    std::uint64_t evicted_unconfirmed() const noexcept {
        return evicted_unconfirmed_.load(std::memory_order_relaxed);
    }
    std::uint64_t evicted_confirmed() const noexcept {
        return evicted_confirmed_.load(std::memory_order_relaxed);
    }

private:
    // Many more than workers, so that they rarely meet.
    static constexpr std::size_t shards_count = 64;

    enum class Lack : std::uint8_t { nothing, memory, sessions };

    TableShard& shard_of(const SessionKey& key) noexcept;
    // The entry, session or tombstone, that has not expired, or null. For the holder of the shard.
    TableEntry* find(TableShard& shard, const SessionKey& key, std::int64_t now_ms) noexcept;
    // The same for sessions only.
    TableEntry* find_session(TableShard& shard, const SessionKey& key,
                             std::int64_t now_ms) noexcept;
    // The entry of a new session, for `TableShard::insert`.
    TableEntry made(const NewSession& session, std::int64_t now_ms);
    bool is_within_limits(const TableAttributes& attributes) const noexcept;
    // What room there was not, and whose entry may not be dropped for it.
    struct Shortage {
        Lack lack = Lack::nothing;
        const SessionKey* spared = nullptr;
    };
    // Nothing if there is a shortage: for another try, with the same entry.
    std::optional<StoreAnswer> try_create(const SessionKey& key, TableEntry& entry,
                                          const std::optional<SessionKey>& replaces,
                                          std::int64_t now_ms, Shortage& shortage);
    // Makes a tombstone of a session. The room is the caller's to give back.
    void end(TableShard& shard, TableEntry& entry, std::int64_t now_ms);
    // Nothing if there is a `lack` of room: for another try.
    std::optional<StoreAnswer> try_commit(const SessionKey& key, const SessionChange& change,
                                          std::int64_t now_ms, Lack& lack);
    // Why a commit cannot be carried out, if it cannot.
    std::optional<StoreAnswer> refusal(const TableDraft& draft, const TableEntry& entry,
                                       const SessionChange& change) const;
    // Puts a commit's outcome into the entry. Its room is taken already.
    void write(TableShard& shard, TableEntry& entry, TableDraft draft, const SessionChange& change,
               std::int64_t now_ms);
    // Takes a session out to give it another key, and leaves a tombstone.
    TableEntry take_out(TableShard& shard, TableEntry& entry, const std::optional<SessionId>& alias,
                        std::int64_t now_ms);
    std::uint64_t next_stamp() noexcept;

    Lack take(TableRoom room) noexcept;  // all of it or nothing
    void give_back(TableRoom room) noexcept;
    // Drops an entry that is not `spared`, if there is one. The caller holds no shard.
    void make_room(Lack lack, const SessionKey* spared, std::int64_t now_ms) noexcept;
    bool drop_expired_somewhere(std::int64_t now_ms) noexcept;
    bool drop_first(TableOrder order, const SessionKey* spared) noexcept;
    TableShard* shard_with_oldest(TableOrder order, const TableShard* passed_over) noexcept;

    const TableLimits limits_;
    // All atomics are relaxed: they are counts, and guard no other data.
    std::atomic<std::size_t> sessions_ = 0;
    std::atomic<std::size_t> memory_ = 0;
    std::atomic<std::uint64_t> stamps_ = 0;
    std::atomic<std::size_t> sweeps_ = 0;
    std::atomic<std::uint64_t> evicted_unconfirmed_ = 0;
    std::atomic<std::uint64_t> evicted_confirmed_ = 0;
    std::array<TableShard, shards_count> shards_;
};

// The table's handle for one loop.
class MemoryStore final : public Store {
public:
    explicit MemoryStore(MemoryTable& table) : table_(table) {}

    std::optional<StoreAnswer> load(const SessionKey& key, ShownBy shown_by,
                                    const StoreAsk& ask) override {
        return table_.load(key, ask.now_ms, shown_by);
    }
    std::optional<StoreAnswer> load_several(std::span<const SessionKey> keys, ShownBy shown_by,
                                            const StoreAsk& ask) override {
        StoreAnswer told;
        told.kind = StoreAnswer::Kind::several;
        for (const SessionKey& key : keys)
            told.each.push_back(table_.load(key, ask.now_ms, shown_by));
        return told;
    }
    std::optional<StoreAnswer> create(const SessionKey& key, NewSession session,
                                      const StoreAsk& ask) override {
        const std::optional<SessionKey> replaced = session.replaces;
        StoreAnswer told = table_.create(key, std::move(session), ask.now_ms);
        if (replaced && told.kind == StoreAnswer::Kind::created) note_ended(*replaced);
        return told;
    }
    std::optional<StoreAnswer> commit(const SessionKey& key, SessionChange change,
                                      const StoreAsk& ask) override {
        StoreAnswer told = table_.commit(key, change, ask.now_ms);
        if (change.rotation && told.kind == StoreAnswer::Kind::committed) note_ended(key);
        return told;
    }
    std::optional<StoreAnswer> kill(const SessionKey& key, const StoreAsk& ask) override {
        StoreAnswer told = table_.kill(key, ask.now_ms);
        if (told.kind == StoreAnswer::Kind::done) note_ended(key);
        return told;
    }
    void touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t now_ms) override {
        table_.touch(key, slack_ms, now_ms);
    }
    void forget(StoreTicket) noexcept override {}

private:
    MemoryTable& table_;
};

}  // namespace baton
