// What bodies of the session API ask for, and what is wrong with those that are refused.

#include "proxy/service/api_body.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "session/base64.h"

using namespace baton;

namespace {

std::string patch_complaint(std::string_view body) {
    return read_api_body(body, ApiCall::patch, SessionConfig{}).complaint;
}

// With a NUL where `text` has a "$".
std::string with_nul(std::string text) {
    for (char& c : text)
        if (c == '$') c = '\0';
    return text;
}

}  // namespace

TEST_CASE("F:json-end what follows the object is refused, whatever it is") {
    const std::string object = R"({"attrs":{"a":"1"}})";
    REQUIRE(object.size() == 19);
    REQUIRE(patch_complaint(object).empty());
    for (const char* blanks : {" ", "\n", "\r\n\t ", "          "})
        CHECK(patch_complaint(object + blanks).empty());
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
        CAPTURE(byte);
        CHECK(!patch_complaint(object + c).empty());
        CHECK(!patch_complaint(object + " " + c).empty());
        CHECK(!patch_complaint(object + c + object).empty());
    }
    CHECK(patch_complaint(object + "}") == "not JSON at byte 20");
    CHECK(patch_complaint(object + object) == "not JSON at byte 20");
    CHECK(patch_complaint(with_nul(object + "$" + object)) == "not JSON at byte 20");
}

TEST_CASE("F:json-end a NUL is refused wherever it stands") {
    const std::string object = R"( {"attrs" : {"a" : {"b64" : "/w=="}} , "idle" : 900} )";
    REQUIRE(patch_complaint(object).empty());
    for (std::size_t at = 0; at <= object.size(); ++at) {
        CAPTURE(at);
        std::string cut = object;
        cut.insert(at, 1, '\0');
        CHECK(patch_complaint(cut) == "not JSON at byte " + std::to_string(at + 1));
    }
    CHECK(patch_complaint(with_nul("$")) == "not JSON at byte 1");
}

TEST_CASE("F:json-end a body that ends early is no patch, at whatever byte") {
    const std::string object = R"({"attrs":{"a":"1","b":null,"c":{"b64":"/w=="}},"idle":900})";
    REQUIRE(patch_complaint(object).empty());
    for (std::size_t size = 0; size < object.size(); ++size) {
        CAPTURE(size);
        CHECK(!patch_complaint(std::string_view{object}.substr(0, size)).empty());
    }
}

TEST_CASE("F:json-end what is wrong is said, and no value is quoted") {
    struct Row {
        std::string body;
        std::string complaint;
    };
    const Row rows[] = {
        {R"({"attrs":{"a":"secret)", "not JSON at byte 22"},
        {R"({"attrs":{"a":secret}})", "not JSON at byte 15"},
        {R"({"attrs":{"a":"\ud800"}})", "not JSON at byte 22"},
        {"{\"attrs\":{\"a\":\"\n\"}}", "not JSON at byte 16"},
        {"{\"attrs\":{\"a\":\"\xff\"}}", "not UTF-8"},
        {"{\"attrs\":{\"\xc3\":\"1\"}}", "not UTF-8"},
        {"{}\xff", "not UTF-8"},
        {"{} // the rest", "not JSON at byte 4"},
        {"[]", "expected a JSON object"},
        {"null", "expected a JSON object"},
        {"", "expected a JSON object"},
        {" ", "not JSON at byte 2"},
        {R"({"idle":900,"idle":900})", R"(key twice in one object: "idle")"},
        {R"({"attrs":{"a":"1","\u0061":"2"}})", R"(key twice in one object: "a")"},
        {R"({"attrs":{"a":{"b64":"","b64":""}}})", R"(key twice in one object: "b64")"},
        {R"({"x":[1,{"y":1,"y":2}]})", R"(key twice in one object: "y")"},
        {R"({"attrs":{"a":{"b64":[]}}})", "nested more than 3 deep"},
        {std::string(100'000, '['), "nested more than 3 deep"},
        {R"({"idle":1e999})", "number too large at byte 13"},
        {R"({"idle":)" + std::string(400, '9') + "}", "number too large at byte 408"},
        {R"({"idle":18446744073709551616})", "idle: expected a whole number of seconds"},
        {R"({"idle":9e2})", "idle: expected a whole number of seconds"},
        {R"({"idle":900.0})", "idle: expected a whole number of seconds"},
        {R"({"idle":-0.0})", "idle: expected a whole number of seconds"},
        {R"({"idle":-1})", "idle: expected a whole number of seconds"},
        {R"({"idle":0900})", "not JSON at byte 12"},
        {R"({"idle":+900})", "not JSON at byte 9"},
        {R"({"idle":NaN})", "not JSON at byte 9"},
        {R"({")" + std::string(200, 'k') + R"(":1})",
         "unknown key \"" + std::string(80, 'k') + "...\""},
    };
    for (const Row& row : rows) {
        CAPTURE(row.body);
        CHECK(patch_complaint(row.body) == row.complaint);
    }
}

TEST_CASE("F:json-end what may stand in a body is taken as it is") {
    const auto body = read_api_body(
        "\xEF\xBB\xBF{\"idle\":18446744073709551615,\"attrs\":{\"a\":\"\\u0000\\ud83d\\ude00\","
        "\"b\":"
        "{\"b64\":\"/wA=\"},\"c\":null}}",
        ApiCall::patch, SessionConfig{});
    CHECK(body.complaint.empty());
    CHECK(body.asked.idle_ms == SessionConfig{}.idle_max.count());
    REQUIRE(body.asked.set.size() == 2);
    CHECK(body.asked.set[0].second == std::string("\0\xF0\x9F\x98\x80", 5));
    CHECK(body.asked.set[1].second == std::string("\xff\0", 2));
    CHECK(body.asked.unset == std::vector<std::string>{"c"});
    CHECK(read_api_body("", ApiCall::create, SessionConfig{}).complaint.empty());
    CHECK(read_api_body("{}", ApiCall::create, SessionConfig{}).complaint.empty());
}
