#pragma once

// One shard of the in-memory session table: entries, and the orders in which they go. It knows no
// limits; the table does. Everything but the hints is for the holder of its lock.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "session/store.h"

namespace baton {

// The lists an entry can be in, each with the first to go in front.
enum class TableOrder : std::uint8_t {
    tombstones,   // ended, oldest first
    unconfirmed,  // the cookie never came back, least recently used first
    confirmed,    // likewise
};
inline constexpr std::size_t table_orders_count = 3;

struct TableAttribute {
    std::string name;
    std::string value;
    std::uint64_t version;  // of the session, by the commit that set it
};
using TableAttributes = std::vector<TableAttribute>;  // sorted by name

// A session, or the tombstone of one.
struct TableEntry {
    const SessionKey* key = nullptr;  // in the map's node
    TableOrder order = TableOrder::unconfirmed;
    std::uint64_t stamp = 0;  // when it came to the end of its list, in uses of the whole table
    std::uint64_t version = 1;
    std::uint64_t removed_version = 0;  // of the last commit that removed an attribute
    // Who made the last versions, latest first: the short names of transactions.
    std::array<std::uint64_t, known_changes_max> changes{};
    std::int64_t created_ms = 0;
    std::int64_t id_since_ms = 0;
    std::int64_t idle_ms = 0;
    std::int64_t absolute_at_ms = 0;  // 0: no absolute deadline
    std::int64_t expires_at_ms = 0;
    std::size_t bytes = 0;  // what it counts for in the table's memory
    TableAttributes attributes;
    std::optional<SessionId> alias;  // of a tombstone: where the session is now
    std::list<TableEntry*>::iterator place;
    std::multimap<std::int64_t, TableEntry*>::iterator expiry;
};

// The version that the transaction made, if it is one of the last.
std::optional<std::uint64_t> version_made(const TableEntry& entry,
                                          const TransactionId& transaction) noexcept;
void note_change(TableEntry& entry, const TransactionId& transaction) noexcept;

// What entries take, or give back when they go.
struct TableRoom {
    std::size_t sessions = 0;
    std::size_t bytes = 0;
};

class alignas(64) TableShard {
public:
    // Holds the lock, and leaves true hints behind.
    class Hold {
    public:
        explicit Hold(TableShard& shard) : shard_(shard), lock_(shard.mutex_) {}
        ~Hold() { shard_.publish(); }
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;

    private:
        TableShard& shard_;
        std::lock_guard<std::mutex> lock_;
    };

    // An estimate of the bytes an entry takes: its three nodes and its share of the map's buckets,
    // the attributes' array, and every string that does not fit into its object; each block as
    // malloc rounds it.
    static std::size_t bytes_of(const TableAttributes& attributes) noexcept;

    // Expired ones too. Pointers hold until the entry is dropped.
    TableEntry* find(const SessionKey& key) noexcept;
    // The key must be new. Its place, its expiry and its key are filled in.
    TableEntry& insert(const SessionKey& key, TableEntry&& entry);
    // To the end of a list.
    void move(TableEntry& entry, TableOrder order, std::uint64_t stamp) noexcept;
    void expire_at(TableEntry& entry, std::int64_t expires_at_ms) noexcept;

    TableRoom drop(TableEntry& entry) noexcept;
    // The earliest expired ones, at most `count_max`.
    TableRoom drop_expired(std::int64_t now_ms, std::size_t count_max) noexcept;
    // The first of a list that is not `spared`, or null.
    TableEntry* first(TableOrder order, const SessionKey* spared) noexcept;

    // Hints for any thread, true at the last release of the lock: the stamp of a list's first
    // entry or `no_stamp`, and the earliest expiry or `never`. They say which shard to look into;
    // what is there is seen under its lock.
    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
    static constexpr std::uint64_t no_stamp = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t first_stamp(TableOrder order) const noexcept {
        // Relaxed: a hint guards no other data.
        return first_stamps_[index(order)].load(std::memory_order_relaxed);
    }
    std::int64_t earliest_expiry_ms() const noexcept {
        return earliest_expiry_ms_.load(std::memory_order_relaxed);  // as above
    }

private:
    // The table picks the shard by another byte than this hash takes.
    using Entries = std::unordered_map<SessionKey, TableEntry, SessionKeyHash>;

    static constexpr std::size_t index(TableOrder order) noexcept {
        return static_cast<std::size_t>(order);
    }
    void publish() noexcept;

    std::mutex mutex_;
    std::array<std::atomic<std::uint64_t>, table_orders_count> first_stamps_ = {no_stamp, no_stamp,
                                                                                no_stamp};
    std::atomic<std::int64_t> earliest_expiry_ms_ = never;

    Entries entries_;
    std::array<std::list<TableEntry*>, table_orders_count> orders_;
    std::multimap<std::int64_t, TableEntry*> by_expiry_;
};

}  // namespace baton
