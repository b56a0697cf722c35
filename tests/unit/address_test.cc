#include "net/address.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using baton::Address;
using baton::Network;
using baton::parse_address;
using baton::parse_network;

TEST_CASE("an address is an IP literal or localhost, with a port") {
    struct Row {
        std::string_view text;
        std::string_view shown;
    };
    static constexpr Row rows[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"localhost:80", "127.0.0.1:80"},
        {"[::1]:80", "[::1]:80"},
        {"[::]:65535", "[::]:65535"},
        {"[2001:DB8:0::1]:443", "[2001:db8::1]:443"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:1",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1"},
        {"[::ffff:10.1.2.3]:80", "10.1.2.3:80"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.text);
        const auto address = parse_address(row.text);
        REQUIRE(address);
        CHECK(address->text() == row.shown);
    }
}

TEST_CASE("what is no address is refused") {
    using namespace std::string_view_literals;
    static constexpr std::string_view rows[] = {
        "",
        ":",
        ":80",
        "80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:100000",
        "127.0.0.1:080",
        "127.0.0.1:+80",
        "127.0.0.1:-1",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        " 127.0.0.1:80",
        "127.0.0.1:8a",
        "127.1:80",
        "127.0.0.256:80",
        "127.0.0.01:80",
        "*:80",
        "::1",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[localhost]:80",
        "[::1%lo]:80",
        "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555]:1",
        "app01:80",
        "LOCALHOST:80",
        "unix:/run/app.sock",
        "127.0.0.1\0:80"sv,
        "127.0.0.1:8\0"sv,
    };
    for (const std::string_view row : rows) {
        CAPTURE(row);
        CHECK_FALSE(parse_address(row));
    }
}

TEST_CASE("an address cut at any byte is refused or a shorter address, never more") {
    for (const std::string_view whole :
         {"192.168.100.200:65535", "[2001:db8::ffff:1.2.3.4]:8080"}) {
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const auto cut = parse_address(whole.substr(0, size));
            if (cut) CHECK(cut->port() < parse_address(whole)->port());
        }
    }
}

TEST_CASE("an address of no family has no port and says so") {
    Address address;
    address.set_port(80);
    CHECK(address.port() == 0);
    CHECK(address.text() == "unknown");
    CHECK(address.host() == "unknown");
    CHECK_FALSE(address.is_loopback());
    CHECK_FALSE(address.is_wildcard());
    CHECK(address == Address{});
}

TEST_CASE("the socket address is the one the kernel wants") {
    const auto v4 = parse_address("1.2.3.4:258");
    const auto v6 = parse_address("[::2]:258");
    REQUIRE(v4);
    REQUIRE(v6);
    CHECK(v4->raw()->sa_family == AF_INET);
    CHECK(v4->size() == sizeof(sockaddr_in));
    CHECK(v4->v4.sin_port == htons(258));
    CHECK(v4->v4.sin_addr.s_addr == htonl(0x01020304));
    CHECK(v6->raw()->sa_family == AF_INET6);
    CHECK(v6->size() == sizeof(sockaddr_in6));
    CHECK(v6->v6.sin6_port == htons(258));
    CHECK(v6->v6.sin6_addr.s6_addr[15] == 2);
}

TEST_CASE("a port can be set") {
    for (const std::string_view text : {"1.2.3.4:1", "[::2]:1"}) {
        auto address = parse_address(text);
        REQUIRE(address);
        address->set_port(65535);
        CHECK(address->port() == 65535);
    }
}

TEST_CASE("a host shows without brackets, and a mapped one as IPv4") {
    CHECK(parse_address("[::1]:80")->host() == "::1");
    CHECK(parse_address("10.0.0.1:80")->host() == "10.0.0.1");
    CHECK(parse_address("[::ffff:10.0.0.1]:80")->host() == "10.0.0.1");
    CHECK(parse_address("[::10.0.0.1]:80")->host() == "::10.0.0.1");
}

TEST_CASE("loopback and wildcard are known, mapped ones too") {
    struct Row {
        std::string_view text;
        bool loopback;
        bool wildcard;
    };
    static constexpr Row rows[] = {
        {"127.0.0.1:1", true, false},
        {"127.255.255.255:1", true, false},
        {"126.255.255.255:1", false, false},
        {"128.0.0.1:1", false, false},
        {"[::1]:1", true, false},
        {"[::2]:1", false, false},
        {"[::ffff:127.0.0.1]:1", true, false},
        {"0.0.0.0:1", false, true},
        {"0.0.0.1:1", false, false},
        {"[::]:1", false, true},
        {"[::ffff:0.0.0.0]:1", false, true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.text);
        const auto address = parse_address(row.text);
        REQUIRE(address);
        CHECK(address->is_loopback() == row.loopback);
        CHECK(address->is_wildcard() == row.wildcard);
    }
}

