#pragma once

// What a key of the configuration is. One entry says how it is called, what it may hold, which member its
// value goes to and what it means. The loader, conf/baton.toml and the tables of docs/configuration.md are
// made from these entries, so a key is written once; its default is the initializer of its member.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "net/address.h"
#include "net/check.h"
#include "proxy/config/toml_table.h"
#include "proxy/config/toml_value.h"
#include "proxy/config/units.h"
#include "proxy/config/value_type.h"

namespace baton {

// Whether a running baton could take another value, or would have to be started again.
enum class Reload : std::uint8_t { yes, restart };

template <class Struct>
struct Key;

// What a key holds, and how it gets into a `Struct`.
template <class Struct>
struct Value {
    ValueType type;
    // Leaves the struct as it is if the key is not there or its value is refused.
    void (*read)(TomlTable&, const Key<Struct>&, Struct&);
    // The default, as TOML writes it.
    std::string (*initial)(const ValueType&);
};

template <class Struct>
struct Key {
    std::string_view name;
    Value<Struct> value;
    // In Markdown without links, as the middle of a sentence. It says nothing that `value` says.
    std::string_view meaning;
    std::string_view range = {};      // what it may be, where the type's own words are of no help
    std::string_view see = {};        // a link of the manual to more about it
    std::string_view otherwise = {};  // what holds without the key, if that is no fixed value
    std::string_view example = {};    // a value as TOML writes it, if there is no default
    bool required = false;
    Reload reload = Reload::yes;
};

// A table of the configuration, or one of an array of tables.
template <class Struct>
struct Section {
    std::string_view header;  // "[upstream.keepalive]"; empty: it is not written with one
    std::span<const Key<Struct>> keys;
    std::string_view later = {};       // keys that are not supported yet, a blank between two
    std::string_view about = {};       // opens the table in conf/baton.toml
    std::string_view row_prefix = {};  // "keepalive.": its rows follow those of the table before
    std::string_view place = {};       // what complaints call it, if not "in " and its header
    std::string_view home = {};        // where a table of this name belongs that stands elsewhere
    bool is_off = false;               // it stands in conf/baton.toml as a comment
};

// Complains of all that is wrong with the keys, and leaves other keys to `TomlTable::finish`.
template <class Struct>
void read_keys(TomlTable& table, const Section<Struct>& section, Struct& out) {
    for (const Key<Struct>& key : section.keys) {
        if (key.required) table.require(key.name, expected_of(key.value.type));
        key.value.read(table, key, out);
    }
}

// Complains of a value that is no address.
void read_address(TomlTable& table, std::string_view key, const AddressForm& form, Address& out);

namespace detail {

// The struct that the first of these members is in.
template <auto...>
struct Owner;
template <class Struct, class Member, Member Struct::*member, auto... rest>
struct Owner<member, rest...> {
    using Type = Struct;
};

template <auto member, auto... rest, class Struct>
constexpr auto& member_of(Struct& object) noexcept {
    if constexpr (sizeof...(rest) == 0)
        return object.*member;
    else
        return member_of<rest...>(object.*member);
}

template <auto& choices, std::size_t... i>
constexpr auto names_of(std::index_sequence<i...>) noexcept {
    return std::array{choices[i].name...};
}
template <auto& choices>
constexpr auto choice_names = names_of<choices>(std::make_index_sequence<std::size(choices)>{});

// A builder gives the type that its own reader asks for.
template <class Type>
const Type& as(const ValueType& type) noexcept {
    const Type* found = std::get_if<Type>(&type);
    check(found != nullptr, "a key's type is not its reader's");
    return *found;
}

}  // namespace detail

// The builders of values. Their arguments <&Config::log, &LogConfig::query> are the way to the member.
template <auto... path>
using OwnerOf = typename detail::Owner<path...>::Type;

template <auto... path>
constexpr Value<OwnerOf<path...>> flag_at() {
    using Struct = OwnerOf<path...>;
    return {Flag{},
            [](TomlTable& table, const Key<Struct>& key, Struct& out) {
                table.boolean(key.name, detail::member_of<path...>(out));
            },
            [](const ValueType&) -> std::string {
                const Struct initial{};
                return detail::member_of<path...>(initial) ? "true" : "false";
            }};
}

template <auto... path>
constexpr Value<OwnerOf<path...>> number_at(NumberRange range) {
    using Struct = OwnerOf<path...>;
    return {range,
            [](TomlTable& table, const Key<Struct>& key, Struct& out) {
                table.number(key.name, detail::member_of<path...>(out),
                             detail::as<NumberRange>(key.value.type));
            },
            [](const ValueType&) {
                const Struct initial{};
                return std::to_string(detail::member_of<path...>(initial));
            }};
}

template <auto... path>
constexpr Value<OwnerOf<path...>> duration_at(DurationRange range) {
    using Struct = OwnerOf<path...>;
    return {range,
            [](TomlTable& table, const Key<Struct>& key, Struct& out) {
                table.duration(key.name, detail::member_of<path...>(out),
                               detail::as<DurationRange>(key.value.type));
            },
            [](const ValueType&) {
                const Struct initial{};
                return quoted(duration_text(detail::member_of<path...>(initial)));
            }};
}

template <auto... path>
constexpr Value<OwnerOf<path...>> size_at(SizeRange range) {
    using Struct = OwnerOf<path...>;
    return {range,
            [](TomlTable& table, const Key<Struct>& key, Struct& out) {
                table.size(key.name, detail::member_of<path...>(out),
                           detail::as<SizeRange>(key.value.type));
            },
            [](const ValueType&) -> std::string {
                const Struct initial{};
                const std::uint64_t bytes = detail::member_of<path...>(initial);
                return bytes == 0 ? "0" : quoted(size_text(bytes));
            }};
}

template <auto... path>
constexpr Value<OwnerOf<path...>> text_at(const TextForm& form) {
    using Struct = OwnerOf<path...>;
    return {form,
            [](TomlTable& table, const Key<Struct>& key, Struct& out) {
                const auto& [expected, valid] = detail::as<TextForm>(key.value.type);
                table.text(key.name, detail::member_of<path...>(out), expected, valid);
            },
            [](const ValueType&) {
                const Struct initial{};
                return quoted(detail::member_of<path...>(initial));
            }};
}

// Required, so that there is no default.
template <auto... path>
constexpr Value<OwnerOf<path...>> address_at(const AddressForm& form,
                                             std::string_view expected = address_expected) {
    using Struct = OwnerOf<path...>;
    return {AddressIn{&form, expected},
            [](TomlTable& table, const Key<Struct>& key, Struct& out) {
                read_address(table, key.name, *detail::as<AddressIn>(key.value.type).form,
                             detail::member_of<path...>(out));
            },
            [](const ValueType&) { return std::string{}; }};
}

template <class Enum>
struct Choice {
    std::string_view name;
    Enum value;
};

// One of an array of `Choice`. One of `later` is refused as not supported yet.
template <auto& choices, auto... path>
constexpr Value<OwnerOf<path...>> choice_at(std::string_view later = {}) {
    using Struct = OwnerOf<path...>;
    return {OneOf{detail::choice_names<choices>, later},
            [](TomlTable& table, const Key<Struct>& key, Struct& out) {
                const auto& [names, not_yet] = detail::as<OneOf>(key.value.type);
                if (const auto chosen = table.choice(key.name, names, not_yet))
                    detail::member_of<path...>(out) = choices[*chosen].value;
            },
            [](const ValueType&) -> std::string {
                const Struct initial{};
                for (const auto& choice : choices)
                    if (choice.value == detail::member_of<path...>(initial))
                        return quoted(choice.name);
                return {};
            }};
}

// The one value there is until other features exist: it goes nowhere.
template <class Struct, auto& name>
constexpr Value<Struct> only(std::string_view later) {
    return {OneOf{name, later},
            [](TomlTable& table, const Key<Struct>& key, Struct&) {
                const auto& [names, not_yet] = detail::as<OneOf>(key.value.type);
                (void)table.choice(key.name, names, not_yet);
            },
            [](const ValueType& type) { return quoted(detail::as<OneOf>(type).names[0]); }};
}

template <class Struct>
constexpr Value<Struct> special(void (*read)(TomlTable&, const Key<Struct>&, Struct&),
                                const Special& type) {
    return {type, read, [](const ValueType& special_type) {
                return std::string{detail::as<Special>(special_type).initial};
            }};
}

}  // namespace baton
