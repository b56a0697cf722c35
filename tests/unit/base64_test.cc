#include "session/base64.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace baton {
namespace {

std::string every_byte() {
    std::string text;
    for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte));
    return text;
}

// RFC 3629, 3, the other way about: the bytes of a code point in so many bytes, fitting or not.
std::string in_bytes(std::uint32_t code, int size) {
    if (size == 1) return {static_cast<char>(code)};
    std::string text;
    for (int shift = 6 * (size - 1); shift >= 0; shift -= 6) {
        const std::uint32_t bits = code >> shift & 0x3F;
        const std::uint32_t lead = 0xF00U >> size & 0xFF;
        text.push_back(static_cast<char>(text.empty() ? lead | bits : 0x80 | bits));
    }
    return text;
}

}  // namespace

TEST_CASE("S14 base64 by RFC 4648, 10") {
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {std::string("\0", 1), "AA=="},
        {std::string("\0\0\0", 3), "AAAA"},
        {"\xFB\xFF\xBF", "+/+/"}};
    for (const auto& row : rows) {
        CAPTURE(row.second);
        CHECK(to_base64(row.first) == row.second);
        CHECK(from_base64(row.second) == row.first);
    }
}

TEST_CASE("S14 any bytes of any length come back from base64") {
    const std::string all = every_byte() + every_byte();
    for (std::size_t size = 0; size <= all.size(); ++size) {
        const std::string bytes = all.substr(0, size);
        REQUIRE(to_base64(bytes).size() == (size + 2) / 3 * 4);
        REQUIRE(from_base64(to_base64(bytes)) == bytes);
    }
}

TEST_CASE("what is no base64 is refused") {
    for (const char* text : {"Z",    "Zg",   "Zg=",  "Zg===",   "Zm8",   "Zm8==",    "Zm9vY",
                             "=",    "==",   "===",  "====",    "Z===",  "Zg==Zg==", "Z=g=",
                             "=Zg=", "Zg=g", "Zm 9", " Zm9v",   "Zm9v ", "Zm9v\n",   "Zm9v\r\n",
                             "Zm9-", "Zm9_", "Zm9.", "Zm9\xC3", "Zm9v=", "Zm9v====", "A=B="}) {
        CAPTURE(text);
        CHECK(!from_base64(text));
    }
    CHECK(!from_base64(std::string_view("Zm9\0", 4)));
    std::string alphabet;
    for (const char c : every_byte())
        if (from_base64(std::string{"AAA"} + c)) alphabet += c;
    CHECK(alphabet == "+/0123456789=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

TEST_CASE("every code point in its shortest form is UTF-8, but the surrogates") {
    for (std::uint32_t code = 0; code < 0x120000; ++code) {
        const int size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        const bool good = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
        if (is_utf8(in_bytes(code, size)) != good) FAIL("code point " << code);
        // In any longer form, and cut off, it is none.
        if (size < 4 && is_utf8(in_bytes(code, size + 1))) FAIL("overlong " << code);
        if (size > 1 && is_utf8(in_bytes(code, size).substr(0, static_cast<std::size_t>(size - 1))))
            FAIL("cut off " << code);
    }
}

TEST_CASE("bytes that are no UTF-8") {
    CHECK(is_utf8(""));
    CHECK(is_utf8("plain"));
    CHECK(is_utf8("al\xC3\xAF \xE2\x82\xAC \xF0\x9F\x98\x80"));
    for (const char* text : {"\x80",
                             "\xBF",
                             "a\x80",
                             "\xC0\x80",
                             "\xC1\xBF",
                             "\xC3",
                             "\xC3(",
                             "\xC3\xC3",
                             "\xE2\x82",
                             "\xE2(\xAC",
                             "\xE2\x82(",
                             "\xE0\x80\x80",
                             "\xED\xA0\x80",
                             "\xF0\x80\x80\x80",
                             "\xF4\x90\x80\x80",
                             "\xF5\x80\x80\x80",
                             "\xF8\x88\x80\x80\x80",
                             "\xFC\x84\x80\x80\x80\x80",
                             "\xFE",
                             "\xFF",
                             "a\xC3\xAF\xC3",
                             "\xC3\xAF\x80"}) {
        CAPTURE(to_base64(text));
        CHECK(!is_utf8(text));
    }
    CHECK(is_utf8(std::string_view("\0a\0", 3)));
}

}  // namespace baton
