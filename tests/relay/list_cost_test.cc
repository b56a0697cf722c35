// What the worst heads cost, beside ordinary ones of the same size: in processor time, which the load
// of the machine does not change.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <limits>
#include <optional>
#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

constexpr int rounds = 5;
constexpr double ratio_max = 100;

std::int64_t cpu_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

std::string repeated(std::string_view text, std::size_t size) {
    std::string all;
    while (all.size() + text.size() <= size) all += text;
    return all;
}

// As many of the lines as fit.
template <class Line>
std::string lines(std::size_t size, std::size_t count, Line line) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string one = std::string{line(i)} + "\r\n";
        if (all.size() + one.size() > size) break;
        all += one;
    }
    return all;
}

struct Limits {
    std::size_t head;
    std::size_t fields;
};
constexpr Limits usual{std::size_t{32} << 10, 100};
constexpr Limits highest{std::size_t{1} << 20, 10'000};  // that the configuration takes

Setup setup_for(const Limits& limits) {
    return {.sessions = true, .change = [limits](Config& config) {
                config.limits.head.head = limits.head;
                config.limits.head.fields = limits.fields;
                ListenerConfig& listener = config.listeners[0];
                for (unsigned i = 0; i < 256; ++i)
                    listener.trusted_proxies.push_back(
                        *parse_network("10.0." + std::to_string(i) + ".0/24"));
                listener.trusted_proxies.push_back(*parse_network("127.0.0.0/8"));
                config.session.unknown_max = 1'000'000;
            }};
}

// The least of some rounds, in which whatever disturbs them is missing.
class Costs {
public:
    explicit Costs(const Limits& limits) : proxy_(setup_for(limits)) {}

    std::int64_t of_request(const std::string& request) { return of(request, std::string{ok}); }
    std::int64_t of_response(const std::string& response) {
        return of("GET / HTTP/1.1\r\nHost: h\r\n\r\n", response);
    }

private:
    std::int64_t of(const std::string& request, const std::string& response) {
        std::int64_t least = std::numeric_limits<std::int64_t>::max();
        for (int i = 0; i < rounds; ++i) least = std::min(least, once(request, response));
        return least;
    }

    // With connections of its own on both sides: what is refused ends them.
    std::int64_t once(const std::string& request, const std::string& response) {
        Peer client = proxy_.connect_client();
        proxy_.turn();
        const std::int64_t begin = cpu_ns();
        client.sends(request);
        std::optional<Peer> server = proxy_.accept_unless_over();
        if (server) {  // else it is refused
            server->head();
            server->sends(response).closes();
        }
        client.head();
        return cpu_ns() - begin;
    }

    Proxy proxy_;
};

struct Head {
    const char* name;
    std::string text;
};

// The worst that can be said in so many bytes. Names of one length, where names are compared.
std::vector<Head> worst_fields(const Limits& limits) {
    const std::size_t size = limits.head - 300;
    const std::size_t count = limits.fields - 4;
    const std::size_t half = size / 2;
    const auto short_fields = [&](std::size_t room) {
        return lines(room, count / 2, [](std::size_t i) { return "X-" + std::to_string(i) + ":"; });
    };
    const auto same_length = [&](std::size_t room) {
        return lines(room, count - 2, [](std::size_t) { return "X-Namf:"; });
    };
    std::string names;
    for (int i = 0; i < 31; ++i) names += "X-Name,";
    const auto list = [&](std::string_view field, std::string_view element) {
        return std::string{field} + ": " + repeated(element, size) + "\r\n";
    };
    const auto each = [&](std::string_view line) {
        return lines(size, count, [&](std::size_t) { return std::string{line}; });
    };
    return {
        {"Connection of nothing",
         "Connection: x" + repeated(",", half) + "y\r\n" + short_fields(half)},
        {"Connection of one word",
         "Connection: " + repeated("keep-alive,", half) + "x\r\n" + short_fields(half)},
        {"Connection of 32 names", "Connection: " + names + "x\r\n" + same_length(size - 300)},
        {"many Connections", each("Connection: x")},
        {"many empty Connections", each("Connection:")},
        {"cookies of nothing", list("Cookie", ";")},
        {"cookies without a value", list("Cookie", "JSESSIONID;")},
        {"cookies of ours", list("Cookie", "JSESSIONID=0123456789ABCDEF0123456789ABCDEF;")},
        {"cookies of blanks", list("Cookie", " ; ")},
        {"many Cookies", each("Cookie: JSESSIONID=x; a")},
        {"addresses", list("X-Forwarded-For", "10.0.255.1,")},
        {"long addresses", list("X-Forwarded-For", "[::ffff:10.0.255.1]:80, ")},
        {"addresses of nothing", list("X-Forwarded-For", ",")},
        {"many addresses", each("X-Forwarded-For: 10.0.255.1")},
        {"many empty addresses", each("X-Forwarded-For:")},
        {"schemes", list("X-Forwarded-Proto", "https,")},
        {"hosts", list("X-Forwarded-Host", "a:1,")},
        {"Forwarded", list("Forwarded", "for=10.0.0.1,")},
        {"many Forwarded", each("Forwarded: for=a")},
        {"Via", list("Via", "1.1 baton-0,")},
        {"Via of one letter", list("Via", "b")},
        {"Via of the beginning", list("Via", "baton-")},
        {"many Via", each("Via: 1.1 baton-")},
        {"many Max-Forwards", each("Max-Forwards: 5")},
        {"codings", list("Transfer-Encoding", "chunked,")},
        {"many codings", each("Transfer-Encoding: chunked")},
        {"expectations", list("Expect", "100-continue,")},
        {"many expectations", each("Expect: 100-continue")},
        {"upgrades", "Connection: upgrade\r\n" + list("Upgrade", "websocket,")},
        {"TE", list("TE", "trailers,")},
        {"many lengths", each("Content-Length: 0")},
        {"many hosts", each("Host: h")},
        {"session fields", each("Baton-Session-Set: a")},
        {"nearly session fields", each("Baton: a")},
        {"underscores", each("B_: a")},
        {"names", each("a:")},
        {"one name", repeated("a", size) + ":\r\n"},
        {"blanks", "X:" + repeated(" ", size) + "\r\n"},
    };
}

void check_requests(const Limits& limits) {
    Costs costs{limits};
    const std::string ordinary = lines(limits.head - 300, limits.fields - 10, [&](std::size_t i) {
        return "X-Field-" + std::to_string(i) + ": " +
               std::string(limits.head / limits.fields, 'v');
    });
    for (const char* method : {"GET", "OPTIONS"}) {
        const std::string begin = std::string{method} + " / HTTP/1.1\r\nHost: h\r\n";
        const auto usual_ns = static_cast<double>(costs.of_request(begin + ordinary + "\r\n"));
        for (const Head& head : worst_fields(limits)) {
            CAPTURE(method);
            CAPTURE(head.name);
            const auto ns = static_cast<double>(costs.of_request(begin + head.text + "\r\n"));
            CHECK(ns / usual_ns < ratio_max);
        }
    }
}

void check_responses(const Limits& limits) {
    Costs costs{limits};
    const std::string begin = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    const std::size_t size = limits.head - 300;
    const auto usual_ns = static_cast<double>(
        costs.of_response(begin +
                          lines(size, limits.fields - 10,
                                [&](std::size_t i) {
                                    return "X-Field-" + std::to_string(i) + ": " +
                                           std::string(limits.head / limits.fields, 'v');
                                }) +
                          "\r\n"));
    std::vector<Head> heads = worst_fields(limits);
    for (const std::string field : {"Set", "Unset", "Incr"}) {
        const std::string name = "Baton-Session-" + field + ": ";
        const std::string value = field == "Unset" ? "" : "=1";
        std::string different;
        for (int i = 0; different.size() + 20 < size; ++i)
            different += "n" + std::to_string(i) + value + "&";
        heads.push_back({"session names alike", name + repeated("a" + value + "&", size) + "\r\n"});
        heads.push_back({"session names that differ", name + different + "\r\n"});
        heads.push_back({"session lines", lines(size, limits.fields - 4, [&](std::size_t i) {
                             return name + "n" + std::to_string(i) + value;
                         })});
    }
    heads.push_back({"escapes", "Baton-Session-Set: a=" + repeated("%41", size) + "\r\n"});
    heads.push_back({"ampersands", "Baton-Session-Set: " + repeated("&", size) + "\r\n"});
    heads.push_back({"cookies", lines(size, limits.fields - 4,
                                      [](std::size_t) { return "Set-Cookie: JSESSIONID=x"; })});
    for (const Head& head : heads) {
        CAPTURE(head.name);
        const auto ns = static_cast<double>(costs.of_response(begin + head.text + "\r\n"));
        CHECK(ns / usual_ns < ratio_max);
    }
}

}  // namespace

