// Each field of a response by itself, and which of them go together.

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "session/contract.h"

namespace baton {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;  // suffix, value
using Verdict = SessionRequest::Verdict;

struct Asked {
    SessionRequest request;
    Verdict verdict = Verdict::none;
};

Asked ask(const Lines& lines, const ContractLimits& limits = {}) {
    Asked asked;
    for (const auto& [suffix, value] : lines) CHECK(asked.request.take(suffix, value));
    asked.verdict = asked.request.finish(limits);
    return asked;
}

void check_refused(const Lines& lines, std::string_view complaint, std::string_view attribute = "",
                   const ContractLimits& limits = {}) {
    std::string text;
    for (const auto& [suffix, value] : lines) text += suffix + ": " + value.substr(0, 60) + "; ";
    CAPTURE(text);
    const Asked asked = ask(lines, limits);
    CHECK(asked.verdict == Verdict::refused);
    CHECK(asked.request.complaint() == complaint);
    CHECK(asked.request.attribute() == attribute);
}

std::string names_of(const std::vector<Increment>& increments) {
    std::string text;
    for (const auto& [name, delta] : increments) text += name + std::to_string(delta) + " ";
    return text;
}

const std::string good_id = "0123456789ABCDEF0123456789ABCDEF";
const std::string most = "9007199254740991";
const std::string one_more = "9007199254740992";

}  // namespace

TEST_CASE("S14 an integer is an optional minus and digits, up to 2^53 - 1 either way") {
    struct Row {
        const char* text;
        std::int64_t number;
    };
    for (const Row& row : std::vector<Row>{{"0", 0},
                                           {"-0", 0},
                                           {"7", 7},
                                           {"-7", -7},
                                           {"007", 7},
                                           {"-010", -10},
                                           {"00000000000000000000000000000001", 1},
                                           {"9007199254740991", integer_max},
                                           {"-9007199254740991", -integer_max}}) {
        CAPTURE(row.text);
        CHECK(parse_integer(row.text) == row.number);
    }
    for (const char* text : {"",
                             "-",
                             "+",
                             "+1",
                             "--1",
                             "-+1",
                             " 1",
                             "1 ",
                             "1\t",
                             "\n1",
                             "1.0",
                             "1,0",
                             "1_0",
                             "1e3",
                             "0x10",
                             "a",
                             "1a",
                             "a1",
                             "\xD9\xA1",
                             "9007199254740992",
                             "-9007199254740992",
                             "9223372036854775807",
                             "9223372036854775808",
                             "-9223372036854775808",
                             "18446744073709551616",
                             "99999999999999999999999999999999"}) {
        CAPTURE(text);
        CHECK(!parse_integer(text));
    }
    CHECK(!parse_integer(std::string_view("1\0", 2)));
    CHECK(!parse_integer(std::string_view("\0", 1)));
    // The digit behind the view is not part of it.
    CHECK(parse_integer(std::string_view("123").substr(0, 2)) == 12);
    CHECK(!parse_integer({}));
}

TEST_CASE("S14 an Incr is decoded, sorted, and makes a session where there is none") {
    const Asked asked = ask({{"Incr", "hits=1&%61=-2&"}, {"INCR", "&z=+3&zero=0"}});
    CHECK(asked.verdict == Verdict::refused);  // "+3" is " 3" decoded
    const Asked good = ask({{"Incr", "hits=1&%61=%2d2&"}, {"INCR", "&z=3&zero=0"}});
    REQUIRE(good.verdict == Verdict::change);
    CHECK(names_of(good.request.increments()) == "a-2 hits1 z3 zero0 ");
    CHECK(good.request.create());
    CHECK(good.request.writes());
    CHECK(good.request.set().empty());
    CHECK(good.request.unset().empty());
    const Asked empty = ask({{"Incr", ""}, {"Incr", "&&"}});
    CHECK(empty.verdict == Verdict::none);
    CHECK(!empty.request.create());
    CHECK(names_of(ask({{"Incr", "a=" + most + "&b=-" + most}}).request.increments()) ==
          "a" + most + " b-" + most + " ");
}

