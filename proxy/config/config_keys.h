#pragma once

// Which table of the configuration has a key: for keys that were written below another header, as
// it happens to those of the top that come last in a file.

#include <string_view>

namespace baton {

// "in [limits]", for a key that one table alone has. Empty for all other words.
std::string_view home_of(std::string_view key) noexcept;

}  // namespace baton
