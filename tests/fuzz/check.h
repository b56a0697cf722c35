#pragma once

// How a target says that a property does not hold.

#include <string>
#include <string_view>

namespace baton::fuzz {

// Ends the program, which is what libFuzzer and the replay take for a finding.
[[noreturn]] void violated(std::string_view property, std::string_view details = {});

inline void check(bool holds, std::string_view property) {
    if (!holds) violated(property);
}
// With both texts, escaped, where they differ.
void check_same(std::string_view found, std::string_view expected, std::string_view property);

}  // namespace baton::fuzz
