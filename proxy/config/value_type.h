#pragma once

// What a key of the configuration may hold: data, from which complaints and manual are made.

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "proxy/config/address_hint.h"
#include "proxy/config/toml_table.h"

namespace baton {

struct Flag {};  // true or false

struct TextForm {
    std::string_view expected;  // "a name of 1 to 64 letters", as complaints and manual call it
    bool (*valid)(std::string_view);
};

struct OneOf {
    std::span<const std::string_view> names;
    std::string_view later;  // names that are not supported yet, a blank between two
};

struct AddressIn {
    const AddressForm* form;
    std::string_view expected;
};

// What a reader of its own takes. Both are for people only.
struct Special {
    std::string_view expected;
    std::string_view initial;  // the default, as TOML writes it
};

using ValueType =
    std::variant<Flag, NumberRange, DurationRange, SizeRange, TextForm, OneOf, AddressIn, Special>;

// Ranges that several keys have, and the units of others.
inline constexpr DurationRange up_to_an_hour{std::chrono::milliseconds{1}, std::chrono::hours{1}};
inline constexpr DurationRange up_to_a_day{std::chrono::milliseconds{1}, std::chrono::hours{24}};
inline constexpr DurationRange up_to_a_month{std::chrono::milliseconds{1},
                                             std::chrono::hours{30 * 24}};
inline constexpr std::chrono::hours one_year{365 * 24};
inline constexpr std::uint64_t kib = std::uint64_t{1} << 10;
inline constexpr std::uint64_t mib = std::uint64_t{1} << 20;
inline constexpr std::uint64_t tib = std::uint64_t{1} << 40;

// How a complaint names what is missing; empty for types whose keys all have a default.
std::string_view expected_of(const ValueType& type) noexcept;

}  // namespace baton
