#include "session/memory/memory_table.h"

#include <algorithm>

#include "net/check.h"
#include "session/memory/table_draft.h"

namespace baton {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// Keeps an operation short, and is still faster than entries can be made.
constexpr std::size_t expired_per_change = 8;
// Of a sweep, so that a worker never waits long for the shard.
constexpr std::size_t expired_per_hold = 256;

std::int64_t deadline(const TableEntry& entry, std::int64_t slack_ms,
                      std::int64_t now_ms) noexcept {
    const std::int64_t at = now_ms + entry.idle_ms + slack_ms;
    return entry.absolute_at_ms > 0 ? std::min(at, entry.absolute_at_ms) : at;
}

Attributes plain(const TableAttributes& attributes) {
    Attributes copy;
    copy.reserve(attributes.size());
    for (const TableAttribute& one : attributes) copy.emplace_back(one.name, one.value);
    return copy;
}

// Copies have no spare memory.
TableAttributes versioned(const Attributes& attributes, std::uint64_t version) {
    TableAttributes copy;
    copy.reserve(attributes.size());
    for (const auto& [name, value] : attributes)
        copy.push_back(TableAttribute{name, value, version});
    return copy;
}

SessionRecord record_of(const TableEntry& entry, std::int64_t now_ms) {
    SessionRecord record;
    record.version = entry.version;
    record.created_ms = entry.created_ms;
    record.id_age_ms = now_ms - entry.id_since_ms;
    record.idle_ms = entry.idle_ms;
    record.ttl_ms = entry.expires_at_ms - now_ms;
    record.capped = entry.expires_at_ms == entry.absolute_at_ms;
    record.attributes = plain(entry.attributes);
    return record;
}

StoreAnswer committed(std::uint64_t version) {
    StoreAnswer done = StoreAnswer::of(StoreAnswer::Kind::committed);
    done.record.version = version;
    return done;
}

[[maybe_unused]] bool is_sorted_and_unique(const Attributes& attributes) noexcept {
    return std::adjacent_find(attributes.begin(), attributes.end(),
                              [](const auto& a, const auto& b) { return a.first >= b.first; }) ==
           attributes.end();
}

StoreAnswer with_names(StoreAnswer::Kind kind, const std::vector<std::string>& names,
                       const TableEntry& entry) {
    StoreAnswer refused = StoreAnswer::of(kind);
    refused.names = names;
    if (names.size() > names_max) refused.names.resize(names_max);
    refused.record.version = entry.version;
    return refused;
}

// What is told of a tombstone.
StoreAnswer ended(const TableEntry& tombstone, StoreAnswer::Kind kind) {
    StoreAnswer told = StoreAnswer::of(tombstone.alias ? StoreAnswer::Kind::moved : kind);
    if (tombstone.alias) told.moved_to = *tombstone.alias;
    return told;
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

StoreAnswer MemoryTable::load(const SessionKey& key, std::int64_t now_ms, ShownBy shown_by) {
    TableShard& shard = shard_of(key);
    const TableShard::Hold hold(shard);
    TableEntry* entry = find(shard, key, now_ms);
    if (entry == nullptr) return StoreAnswer::of(StoreAnswer::Kind::none);
    if (entry->order == TableOrder::tombstones) return ended(*entry, StoreAnswer::Kind::dead);
    // A server that reads it is no use of the session.
    if (shown_by == ShownBy::client) shard.move(*entry, TableOrder::confirmed, next_stamp());
    StoreAnswer live = StoreAnswer::of(StoreAnswer::Kind::live);
    live.record = record_of(*entry, now_ms);
    return live;
}

TableEntry MemoryTable::made(const NewSession& session, std::int64_t now_ms) {
    TableEntry entry;
    entry.stamp = next_stamp();
    entry.created_ms = now_ms;
    entry.id_since_ms = now_ms;
    entry.idle_ms = session.idle_ms;
    entry.absolute_at_ms = session.absolute_ms > 0 ? now_ms + session.absolute_ms : 0;
    entry.expires_at_ms = deadline(entry, session.slack_ms, now_ms);
    entry.attributes = versioned(session.attributes, entry.version);
    entry.bytes = TableShard::bytes_of(entry.attributes);
    return entry;
}

StoreAnswer MemoryTable::create(const SessionKey& key, NewSession session, std::int64_t now_ms) {
    check(is_sorted_and_unique(session.attributes), "attributes out of order");
    TableEntry entry = made(session, now_ms);
    if (!is_within_limits(entry.attributes)) return StoreAnswer::of(StoreAnswer::Kind::limit);
    if (entry.bytes > limits_.memory_max || limits_.sessions_max == 0) {
        return StoreAnswer::of(StoreAnswer::Kind::too_large);
    }
    for (;;) {
        Shortage shortage;
        if (auto done = try_create(key, entry, session.replaces, now_ms, shortage))
            return std::move(*done);
        make_room(shortage.lack, shortage.spared, now_ms);
    }
}

std::optional<StoreAnswer> MemoryTable::try_create(const SessionKey& key, TableEntry& entry,
                                                   const std::optional<SessionKey>& replaces,
                                                   std::int64_t now_ms, Shortage& shortage) {
    TableShard& shard = shard_of(key);
    TableShard& other = replaces ? shard_of(*replaces) : shard;
    // Both at once: neither the end nor the beginning is seen without the other.
    const TableShard::Hold first(*std::min(&shard, &other));
    std::optional<TableShard::Hold> second;
    if (&other != &shard) second.emplace(*std::max(&shard, &other));
    give_back(shard.drop_expired(now_ms, expired_per_change));
    if (find(shard, key, now_ms) != nullptr) return StoreAnswer::of(StoreAnswer::Kind::exists);
    TableEntry* old = replaces ? find(other, *replaces, now_ms) : nullptr;
    if (old != nullptr && old->order == TableOrder::tombstones) {
        if (old->alias) return ended(*old, StoreAnswer::Kind::moved);
        old = nullptr;
    }
    // Of the room of the old one all but that of its tombstone is the new one's.
    const std::size_t tombstone = TableShard::bytes_of(TableAttributes{});
    const std::size_t freed = old != nullptr ? old->bytes - tombstone : 0;
    if (old != nullptr && entry.bytes + tombstone > limits_.memory_max)
        return StoreAnswer::of(StoreAnswer::Kind::too_large);
    const std::size_t more = entry.bytes > freed ? entry.bytes - freed : 0;
    const Lack lack = take({old != nullptr ? std::size_t{0} : std::size_t{1}, more});
    if (lack != Lack::nothing) {
        shortage = {lack, old != nullptr ? &*replaces : nullptr};
        return std::nullopt;
    }
    give_back({0, freed + more - entry.bytes});
    if (old != nullptr) end(other, *old, now_ms);
    StoreAnswer created = StoreAnswer::of(StoreAnswer::Kind::created);
    created.record = record_of(shard.insert(key, std::move(entry)), now_ms);
    return created;
}

StoreAnswer MemoryTable::commit(const SessionKey& key, const SessionChange& change,
                                std::int64_t now_ms) {
    check(is_sorted_and_unique(change.set), "attributes out of order");
    for (;;) {
        Lack lack = Lack::nothing;
        if (auto done = try_commit(key, change, now_ms, lack)) return std::move(*done);
        make_room(lack, &key, now_ms);
    }
}

std::optional<StoreAnswer> MemoryTable::try_commit(const SessionKey& key,
                                                   const SessionChange& change, std::int64_t now_ms,
                                                   Lack& lack) {
    TableShard& shard = shard_of(key);
    TableShard& target = change.rotation ? shard_of(change.rotation->to) : shard;
    // Both at once: who is led from the old id to the new one must find the session there.
    const TableShard::Hold first(*std::min(&shard, &target));
    std::optional<TableShard::Hold> second;
    if (&target != &shard) second.emplace(*std::max(&shard, &target));
    give_back(shard.drop_expired(now_ms, expired_per_change));
    if (change.rotation) {
        const TableEntry* there = find_session(target, change.rotation->to, now_ms);
        const auto made = there ? version_made(*there, change.transaction) : std::nullopt;
        if (made) return committed(*made);
    }
    TableEntry* entry = find(shard, key, now_ms);
    if (entry == nullptr) return StoreAnswer::of(StoreAnswer::Kind::gone);
    if (entry->order == TableOrder::tombstones) return ended(*entry, StoreAnswer::Kind::gone);
    if (const auto made = version_made(*entry, change.transaction)) return committed(*made);
    TableDraft draft{*entry, change};
    if (auto refused = refusal(draft, *entry, change)) return refused;
    if (change.rotation && find(target, change.rotation->to, now_ms) != nullptr)
        return StoreAnswer::of(StoreAnswer::Kind::exists);
    // A rotation leaves a tombstone behind.
    const std::size_t bytes = TableShard::bytes_of(draft.attributes()) +
                              (change.rotation ? TableShard::bytes_of(TableAttributes{}) : 0);
    if (bytes > limits_.memory_max) return StoreAnswer::of(StoreAnswer::Kind::too_large);
    if (bytes > entry->bytes) lack = take({0, bytes - entry->bytes});
    if (lack != Lack::nothing) return std::nullopt;
    if (bytes < entry->bytes) give_back({0, entry->bytes - bytes});
    write(shard, *entry, std::move(draft), change, now_ms);
    const StoreAnswer done = committed(entry->version);
    if (change.rotation)
        target.insert(change.rotation->to, take_out(shard, *entry, change.rotation->alias, now_ms));
    return done;
}

bool MemoryTable::is_within_limits(const TableAttributes& attributes) const noexcept {
    std::size_t bytes = 0;
    for (const TableAttribute& one : attributes) bytes += one.name.size() + one.value.size();
    return attributes.size() <= limits_.attributes_max && bytes <= limits_.data_max;
}

std::optional<StoreAnswer> MemoryTable::refusal(const TableDraft& draft, const TableEntry& entry,
                                                const SessionChange& change) const {
    using Kind = StoreAnswer::Kind;
    if (!draft.no_integers().empty())
        return with_names(Kind::not_integer, draft.no_integers(), entry);
    if (!draft.changed_since_base().empty())
        return with_names(Kind::conflict, draft.changed_since_base(), entry);
    if (!is_within_limits(draft.attributes())) return StoreAnswer::of(Kind::limit);
    if (change.encoded_max > 0) {
        const std::size_t after = encoded_size(plain(draft.attributes()));
        if (after > change.encoded_max && after > encoded_size(plain(entry.attributes)))
            return StoreAnswer::of(Kind::too_long);
    }
    return std::nullopt;
}

TableEntry MemoryTable::take_out(TableShard& shard, TableEntry& entry,
                                 const std::optional<SessionId>& alias, std::int64_t now_ms) {
    TableEntry moving;
    moving.order = entry.order;  // a client that showed the old id is given the new one
    moving.stamp = next_stamp();
    moving.version = entry.version;
    moving.removed_version = entry.removed_version;
    moving.changes = entry.changes;
    moving.created_ms = entry.created_ms;
    moving.id_since_ms = now_ms;
    moving.idle_ms = entry.idle_ms;
    moving.absolute_at_ms = entry.absolute_at_ms;
    moving.expires_at_ms = entry.expires_at_ms;
    moving.attributes = std::exchange(entry.attributes, {});
    moving.bytes = TableShard::bytes_of(moving.attributes);
    entry.bytes = TableShard::bytes_of(entry.attributes);
    entry.alias = alias;
    shard.move(entry, TableOrder::tombstones, next_stamp());
    shard.expire_at(entry, now_ms + (alias ? alias_ms : tombstone_ms));
    return moving;
}

StoreAnswer MemoryTable::kill(const SessionKey& key, std::int64_t now_ms) {
    TableShard& shard = shard_of(key);
    const TableShard::Hold hold(shard);
    TableEntry* entry = find(shard, key, now_ms);
    if (entry == nullptr) return StoreAnswer::of(StoreAnswer::Kind::done);
    if (entry->order == TableOrder::tombstones) return ended(*entry, StoreAnswer::Kind::done);
    const std::size_t before = entry->bytes;
    end(shard, *entry, now_ms);
    give_back({1, before - entry->bytes});
    return StoreAnswer::of(StoreAnswer::Kind::done);
}

void MemoryTable::end(TableShard& shard, TableEntry& entry, std::int64_t now_ms) {
    shard.move(entry, TableOrder::tombstones, next_stamp());
    shard.expire_at(entry, now_ms + tombstone_ms);
    entry.attributes = TableAttributes{};
    entry.bytes = TableShard::bytes_of(entry.attributes);
}

StoreAnswer MemoryTable::touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t now_ms) {
    TableShard& shard = shard_of(key);
    const TableShard::Hold hold(shard);
    TableEntry* entry = find_session(shard, key, now_ms);
    if (entry == nullptr) return StoreAnswer::of(StoreAnswer::Kind::gone);
    const std::int64_t at = deadline(*entry, slack_ms, now_ms);
    if (at > entry->expires_at_ms) shard.expire_at(*entry, at);
    shard.move(*entry, entry->order, next_stamp());
    return StoreAnswer::of(StoreAnswer::Kind::done);
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

void MemoryTable::write(TableShard& shard, TableEntry& entry, TableDraft draft,
                        const SessionChange& change, std::int64_t now_ms) {
    if (draft.removed()) entry.removed_version = entry.version + 1;
    ++entry.version;
    note_change(entry, change.transaction);
    entry.attributes = std::move(draft).take();
    entry.bytes = TableShard::bytes_of(entry.attributes);
    // A shorter idle time takes effect at once; else the expiry never moves back.
    if (change.idle_ms > 0) entry.idle_ms = change.idle_ms;
    const std::int64_t at = deadline(entry, change.slack_ms, now_ms);
    if (change.idle_ms > 0 || at > entry.expires_at_ms) shard.expire_at(entry, at);
    // An unconfirmed session stays one: only a cookie that came back makes it worth more.
    shard.move(entry, entry.order, next_stamp());
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
