#include "net/result.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace baton {

TEST_CASE("every fault has a name of its own and a status") {
    std::set<std::string> names;
    for (int i = 0; i < fault_count; ++i) {
        const auto fault = static_cast<Fault>(i);
        names.insert(std::string{name(fault)});
        CHECK(status_of(fault) >= 400);
    }
    CHECK(names.size() == fault_count);
    CHECK(names.count("unknown") == 0);
}

TEST_CASE("a result is a value or an error") {
    Result<int> good{7};
    REQUIRE(good);
    CHECK(*good == 7);
    Result<int> bad{Error{Fault::no_route, 3}};
    REQUIRE(!bad);
    CHECK(bad.error().fault == Fault::no_route);
    CHECK(bad.error().code == 3);
}

}  // namespace baton
