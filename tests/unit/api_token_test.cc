#include "session/api_token.h"

#include <doctest/doctest.h>

#include <string>

namespace baton {
namespace {

const std::string token(32, 't');
const std::string other = "abcDEF0189-._~+/=abcDEF0189-._~+/";

std::string complaint_of(std::string_view text) {
    std::string complaint;
    const auto tokens = parse_api_tokens(text, complaint);
    if (!complaint.empty()) CHECK(tokens.empty());
    return complaint;
}

std::string scope_for(std::string_view text, std::string_view authorization) {
    std::string complaint;
    const auto tokens = parse_api_tokens(text, complaint);
    CHECK(complaint == "");
    return std::string{scope_of(tokens, authorization)};
}

const std::string format =
    ": expected a scope and a token of 32 to 256 letters, digits and -._~+/=";

}  // namespace

TEST_CASE("S23 a token opens its scope and no other") {
    const std::string text = "shop " + token + "\nadmin " + other + "\n";
    CHECK(scope_for(text, "Bearer " + token) == "shop");
    CHECK(scope_for(text, "Bearer " + other) == "admin");
    CHECK(scope_for(text, "bEARER " + other) == "admin");
    for (const std::string& wrong :
         {std::string{}, std::string{"Bearer"}, std::string{"Bearer "}, token, "Basic " + token,
          "Bearer  " + token, "Bearer " + token + " ", " Bearer " + token,
          "Bearer " + token.substr(1), "Bearer " + token + "t", "Bearer\t" + token,
          "Bearer " + token + "," + other, std::string{"Bearer shop"},
          "Bearer " + std::string(32, 'T'), "Bearer " + std::string(10'000, 't'), "Token " + token,
          "Bearer " + token + '\0'}) {
        CAPTURE(wrong);
        CHECK(scope_for(text, wrong) == "");
    }
    CHECK(scope_of({}, "Bearer " + token) == "");
}

TEST_CASE("S23 what a file of tokens may look like") {
    for (const std::string& text :
         {"shop " + token, "shop " + token + "\n", "shop\t" + token + "\r\n",
          "  shop   " + token + "  \n", "\n\r\n# a comment\n#\n\t\nshop " + token + "\n# end",
          " # a comment\nshop " + token, "#shop x\nshop " + token}) {
        CAPTURE(text);
        CHECK(scope_for(text, "Bearer " + token) == "shop");
    }
    // A scope may have several.
    const std::string two = "shop " + token + "\nshop " + other;
    CHECK(scope_for(two, "Bearer " + token) == "shop");
    CHECK(scope_for(two, "Bearer " + other) == "shop");
    // What stands behind a token is no comment.
    CHECK(complaint_of("shop " + token + " # x") == "line 1" + format);
}

TEST_CASE("S23 a token of 32 to 256 characters") {
    CHECK(complaint_of("shop " + std::string(31, 't')) == "line 1" + format);
    CHECK(complaint_of("shop " + std::string(32, 't')) == "");
    CHECK(complaint_of("shop " + std::string(256, 't')) == "");
    CHECK(complaint_of("shop " + std::string(257, 't')) == "line 1" + format);
    std::string allowed;
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const std::string text = "shop " + token.substr(1) + c;
        if (c != '\n' && complaint_of(text).empty()) allowed += c;
    }
    // A blank at the end leaves the 31 before it.
    CHECK(allowed == "+-./0123456789=ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~");
}

TEST_CASE("S23 mistakes are told by their line, without any token") {
    CHECK(complaint_of("") == "expected at least one line with a scope and a token");
    CHECK(complaint_of("\n# only a comment\r\n") ==
          "expected at least one line with a scope and a token");
    CHECK(complaint_of("shop") == "line 1" + format);
    CHECK(complaint_of(token) == "line 1" + format);
    CHECK(complaint_of("shop " + token + "\n\nadmin short") == "line 3" + format);
    CHECK(complaint_of("shop " + token + " " + other) == "line 1" + format);
    CHECK(complaint_of("# x\nshop " + token + "\nadmin " + token) ==
          "line 3: a token that is in use already");
}

}  // namespace baton
