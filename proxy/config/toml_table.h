#pragma once

// A TOML table read key by key: what is there and right goes into the configuration, what is there
// and wrong becomes a complaint, and what nobody asked for is one in the end.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/complaints.h"
#include "proxy/config/toml_value.h"

namespace baton {

struct NumberRange {
    std::int64_t min;
    std::int64_t max;
};

struct DurationRange {
    std::chrono::milliseconds min;
    std::chrono::milliseconds max;
    std::string_view zero_means = "no limit";  // what "0s" stands for; empty: it is refused
};

struct SizeRange {
    std::uint64_t min;
    std::uint64_t max;
    std::string_view zero_means = {};  // what 0 stands for; empty: it is refused
};

using Words = std::string_view;  // a blank between two

// Every reader leaves `out` as it is when the key is not there or its value is refused: the default
// stands in `out`. The value and the complaints must outlive the table.
class TomlTable {
public:
    // A table that is not there has no `value`. What is no table has no keys.
    TomlTable(const TomlValue* value, std::string path, Complaints& complaints);

    // "listener[0].address"
    std::string path_of(std::string_view key) const;
    bool has(std::string_view key) { return find(key) != nullptr; }

    void boolean(std::string_view key, bool& out);
    // The default is the example of a refusal, here and in `size`.
    void duration(std::string_view key, std::chrono::milliseconds& out, const DurationRange& range);
    template <class Int>
    void number(std::string_view key, Int& out, const NumberRange& range) {
        if (const auto number = number_in(key, range)) out = static_cast<Int>(*number);
    }
    template <class Int>
    void size(std::string_view key, Int& out, const SizeRange& range) {
        if (const auto bytes = size_in(key, out, range)) out = static_cast<Int>(*bytes);
    }
    // A text that is not `valid` is refused as not `expected`.
    void text(std::string_view key, std::string& out, std::string_view expected,
              bool (*valid)(std::string_view));
    // Which of `names`, by its index. One of `later` is refused as not supported yet.
    std::optional<std::size_t> choice(std::string_view key, std::span<const std::string_view> names,
                                      Words later = {});

    // The items of an array, each with a path of its own. Anything but an array is refused as not
    // `expected`.
    struct Item {
        const TomlValue* value;
        std::string path;
    };
    std::vector<Item> items(std::string_view key, std::string_view expected);
    // A table, or an array of tables, whose name is a slip of `key` is read in its place: `finish`
    // complains of the name, and what is wrong below it is told at once.
    // `hint` says what an item that is no table was meant to be.
    std::vector<TomlTable> tables(std::string_view key, std::string_view expected,
                                  std::string (*hint)(const TomlValue&) = nullptr);
    TomlTable table(std::string_view key);
    bool exists() const noexcept { return value_ != nullptr; }

    // Marks `key` as known and gives its value, null if it is not there.
    const TomlValue* find(std::string_view key);
    void require(std::string_view key, std::string_view expected);
    // Whether its value was refused, or a slip of it stands here: what follows from its absence is
    // then not worth a complaint.
    bool is_in_doubt(std::string_view key) const;
    void refuse(std::string_view key, std::string_view expected, std::string_view hint = {});
    void refuse(const Item& item, std::string_view expected, std::string_view hint = {});
    // What is taken, although it is unwise.
    void warn(std::string_view key, std::string_view text);

    // The last call: complains about every key that nobody asked for. Those of `later` are not
    // supported yet.
    void finish(Words later = {});

private:
    // The item called `key`, or the one of this kind that is a slip of it.
    const TomlValue* find_or_slip(std::string_view key, TomlValue::Kind kind);
    std::vector<Item> items_of(const TomlValue& array);
    // The value, of any kind, whose key is not known and a slip of this one, which is not there.
    const TomlValue* slip_of(std::string_view key) const;
    void refuse_shape(const TomlValue& value, std::string_view expected,
                      std::string_view hint = {});
    std::optional<std::int64_t> number_in(std::string_view key, const NumberRange& range);
    std::optional<std::uint64_t> size_in(std::string_view key, std::uint64_t example,
                                         const SizeRange& range);

    const TomlValue* value_;
    std::string path_;
    Complaints* complaints_;
    std::vector<std::string_view> known_;
};

// For a text that would be a number of this range if it had no quotes; else empty.
std::string quotes_hint(const TomlValue& value, const NumberRange& range);

// The first of `words`, which loses it.
std::string_view take_word(Words& words) noexcept;
bool contains(Words words, std::string_view word) noexcept;

// The one of `names` that `word` may be a slip of: at most two letters wrong, left out, too many or
// swapped; capital letters are none. Empty if none is.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace baton
