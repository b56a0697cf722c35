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
    bool known = true;  // every field was one of the contract
    Verdict verdict = Verdict::none;
};

// What a response with these fields asks.
Asked ask(const Lines& lines, const ContractLimits& limits = {}) {
    Asked asked;
    for (const auto& [suffix, value] : lines) {
        asked.known = asked.request.take(suffix, value) && asked.known;
    }
    asked.verdict = asked.request.finish(limits);
    return asked;
}

void check_refused(const Lines& lines, std::string_view complaint, std::string_view attribute = "",
                   const ContractLimits& limits = {}) {
    const Asked asked = ask(lines, limits);
    for (const auto& line : lines) CAPTURE(line.first + ": " + line.second.substr(0, 100));
    CHECK(asked.verdict == Verdict::refused);
    CHECK(asked.request.complaint() == complaint);
    CHECK(asked.request.attribute() == attribute);
}

std::string every_byte() {
    std::string text;
    for (int byte = 0; byte < 256; ++byte) text.push_back(static_cast<char>(byte));
    return text;
}

std::string encoded(std::string_view text) {
    std::string out;
    append_encoded(out, text);
    return out;
}

std::string fields_of(const SessionFields& fields) {
    std::string out;
    append_session_fields(out, fields);
    return out;
}

std::string numbered_names(int count) {
    std::string set;
    for (int i = 0; i < count; ++i) set += "a" + std::to_string(100 + i) + "=&";
    return set;
}

SessionId some_id() { return *parse_session_id("0123456789ABCDEF0123456789ABCDEF"); }

}  // namespace

TEST_CASE("S13 a Set is decoded, sorted, and means Create") {
    Asked asked = ask({{"Set", "user=al%20i&cart=3&c+d=e"}});
    CHECK(asked.verdict == Verdict::refused);  // a name with a blank
    Asked good = ask({{"Set", "user=al%20i&cart=3&note=a+b%2B&x"}});
    CHECK(good.known);
    CHECK(good.verdict == Verdict::change);
    CHECK(good.request.create());
    CHECK(!good.request.destroy());
    CHECK(good.request.set() ==
          Attributes{{"cart", "3"}, {"note", "a b+"}, {"user", "al i"}, {"x", ""}});
    CHECK(good.request.unset().empty());
}

TEST_CASE("S13 the data a server is told is what parse_qs reads, sorted as held") {
    SessionRecord record;
    record.version = 12;
    record.created_ms = 1'700'000'000'123;
    record.attributes = {{"cart", "3 items"}, {"user", "al\xC3\xAF&="}};
    const SessionId id = some_id();
    CHECK(fields_of({"Baton-Session-", SessionState::live, &id, &record}) ==
          "Baton-Session-State: live\r\n"
          "Baton-Session-Id: 0123456789ABCDEF0123456789ABCDEF\r\n"
          "Baton-Session-Version: 12\r\n"
          "Baton-Session-Created: 1700000000123\r\n"
          "Baton-Session-Data: cart=3+items&user=al%C3%AF%26%3D\r\n");
    CHECK(fields_of({"Baton-Session-", SessionState::fresh, &id, &record})
              .starts_with("Baton-Session-State: new\r\n"));
}

TEST_CASE("S13 each state tells what is known, and off tells nothing") {
    const SessionId id = some_id();
    const SessionRecord empty;
    CHECK(fields_of({"Baton-Session-", SessionState::off, &id, &empty}).empty());
    CHECK(fields_of({"B-", SessionState::none, &id, nullptr}) ==
          "B-State: none\r\nB-Id: 0123456789ABCDEF0123456789ABCDEF\r\n");
    CHECK(fields_of({"B-", SessionState::unavailable, nullptr, nullptr}) ==
          "B-State: unavailable\r\n");
    CHECK(fields_of({"B-", SessionState::fresh, nullptr, &empty}) ==
          "B-State: new\r\nB-Version: 0\r\nB-Created: 0\r\nB-Data: \r\n");
    CHECK(name(SessionState::off) == "off");
    CHECK(name(SessionState::none) == "none");
    CHECK(name(SessionState::fresh) == "new");
    CHECK(name(SessionState::live) == "live");
    CHECK(name(SessionState::unavailable) == "unavailable");
}

