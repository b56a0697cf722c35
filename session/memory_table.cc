#include "session/memory_table.h"

#include <algorithm>
#include <cassert>

namespace baton {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// Longer than a request that began before the logout usually runs.
constexpr std::int64_t tombstone_ms = 30'000;
// Keeps an operation short, and is still faster than entries can be made.
constexpr std::size_t expired_per_change = 8;
// Of a sweep, so that a worker never waits long for the shard.
constexpr std::size_t expired_per_hold = 256;

std::int64_t deadline(const TableEntry& entry, std::int64_t slack_ms,
                      std::int64_t now_ms) noexcept {
    const std::int64_t at = now_ms + entry.idle_ms + slack_ms;
    return entry.absolute_at_ms > 0 ? std::min(at, entry.absolute_at_ms) : at;
}

void extend(TableShard& shard, TableEntry& entry, std::int64_t slack_ms,
            std::int64_t now_ms) noexcept {
    const std::int64_t at = deadline(entry, slack_ms, now_ms);
    if (at > entry.expires_at_ms) shard.expire_at(entry, at);
}

SessionRecord record_of(const TableEntry& entry, std::int64_t now_ms) {
    SessionRecord record;
    record.version = entry.version;
    record.created_ms = entry.created_ms;
    record.idle_ms = entry.idle_ms;
    record.ttl_ms = entry.expires_at_ms - now_ms;
    record.attributes = entry.attributes;
    return record;
}

StoreAnswer answer(StoreAnswer::Kind kind) { return {kind, {}}; }

// Both are sorted, so this is a merge. Everything is copied and nothing moved: copies have no spare
// memory, and the old attributes stay whole in case the new ones find no room.
Attributes changed(const Attributes& old, const SessionChange& change) {
    Attributes attributes;
    attributes.reserve(old.size() + change.set.size());
    auto set = change.set.begin();
    const auto set_end = change.set.end();
    for (const auto& attribute : old) {
        while (set != set_end && set->first < attribute.first) attributes.push_back(*set++);
        if (set != set_end && set->first == attribute.first) {
            attributes.push_back(*set++);
        } else if (std::find(change.unset.begin(), change.unset.end(), attribute.first) ==
                   change.unset.end()) {
            attributes.push_back(attribute);
        }
    }
    attributes.insert(attributes.end(), set, set_end);
    attributes.shrink_to_fit();
    return attributes;
}

[[maybe_unused]] bool is_sorted_and_unique(const Attributes& attributes) noexcept {
    return std::adjacent_find(attributes.begin(), attributes.end(),
                              [](const auto& a, const auto& b) { return a.first >= b.first; }) ==
           attributes.end();
}

std::size_t data_bytes(const Attributes& attributes) noexcept {
    std::size_t bytes = 0;
    for (const auto& [name, value] : attributes) bytes += name.size() + value.size();
    return bytes;
}

// Adds `more` to `total` unless that passes `max`.
bool add_within(std::atomic<std::size_t>& total, std::size_t more, std::size_t max) noexcept {
    std::size_t now = total.load(relaxed);
    do {
        if (more > max || now > max - more) return false;
    } while (!total.compare_exchange_weak(now, now + more, relaxed));
    return true;
}

}  // namespace

StoreAnswer MemoryTable::load(const SessionKey& key, std::int64_t now_ms) {
    TableShard& shard = shard_of(key);
    const TableShard::Hold hold(shard);
    TableEntry* entry = find(shard, key, now_ms);
    if (entry == nullptr) return answer(StoreAnswer::Kind::none);
    if (entry->order == TableOrder::tombstones) return answer(StoreAnswer::Kind::dead);
    shard.move(*entry, TableOrder::confirmed, next_stamp());
    return {StoreAnswer::Kind::live, record_of(*entry, now_ms)};
}

