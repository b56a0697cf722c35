#pragma once

// TOML text as plain values, each with its position. The only room of the program that knows the
// TOML library.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

// Both count from 1.
struct Position {
    std::size_t line = 1;
    std::size_t column = 1;
};

struct TomlValue {
    enum class Kind : std::uint8_t { boolean, integer, real, text, time, array, table };

    Kind kind = Kind::table;
    Position position;
    bool boolean = false;
    std::int64_t integer = 0;
    double real = 0;
    std::string text;  // of an integer: as it was written, if it does not fit into 64 bits
    std::vector<TomlValue> items;  // of an array, or of a table, whose items have keys

    std::string key;
    Position key_position;
};

// The value as a complaint shows it: strings quoted, bytes outside printable ASCII as \xHH, at most
// a line's worth.
std::string shown(const TomlValue& value);
std::string quoted(std::string_view text);
// A text as it is, anything else as `shown`.
std::string text_of(const TomlValue& value);

struct TomlText {
    TomlValue root;
    // Why it is no TOML, and where; empty if it is.
    std::string error;
    Position error_position;
};
TomlText parse_toml(std::string_view text);

}  // namespace baton
