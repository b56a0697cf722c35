#include <doctest/doctest.h>

#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include "session/id.h"

namespace baton {
namespace {

const std::string good_id = "0123456789ABCDEF0123456789ABCDEF";

SessionId id_of(const std::string& text) {
    const auto id = parse_session_id(text);
    REQUIRE(id);
    return *id;
}

std::string hex_of(const SessionKey& key) {
    std::string out;
    for (const std::uint8_t byte : key.bytes) {
        out.push_back("0123456789abcdef"[byte >> 4]);
        out.push_back("0123456789abcdef"[byte & 15]);
    }
    return out;
}

}  // namespace

TEST_CASE("S3 ten thousand minted ids are well formed and distinct") {
    std::unordered_set<std::string> seen;
    std::string digits;  // of all ids, to see that every one is used
    for (int i = 0; i < 10'000; ++i) {
        const SessionId id = mint_session_id();
        const std::string text{id.view()};
        REQUIRE(text.size() == 32);
        REQUIRE(text.find_first_not_of("0123456789ABCDEF") == std::string::npos);
        REQUIRE(parse_session_id(text) == id);
        seen.insert(text);
        for (const char c : text) {
            if (digits.find(c) == std::string::npos) digits.push_back(c);
        }
    }
    CHECK(seen.size() == 10'000);
    CHECK(digits.size() == 16);
}

TEST_CASE("S3 every place of a minted id takes every digit") {
    std::array<std::unordered_set<char>, 32> seen;
    for (int i = 0; i < 1'000; ++i) {
        const SessionId id = mint_session_id();
        for (std::size_t place = 0; place < 32; ++place) seen[place].insert(id.text[place]);
    }
    for (const auto& digits : seen) CHECK(digits.size() == 16);
}

TEST_CASE("S5 what is no id is no id") {
    const std::vector<std::string> odd = {
        "",
        "../../x",
        std::string(5 * 1024, 'A'),
        good_id.substr(1),
        good_id + "0",
        " " + good_id,
        good_id.substr(0, 31) + " ",
        "0123456789ABCDEF 123456789ABCDEF",
        "0123456789abcdef0123456789abcdef",
        "0123456789ABCDEF0123456789ABCDEG",
        "0123456789ABCDEF0123456789ABCDE/",
        "0123456789ABCDEF0123456789ABCDE:",
        "0123456789ABCDEF0123456789ABCDE@",
        "0123456789ABCDEF%0d%0a89ABCDEF01",
        std::string("0123456789ABCDEF0123456789ABCDE\0", 32),
        "0123456789ABCDEF0123456789ABCD\xC3\x84",
        good_id + ".tomcat1",
        "\"" + good_id,
        good_id + "\"",
        "\"",
        "\"\"",
        "\"\"" + good_id + "\"\"",
        "'" + good_id + "'",
    };
    for (const std::string& text : odd) {
        CAPTURE(text);
        CHECK(!parse_session_id(text));
    }
}

TEST_CASE("S5 an id cut at any byte is no id") {
    const std::string quoted = "\"" + good_id + "\"";
    for (std::size_t size = 0; size < quoted.size(); ++size) {
        CAPTURE(size);
        CHECK(!parse_session_id(quoted.substr(0, size)));
        if (size < good_id.size()) CHECK(!parse_session_id(good_id.substr(0, size)));
    }
}

TEST_CASE("S6 an id is read with and without its quotes") {
    CHECK(id_of(good_id).view() == good_id);
    CHECK(id_of("\"" + good_id + "\"").view() == good_id);
}

TEST_CASE("S57 keys of scopes and of cookies differ") {
    const SessionId id = id_of(good_id);
    const SessionKey key = session_key("shop", "JSESSIONID", id);
    CHECK(key == session_key("shop", "JSESSIONID", id));
    CHECK(key != session_key("admin", "JSESSIONID", id));
    CHECK(key != session_key("shop", "SID", id));
    CHECK(key != session_key("shop", "JSESSIONID", id_of("1" + good_id.substr(1))));
    // The parts cannot run into one another.
    CHECK(session_key("ab", "c", id) != session_key("a", "bc", id));
}

TEST_CASE("a key is the SHA-256 of scope, cookie name and id, with zeros between") {
    // printf 'ss\0JSESSIONID\0%s' 0123456789ABCDEF0123456789ABCDEF | sha256sum
    const SessionKey key = session_key("ss", "JSESSIONID", id_of(good_id));
    CHECK(hex_of(key) == "b1bbef0a2d3ff68e3571cb7d009ad8d141db604894c99d4c3efa86409fef120b");
    const auto token = key.token();
    CHECK(std::string(token.data(), token.size()) == hex_of(key).substr(0, 8));
}

TEST_CASE("a key of long names is made as well") {
    const std::string scope(10'000, 's');
    CHECK(session_key(scope, "n", id_of(good_id)) != session_key(scope + "s", "n", id_of(good_id)));
}

}  // namespace baton