TEST_CASE("S14 all 256 byte values survive encoding and decoding") {
    const std::string text = every_byte();
    const std::string line = encoded(text);
    CHECK(line.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 ".~_-+%") == std::string::npos);
    CHECK(decoded(line) == text);
    Asked asked = ask({{"Set", "bin=" + line}});
    REQUIRE(asked.verdict == Verdict::change);
    CHECK(asked.request.set() == Attributes{{"bin", text}});

    SessionRecord record;
    record.attributes = asked.request.set();
    CHECK(fields_of({"B-", SessionState::live, nullptr, &record})
              .ends_with("B-Data: bin=" + line + "\r\n"));
}

TEST_CASE("S14 what stays, what becomes plus, what becomes a code") {
    CHECK(encoded("azAZ09._~-") == "azAZ09._~-");
    CHECK(encoded(" +%&=;,\r\n") == "+%2B%25%26%3D%3B%2C%0D%0A");
    CHECK(encoded(std::string_view("\0\x7F\xFF", 3)) == "%00%7F%FF");
    CHECK(decoded("%c3%C3+%2b") == "\xC3\xC3 +");
    CHECK(decoded("a\xFF=,;") == "a\xFF=,;");
}

TEST_CASE("S14 every byte as a percent code in either letter case") {
    for (int byte = 0; byte < 256; ++byte) {
        for (const char* digits : {"0123456789ABCDEF", "0123456789abcdef"}) {
            const std::string code{'%', digits[byte / 16], digits[byte % 16]};
            CAPTURE(code);
            CHECK(decoded(code) == std::string(1, static_cast<char>(byte)));
        }
    }
}

TEST_CASE("a bad percent code is refused wherever it stands, and cut anywhere") {
    for (const char* text : {"%", "%4", "%%41", "%4%", "%G0", "%0g", "a%", "a%4", "%41%", "%41%4",
                             "%-1", "% 1", "%+1", "%4:", "%/0", "%@0", "%`0"}) {
        CAPTURE(text);
        CHECK(!decoded(text));
    }
    const std::string whole = "a%41%42b";
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        const bool inside = size == 2 || size == 3 || size == 5 || size == 6;
        CAPTURE(size);
        // A view, behind which the rest of the code stands in memory.
        CHECK(decoded(std::string_view{whole}.substr(0, size)).has_value() == !inside);
    }
    check_refused({{"Set", "a=%4"}}, "bad percent-encoding in Set", "a");
    check_refused({{"Set", "a%=1"}}, "bad percent-encoding in Set");
    check_refused({{"Set", "ok=1&a=%ZZ"}}, "bad percent-encoding in Set", "a");
    check_refused({{"Unset", "a%2"}}, "bad percent-encoding in Unset");
}

TEST_CASE("S14 an Unset names what goes, once") {
    Asked asked = ask({{"Unset", "b&a&b&c="}});
    CHECK(asked.verdict == Verdict::change);
    CHECK(!asked.request.create());
    CHECK(asked.request.unset() == std::vector<std::string>{"a", "b", "c"});
    check_refused({{"Unset", "a=1"}}, "an Unset with a value", "a");
    check_refused({{"Unset", "a&="}}, "empty name in Unset");
    check_refused({{"Unset", "a b"}}, "bad attribute name in Unset", "a b");
    CHECK(ask({{"Unset", ""}}).verdict == Verdict::none);
}

TEST_CASE("lines of one field are joined") {
    Asked asked =
        ask({{"Set", "a=1"}, {"Unset", "x"}, {"SET", "b=2"}, {"unset", "y"}, {"Set", ""}});
    CHECK(asked.verdict == Verdict::change);
    CHECK(asked.request.set() == Attributes{{"a", "1"}, {"b", "2"}});
    CHECK(asked.request.unset() == std::vector<std::string>{"x", "y"});
    CHECK(ask({{"Set", ""}, {"Set", "a=1&"}, {"Set", "&&b"}}).request.set() ==
          Attributes{{"a", "1"}, {"b", ""}});
}

