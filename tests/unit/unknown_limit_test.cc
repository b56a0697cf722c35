#include "session/unknown_limit.h"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace baton {
namespace {

constexpr std::int64_t minute = 60'000;
constexpr std::int64_t start = 28'333'333 * minute;

struct Limit {
    std::size_t max;
    UnknownLimit counts{};
    bool count(std::string_view address, std::int64_t now_ms) {
        return counts.count(address, max, now_ms);
    }
};

// How many unknown ids `address` may show before one is too many.
int allowed(Limit& limit, std::string_view address, std::int64_t now = start) {
    int count = 0;
    while (count < 100 && limit.count(address, now)) ++count;
    return count;
}

}  // namespace

TEST_CASE("so many unknown ids a minute from one address, and not one more") {
    Limit limit{3};
    CHECK(allowed(limit, "10.0.0.1") == 3);
    CHECK(allowed(limit, "10.0.0.2") == 3);
    CHECK(allowed(limit, "10.0.0.1", start + minute - 1) == 0);
    CHECK(allowed(limit, "10.0.0.1", start + minute) == 3);
    CHECK(allowed(limit, "10.0.0.2", start + minute) == 3);
    Limit one{1};
    CHECK(allowed(one, "10.0.0.1") == 1);
    // The limit of the newest configuration counts.
    one.max = 5;
    CHECK(allowed(one, "10.0.0.1") == 3);
}

TEST_CASE("no limit is no limit") {
    Limit limit{0};
    CHECK(allowed(limit, "10.0.0.1") == 100);
}

TEST_CASE("an IPv6 address counts by its first 64 bits, however it is written") {
    Limit limit{4};
    for (const char* address :
         {"2001:db8::1", "2001:db8::2", "2001:0DB8:0:0:ffff::", "2001:db8:0:0:1:2:3:4"}) {
        CAPTURE(address);
        CHECK(limit.count(address, start));
    }
    CHECK(!limit.count("2001:db8::5", start));
    CHECK(allowed(limit, "2001:db8:0:1::1") == 4);
    CHECK(allowed(limit, "2001:db9::1") == 4);
}

TEST_CASE("an IPv4 address counts by itself, mapped into IPv6 or not") {
    Limit limit{2};
    CHECK(limit.count("10.0.0.1", start));
    CHECK(limit.count("::ffff:10.0.0.1", start));
    CHECK(!limit.count("::ffff:a00:1", start));
    CHECK(allowed(limit, "::ffff:10.0.0.2") == 2);
    CHECK(allowed(limit, "::1") == 2);
    // Its eight characters are not the first half of an IPv6 address.
    CHECK(allowed(limit, "1.2.3.45") == 2);
    CHECK(allowed(limit, "312e:322e:332e:3435::1") == 2);
}

TEST_CASE("what is no address counts as it stands") {
    Limit limit{2};
    CHECK(allowed(limit, "") == 2);
    CHECK(allowed(limit, "unknown") == 2);
    CHECK(allowed(limit, "10.0.0.1.example") == 2);
}

TEST_CASE("a clock a moment behind does not begin the last minute anew") {
    Limit limit{2};
    CHECK(allowed(limit, "10.0.0.1", start + minute) == 2);
    CHECK(!limit.count("10.0.0.1", start + minute - 1));
    CHECK(!limit.count("10.0.0.1", start + minute));
}

TEST_CASE("beyond 65,536 addresses further ones are not counted, those that are still are") {
    Limit limit{1};
    for (int n = 0; n < 65'536; ++n) {
        const std::string address = "10." + std::to_string(n / 65'536) + "." +
                                    std::to_string(n / 256 % 256) + "." + std::to_string(n % 256);
        REQUIRE(limit.count(address, start));
    }
    CHECK(allowed(limit, "11.0.0.1") == 100);
    CHECK(allowed(limit, "10.0.0.0") == 0);
    CHECK(allowed(limit, "10.0.255.255") == 0);
    CHECK(allowed(limit, "11.0.0.1", start + minute) == 1);
}

TEST_CASE("four threads count together") {
    Limit limit{1'000};
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1'000; ++i) good += limit.count("10.0.0.1", start) ? 1 : 0;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(good == 1'000);
}

}  // namespace baton
