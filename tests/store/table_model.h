#pragma once

// The session table said in the plainest way: one map, nothing but what the contract promises. It
// evicts nothing, and no two keys share anything.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "session/store.h"

namespace baton {

class TableModel {
public:
    struct Limits {
        std::size_t attributes_max;
        std::size_t data_max;
    };
    explicit TableModel(Limits limits) : limits_(limits) {}

    StoreAnswer load(int key, std::int64_t now) {
        Entry* entry = find(key, now);
        if (entry == nullptr) return answer(Kind::none);
        if (entry->ended) return told(*entry, Kind::dead);
        StoreAnswer live = answer(Kind::live);
        live.record = record(*entry, now);
        return live;
    }

    // `replaced`: the key of the session that it takes the place of.
    StoreAnswer create(int key, const NewSession& session, std::optional<int> replaced,
                       std::int64_t now) {
        Entry entry;
        for (const auto& [name, value] : session.attributes) entry.attributes[name] = {value, 1};
        if (!fits(entry)) return answer(Kind::limit);
        if (find(key, now) != nullptr) return answer(Kind::exists);
        if (Entry* old = replaced ? find(*replaced, now) : nullptr) {
            if (old->ended && old->leads_to) return told(*old, Kind::gone);
            if (!old->ended) kill(*replaced, now);
        }
        entry.created = entry.id_since = now;
        entry.idle = session.idle_ms;
        if (session.absolute_ms > 0) entry.absolute_at = now + session.absolute_ms;
        entry.expires_at = deadline(entry, session.slack_ms, now);
        StoreAnswer created = answer(Kind::created);
        created.record = record(entries_[key] = entry, now);
        return created;
    }

    // `to`: the key of a rotation's new id.
    StoreAnswer commit(int key, const SessionChange& change, std::optional<int> to,
                       std::int64_t now) {
        // A rotation is known at its new id.
        const Entry* there = to ? find(*to, now) : nullptr;
        if (there != nullptr)
            if (const auto made = version_made(*there, change)) return committed(*made);
        Entry* entry = find(key, now);
        if (entry == nullptr) return answer(Kind::gone);
        if (entry->ended) return told(*entry, Kind::gone);
        if (const auto made = version_made(*entry, change)) return committed(*made);
        Entry next = *entry;
        ++next.version;
        std::vector<std::string> changed;
        const auto see = [&](const std::string& name) {
            const auto at = entry->attributes.find(name);
            const auto since = at == entry->attributes.end() ? entry->removed : at->second.version;
            if (change.base && since > *change.base) changed.push_back(name);
        };
        for (const auto& [name, value] : change.set) {
            see(name);
            next.attributes[name] = {value, next.version};
        }
        for (const std::string& name : change.unset) {
            see(name);
            if (next.attributes.erase(name) > 0) next.removed = next.version;
        }
        std::vector<std::string> no_integers;
        for (const auto& [name, delta] : change.increments) {
            const auto at = next.attributes.find(name);
            const auto value = parse_integer(at == next.attributes.end() ? "0" : at->second.value);
            if (!value || std::abs(*value + delta) > integer_max)
                no_integers.push_back(name);
            else
                next.attributes[name] = {std::to_string(*value + delta), next.version};
        }
        if (!no_integers.empty()) return named(Kind::not_integer, no_integers, *entry);
        if (!changed.empty()) return named(Kind::conflict, changed, *entry);
        if (!fits(next)) return answer(Kind::limit);
        if (to && find(*to, now) != nullptr) return answer(Kind::exists);
        next.changes[next.version] = change.transaction;
        if (change.idle_ms > 0) next.idle = change.idle_ms;
        const std::int64_t at = deadline(next, change.slack_ms, now);
        next.expires_at = change.idle_ms > 0 ? at : std::max(at, next.expires_at);
        if (to) {
            Entry& tombstone = entries_[key] = Entry{};
            tombstone.ended = true;
            tombstone.leads_to = change.rotation->alias;
            tombstone.expires_at = now + (tombstone.leads_to ? 60'000 : 30'000);
            next.id_since = now;
            key = *to;
        }
        entries_[key] = next;
        return committed(next.version);
    }