TEST_CASE("a name given twice in Set has the last value") {
    CHECK(ask({{"Set", "b=1&a=1&b=2&a=3&b=3"}}).request.set() ==
          Attributes{{"a", "3"}, {"b", "3"}});
    CHECK(ask({{"Set", "a=1"}, {"Set", "%61=2"}}).request.set() == Attributes{{"a", "2"}});
}

TEST_CASE("a value may hold an equals sign, and its name may be encoded") {
    CHECK(ask({{"Set", "a=b=c&%75ser=x"}}).request.set() ==
          Attributes{{"a", "b=c"}, {"user", "x"}});
}

TEST_CASE("an empty Set means Create, and nothing at all means nothing") {
    Asked asked = ask({{"Set", ""}});
    CHECK(asked.verdict == Verdict::change);
    CHECK(asked.request.create());
    CHECK(asked.request.set().empty());
    CHECK(ask({}).verdict == Verdict::none);
}

TEST_CASE("Create and Destroy are 1 or refused") {
    Asked create = ask({{"cReAtE", "1"}});
    CHECK(create.verdict == Verdict::change);
    CHECK(create.request.create());
    CHECK(!create.request.destroy());
    Asked destroy = ask({{"Destroy", "1"}});
    CHECK(destroy.verdict == Verdict::change);
    CHECK(destroy.request.destroy());
    CHECK(!destroy.request.create());
    for (const char* value : {"", "0", "2", "true", "1 ", " 1", "01", "1&1", "11", "1,1"}) {
        CAPTURE(value);
        check_refused({{"Create", value}}, "Create must be 1");
        check_refused({{"Destroy", value}}, "Destroy must be 1");
    }
    check_refused({{"Create", "1"}, {"Create", "0"}}, "Create must be 1");
}

TEST_CASE("S25 Destroy goes with Set and Create, not with Unset") {
    Asked login = ask({{"Destroy", "1"}, {"Set", "user=bob"}, {"Create", "1"}});
    CHECK(login.verdict == Verdict::change);
    CHECK(login.request.destroy());
    CHECK(login.request.create());
    CHECK(login.request.set() == Attributes{{"user", "bob"}});
    check_refused({{"Destroy", "1"}, {"Unset", "a"}}, "Destroy and Unset in one response");
    check_refused({{"Unset", ""}, {"Destroy", "1"}}, "Destroy and Unset in one response");
}

TEST_CASE("a name in Set and in Unset is refused") {
    check_refused({{"Set", "a=1&b=2"}, {"Unset", "c&b"}},
                  "an attribute in two of Set, Unset and Incr", "b");
    check_refused({{"Unset", "%61"}, {"Set", "a"}}, "an attribute in two of Set, Unset and Incr",
                  "a");
    CHECK(ask({{"Set", "a=1"}, {"Unset", "A"}}).verdict == Verdict::change);
}

TEST_CASE("unknown fields are not taken") {
    for (const char* suffix : {"", "Sets", "Se", "State", "Id", "Data", "Set-", "Unset2", "User"}) {
        CAPTURE(suffix);
        const Asked asked = ask({{suffix, "1"}});
        CHECK(!asked.known);
        CHECK(asked.verdict == Verdict::none);
    }
}

TEST_CASE("an empty name is refused, an empty piece means nothing") {
    check_refused({{"Set", "=1"}}, "empty name in Set");
    check_refused({{"Set", "="}}, "empty name in Set");
    check_refused({{"Set", "a=1&=2"}}, "empty name in Set");
    CHECK(ask({{"Set", "&&a=1&&"}}).request.set() == Attributes{{"a", "1"}});
}