TEST_CASE("F:list-cost no head of a request costs 100 times an ordinary one of its size") {
    SUBCASE("at the usual limits") { check_requests(usual); }
    SUBCASE("at the highest limits") { check_requests(highest); }
}

TEST_CASE("F:list-cost no head of a response costs 100 times an ordinary one of its size") {
    SUBCASE("at the usual limits") { check_responses(usual); }
    SUBCASE("at the highest limits") { check_responses(highest); }
}

TEST_CASE("F:list-cost no body costs 100 times an ordinary one of its size") {
    Costs costs{usual};
    const std::string begin = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    constexpr std::size_t size = 60'000;
    const auto usual_ns = static_cast<double>(
        costs.of_request(begin + "ea60\r\n" + std::string(size, 'x') + "\r\n0\r\n\r\n"));
    const Head bodies[] = {
        {"small chunks", repeated("1\r\na\r\n", size)},
        {"small chunks with extensions", repeated("1;a\r\na\r\n", 30'000)},
        {"extensions", "1" + repeated(";a", 4'000) + "\r\na\r\n"},
        {"extensions with values", "1" + repeated(";a=\"b\"", 4'000) + "\r\na\r\n"},
        {"zeros", std::string(16'000, '0') + "1\r\na\r\n"},
    };
    for (const Head& body : bodies) {
        CAPTURE(body.name);
        const auto ns =
            static_cast<double>(costs.of_request(begin + body.text + "0\r\nX: y\r\n\r\n"));
        CHECK(ns / usual_ns < ratio_max);
    }
}

}  // namespace baton::test