TEST_CASE("addresses are equal by family, host and port") {
    CHECK(*parse_address("localhost:80") == *parse_address("127.0.0.1:80"));
    CHECK(*parse_address("[::1]:80") == *parse_address("[0:0:0:0:0:0:0:1]:80"));
    CHECK_FALSE(*parse_address("127.0.0.1:80") == *parse_address("127.0.0.1:81"));
    CHECK_FALSE(*parse_address("127.0.0.1:80") == *parse_address("127.0.0.2:80"));
    CHECK_FALSE(*parse_address("[::1]:80") == *parse_address("[::1]:81"));
    CHECK_FALSE(*parse_address("[::1]:80") == *parse_address("[::2]:80"));
    CHECK_FALSE(*parse_address("0.0.0.0:80") == *parse_address("[::]:80"));
    CHECK_FALSE(*parse_address("0.0.0.0:0") == Address{});
    Address scoped = *parse_address("[fe80::1]:80");
    scoped.v6.sin6_scope_id = 2;
    CHECK_FALSE(scoped == *parse_address("[fe80::1]:80"));
}

TEST_CASE("a network holds its first and last address and not their neighbours") {
    struct Row {
        std::string_view network;
        std::string_view address;
        bool inside;
    };
    static constexpr Row rows[] = {
        {"10.0.0.0/8", "10.0.0.0:1", true},
        {"10.0.0.0/8", "10.255.255.255:1", true},
        {"10.0.0.0/8", "9.255.255.255:1", false},
        {"10.0.0.0/8", "11.0.0.0:1", false},
        {"10.0.0.128/25", "10.0.0.128:1", true},
        {"10.0.0.128/25", "10.0.0.255:1", true},
        {"10.0.0.128/25", "10.0.0.127:1", false},
        {"10.0.0.128/25", "10.0.1.128:1", false},
        {"10.1.2.3", "10.1.2.3:1", true},
        {"10.1.2.3", "10.1.2.2:1", false},
        {"10.1.2.3/32", "10.1.2.3:1", true},
        {"10.1.2.2/31", "10.1.2.3:1", true},
        {"10.1.2.2/31", "10.1.2.4:1", false},
        {"0.0.0.0/0", "255.255.255.255:1", true},
        {"0.0.0.0/0", "[::1]:1", false},
        {"::/0", "[ffff::1]:1", true},
        {"::/0", "1.2.3.4:1", false},
        {"::1/128", "[::1]:1", true},
        {"::1", "[::2]:1", false},
        {"2001:db8::/33", "[2001:db8:7fff:ffff::1]:1", true},
        {"2001:db8::/33", "[2001:db8:8000::1]:1", false},
        {"10.0.0.0/8", "[::ffff:10.1.2.3]:1", true},
        {"::ffff:10.0.0.0/104", "10.1.2.3:1", true},
        {"::ffff:10.0.0.0/104", "[::ffff:11.0.0.0]:1", false},
        {"::ffff:10.0.0.1", "10.0.0.1:1", true},
        {"::ffff:0.0.0.0/96", "1.2.3.4:1", true},
    };
    for (const Row& row : rows) {
        CAPTURE(row.network);
        CAPTURE(row.address);
        const auto network = parse_network(row.network);
        const auto address = parse_address(row.address);
        REQUIRE(network);
        REQUIRE(address);
        CHECK(network->contains(*address) == row.inside);
    }
    CHECK_FALSE(Network{}.contains(*parse_address("1.2.3.4:1")));
    CHECK_FALSE(Network{}.contains(Address{}));
    CHECK_FALSE(parse_network("0.0.0.0/0")->contains(Address{}));
}

TEST_CASE("what is no network is refused") {
    static constexpr std::string_view rows[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/08",
        "10.0.0.0/8/8",
        "10.0.0/8",
        "10.0.0.1/8",
        "10.0.0.0/a",
        "::/129",
        "::1/127",
        "[::1]/128",
        "localhost",
        "10.0.0.0/8 ",
        "10.0.0.0:80",
        "::ffff:10.0.0.1/104",
    };
    for (const std::string_view row : rows) {
        CAPTURE(row);
        CHECK_FALSE(parse_network(row));
    }
}

TEST_CASE("this host's own addresses are found, without ports") {
    bool loopback = false;
    for (const Address& address : baton::own_addresses()) {
        CHECK(address.port() == 0);
        loopback = loopback || address == *parse_address("127.0.0.1:0");
    }
    CHECK(loopback);
}