TEST_CASE("S22 attribute names: 64 bytes of letters, digits, dot, dash and underscore") {
    const std::string longest(64, 'n');
    CHECK(ask({{"Set", longest + "=1"}}).verdict == Verdict::change);
    CHECK(ask({{"Set", "azAZ09_.-=1"}}).verdict == Verdict::change);
    check_refused({{"Set", longest + "n=1"}}, "bad attribute name in Set", longest + "n");
    check_refused({{"Unset", longest + "n"}}, "bad attribute name in Unset", longest + "n");
    check_refused({{"Set", "a+b=1"}}, "bad attribute name in Set", "a b");
    check_refused({{"Set", "a%0D%0Ab=1"}}, "bad attribute name in Set", "a\r\nb");
    std::string allowed;
    for (int byte = 0; byte < 256; ++byte) {
        const std::string text(1, static_cast<char>(byte));
        if (ask({{"Set", encoded(text) + "=1"}}).verdict == Verdict::change) allowed += text;
    }
    CHECK(allowed == "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
}

TEST_CASE("S22 a value as long as it may be, and one byte longer") {
    const std::string longest(8192, 'v');
    CHECK(ask({{"Set", "a=" + longest}}).verdict == Verdict::change);
    check_refused({{"Set", "x=1&a=" + longest + "v"}}, "value too long", "a");
    // It is the decoded value that counts.
    CHECK(ask({{"Set", "a=%41bc"}}, {.attribute_max = 3}).verdict == Verdict::change);
    check_refused({{"Set", "a=" + std::string(9 << 10, 'v')}}, "value too long", "a");
}

TEST_CASE("S22 64 attributes and 65") {
    CHECK(ask({{"Set", numbered_names(64)}}).verdict == Verdict::change);
    CHECK(ask({{"Set", numbered_names(64) + numbered_names(64)}}).verdict == Verdict::change);
    check_refused({{"Set", numbered_names(65)}}, "too many attributes", "a164");
}

TEST_CASE("S22 as many bytes as there may be, and one more") {
    const ContractLimits limits{.data_max = 10};
    CHECK(ask({{"Set", "a=1234&b=1234"}}, limits).verdict == Verdict::change);
    check_refused({{"Set", "a=1234&b=12345"}}, "too many bytes in all", "b", limits);
    check_refused({{"Set", "a=1234&bb=1234"}}, "too many bytes in all", "bb", limits);
    CHECK(ask({{"Set", "a=12345678901&a=1"}}, limits).verdict == Verdict::change);
}

TEST_CASE("S21 data that does not fit is told by its size") {
    SessionRecord record;
    record.attributes = {{"a", std::string(4094, 'x')}};
    SessionFields fields{"B-", SessionState::live, nullptr, &record};
    CHECK(fields_of(fields).ends_with("B-Data: a=" + record.attributes[0].second + "\r\n"));
    record.attributes[0].second += 'x';
    CHECK(fields_of(fields) ==
          "B-State: live\r\nB-Version: 0\r\nB-Created: 0\r\nB-Data-Omitted: 4097\r\n");
    record.attributes[0].second = std::string(1366, '\n');  // 4098 bytes once encoded, and "a="
    CHECK(fields_of(fields).ends_with("B-Data-Omitted: 4100\r\n"));
    record.attributes = {{"a", std::string(2498, 'x')}, {"b", std::string(2497, 'x')}};
    CHECK(fields_of(fields).ends_with("B-Data-Omitted: 5000\r\n"));
    CHECK(fields_of(fields).find("Data: ") == std::string::npos);
}

TEST_CASE("the prefix is known in any letter case and with underscores") {
    for (const char* field : {"Baton-Session-Set", "BATON-SESSION-ID", "baton_session_data",
                              "Baton_Session-", "baton-session-x"}) {
        CAPTURE(field);
        CHECK(has_session_prefix(field, "Baton-Session-"));
    }
    for (const char* field : {"", "Baton-Session", "Baton-Sessions-Id", "X-Baton-Session-Id",
                              "Baton Session-Id", "Baton-Session.Id"}) {
        CAPTURE(field);
        CHECK(!has_session_prefix(field, "Baton-Session-"));
    }
    CHECK(has_session_prefix("x-sess-a", "X_Sess-"));
    CHECK(has_session_prefix("anything", ""));
}

}  // namespace baton
