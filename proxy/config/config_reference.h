#pragma once

// What people read about the keys, made of the one table of them (config_keys.h): conf/baton.toml, and the
// tables of docs/configuration.md. `./dev keys` writes both, and a test compares.

#include <string>
#include <string_view>

namespace baton {

// conf/baton.toml: every key with its meaning, and its default or an example.
std::string reference_file();

// The page with its tables of keys as they should be: what stands between them stays. A page that lacks
// the heading of a table lacks the table, too.
std::string with_key_tables(std::string_view page);

}  // namespace baton
