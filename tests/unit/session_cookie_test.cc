#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "session/cookie.h"

namespace baton {
namespace {

using Strings = std::vector<std::string>;

Strings candidates(const Strings& fields, std::string_view name = "JSESSIONID") {
    CookieCandidates found;
    for (const std::string& field : fields) found.collect(field, name);
    Strings values;
    for (std::size_t i = 0; i < found.count; ++i) values.emplace_back(found.values[i]);
    return values;
}

std::string without(std::string_view field, std::string_view name = "JSESSIONID") {
    std::string out = "Cookie: ";
    const std::size_t appended = append_cookies_without(out, field, name);
    REQUIRE(out.size() == 8 + appended);
    REQUIRE(out.substr(0, 8) == "Cookie: ");
    return out.substr(8);
}

SessionId some_id() { return *parse_session_id("0123456789ABCDEF0123456789ABCDEF"); }

}  // namespace

TEST_CASE("S5 odd cookies give odd values or none, and nothing breaks") {
    struct Case {
        std::string field;
        Strings values;
    };
    const std::vector<Case> cases = {
        {"", {}},
        {";", {}},
        {"=", {}},
        {"JSESSIONID=", {""}},
        {"JSESSIONID", {""}},
        {"JSESSIONID=../../x", {"../../x"}},
        {"JSESSIONID=a b", {"a b"}},
        {"JSESSIONID=%0d%0a", {"%0d%0a"}},
        {"JSESSIONID=\xC3\xA4", {"\xC3\xA4"}},
        {"JSESSIONID=a=b", {"a=b"}},
        {"JSESSIONID=" + std::string(5 * 1024, 'A'), {std::string(5 * 1024, 'A')}},
        {"jsessionid=a; JSessionID=b", {}},
        {"XJSESSIONID=a; JSESSIONIDX=b; JSESSION=c", {}},
        {"a=JSESSIONID=b", {}},
        {"JSESSIONID=\"a\"", {"\"a\""}},
        {"a=1; b=2", {}},
        {"a=1;JSESSIONID=x;b=2", {"x"}},
        {" \tJSESSIONID \t= x\t ; a=1", {"x"}},
        {"a=\"1; JSESSIONID=x\"", {"x\""}},
    };
    for (const Case& c : cases) {
        CAPTURE(c.field);
        CHECK(candidates({c.field}) == c.values);
    }
}

TEST_CASE("S6 candidates come in their order, over fields, four at most") {
    CHECK(candidates({"JSESSIONID=dead; JSESSIONID=live"}) == Strings{"dead", "live"});
    CHECK(candidates({"a=1; JSESSIONID=1", "JSESSIONID=2; JSESSIONID=3"}) ==
          Strings{"1", "2", "3"});
    CHECK(candidates({"JSESSIONID=1; JSESSIONID=2; JSESSIONID=3; JSESSIONID=4"}) ==
          Strings{"1", "2", "3", "4"});
    CHECK(candidates({"JSESSIONID=1; JSESSIONID=2; JSESSIONID=3; JSESSIONID=4; JSESSIONID=5"}) ==
          Strings{"1", "2", "3", "4"});
    CHECK(candidates({"JSESSIONID=1; JSESSIONID=2; JSESSIONID=3", "JSESSIONID=4; JSESSIONID=5"}) ==
          Strings{"1", "2", "3", "4"});
}

TEST_CASE("S6 a cookie field cut at any byte gives a part of its values") {
    const std::string field = "a=1; JSESSIONID=dead; JSESSIONID=\"live\"; b=2";
    for (std::size_t size = 0; size <= field.size(); ++size) {
        CAPTURE(size);
        const std::string cut = field.substr(0, size);
        const Strings values = candidates({cut});
        CHECK(values.size() <= 2);
        if (!values.empty()) CHECK(std::string{"dead"}.starts_with(values[0]));
        if (values.size() > 1) CHECK(std::string{"\"live\""}.starts_with(values[1]));
        CHECK(candidates({without(cut)}).empty());
    }
}

TEST_CASE("S8 the cookie goes, the others stay byte for byte and in order") {
    struct Case {
        std::string field;
        std::string left;
    };
    const std::vector<Case> cases = {
        {"JSESSIONID=x; a=1; b=2", "a=1; b=2"},
        {"a=1; JSESSIONID=x; b=2", "a=1; b=2"},
        {"a=1; b=2; JSESSIONID=x", "a=1; b=2"},
        {"JSESSIONID=x; a=1; JSESSIONID=y; b=2; JSESSIONID=z", "a=1; b=2"},
        {"JSESSIONID=x; JSESSIONID=y; a=1", "a=1"},
        {"JSESSIONID=x;a=1;b=2", "a=1;b=2"},
        {"a=1;JSESSIONID=x;  b=2", "a=1;  b=2"},
        {"JSESSIONID=x;", ""},
        {"JSESSIONID=x; ; ", ""},
        {"JSESSIONID=x", ""},
        {"JSESSIONID=\"x\"", ""},
        {"JSESSIONID", ""},
        {" JSESSIONID = x ; a=1", "a=1"},
        {"", ""},
        {"a=1", "a=1"},
        {"  a = \"1 ;;b=2;", "  a = \"1 ;;b=2;"},
        {"jsessionid=x; XJSESSIONID=y; JSESSIONIDX=z",
         "jsessionid=x; XJSESSIONID=y; JSESSIONIDX=z"},
        {"a=\xC3\xA4; JSESSIONID=x; =y; z", "a=\xC3\xA4; =y; z"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.field);
        CHECK(without(c.field) == c.left);
    }
}

TEST_CASE("S9 a Set-Cookie of the name is recognised, others are not") {
    for (const char* value : {"JSESSIONID=EVIL", "JSESSIONID=EVIL; Path=/",
                              " JSESSIONID = EVIL;Secure", "JSESSIONID=", "JSESSIONID",
                              "=JSESSIONID=EVIL", "JSESSIONID; Path=/", "\tJSESSIONID=x"}) {
        CAPTURE(value);
        CHECK(sets_cookie(value, "JSESSIONID"));
    }
    for (const char* value : {"", "a=JSESSIONID", "jsessionid=x", "JSESSIONIDX=x", "XJSESSIONID=x",
                              "a=1; JSESSIONID=x", "==JSESSIONID=x"}) {
        CAPTURE(value);
        CHECK(!sets_cookie(value, "JSESSIONID"));
    }
}

TEST_CASE("S1 the cookie that gives the id") {
    std::string out;
    append_session_cookie(out, {.name = "JSESSIONID"}, some_id());
    CHECK(out == "JSESSIONID=0123456789ABCDEF0123456789ABCDEF; Path=/; HttpOnly; SameSite=Lax");
    out = "x";
    append_session_cookie(out, {.name = "sid", .same_site = SameSite::none, .secure = true},
                          some_id());
    CHECK(out == "xsid=0123456789ABCDEF0123456789ABCDEF; Path=/; HttpOnly; SameSite=None; Secure");
}

TEST_CASE("S25 the cookie that ends the session has the same attributes") {
    std::string out;
    append_ended_cookie(out, {.name = "JSESSIONID"});
    CHECK(out ==
          "JSESSIONID=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; "
          "SameSite=Lax");
    out = "x";
    append_ended_cookie(out, {.name = "sid", .same_site = SameSite::strict, .secure = true});
    CHECK(out ==
          "xsid=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; "
          "SameSite=Strict; Secure");
}

}  // namespace baton
