#include "proxy/config/toml_table.h"

#include <algorithm>
#include <utility>

#include "net/text.h"
#include "proxy/config/config_keys.h"
#include "proxy/config/units.h"

namespace baton {

namespace {

using Kind = TomlValue::Kind;

// A key as TOML writes it: bare if it may be, else in quotes.
std::string key_text(std::string_view key) {
    const auto is_bare = [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; };
    constexpr std::size_t bare_max = 80;
    if (!key.empty() && key.size() <= bare_max && std::all_of(key.begin(), key.end(), is_bare))
        return std::string{key};
    return quoted(key);
}

// Insertions, deletions, replacements and swaps of neighbours that make `a` of `b` (optimal string
// alignment).
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::swap(before, last);
        std::swap(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row[b.size()];
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
    const std::string_view name = nearest(word, {names.begin(), names.end()});
    return name.empty() ? std::string{} : ", did you mean " + quoted(name);
}

// For a key that is not known: the one that was meant, unless it is another table's and no mere slip
// here; or the one that it is the first word of, as in "password".
std::string key_hint(std::string_view key, const std::vector<std::string_view>& names) {
    std::string_view name = nearest(key, names);
    const std::string home = home_of(key);
    if (!home.empty() && (name.empty() || distance(key, name) > 1)) return "; it belongs " + home;
    if (const auto longer = std::find_if(names.begin(), names.end(),
                                         [&](std::string_view one) {
                                             return one.starts_with(key) &&
                                                    one.substr(key.size()).starts_with('_');
                                         });
        name.empty() && !key.empty() && longer != names.end())
        name = *longer;
    return name.empty() ? std::string{} : ", did you mean " + std::string{name};
}

// The header of a table: its path without the numbers of those that are in arrays.
std::string header_text(std::string_view path) {
    std::string out;
    bool number = false;
    for (const char c : path) {
        number = c == '[' || (number && c != ']');
        if (!number && c != ']') out += c;
    }
    return "[" + out + "]";
}

// `"a", "b" or "c"`
std::string alternatives(std::span<const std::string_view> names) {
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) out += i + 1 == names.size() ? " or " : ", ";
        out += quoted(names[i]);
    }
    return out;
}

std::string range_text(const DurationRange& range) {
    std::string out = "a duration from " + quoted(duration_text(range.min)) + " to " +
                      quoted(duration_text(range.max));
    if (!range.zero_means.empty()) out += ", or \"0s\" for " + std::string{range.zero_means};
    return out;
}

std::string range_text(const SizeRange& range) {
    std::string out =
        "a size from " + quoted(size_text(range.min)) + " to " + quoted(size_text(range.max));
    if (!range.zero_means.empty()) out += ", or 0 for " + std::string{range.zero_means};
    return out;
}

// A number that only lacks its unit.
bool is_count(const TomlValue& value) noexcept {
    return value.kind == Kind::integer && value.integer > 0 && value.text.empty();
}

// The duration that a bare number may stand for and that is allowed; else the example.
std::string duration_example(const TomlValue& value, const std::string& example,
                             const DurationRange& range) {
    if (!is_count(value)) return example;
    for (const auto& [unit, milliseconds] :
         {std::pair{"s", std::int64_t{1000}}, std::pair{"ms", std::int64_t{1}}}) {
        if (value.integer > range.max.count() / milliseconds ||
            value.integer * milliseconds < range.min.count())
            continue;
        return quoted(std::to_string(value.integer) + unit);
    }
    return example;
}

}  // namespace

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& names) {
    constexpr std::size_t wrong_max = 2;
    std::string_view best;
    std::size_t best_distance = wrong_max + 1;
    std::string small{word};
    std::transform(small.begin(), small.end(), small.begin(), lower);
    for (const std::string_view name : names) {
        const std::size_t shorter = std::min(word.size(), name.size());
        if (std::max(word.size(), name.size()) - shorter > wrong_max) continue;
        // Half of the letters must be right: "on" is no slip of "off", nor "foo" of "log".
        std::string its{name};
        std::transform(its.begin(), its.end(), its.begin(), lower);
        const std::size_t wrong = distance(small, its);
        if (wrong >= best_distance || wrong * 2 > shorter) continue;
        best = name;
        best_distance = wrong;
    }
    return best;
}

std::string_view take_word(Words& words) noexcept {
    const std::string_view first = words.substr(0, words.find(' '));
    words.remove_prefix(std::min(first.size() + 1, words.size()));
    return first;
}

bool contains(Words words, std::string_view word) noexcept {
    while (!words.empty())
        if (take_word(words) == word) return true;
    return false;
}