    StoreAnswer kill(int key, std::int64_t now) {
        Entry* entry = find(key, now);
        if (entry == nullptr) return answer(Kind::done);
        if (entry->ended) return told(*entry, Kind::done);
        *entry = Entry{};
        entry->ended = true;
        entry->expires_at = now + 30'000;
        return answer(Kind::done);
    }

    void touch(int key, std::int64_t slack, std::int64_t now) {
        Entry* entry = find(key, now);
        if (entry == nullptr || entry->ended) return;
        entry->expires_at = std::max(entry->expires_at, deadline(*entry, slack, now));
    }

private:
    using Kind = StoreAnswer::Kind;
    struct Attribute {
        std::string value;
        std::uint64_t version = 0;
    };
    struct Entry {
        bool ended = false;
        std::optional<SessionId> leads_to;
        std::uint64_t version = 1;
        std::uint64_t removed = 0;
        std::map<std::uint64_t, TransactionId> changes;  // by the version that each made
        std::int64_t created = 0;
        std::int64_t id_since = 0;
        std::int64_t idle = 0;
        std::int64_t absolute_at = 0;
        std::int64_t expires_at = 0;
        std::map<std::string, Attribute> attributes;
    };

    static StoreAnswer answer(Kind kind) {
        StoreAnswer answer;
        answer.kind = kind;
        return answer;
    }
    static StoreAnswer told(const Entry& tombstone, Kind kind) {
        if (!tombstone.leads_to) return answer(kind);
        StoreAnswer moved = answer(Kind::moved);
        moved.moved_to = *tombstone.leads_to;
        return moved;
    }
    static StoreAnswer committed(std::uint64_t version) {
        StoreAnswer done = answer(Kind::committed);
        done.record.version = version;
        return done;
    }
    // If the change is one of the session's last eight.
    static std::optional<std::uint64_t> version_made(const Entry& entry,
                                                     const SessionChange& change) {
        if (change.transaction == TransactionId{}) return std::nullopt;
        for (const auto& [version, transaction] : entry.changes)
            if (transaction == change.transaction && version + 8 > entry.version) return version;
        return std::nullopt;
    }
    static StoreAnswer named(Kind kind, const std::vector<std::string>& names, const Entry& entry) {
        StoreAnswer refused = answer(kind);
        refused.names = names;
        refused.record.version = entry.version;
        return refused;
    }
    static SessionRecord record(const Entry& entry, std::int64_t now) {
        SessionRecord record;
        record.version = entry.version;
        record.created_ms = entry.created;
        record.id_age_ms = now - entry.id_since;
        record.idle_ms = entry.idle;
        record.ttl_ms = entry.expires_at - now;
        record.capped = entry.absolute_at > 0 && entry.expires_at == entry.absolute_at;
        for (const auto& [name, attribute] : entry.attributes)
            record.attributes.emplace_back(name, attribute.value);
        return record;
    }
    static std::int64_t deadline(const Entry& entry, std::int64_t slack, std::int64_t now) {
        const std::int64_t at = now + entry.idle + slack;
        return entry.absolute_at > 0 ? std::min(at, entry.absolute_at) : at;
    }

    bool fits(const Entry& entry) const {
        std::size_t bytes = 0;
        for (const auto& [name, attribute] : entry.attributes)
            bytes += name.size() + attribute.value.size();
        return entry.attributes.size() <= limits_.attributes_max && bytes <= limits_.data_max;
    }
    // What has expired is not there.
    Entry* find(int key, std::int64_t now) {
        const auto at = entries_.find(key);
        if (at == entries_.end() || at->second.expires_at <= now) return nullptr;
        return &at->second;
    }

    const Limits limits_;
    std::map<int, Entry> entries_;
};

}  // namespace baton
