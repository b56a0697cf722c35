#include "session/memory/table_shard.h"

#include <algorithm>
#include <string>
#include <utility>

namespace baton {
namespace {

// What malloc takes for a block: a word of its own, in steps of 16.
constexpr std::size_t block_bytes(std::size_t size) noexcept {
    return (size + sizeof(void*) + 15) / 16 * 16;
}

// A string of up to 15 bytes lives in its object.
std::size_t heap_bytes(const std::string& text) noexcept {
    constexpr std::size_t inside_max = 15;
    return text.capacity() > inside_max ? block_bytes(text.capacity() + 1) : 0;
}

constexpr std::size_t map_node =
    block_bytes(sizeof(void*) + sizeof(SessionKey) + sizeof(TableEntry));
constexpr std::size_t list_node = block_bytes(3 * sizeof(void*));
constexpr std::size_t expiry_node =
    block_bytes(4 * sizeof(void*) + sizeof(std::int64_t) + sizeof(void*));
// The map has between one and two buckets for an entry once it has grown.
constexpr std::size_t buckets = 2 * sizeof(void*);

}  // namespace

std::size_t TableShard::bytes_of(const TableAttributes& attributes) noexcept {
    std::size_t bytes = map_node + list_node + expiry_node + buckets;
    if (attributes.capacity() > 0) {
        bytes += block_bytes(attributes.capacity() * sizeof(TableAttribute));
    }
    for (const TableAttribute& attribute : attributes)
        bytes += heap_bytes(attribute.name) + heap_bytes(attribute.value);
    return bytes;
}

TableEntry* TableShard::find(const SessionKey& key) noexcept {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
}

TableEntry& TableShard::insert(const SessionKey& key, TableEntry&& entry) {
    const auto [node, made] = entries_.try_emplace(key, std::move(entry));
    TableEntry& kept = node->second;
    kept.key = &node->first;
    auto& list = orders_[index(kept.order)];
    kept.place = list.insert(list.end(), &kept);
    kept.expiry = by_expiry_.emplace(kept.expires_at_ms, &kept);
    return kept;
}

void TableShard::move(TableEntry& entry, TableOrder order, std::uint64_t stamp) noexcept {
    auto& to = orders_[index(order)];
    to.splice(to.end(), orders_[index(entry.order)], entry.place);
    entry.order = order;
    entry.stamp = stamp;
}

void TableShard::expire_at(TableEntry& entry, std::int64_t expires_at_ms) noexcept {
    auto node = by_expiry_.extract(entry.expiry);
    node.key() = expires_at_ms;
    entry.expiry = by_expiry_.insert(std::move(node));
    entry.expires_at_ms = expires_at_ms;
}

TableRoom TableShard::drop(TableEntry& entry) noexcept {
    const bool is_session = entry.order != TableOrder::tombstones;
    const TableRoom room{is_session ? std::size_t{1} : std::size_t{0}, entry.bytes};
    by_expiry_.erase(entry.expiry);
    orders_[index(entry.order)].erase(entry.place);
    entries_.erase(entries_.find(*entry.key));
    return room;
}

TableRoom TableShard::drop_expired(std::int64_t now_ms, std::size_t count_max) noexcept {
    TableRoom room;
    for (std::size_t i = 0; i < count_max; ++i) {
        if (by_expiry_.empty() || by_expiry_.begin()->first > now_ms) break;
        const TableRoom more = drop(*by_expiry_.begin()->second);
        room.sessions += more.sessions;
        room.bytes += more.bytes;
    }
    return room;
}

TableEntry* TableShard::first(TableOrder order, const SessionKey* spared) noexcept {
    for (TableEntry* entry : orders_[index(order)]) {
        if (spared == nullptr || *entry->key != *spared) return entry;
    }
    return nullptr;
}

void TableShard::publish() noexcept {
    for (std::size_t i = 0; i < table_orders_count; ++i) {
        const std::uint64_t stamp = orders_[i].empty() ? no_stamp : orders_[i].front()->stamp;
        first_stamps_[i].store(stamp, std::memory_order_relaxed);  // as in first_stamp
    }
    const std::int64_t earliest = by_expiry_.empty() ? never : by_expiry_.begin()->first;
    earliest_expiry_ms_.store(earliest, std::memory_order_relaxed);
}

std::optional<std::uint64_t> version_made(const TableEntry& entry,
                                          const TransactionId& transaction) noexcept {
    const std::uint64_t name = short_name(transaction);
    if (name == 0) return std::nullopt;
    const auto at = std::find(entry.changes.begin(), entry.changes.end(), name);
    if (at == entry.changes.end()) return std::nullopt;
    return entry.version - static_cast<std::uint64_t>(at - entry.changes.begin());
}

void note_change(TableEntry& entry, const TransactionId& transaction) noexcept {
    std::copy_backward(entry.changes.begin(), entry.changes.end() - 1, entry.changes.end());
    entry.changes.front() = short_name(transaction);
}

}  // namespace baton