std::string quotes_hint(const TomlValue& value, const NumberRange& range) {
    if (value.kind != Kind::text) return {};
    const auto number = parse_decimal(value.text);
    const bool right = number && *number >= range.min && *number <= range.max;
    return right ? "; write it without quotes" : "";
}

TomlTable::TomlTable(const TomlValue* value, std::string path, Complaints& complaints)
    : value_(value), path_(std::move(path)), complaints_(&complaints) {
    if (value_ != nullptr) complaints_->place(path_, value_->position);
}

std::string TomlTable::path_of(std::string_view key) const {
    return path_.empty() ? key_text(key) : path_ + "." + key_text(key);
}

void TomlTable::boolean(std::string_view key, bool& out) {
    const TomlValue* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Kind::boolean)
        return refuse(
            key, "true or false",
            value->text == "true" || value->text == "false" ? "; write it without quotes" : "");
    out = value->boolean;
}

void TomlTable::duration(std::string_view key, std::chrono::milliseconds& out,
                         const DurationRange& range) {
    const TomlValue* value = find(key);
    if (value == nullptr) return;
    const std::string example =
        quoted(duration_text(out.count() == 0 ? std::chrono::seconds{30} : out));
    if (value->kind != Kind::text)
        return refuse(key,
                      "a duration in quotes, such as " + duration_example(*value, example, range));
    const auto duration = parse_duration(value->text);
    if (!duration) return refuse(key, "a duration such as " + example + " in ms, s, m, h or d");
    const bool is_zero = duration->count() == 0 && !range.zero_means.empty();
    if (!is_zero && (*duration < range.min || *duration > range.max))
        return refuse(key, range_text(range));
    out = *duration;
}

void TomlTable::text(std::string_view key, std::string& out, std::string_view expected,
                     bool (*valid)(std::string_view)) {
    const TomlValue* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Kind::text || !valid(value->text)) return refuse(key, expected);
    out = value->text;
}

std::vector<TomlTable::Item> TomlTable::items_of(const TomlValue& array) {
    std::vector<Item> items;
    for (std::size_t i = 0; i < array.items.size(); ++i) {
        items.push_back(Item{&array.items[i], element(path_of(array.key), i)});
        complaints_->place(items.back().path, array.items[i].position);
    }
    return items;
}

std::vector<TomlTable::Item> TomlTable::items(std::string_view key, std::string_view expected) {
    const TomlValue* value = find(key);
    if (value == nullptr) return {};
    if (value->kind == Kind::array) return items_of(*value);
    refuse(key, expected);
    return {};
}

std::vector<TomlTable> TomlTable::tables(std::string_view key, std::string_view expected,
                                         std::string (*hint)(const TomlValue&)) {
    std::vector<TomlTable> tables;
    const TomlValue* value = find_or_slip(key, Kind::array);
    if (value != nullptr && value->kind == Kind::table) {
        refuse_shape(*value, expected);
        complaints_->place(element(path_of(key), 0), value->position);
        tables.emplace_back(value, path_of(key), *complaints_);
        return tables;
    }
    const bool is_slip = value != nullptr && value->key != key;
    for (const Item& item : is_slip ? items_of(*value) : items(key, expected)) {
        // One that is none keeps its place, so that the others have the index that the operator
        // counts.
        if (item.value->kind != Kind::table)
            refuse(item, "a table", hint == nullptr ? std::string{} : hint(*item.value));
        tables.emplace_back(item.value, item.path, *complaints_);
    }
    return tables;
}

TomlTable TomlTable::table(std::string_view key) {
    const TomlValue* value = find_or_slip(key, Kind::table);
    if (value == nullptr) return TomlTable{nullptr, path_of(key), *complaints_};
    const std::string path = path_of(value->key);
    if (value->kind == Kind::table) return TomlTable{value, path, *complaints_};
    if (value->kind != Kind::array || value->items.empty() || value->items[0].kind != Kind::table) {
        refuse(key, "a table");
        return TomlTable{value, path, *complaints_};
    }
    // [[session]] for [session].
    const std::string header = header_text(path);
    refuse_shape(*value, "a table", "; write " + header + " instead of [" + header + "]");
    return TomlTable{&value->items[0], path, *complaints_};
}

void TomlTable::refuse_shape(const TomlValue& value, std::string_view expected,
                             std::string_view hint) {
    complaints_->add_shape(path_of(value.key), "expected " + std::string{expected} + ", found " +
                                                   shown(value) + std::string{hint});
}

bool TomlTable::is_in_doubt(std::string_view key) const {
    return complaints_->about(path_of(key)) || slip_of(key) != nullptr;
}

