// Replies of Redis as values: every kind, in any split, and what is refused.

#include "session/redis/redis_reply.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/redis_peer.h"

namespace baton {
namespace {

using namespace std::string_literals;
using Read = RedisReader::Read;
using Type = RedisReply::Type;

// "[status OK, 3, nil, text a]"
std::string shown(const RedisReply& reply) {
    // Nothing of another reply.
    CHECK((reply.is_array() || reply.elements.empty()));
    CHECK((reply.type == Type::integer || reply.integer == 0));
    const bool is_text =
        reply.type == Type::text || reply.type == Type::status || reply.type == Type::error;
    CHECK((is_text || reply.text.empty()));
    switch (reply.type) {
    case Type::nil: return "nil";
    case Type::integer: return std::to_string(reply.integer);
    case Type::status: return "status " + reply.text;
    case Type::error: return "error " + reply.text;
    case Type::text: return "text " + reply.text;
    case Type::too_large: return "too large";
    case Type::array: break;
    }
    std::string text = "[";
    for (const RedisReply& element : reply.elements)
        text += (text.size() > 1 ? ", " : "") + shown(element);
    return text + "]";
}

// All that `pieces`, fed one after another, are read as; "more" or "bad" at the end.
std::string read_all(const std::vector<std::string_view>& pieces) {
    RedisReader reader;
    RedisReply reply;
    std::string all;
    for (const std::string_view piece : pieces) {
        reader.feed({piece.data(), piece.size()});
        for (;;) {
            const Read read = reader.next(reply);
            if (read == Read::bad) return all + "bad";
            if (read == Read::more) break;
            all += shown(reply) + "; ";
        }
    }
    return all + "more";
}

struct Case {
    const char* name;
    std::string bytes;
    std::string gives;
};

const std::vector<Case>& cases() {
    static const std::vector<Case> all = {
        {"a status", "+OK\r\n", "status OK; more"},
        {"an empty status", "+\r\n", "status ; more"},
        {"an error", "-NOAUTH Authentication required.\r\n",
         "error NOAUTH Authentication required.; more"},
        {"an integer", ":-42\r\n", "-42; more"},
        {"the smallest integer", ":-9223372036854775808\r\n", "-9223372036854775808; more"},
        {"a text", "$5\r\na\r\n:1\r\n", "text a\r\n:1; more"},
        {"an empty text", "$0\r\n\r\n", "text ; more"},
        {"a text with a zero byte", "$3\r\na\0b\r\n"s, "text a\0b; more"s},
        {"no text", "$-1\r\n", "nil; more"},
        {"no array", "*-1\r\n", "nil; more"},
        {"an empty array", "*0\r\n", "[]; more"},
        {"an array of all", "*6\r\n+OK\r\n:1\r\n$-1\r\n$1\r\na\r\n-ERR x\r\n*-1\r\n",
         "[status OK, 1, nil, text a, error ERR x, nil]; more"},
        {"arrays in arrays", "*2\r\n*2\r\n:1\r\n*1\r\n:2\r\n*0\r\n", "[[1, [2]], []]; more"},
        {"one behind the other", "+a\r\n:1\r\n*1\r\n$1\r\nb\r\n+c\r\n",
         "status a; 1; [text b]; status c; more"},
        {"garbage", "HTTP/1.1 400 Bad Request\r\n\r\n", "bad"},
        {"garbage behind a reply", "+OK\r\nx", "status OK; bad"},
        {"garbage within an array", "*2\r\n:1\r\n!x\r\n", "bad"},
        {"a zero byte", "\0\r\n"s, "bad"},
        {"an integer that is none", ":x\r\n", "bad"},
        {"an integer too large", ":9223372036854775808\r\n", "bad"},
        {"a text of length x", "$x\r\n", "bad"},
        {"a text of negative length", "$-2\r\n", "bad"},
        {"an array of negative length", "*-2\r\n", "bad"},
        {"an array longer than an int", "*4294967297\r\n", "bad"},
        {"an array longer than any reply", "*22369622\r\n", "bad"},
        {"arrays too deep",
         "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "bad"},
        {"a map of RESP3", "%1\r\n+a\r\n:1\r\n", "bad"},
    };
    return all;
}

TEST_CASE("replies are read, and what is none is refused") {
    for (const Case& c : cases()) {
        CAPTURE(c.name);
        CHECK(read_all({c.bytes}) == c.gives);
    }
}

TEST_CASE("a reply is the same however it is cut") {
    for (const Case& c : cases()) {
        CAPTURE(c.name);
        const std::string_view bytes = c.bytes;
        for (std::size_t cut = 1; cut < bytes.size(); ++cut)
            CHECK(read_all({bytes.substr(0, cut), bytes.substr(cut)}) == c.gives);
        std::vector<std::string_view> singles;
        for (std::size_t i = 0; i < bytes.size(); ++i) singles.push_back(bytes.substr(i, 1));
        CHECK(read_all(singles) == c.gives);
    }
}

TEST_CASE("nothing of one reply is left in a later one") {
    for (const Case& before : cases()) {
        if (!before.gives.ends_with("more")) continue;
        const std::string shown_before = before.gives.substr(0, before.gives.size() - 4);
        for (const Case& c : cases()) {
            CAPTURE(before.name);
            CAPTURE(c.name);
            // Three, for two replies change places.
            CHECK(read_all({before.bytes, before.bytes, c.bytes}) ==
                  shown_before + shown_before + c.gives);
        }
    }
}

TEST_CASE("a reply that is cut off is never whole") {
    for (const Case& c : cases()) {
        if (!c.gives.ends_with("more")) continue;
        CAPTURE(c.name);
        const std::string last = c.gives.substr(0, c.gives.size() - 4);
        for (std::size_t cut = 0; cut < c.bytes.size(); ++cut)
            CHECK(read_all({std::string_view{c.bytes}.substr(0, cut)}) != c.gives);
    }
}

std::string array_of(std::size_t count, std::string_view element) {
    std::string bytes = "*" + std::to_string(count) + "\r\n";
    for (std::size_t i = 0; i < count; ++i) bytes += element;
    return bytes;
}

TEST_CASE(
    "F:poison what is beyond the limits is skipped, and what follows is read, however it is cut") {
    // Limits are met with many small pieces, so that every cut can be tried.
    const std::string many = array_of(RedisReader::elements_max + 1, "+\r\n");
    const std::string nested = array_of(5, array_of(RedisReader::elements_max / 4 * 4, ":1\r\n"));
    const std::string deep = "*3\r\n$1\r\nx\r\n" + many + ":1\r\n";
    for (const std::string& large : {many, nested, deep}) {
        const std::string bytes = "+a\r\n" + large + "$1\r\nb\r\n" + large + ":3\r\n";
        const std::string gives = "status a; too large; text b; too large; 3; more";
        CHECK(read_all({bytes}) == gives);
        std::vector<std::string_view> singles;
        for (std::size_t i = 0; i < bytes.size(); ++i)
            singles.push_back(std::string_view{bytes}.substr(i, 1));
        CHECK(read_all(singles) == gives);
        for (std::size_t cut = 1; cut < bytes.size(); cut += 1 + bytes.size() / 97)
            CHECK(read_all({std::string_view{bytes}.substr(0, cut),
                            std::string_view{bytes}.substr(cut)}) == gives);
    }
}

TEST_CASE("F:poison an array has at most 4096 elements, a reply four times as many") {
    RedisReader reader;
    RedisReply reply;
    const std::string most = array_of(RedisReader::elements_max, ":1\r\n");
    reader.feed(most);
    CHECK(reader.next(reply) == Read::reply);
    CHECK(reply.elements.size() == RedisReader::elements_max);
    // The count begins anew with each reply.
    const std::string nested = array_of(3, most);
    for (int i = 0; i < 3; ++i) {
        reader.feed(nested);
        CHECK(reader.next(reply) == Read::reply);
        CHECK(reply.elements.size() == 3);
    }
    CHECK(read_all({array_of(4, most)}) == "too large; more");
    CHECK(read_all({array_of(RedisReader::elements_max + 1, ":1\r\n")}) == "too large; more");
}

TEST_CASE("F:poison a text of a good megabyte is read, a longer one skipped") {
    const std::string most(RedisReader::text_max, 'x');
    CHECK(read_all({test::resp_text(most)}) == "text " + most + "; more");
    CHECK(read_all({test::resp_text(most + "x"), ":1\r\n"}) == "too large; 1; more");
    const std::string session = "*4\r\n+_v\r\n:1\r\n+a:a\r\n" + test::resp_text(most + "x");
    CHECK(read_all({session, ":1\r\n"}) == "too large; 1; more");
}

TEST_CASE(
    "F:poison a reply of more than 64 MiB, and an endless line, are refused before they are "
    "there") {
    const std::string piece(60'000, '1');
    bool beyond = false;
    const auto fed_until_bad = [&](const std::string& mark, std::size_t most) {
        RedisReader reader;
        RedisReply reply;
        reader.feed(mark);
        Read read = reader.next(reply);
        std::size_t fed = 0;
        for (; read == Read::more && fed < most + 4 * piece.size(); fed += piece.size()) {
            reader.feed(piece);
            read = reader.next(reply);
        }
        CHECK(read == Read::bad);
        beyond = reader.is_beyond();
        return fed;
    };
    const std::string longest = std::to_string(RedisReader::reply_max + 1);
    const std::string most = std::to_string(RedisReader::possible_max);
    for (const std::string& mark : {"$" + longest + "\r\n", "*2\r\n:1\r\n$" + longest + "\r\n",
                                    "*30000000\r\n"s, "$" + most + "\r\n", "*" + most + "\r\n"}) {
        CAPTURE(mark);
        CHECK(fed_until_bad(mark, 0) == 0);
        CHECK(beyond);
    }
    // No Redis says so.
    for (const std::string& mark : {"$536870913\r\n"s, "*536870913\r\n"s, "$2147483647\r\n"s,
                                    "$9223372036854775807\r\n"s, "*1000000000\r\n"s}) {
        CAPTURE(mark);
        CHECK(fed_until_bad(mark, 0) == 0);
        CHECK(!beyond);
    }
    for (const std::string& mark : {"+"s, "-"s, ":"s, "*1\r\n+"s, "$x"s, "*2\r\n:1\r\n*"s}) {
        CAPTURE(mark);
        CHECK(fed_until_bad(mark, RedisReader::line_max) <
              RedisReader::line_max + 3 * piece.size());
        CHECK(!beyond);
    }
    // Of pieces that are small enough each.
    const std::string text = test::resp_text(std::string(1 << 20, 'x'));
    RedisReader reader;
    RedisReply reply;
    reader.feed("*100\r\n"s);
    Read read = reader.next(reply);
    int texts = 0;
    for (; read == Read::more && texts < 100; ++texts) {
        reader.feed(text);
        read = reader.next(reply);
    }
    CHECK(read == Read::bad);
    CHECK(reader.is_beyond());
    CHECK(texts == 64);
}

TEST_CASE("F:poison the texts of a reply are 16 MiB at most") {
    const std::string text = test::resp_text(std::string(RedisReader::text_max, 'x'));
    RedisReader reader;
    RedisReply reply;
    constexpr std::size_t most = RedisReader::texts_max / RedisReader::text_max;
    for (int i = 0; i < 2; ++i) {
        reader.feed(array_of(most, text));
        CHECK(reader.next(reply) == Read::reply);
        CHECK(reply.is_array());
        const std::string more = array_of(most + 1, text);
        reader.feed(more);
        CHECK(reader.next(reply) == Read::reply);
        CHECK(reply.is_too_large());
    }
}

TEST_CASE("a reader that has found garbage finds nothing more") {
    RedisReader reader;
    RedisReply reply;
    reader.feed(std::string_view{"?\r\n"});
    CHECK(reader.next(reply) == Read::bad);
    reader.feed(std::string_view{"+OK\r\n"});
    CHECK(reader.next(reply) == Read::bad);
}

TEST_CASE("a number is an integer, or a text that is one") {
    const auto number = [](Type type, std::string_view text, std::int64_t integer = 0) {
        RedisReply reply;
        reply.type = type;
        reply.text = text;
        reply.integer = integer;
        return reply.number(-7);
    };
    CHECK(number(Type::integer, "", 5) == 5);
    CHECK(number(Type::text, "12") == 12);
    CHECK(number(Type::text, "-12") == -12);
    CHECK(number(Type::status, "12") == 12);
    CHECK(number(Type::text, "") == -7);
    CHECK(number(Type::text, "12 ") == -7);
    CHECK(number(Type::text, "+12") == -7);
    CHECK(number(Type::text, "9223372036854775808") == -7);
    CHECK(number(Type::error, "12") == -7);
    CHECK(number(Type::nil, "") == -7);
    CHECK(number(Type::array, "") == -7);
}

TEST_CASE("a command is an array of texts") {
    std::string out = "x";
    append_command(out, {"SET", "a b", std::string_view{"\r\n\0", 3}, ""});
    CHECK(out == "x*4\r\n$3\r\nSET\r\n$3\r\na b\r\n$3\r\n\r\n\0\r\n$0\r\n\r\n"s);
}

}  // namespace
TEST_CASE("F:list-cost no reply costs 100 times an ordinary one of its size") {
    constexpr std::size_t size = std::size_t{60} << 10;
    const auto repeated = [](const std::string& text, std::size_t bytes) {
        std::string all;
        while (all.size() + text.size() <= bytes) all += text;
        return all;
    };
    // An array whose elements are these, as many as an array may have and as there is room for.
    const auto array_of = [&](const std::string& element) {
        const std::size_t count = std::min(RedisReader::elements_max, size / element.size());
        return "*" + std::to_string(count) + "\r\n" + repeated(element, count * element.size());
    };
    const auto cpu_ns = [] {
        timespec time{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return time.tv_sec * 1'000'000'000 + time.tv_nsec;
    };
    // The least of some rounds, by the byte.
    const auto cost = [&](const std::string& bytes, std::size_t piece) {
        double least = std::numeric_limits<double>::max();
        for (int round = 0; round < 5; ++round) {
            RedisReader reader;
            RedisReply reply;
            const auto begin = cpu_ns();
            for (std::size_t at = 0; at < bytes.size(); at += piece) {
                reader.feed({bytes.data() + at, std::min(piece, bytes.size() - at)});
                while (reader.next(reply) == Read::reply) {
                }
            }
            least = std::min(least, static_cast<double>(cpu_ns() - begin));
        }
        return least / static_cast<double>(bytes.size());
    };
    const std::string session = array_of("$10\r\nattribute1\r\n$100\r\n" + std::string(100, 'v') +
                                         "\r\n");  // as HGETALL has it
    const double usual = cost(session, size);
    const std::string rows[] = {
        array_of(":1\r\n"),
        array_of("$-1\r\n"),
        array_of("$0\r\n\r\n"),
        array_of("*0\r\n"),
        array_of("*1\r\n:1\r\n"),
        repeated("*1\r\n", 28) + ":1\r\n",
        repeated("+\r\n", size),
        "$" + std::to_string(size) + "\r\n" + std::string(size, 'x') + "\r\n",
        "+" + std::string(size, 'x') + "\r\n",
    };
    for (const std::string& row : rows) {
        CAPTURE(row.substr(0, 40));
        CHECK(cost(row, size) / usual < 100);
        // As a slow peer would send it: each piece costs what a read does, and not the whole again.
        CHECK(cost(row, 1448) / cost(session, 1448) < 100);
    }
}

}  // namespace baton
