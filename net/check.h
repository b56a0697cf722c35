#pragma once

// Invariants of our own that hold in every build: `check` is not compiled out of a release, as the
// standard library's assert is.

#include <cstdio>
#include <cstdlib>

namespace baton {

// Ends the process: an invariant of our own is broken and going on could damage data. `detail`
// follows `what`, if there is one.
[[noreturn, gnu::cold]] inline void die(const char* what, const char* detail = nullptr) noexcept {
    std::fprintf(stderr, "baton: %s%s%s\n", what, detail != nullptr ? ": " : "",
                 detail != nullptr ? detail : "");
    std::abort();
}

// Dies, saying `what` is broken, unless `holds`. One comparison: cheap enough for the data path.
inline void check(bool holds, const char* what) noexcept {
    if (!holds) [[unlikely]]
        die(what);
}

}  // namespace baton
