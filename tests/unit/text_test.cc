#include "net/text.h"

#include <doctest/doctest.h>

#include <limits>

using namespace baton;

TEST_CASE("text: letter case is ignored for ASCII letters only") {
    CHECK(equal_fold("Keep-Alive", "keep-ALIVE"));
    CHECK_FALSE(equal_fold("keep-alive", "keep_alive"));
    CHECK_FALSE(equal_fold("a", "ab"));
    CHECK_FALSE(equal_fold("@[", "`{"));  // beside the letters, and a bit apart like them
    CHECK_FALSE(equal_fold("\xC4", "\xE4"));
    CHECK(starts_with_fold("HTTP://host", "http://"));
    CHECK_FALSE(starts_with_fold("http:", "http://"));
}

TEST_CASE("text: blanks are SP and TAB, and those within stay") {
    CHECK(trimmed(" \t a b\t") == "a b");
    CHECK(trimmed(" \t ").empty());
    CHECK(trimmed("a\r\n") == "a\r\n");
}

TEST_CASE("text: a hex digit has a value in either case, and no other byte has one") {
    int digits = 0;
    for (int c = 0; c < 256; ++c) digits += hex_value(static_cast<char>(c)) >= 0 ? 1 : 0;
    CHECK(digits == 22);
    for (int i = 0; i < 16; ++i) {
        CHECK(hex_value(lower_hex_digits[static_cast<std::size_t>(i)]) == i);
        CHECK(hex_value(upper_hex_digits[static_cast<std::size_t>(i)]) == i);
    }
}

TEST_CASE("text: a decimal is all of the text, and fits") {
    CHECK(parse_decimal("-12") == -12);
    CHECK(parse_decimal("007") == 7);
    CHECK(parse_decimal("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
    for (const std::string_view none :
         {"", "-", "+1", " 1", "1 ", "1.5", "0x1", "9223372036854775808"})
        CHECK_FALSE(parse_decimal(none));
    CHECK(Decimal{std::numeric_limits<std::int64_t>::min()}.view() == "-9223372036854775808");
    CHECK(Decimal{std::numeric_limits<std::uint64_t>::max()}.view() == "18446744073709551615");
}

TEST_CASE("text: a plain word needs no quotes anywhere") {
    CHECK(is_plain_word("My-master_1.x"));
    for (const std::string_view other : {"a b", "a/b", "a:b", "\xC3\xA4", "a\n"})
        CHECK_FALSE(is_plain_word(other));
}
