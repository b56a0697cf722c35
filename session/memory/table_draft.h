#pragma once

// What an entry of the table would hold after a change, or why the change cannot be made. For the holder
// of the entry's shard.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "session/memory/table_shard.h"
#include "session/store.h"

namespace baton {

class TableDraft {
public:
    // A copy: the old attributes stay whole, in case the new ones find no room.
    TableDraft(const TableEntry& entry, const SessionChange& change);

    // Names of attributes, each empty if all is well: those that another commit has changed since the
    // change's base, and those that are to be incremented and are no integers, or would pass the bounds.
    const std::vector<std::string>& changed_since_base() const noexcept { return changed_; }
    const std::vector<std::string>& no_integers() const noexcept { return no_integers_; }
    bool removed() const noexcept { return removed_; }  // an attribute
    const TableAttributes& attributes() const noexcept { return attributes_; }
    TableAttributes take() && { return std::move(attributes_); }

private:
    TableAttributes::iterator find(std::string_view name) noexcept;
    void see(std::string_view name, const TableEntry& entry, const SessionChange& change);
    void put(std::string_view name, std::string_view value);
    void add(const Increment& increment);

    TableAttributes attributes_;
    std::uint64_t version_;
    bool removed_ = false;
    std::vector<std::string> changed_;
    std::vector<std::string> no_integers_;
};

}  // namespace baton
