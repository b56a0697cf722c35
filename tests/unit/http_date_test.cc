// Dates as fields have them.

#include "net/http/http_date.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace baton::test {

TEST_CASE("a date is read in any of its three forms, and in no other") {
    constexpr std::int64_t at = 784'111'777;
    CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == at);
    CHECK(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == at);
    CHECK(parse_http_date("Sun Nov  6 08:49:37 1994") == at);
    CHECK(parse_http_date("Wed Nov 16 08:49:37 1994") == at + 864'000);
    CHECK(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT") == 0);
    CHECK(parse_http_date("Thu, 29 Feb 2024 23:59:60 GMT") == 1'709'251'200);
    CHECK(parse_http_date("Friday, 31-Dec-69 23:59:59 GMT") == 3'155'759'999);
    CHECK(parse_http_date("Fri, 31 Dec 9999 23:59:59 GMT") == 253'402'300'799);
    for (const char* bad :
         {"", "0", "-1", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
          "Sun, 06 Nov 1994 08:49:37 GMT ", "sun, 06 nov 1994 08:49:37 gmt",
          "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 2024 08:49:37 GMT",
          "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
          "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Abc 1994 08:49:37 GMT",
          "Sun, 06 Nov -994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +0000", "784111777",
          "Sun Nov 6 08:49:37 1994"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_http_date(bad));
    }
}

TEST_CASE("a date that is cut anywhere is none") {
    for (const std::string_view whole :
         {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
          "Sun Nov  6 08:49:37 1994"}) {
        for (std::size_t size = 0; size < whole.size(); ++size) {
            CAPTURE(whole.substr(0, size));
            CHECK_FALSE(parse_http_date(whole.substr(0, size)));
        }
    }
}

TEST_CASE("F:date a date is written as RFC 9110 has it") {
    struct Row {
        std::int64_t time;
        const char* text;
    };
    const Row rows[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951827696, "Tue, 29 Feb 2000 12:34:56 GMT"},
        {1772323199, "Sat, 28 Feb 2026 23:59:59 GMT"},
        {1772323200, "Sun, 01 Mar 2026 00:00:00 GMT"},
        {1798761599, "Thu, 31 Dec 2026 23:59:59 GMT"},
        {4102444800, "Fri, 01 Jan 2100 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.time);
        std::string text;
        append_http_date(text, row.time);
        CHECK(text == row.text);
    }
}

}  // namespace baton::test