const TomlValue* TomlTable::slip_of(std::string_view key) const {
    if (value_ == nullptr) return nullptr;
    for (const TomlValue& item : value_->items) {
        if (item.key == key) return nullptr;
    }
    for (const TomlValue& item : value_->items) {
        const bool known = std::find(known_.begin(), known_.end(), item.key) != known_.end();
        if (!known && !nearest(item.key, {key}).empty()) return &item;
    }
    return nullptr;
}

const TomlValue* TomlTable::find_or_slip(std::string_view key, Kind kind) {
    if (const TomlValue* value = find(key)) return value;
    if (value_ == nullptr) return nullptr;
    for (const TomlValue& item : value_->items) {
        const bool known = std::find(known_.begin(), known_.end(), item.key) != known_.end();
        if (item.kind != kind || known || nearest(item.key, {key}).empty()) continue;
        // What is missing in it, or does not go with other values, is looked for there.
        complaints_->place(path_of(key), item.position);
        return &item;
    }
    return nullptr;
}

const TomlValue* TomlTable::find(std::string_view key) {
    known_.push_back(key);
    if (value_ == nullptr) return nullptr;
    for (const TomlValue& item : value_->items) {
        if (item.key != key) continue;
        complaints_->place(path_of(key), item.position);
        return &item;
    }
    return nullptr;
}

void TomlTable::require(std::string_view key, std::string_view expected) {
    // `finish` complains of a slip, and says what was meant.
    if (find(key) != nullptr || slip_of(key) != nullptr) return;
    complaints_->add(path_of(key), "expected " + std::string{expected} + ", found none");
}

void TomlTable::refuse(std::string_view key, std::string_view expected, std::string_view hint) {
    if (const TomlValue* value = find(key)) refuse(Item{value, path_of(key)}, expected, hint);
}

void TomlTable::refuse(const Item& item, std::string_view expected, std::string_view hint) {
    complaints_->add(item.path, "expected " + std::string{expected} + ", found " +
                                    shown(*item.value) + std::string{hint});
}

void TomlTable::warn(std::string_view key, std::string_view text) {
    complaints_->warn(path_of(key), text);
}

void TomlTable::finish(Words later) {
    if (value_ == nullptr) return;
    for (const TomlValue& item : value_->items) {
        if (std::find(known_.begin(), known_.end(), item.key) != known_.end()) continue;
        const bool is_later = contains(later, item.key);
        const std::string text = is_later ? "expected a supported key, found " + quoted(item.key) +
                                                ", which is not supported yet"
                                          : "expected a known key, found " + quoted(item.key) +
                                                key_hint(item.key, known_);
        complaints_->add_at(item.key_position, path_of(item.key), text);
    }
}

std::optional<std::int64_t> TomlTable::number_in(std::string_view key, const NumberRange& range) {
    const TomlValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->kind == Kind::integer && value->integer >= range.min &&
        value->integer <= range.max) {
        return value->integer;
    }
    refuse(key,
           "a whole number from " + std::to_string(range.min) + " to " + std::to_string(range.max),
           quotes_hint(*value, range));
    return std::nullopt;
}

std::optional<std::uint64_t> TomlTable::size_in(std::string_view key, std::uint64_t example,
                                                const SizeRange& range) {
    const TomlValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    const bool zero_allowed = !range.zero_means.empty();
    if (zero_allowed && value->kind == Kind::integer && value->integer == 0) return 0;

    std::string such_as = quoted(size_text(example));
    if (is_count(*value)) {
        const auto count = static_cast<std::uint64_t>(value->integer);
        if (count >= range.min && count <= range.max) such_as = quoted(size_text(count));
    }
    const std::string zero = zero_allowed ? " (0: " + std::string{range.zero_means} + ")" : "";
    std::optional<std::uint64_t> bytes;
    if (value->kind == Kind::text) bytes = parse_size(value->text);
    if (value->kind != Kind::text) {
        refuse(key, "a size in quotes, such as " + such_as + zero);
    } else if (!bytes) {
        refuse(key, "a size such as " + such_as + " in B, KiB, MiB, GiB or TiB" + zero);
    } else if (!(zero_allowed && *bytes == 0) && (*bytes < range.min || *bytes > range.max)) {
        refuse(key, range_text(range));
        bytes.reset();
    }
    return bytes;
}

std::optional<std::size_t> TomlTable::choice(std::string_view key,
                                             std::span<const std::string_view> names, Words later) {
    const TomlValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    std::string hint;
    if (value->kind == Kind::text) {
        const auto found = std::find(names.begin(), names.end(), value->text);
        if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
        hint = contains(later, value->text) ? ", which is not supported yet"
                                            : did_you_mean(value->text, names);
    }
    refuse(key, alternatives(names), hint);
    return std::nullopt;
}

}  // namespace baton
