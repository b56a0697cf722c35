#include "net/reason.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace baton {

TEST_CASE("F:reason every reason has a word of its own") {
    constexpr std::size_t log_room = 40;  // more is cut in the access log
    std::set<std::string> names;
    std::size_t count = 0;
    for (int i = 1; name(static_cast<Reason>(i)) != "unknown"; ++i, ++count) {
        const std::string word{name(static_cast<Reason>(i))};
        CAPTURE(word);
        CHECK(names.insert(word).second);
        CHECK(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == word.npos);
        CHECK(word.size() <= log_room);
    }
    CHECK(count > 50);
    CHECK(name(Reason::none).empty());
}

}  // namespace baton