TableEntry MemoryTable::made(NewSession session, std::int64_t now_ms) noexcept {
    TableEntry entry;
    entry.stamp = next_stamp();
    entry.created_ms = now_ms;
    entry.idle_ms = session.idle_ms;
    entry.absolute_at_ms = session.absolute_ms > 0 ? now_ms + session.absolute_ms : 0;
    entry.expires_at_ms = deadline(entry, session.slack_ms, now_ms);
    entry.bytes = TableShard::bytes_of(session.attributes);
    entry.attributes = std::move(session.attributes);
    return entry;
}

StoreAnswer MemoryTable::create(const SessionKey& key, NewSession session, std::int64_t now_ms) {
    assert(is_sorted_and_unique(session.attributes));
    const TableRoom room{1, TableShard::bytes_of(session.attributes)};
    if (room.bytes > limits_.memory_max || limits_.sessions_max == 0) {
        return answer(StoreAnswer::Kind::too_large);
    }
    TableShard& shard = shard_of(key);
    for (;;) {
        Lack lack;
        {
            const TableShard::Hold hold(shard);
            give_back(shard.drop_expired(now_ms, expired_per_change));
            if (find(shard, key, now_ms) != nullptr) return answer(StoreAnswer::Kind::exists);
            lack = take(room);
            if (lack == Lack::nothing) {
                const TableEntry& entry = shard.insert(key, made(std::move(session), now_ms));
                return {StoreAnswer::Kind::created, record_of(entry, now_ms)};
            }
        }
        make_room(lack, nullptr, now_ms);
    }
}

StoreAnswer MemoryTable::commit(const SessionKey& key, const SessionChange& change,
                                std::int64_t now_ms) {
    assert(is_sorted_and_unique(change.set));
    TableShard& shard = shard_of(key);
    for (;;) {
        Lack lack = Lack::nothing;
        {
            const TableShard::Hold hold(shard);
            give_back(shard.drop_expired(now_ms, expired_per_change));
            TableEntry* entry = find_session(shard, key, now_ms);
            if (entry == nullptr) return answer(StoreAnswer::Kind::gone);
            Attributes attributes = changed(entry->attributes, change);
            if (attributes.size() > limits_.attributes_max ||
                data_bytes(attributes) > limits_.data_max) {
                return answer(StoreAnswer::Kind::limit);
            }
            const std::size_t bytes = TableShard::bytes_of(attributes);
            if (bytes > limits_.memory_max) return answer(StoreAnswer::Kind::too_large);
            if (bytes > entry->bytes) lack = take({0, bytes - entry->bytes});
            if (lack == Lack::nothing) {
                if (bytes < entry->bytes) give_back({0, entry->bytes - bytes});
                return write(shard, *entry, std::move(attributes), change.slack_ms, now_ms);
            }
        }
        make_room(lack, &key, now_ms);
    }
}

StoreAnswer MemoryTable::kill(const SessionKey& key, std::int64_t now_ms) {
    TableShard& shard = shard_of(key);
    const TableShard::Hold hold(shard);
    if (TableEntry* entry = find_session(shard, key, now_ms)) {
        shard.move(*entry, TableOrder::tombstones, next_stamp());
        shard.expire_at(*entry, now_ms + tombstone_ms);
        entry->attributes = Attributes{};
        const std::size_t bytes = TableShard::bytes_of(entry->attributes);
        give_back({1, entry->bytes - bytes});
        entry->bytes = bytes;
    }
    return answer(StoreAnswer::Kind::done);
}

StoreAnswer MemoryTable::touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t now_ms) {
    TableShard& shard = shard_of(key);
    const TableShard::Hold hold(shard);
    TableEntry* entry = find_session(shard, key, now_ms);
    if (entry == nullptr) return answer(StoreAnswer::Kind::gone);
    extend(shard, *entry, slack_ms, now_ms);
    return answer(StoreAnswer::Kind::done);
}

void MemoryTable::sweep(std::int64_t now_ms) {
    TableShard& shard = shards_[sweeps_.fetch_add(1, relaxed) % shards_count];
    for (;;) {
        const TableShard::Hold hold(shard);
        const TableRoom room = shard.drop_expired(now_ms, expired_per_hold);
        if (room.bytes == 0) return;
        give_back(room);
    }
}

