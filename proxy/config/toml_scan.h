#pragma once

// A walk over TOML text for what its library says badly: quotes left open, letters that a word
// processor or a wiki has put in the place of ASCII, text without quotes; and whole numbers beyond
// 64 bits, which would end the reading although only their value is wrong. Pure functions.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/toml_value.h"

namespace baton {

struct TomlSlip {
    enum class Kind : std::uint8_t { letter, quote, word };  // the first one explains the others

    Kind kind = Kind::letter;
    Position position;
    std::string text;  // "quote left open: ..."
};

struct TomlNumber {
    Position position;
    std::size_t offset = 0;
    std::string_view text;  // a view into what was scanned
};

struct TomlScan {
    std::vector<TomlSlip> slips;            // empty for any text that is TOML
    std::vector<TomlNumber> large_numbers;  // values that do not fit into 64 bits
};
TomlScan scan_toml(std::string_view text);

// The slip that explains why the library stopped in this line. Null if none does.
const TomlSlip* slip_of(const TomlScan& scan, std::size_t line) noexcept;

}  // namespace baton
