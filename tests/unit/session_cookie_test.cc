#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "session/cookie.h"

namespace baton {
namespace {

using Strings = std::vector<std::string>;

// "1" is the id that ends so; "?" stands for what is none.
std::string id_text(std::string_view end) { return std::string(32 - end.size(), '0').append(end); }

Strings candidates(const Strings& fields, std::string_view name = "JSESSIONID",
                   std::size_t* passed_over = nullptr) {
    CookieCandidates found;
    for (const std::string& field : fields) found.collect(field, name);
    Strings values;
    for (const SessionId& id : found.ids()) {
        const std::size_t zeros = std::min(id.view().find_first_not_of('0'), std::size_t{31});
        values.emplace_back(id.view().substr(zeros));
    }
    values.insert(values.end(), found.malformed(), "?");
    CHECK(found.any() == !values.empty());
    if (passed_over != nullptr) *passed_over = found.passed_over();
    return values;
}

std::string pair(const std::string& end) { return "JSESSIONID=" + id_text(end); }

std::string without(std::string_view field, std::string_view name = "JSESSIONID") {
    std::string out = "Cookie: ";
    const std::size_t appended = append_cookies_without(out, field, name);
    REQUIRE(out.size() == 8 + appended);
    REQUIRE(out.substr(0, 8) == "Cookie: ");
    return out.substr(8);
}

SessionId some_id() { return *parse_session_id("0123456789ABCDEF0123456789ABCDEF"); }

}  // namespace

TEST_CASE("S5 odd cookies are no ids, and nothing breaks") {
    struct Case {
        std::string field;
        Strings values;
    };
    const std::string id = id_text("A");
    const std::vector<Case> cases = {
        {"", {}},
        {";", {}},
        {"=", {}},
        {"JSESSIONID=", {"?"}},
        {"JSESSIONID", {"?"}},
        {"JSESSIONID=../../x", {"?"}},
        {"JSESSIONID=a b", {"?"}},
        {"JSESSIONID=%0d%0a", {"?"}},
        {"JSESSIONID=\xC3\xA4", {"?"}},
        {"JSESSIONID=" + id + "=b", {"?"}},
        {"JSESSIONID=" + std::string(5 * 1024, 'A'), {"?"}},
        {"jsessionid=" + id + "; JSessionID=" + id, {}},
        {"XJSESSIONID=" + id + "; JSESSIONIDX=" + id + "; JSESSION=" + id, {}},
        {"a=JSESSIONID=" + id, {}},
        {"JSESSIONID=\"" + id + "\"", {"A"}},
        {"a=1; b=2", {}},
        {"a=1;JSESSIONID=" + id + ";b=2", {"A"}},
        {" \tJSESSIONID \t= " + id + "\t ; a=1", {"A"}},
        {"a=\"1; JSESSIONID=" + id + "\"", {"?"}},
        {"JSESSIONID=x; JSESSIONID=" + id + "; JSESSIONID=y", {"A", "?", "?"}},
    };
    for (const Case& c : cases) {
        CAPTURE(c.field);
        CHECK(candidates({c.field}) == c.values);
    }
}

TEST_CASE("S6 candidates come in their order and once, over fields") {
    CHECK(candidates({pair("D") + "; " + pair("A")}) == Strings{"D", "A"});
    CHECK(candidates({"a=1; " + pair("1"), pair("2") + "; " + pair("3")}) ==
          Strings{"1", "2", "3"});
    CHECK(candidates({pair("1") + "; " + pair("2") + ";" + pair("1") + ";" + pair("2")}) ==
          Strings{"1", "2"});
}

TEST_CASE("F:many-cookies the first eight ids and the last eight") {
    for (std::size_t count = 0; count <= 40; ++count) {
        CAPTURE(count);
        Strings fields = {"b=2"};
        Strings expected;
        for (std::size_t i = 0; i < count; ++i) {
            const std::string end = "F" + std::to_string(i);
            // What is no id, and what was there before, takes nobody's place.
            const std::string more = "; JSESSIONID=x; " + pair(end) + "; " + pair("F0");
            if (i % 3 == 0)
                fields.push_back(pair(end) + more);
            else
                fields.back() += "; " + pair(end) + more;
            if (i < 8 || i + 8 >= count) expected.push_back(end);
        }
        expected.insert(expected.end(), count, "?");
        std::size_t passed_over = 0;
        CHECK(candidates(fields, "JSESSIONID", &passed_over) == expected);
        CHECK(passed_over == (count > 16 ? count - 16 : 0));
    }
}

TEST_CASE("S6 a cookie field cut at any byte gives a part of its ids") {
    const std::string field = "a=1; " + pair("D") + "; JSESSIONID=\"" + id_text("A") + "\"; b=2";
    for (std::size_t size = 0; size <= field.size(); ++size) {
        CAPTURE(size);
        const std::string cut = field.substr(0, size);
        Strings values = candidates({cut});
        CHECK(values.size() <= 2);
        if (!values.empty()) CHECK((values[0] == "D" || values[0] == "?"));
        if (values.size() > 1) CHECK((values[1] == "A" || values[1] == "?"));
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