TEST_CASE("S22 an Incr by what is no integer, or of a bad or a double name") {
    for (const std::string& value :
         {std::string{"a"}, std::string{"a="}, std::string{"a=x"}, std::string{"a=1.5"},
          std::string{"a=1=1"}, "a=" + one_more, "a=-" + one_more, std::string{"b=1&a=%31%"}}) {
        check_refused({{"Incr", value}}, "an Incr that is no integer", "a");
    }
    check_refused({{"Incr", "=1"}}, "empty name in Incr");
    check_refused({{"Incr", "a%=1"}}, "bad percent-encoding in Incr");
    check_refused({{"Incr", "a+b=1"}}, "bad attribute name in Incr", "a b");
    check_refused({{"Incr", std::string(65, 'n') + "=1"}}, "bad attribute name in Incr",
                  std::string(65, 'n'));
    check_refused({{"Incr", "a=1&b=1&a=1"}}, "an attribute twice in Incr", "a");
    check_refused({{"Incr", "a=1"}, {"Incr", "%61=2"}}, "an attribute twice in Incr", "a");
    CHECK(ask({{"Incr", "a=1&A=1"}}).verdict == Verdict::change);
}

TEST_CASE("S22 an attribute stands in one of Set, Unset and Incr only") {
    const std::string twice = "an attribute in two of Set, Unset and Incr";
    check_refused({{"Set", "a=1&b=1"}, {"Incr", "b=1"}}, twice, "b");
    check_refused({{"Incr", "c=1&%62=1"}, {"Set", "a=1&b=1"}}, twice, "b");
    check_refused({{"Unset", "a&b"}, {"Incr", "b=1"}}, twice, "b");
    check_refused({{"Set", "a=1"}, {"Unset", "a"}, {"Incr", "a=1"}}, twice, "a");
    const Asked asked = ask({{"Set", "a=1"}, {"Unset", "b"}, {"Incr", "c=1"}});
    CHECK(asked.verdict == Verdict::change);
    CHECK(asked.request.set() == Attributes{{"a", "1"}});
    CHECK(asked.request.unset() == std::vector<std::string>{"b"});
    CHECK(names_of(asked.request.increments()) == "c1 ");
}

TEST_CASE("S22 increments count among the attributes that one response may name") {
    const ContractLimits limits{.attributes_max = 2};
    CHECK(ask({{"Incr", "a=1&b=1"}}, limits).verdict == Verdict::change);
    CHECK(ask({{"Set", "a=1"}, {"Incr", "b=1"}}, limits).verdict == Verdict::change);
    check_refused({{"Incr", "a=1&b=1&c=1"}}, "too many attributes", "", limits);
    check_refused({{"Set", "a=1&b=1"}, {"Incr", "c=1"}}, "too many attributes", "b", limits);
    // What goes does not count.
    CHECK(ask({{"Unset", "a&b&c&d"}, {"Incr", "e=1"}}, limits).verdict == Verdict::change);
}

TEST_CASE("F:poison a response removes as many names as a session may have, or 64") {
    const auto names = [](std::size_t count) {
        std::string text;
        for (std::size_t i = 0; i < count; ++i) text += "n" + std::to_string(i) + "&";
        return text;
    };
    for (const std::size_t attributes_max : {1U, 64U, 100U}) {
        CAPTURE(attributes_max);
        const ContractLimits limits{.attributes_max = attributes_max};
        const std::size_t count_max = std::max<std::size_t>(attributes_max, 64);
        CHECK(ask({{"Unset", names(count_max)}}, limits).verdict == Verdict::change);
        // A name that is given twice is one.
        CHECK(ask({{"Unset", names(count_max)}, {"Unset", names(count_max)}}, limits).verdict ==
              Verdict::change);
        check_refused({{"Unset", names(count_max + 1)}}, "too many names in Unset", "", limits);
        check_refused({{"Unset", names(count_max)}, {"Unset", "other"}}, "too many names in Unset",
                      "", limits);
        check_refused({{"Unset", names(6000)}}, "too many names in Unset", "", limits);
    }
}