StoreAnswer MemoryTable::write(TableShard& shard, TableEntry& entry, Attributes attributes,
                               std::int64_t slack_ms, std::int64_t now_ms) {
    entry.bytes = TableShard::bytes_of(attributes);
    entry.attributes = std::move(attributes);
    ++entry.version;
    // An unconfirmed session keeps its place: only a cookie that came back makes it worth more than
    // its age.
    if (entry.order == TableOrder::confirmed) shard.move(entry, entry.order, next_stamp());
    extend(shard, entry, slack_ms, now_ms);
    StoreAnswer committed = answer(StoreAnswer::Kind::committed);
    committed.record.version = entry.version;
    return committed;
}

TableShard& MemoryTable::shard_of(const SessionKey& key) noexcept {
    return shards_[key.bytes.back() % shards_count];
}

TableEntry* MemoryTable::find(TableShard& shard, const SessionKey& key,
                              std::int64_t now_ms) noexcept {
    TableEntry* entry = shard.find(key);
    if (entry == nullptr || entry->expires_at_ms > now_ms) return entry;
    give_back(shard.drop(*entry));
    return nullptr;
}

TableEntry* MemoryTable::find_session(TableShard& shard, const SessionKey& key,
                                      std::int64_t now_ms) noexcept {
    TableEntry* entry = find(shard, key, now_ms);
    return entry != nullptr && entry->order != TableOrder::tombstones ? entry : nullptr;
}

std::uint64_t MemoryTable::next_stamp() noexcept { return stamps_.fetch_add(1, relaxed); }

MemoryTable::Lack MemoryTable::take(TableRoom room) noexcept {
    if (!add_within(memory_, room.bytes, limits_.memory_max)) return Lack::memory;
    if (add_within(sessions_, room.sessions, limits_.sessions_max)) return Lack::nothing;
    memory_.fetch_sub(room.bytes, relaxed);
    return Lack::sessions;
}

void MemoryTable::give_back(TableRoom room) noexcept {
    if (room.bytes > 0) memory_.fetch_sub(room.bytes, relaxed);
    if (room.sessions > 0) sessions_.fetch_sub(room.sessions, relaxed);
}

void MemoryTable::make_room(Lack lack, const SessionKey* spared, std::int64_t now_ms) noexcept {
    if (drop_expired_somewhere(now_ms)) return;
    if (lack == Lack::memory && drop_first(TableOrder::tombstones, spared)) return;
    if (drop_first(TableOrder::unconfirmed, spared)) {
        evicted_unconfirmed_.fetch_add(1, relaxed);
    } else if (drop_first(TableOrder::confirmed, spared)) {
        evicted_confirmed_.fetch_add(1, relaxed);
    }
}

bool MemoryTable::drop_expired_somewhere(std::int64_t now_ms) noexcept {
    for (TableShard& shard : shards_) {
        if (shard.earliest_expiry_ms() > now_ms) continue;
        const TableShard::Hold hold(shard);
        const TableRoom room = shard.drop_expired(now_ms, expired_per_change);
        give_back(room);
        if (room.bytes > 0) return true;
    }
    return false;
}

bool MemoryTable::drop_first(TableOrder order, const SessionKey* spared) noexcept {
    const TableShard* passed_over = nullptr;  // has nothing in this order but the spared one
    while (TableShard* shard = shard_with_oldest(order, passed_over)) {
        const TableShard::Hold hold(*shard);
        if (TableEntry* entry = shard->first(order, spared)) {
            give_back(shard->drop(*entry));
            return true;
        }
        passed_over = shard;
    }
    return false;
}

TableShard* MemoryTable::shard_with_oldest(TableOrder order,
                                           const TableShard* passed_over) noexcept {
    TableShard* oldest = nullptr;
    std::uint64_t stamp = TableShard::no_stamp;
    for (TableShard& shard : shards_) {
        if (&shard == passed_over || shard.first_stamp(order) >= stamp) continue;
        oldest = &shard;
        stamp = shard.first_stamp(order);
    }
    return oldest;
}

}  // namespace baton
