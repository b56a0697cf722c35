#pragma once

// How the program ends: 0 if all is well, 1 if something failed at run time.

namespace baton {

// The command line, or the configuration, is wrong.
inline constexpr int exit_usage = 2;

}  // namespace baton
