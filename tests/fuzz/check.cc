#include "tests/fuzz/check.h"

#include <cstdio>
#include <cstdlib>

#include "tests/unit/http_rows.h"

namespace baton::fuzz {

void violated(std::string_view property, std::string_view details) {
    std::fprintf(stderr, "VIOLATED: %.*s\n%.*s\n", static_cast<int>(property.size()),
                 property.data(), static_cast<int>(details.size()), details.data());
    std::abort();
}

void check_same(std::string_view found, std::string_view expected, std::string_view property) {
    if (found == expected) return;
    violated(property, "   found " + test::escape(found) + "\nexpected " + test::escape(expected));
}

}  // namespace baton::fuzz
