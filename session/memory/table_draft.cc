#include "session/memory/table_draft.h"

#include <algorithm>

namespace baton {
namespace {

TableAttributes::iterator place_of(TableAttributes& attributes, std::string_view name) noexcept {
    return std::lower_bound(
        attributes.begin(), attributes.end(), name,
        [](const TableAttribute& one, std::string_view other) { return one.name < other; });
}

}  // namespace

TableDraft::TableDraft(const TableEntry& entry, const SessionChange& change)
    : attributes_(entry.attributes), version_(entry.version + 1) {
    attributes_.reserve(attributes_.size() + change.set.size() + change.increments.size());
    for (const auto& [name, value] : change.set) {
        see(name, entry, change);
        put(name, value);
    }
    for (const std::string& name : change.unset) {
        see(name, entry, change);
        const auto at = find(name);
        if (at == attributes_.end()) continue;
        attributes_.erase(at);
        removed_ = true;
    }
    for (const Increment& increment : change.increments) add(increment);
    attributes_.shrink_to_fit();
    // A short string that was moved over a long one has its memory.
    for (TableAttribute& one : attributes_) {
        one.name.shrink_to_fit();
        one.value.shrink_to_fit();
    }
}

TableAttributes::iterator TableDraft::find(std::string_view name) noexcept {
    const auto at = place_of(attributes_, name);
    return at != attributes_.end() && at->name == name ? at : attributes_.end();
}

// Who removed an absent one is no longer known: it may have been any removal.
void TableDraft::see(std::string_view name, const TableEntry& entry, const SessionChange& change) {
    if (!change.base) return;
    const auto at = find(name);
    const std::uint64_t version = at == attributes_.end() ? entry.removed_version : at->version;
    if (version > *change.base) changed_.emplace_back(name);
}

void TableDraft::put(std::string_view name, std::string_view value) {
    auto at = place_of(attributes_, name);
    if (at == attributes_.end() || at->name != name)
        at = attributes_.insert(at, TableAttribute{std::string{name}, {}, 0});
    at->value = std::string{value};
    at->version = version_;
}

void TableDraft::add(const Increment& increment) {
    const auto at = find(increment.name);
    const auto now = at == attributes_.end() ? 0 : parse_integer(at->value);
    // Neither is beyond 2^53: their sum is no overflow.
    const std::int64_t sum = now.value_or(0) + increment.delta;
    if (!now || sum > integer_max || sum < -integer_max)
        no_integers_.push_back(increment.name);
    else
        put(increment.name, std::to_string(sum));
}

}  // namespace baton