TEST_CASE("S18 a Base is a version, once") {
    for (const char* value : {"0", "12", "9007199254740991"}) {
        CAPTURE(value);
        const Asked asked = ask({{"bAsE", value}, {"Set", "a=1"}});
        REQUIRE(asked.verdict == Verdict::change);
        CHECK(std::to_string(asked.request.base().value()) == value);
    }
    for (const std::string& value : {std::string{}, std::string{"x"}, std::string{"-1"},
                                     std::string{"1 "}, std::string{"\"1\""}, one_more})
        check_refused({{"Base", value}, {"Set", "a=1"}}, "Base must be a version");
    check_refused({{"Base", "1"}, {"Base", "1"}}, "Base twice");
    check_refused({{"Base", "x"}, {"Base", "1"}}, "Base must be a version");
    // Alone it asks for nothing.
    CHECK(ask({{"Base", "1"}}).verdict == Verdict::none);
    CHECK(!ask({{"Set", "a=1"}}).request.base());
}

TEST_CASE("S29 an Idle is a number of seconds, once, and however many there are") {
    struct Row {
        const char* text;
        std::int64_t ms;
    };
    for (const Row& row : std::vector<Row>{{"0", 0},
                                           {"1", 1'000},
                                           {"900", 900'000},
                                           {"9007199254740", 9'007'199'254'740'000},
                                           {"9007199254741", 9'007'199'254'740'000},
                                           {"9007199254740991", 9'007'199'254'740'000}}) {
        CAPTURE(row.text);
        const Asked asked = ask({{"Idle", row.text}});
        CHECK(asked.verdict == Verdict::change);
        CHECK(asked.request.writes());
        CHECK(!asked.request.create());
        CHECK(asked.request.idle_ms() == row.ms);
    }
    for (const std::string& value : {std::string{}, std::string{"soon"}, std::string{"-1"},
                                     std::string{"1s"}, std::string{"1.5"}, one_more})
        check_refused({{"Idle", value}}, "Idle must be a number of seconds");
    check_refused({{"Idle", "1"}, {"IDLE", "1"}}, "Idle twice");
}

TEST_CASE("S27 a Rotate is for a login, or 1") {
    for (const char* value : {"login", "1"}) {
        CAPTURE(value);
        const Asked asked = ask({{"Rotate", value}, {"rotate", "1"}});
        CHECK(asked.verdict == Verdict::change);
        CHECK(asked.request.rotate());
        CHECK(!asked.request.create());
        CHECK(!asked.request.writes());
    }
    for (const char* value : {"", "0", "yes", "Login", "LOGIN", "login ", "true", "11"})
        check_refused({{"Rotate", value}}, "Rotate must be login or 1");
    check_refused({{"Rotate", "1"}, {"Rotate", ""}}, "Rotate must be login or 1");
}

TEST_CASE("S61 a Use is a well-formed id, once, and stands alone") {
    const Asked asked = ask({{"Use", good_id}});
    REQUIRE(asked.verdict == Verdict::change);
    CHECK(asked.request.use()->view() == good_id);
    CHECK(!asked.request.create());
    CHECK(!asked.request.writes());
    CHECK(ask({{"Use", "\"" + good_id + "\""}}).request.use()->view() == good_id);
    for (const std::string& value :
         {std::string{}, good_id.substr(1), good_id + "0", std::string{"1"}, std::string(32, 'a'),
          good_id + "&" + good_id})
        check_refused({{"Use", value}}, "Use must be an id");
    check_refused({{"Use", good_id}, {"Use", good_id}}, "Use twice");
    for (const auto& other : Lines{{"Set", ""},
                                   {"Set", "a=1"},
                                   {"Unset", ""},
                                   {"Unset", "a"},
                                   {"Incr", ""},
                                   {"Incr", "a=1"},
                                   {"Create", "1"},
                                   {"Rotate", "1"},
                                   {"Destroy", "1"},
                                   {"Base", "1"},
                                   {"Idle", "1"}}) {
        check_refused({{"Use", good_id}, other}, "Use and another field in one response");
        check_refused({other, {"Use", good_id}}, "Use and another field in one response");
    }
}

TEST_CASE("S25 what Destroy goes with") {
    for (const auto& [field, value] : Lines{{"Rotate", "1"},
                                            {"Unset", "a"},
                                            {"Unset", ""},
                                            {"Incr", "a=1"},
                                            {"Incr", ""},
                                            {"Base", "1"}}) {
        const std::string complaint = "Destroy and " + field + " in one response";
        check_refused({{"Destroy", "1"}, {field, value}}, complaint);
        check_refused({{field, value}, {"Destroy", "1"}}, complaint);
        check_refused({{"Destroy", "1"}, {"Set", "a=1"}, {field, value}}, complaint);
    }
    for (const auto& other :
         Lines{{"Set", "a=1"}, {"Set", ""}, {"Create", "1"}, {"Idle", "1"}, {"Destroy", "1"}}) {
        const Asked asked = ask({{"Destroy", "1"}, other});
        CAPTURE(other.first);
        CHECK(asked.verdict == Verdict::change);
        CHECK(asked.request.destroy());
    }
    // The first complaint counts.
    check_refused({{"Destroy", "0"}, {"Rotate", "0"}}, "Destroy must be 1");
    check_refused({{"Rotate", "x"}, {"Destroy", "1"}, {"Set", "%"}}, "Rotate must be login or 1");
}

TEST_CASE("S17 all that goes together goes together") {
    const Asked asked = ask({{"Set", "user=bob"},
                             {"Unset", "anonymous"},
                             {"Incr", "logins=1"},
                             {"Base", "3"},
                             {"Idle", "600"},
                             {"Rotate", "login"},
                             {"Create", "1"}});
    REQUIRE(asked.verdict == Verdict::change);
    const SessionRequest& request = asked.request;
    CHECK(request.create());
    CHECK(request.rotate());
    CHECK(!request.destroy());
    CHECK(request.base() == 3);
    CHECK(request.idle_ms() == 600'000);
    CHECK(request.set() == Attributes{{"user", "bob"}});
    CHECK(request.unset() == std::vector<std::string>{"anonymous"});
    CHECK(names_of(request.increments()) == "logins1 ");
}

TEST_CASE("each field is known in any letter case, and nothing that looks like it") {
    const std::vector<std::string> fields = {"Set", "Unset",  "Incr",    "Base",  "Idle",
                                             "Use", "Create", "Destroy", "Rotate"};
    for (const std::string& field : fields) {
        CAPTURE(field);
        std::string lower;
        std::string upper;
        for (const char c : field) {
            lower += static_cast<char>(c | 0x20);
            upper += static_cast<char>(c & ~0x20);
        }
        for (const std::string& name : {field, lower, upper}) {
            SessionRequest request;
            CHECK(request.take(name, field == "Use" ? good_id : "1"));
        }
        for (const std::string& name : {field + "s", field.substr(1), field + "-", "-" + field,
                                        field.substr(0, field.size() - 1)}) {
            SessionRequest request;
            CHECK(!request.take(name, "1"));
            CHECK(request.finish({}) == Verdict::none);
        }
    }
}

TEST_CASE("S14 a plus is a blank everywhere, and a percent code is whatever it says") {
    CHECK(ask({{"Set", "a=%2B+%20%26%3D%00"}}).request.set() ==
          Attributes{{"a", std::string("+  &=\0", 6)}});
    CHECK(ask({{"Unset", "%61%2e%5F-"}}).request.unset() == std::vector<std::string>{"a._-"});
    check_refused({{"Unset", "a+"}}, "bad attribute name in Unset", "a ");
}

TEST_CASE("complaints about values do not hold them") {
    for (const auto& line : Lines{{"Set", "a=secret%"},
                                  {"Incr", "a=secret"},
                                  {"Base", "secret"},
                                  {"Idle", "secret"},
                                  {"Use", "secret"},
                                  {"Rotate", "secret"},
                                  {"Create", "secret"},
                                  {"Unset", "a=secret"}}) {
        const Asked asked = ask({line});
        CAPTURE(line.first);
        CHECK(asked.verdict == Verdict::refused);
        CHECK(asked.request.complaint().find("secret") == std::string_view::npos);
        CHECK(asked.request.attribute().find("secret") == std::string_view::npos);
    }
}

TEST_CASE("a name as an attribute may have it") {
    CHECK(is_attribute_name("a", 1));
    CHECK(is_attribute_name("aZ09._-", 7));
    CHECK(!is_attribute_name("", 64));
    CHECK(!is_attribute_name("ab", 1));
    for (const char* text : {" ", "a b", "a/b", "\xC3\xA9", "a:", "a=", "a&", "%61", "~"})
        CHECK(!is_attribute_name(text, 64));
    CHECK(!is_attribute_name(std::string_view("a\0", 2), 64));
}

}  // namespace baton
