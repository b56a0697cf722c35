// Every complaint that a configuration file can earn, word for word, with its position.

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config_load.h"
#include "proxy/config/toml_table.h"

using namespace baton;

namespace {

// Stands behind the text of each row, which so keeps its line numbers.
constexpr std::string_view rest = R"(
[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "ss"
servers = [{ address = "127.0.0.1:9001" }]
[[route]]
hosts = ["rest"]
upstream = "ss"
)";

std::string lines(const std::vector<Complaint>& complaints) {
    std::string out;
    for (const Complaint& complaint : complaints) out += format_complaint("f", complaint) + "\n";
    return out;
}

std::string complaints_of(std::string_view text) {
    return lines(load_config(std::string{text} + std::string{rest}).complaints);
}

struct Row {
    std::string_view text;
    std::string_view complaints;
};

template <std::size_t Count>
void check_rows(const Row (&rows)[Count]) {
    for (const Row& row : rows) {
        CAPTURE(row.text);
        CHECK(complaints_of(row.text) == row.complaints);
    }
}

}  // namespace

TEST_CASE("an unknown key is refused where the key stands, with the one it may be a slip of") {
    static constexpr Row rows[] = {
        {"worker = 1",
         "f:1:1: worker: expected a known key, found \"worker\", did you mean workers\n"},
        {"[lgo]\nlevel = \"info\"",
         "f:1:2: lgo: expected a known key, found \"lgo\", did you mean log\n"},
        {"[timeouts]\nheder = \"1s\"",
         "f:2:1: timeouts.heder: expected a known key, found \"heder\", did you mean header\n"},
        {"[timeouts]\nhdr = \"1s\"", "f:2:1: timeouts.hdr: expected a known key, found \"hdr\"\n"},
        {"[session.headers]\nlimits = 1",
         "f:2:1: session.headers.limits: expected a known key, found \"limits\", did you mean "
         "limit\n"},
        {"[limits]\nfoo = 1", "f:2:1: limits.foo: expected a known key, found \"foo\"\n"},
        {"[log]\nfoo = 1", "f:2:1: log.foo: expected a known key, found \"foo\"\n"},
        {"[session]\n\"a key\\n\" = 1",
         "f:2:1: session.\"a key\\x0A\": expected a known key, found \"a key\\x0A\"\n"},
        {"[[listener]]\naddress = \"[::1]:1\"\nfoo = 1",
         "f:3:1: listener[0].foo: expected a known key, found \"foo\"\n"},
        {"[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\", foo = 1 }]\nfoo = "
         "1\nkeepalive.foo = 1\n"
         "timeouts.foo = 1\nretry = { foo = 1 }",
         "f:3:35: upstream[0].servers[0].foo: expected a known key, found \"foo\"\n"
         "f:4:1: upstream[0].foo: expected a known key, found \"foo\"\n"
         "f:5:11: upstream[0].keepalive.foo: expected a known key, found \"foo\"\n"
         "f:6:10: upstream[0].timeouts.foo: expected a known key, found \"foo\"\n"
         "f:7:11: upstream[0].retry.foo: expected a known key, found \"foo\"\n"},
        {"[[route]]\nupstream = \"ss\"\nfoo = 1",
         "f:3:1: route[0].foo: expected a known key, found \"foo\"\n"},
    };
    check_rows(rows);
}

TEST_CASE("a key of a later feature is not unknown, but not supported yet") {
    static constexpr std::string_view keys[] = {
        "[admin]\naddress = \"127.0.0.1:1\"\ntoken_file = 1",
        "error_pages = 1",
        "tls = 1",
        "[session]\nsend_id = 1",
        "[session]\nhmac_secret = 1",
        "[session]\nurl_param = 1",
        "[session]\nsend_times = 1",
        "[session]\ncookie_max_age = 1",
        "[session]\nhash_ids = 1",
        "[session]\nkill_wait_replicas = 1",
        "[session.headers]\nsend_id = 1",
        "[session.headers]\nhmac_secret = 1",
        "[session.headers]\nsend_times = 1",
        "[[listener]]\naddress = \"[::1]:1\"\ntls = 1",
        "[[listener]]\naddress = \"[::1]:1\"\ncertificate = 1",
        "[[listener]]\naddress = \"[::1]:1\"\ncertificate_key = 1",
        "[[listener]]\naddress = \"[::1]:1\"\nhttp2 = 1",
        "[[listener]]\naddress = \"[::1]:1\"\nproxy_protocol = 1",
        "[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\nhealth = 1",
        "[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\ncheck = 1",
        "[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\nslow_start = 1",
        "[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\ntls = 1",
        "[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\nerror_pages = 1",
        "[[upstream]]\nname = \"a\"\n[[upstream.servers]]\naddress = \"[::1]:1\"\nroute = 1",
        "[[upstream]]\nname = \"a\"\n[[upstream.servers]]\naddress = \"[::1]:1\"\nbackup = 1",
        "[[upstream]]\nname = \"a\"\n[[upstream.servers]]\naddress = \"[::1]:1\"\nconnections_max "
        "= 1",
        "[[upstream]]\nname = \"a\"\n[[upstream.servers]]\naddress = \"[::1]:1\"\nslow_start = 1",
        "[[upstream]]\nname = \"a\"\n[[upstream.servers]]\naddress = \"[::1]:1\"\ntls = 1",
        "[[route]]\nupstream = \"ss\"\non_unavailable = 1",
        "[[route]]\nupstream = \"ss\"\nfailover_wait = 1",
        "[[route]]\nupstream = \"ss\"\nrequired = 1",
        "[[route]]\nupstream = \"ss\"\nerror_pages = 1",
    };
    for (const std::string_view text : keys) {
        CAPTURE(text);
        const std::size_t begin = text.rfind('\n') + 1;
        const std::string key{text.substr(begin, text.find_first_of(" .", begin) - begin)};
        const auto complaints = load_config(std::string{text} + std::string{rest}).complaints;
        REQUIRE(complaints.size() == 1);
        const std::string end =
            key + ": expected a supported key, found \"" + key + "\", which is not supported yet";
        CHECK(complaints[0].text.find(end) == complaints[0].text.size() - end.size());
    }
}

TEST_CASE("a value of a later feature is not supported yet, another gets a hint") {
    static constexpr Row rows[] = {
        {"[[route]]\nupstream = \"ss\"\nsession = \"adopt\"",
         "f:3:11: route[0].session: expected \"managed\" or \"off\", found \"adopt\", which is not "
         "supported yet\n"},
        {"[[route]]\nupstream = \"ss\"\nsession = \"affinity\"",
         "f:3:11: route[0].session: expected \"managed\" or \"off\", found \"affinity\", which is "
         "not supported yet\n"},
        {"[[route]]\nupstream = \"ss\"\nsession = \"manged\"",
         "f:3:11: route[0].session: expected \"managed\" or \"off\", found \"manged\", did you "
         "mean \"managed\"\n"},
        {"[[route]]\nupstream = \"ss\"\nsession = \"on\"",
         "f:3:11: route[0].session: expected \"managed\" or \"off\", found \"on\"\n"},
        {"[session]\nstore = \"file\"",
         "f:2:9: session.store: expected \"memory\" or \"redis\", found \"file\"\n"},
        {"[session]\non_unavailable = \"wait\"",
         "f:2:18: session.on_unavailable: expected \"wait-serve\", \"wait-reject\", \"serve\" or "
         "\"reject\", found \"wait\"\n"},
        {"[log]\nformat = \"logfmt\"",
         "f:2:10: log.format: expected \"json\", found \"logfmt\", which is not supported yet\n"},
        {"[log]\nformat = \"combined\"",
         "f:2:10: log.format: expected \"json\", found \"combined\", which is not supported yet\n"},
        {"[log]\nformat = \"xml\"", "f:2:10: log.format: expected \"json\", found \"xml\"\n"},
        {"[log]\nlevel = \"inf\"",
         "f:2:9: log.level: expected \"debug\", \"info\", \"warn\" or \"error\", found \"inf\", "
         "did you mean \"info\"\n"},
        {"[log]\nlevel = 1",
         "f:2:9: log.level: expected \"debug\", \"info\", \"warn\" or \"error\", found 1\n"},
        {"[limits]\nunderscores = \"Drop\"",
         "f:2:15: limits.underscores: expected \"drop\", \"reject\" or \"keep\", found \"Drop\", "
         "did you mean \"drop\"\n"},
        {"[session]\ncreate = \"never\"",
         "f:2:10: session.create: expected \"on-demand\" or \"always\", found \"never\"\n"},
        {"[session]\nsecure = true",
         "f:2:10: session.secure: expected \"auto\", \"always\" or \"never\", found true\n"},
        {"[session]\nsame_site = \"lax\"",
         "f:2:13: session.same_site: expected \"Lax\", \"Strict\" or \"None\", found \"lax\", did "
         "you mean \"Lax\"\n"},
        {"[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\nbalance = \"random\"",
         "f:4:11: upstream[0].balance: expected \"round-robin\", found \"random\", which is not "
         "supported yet\n"},
        {"[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\nbalance = \"best\"",
         "f:4:11: upstream[0].balance: expected \"round-robin\", found \"best\"\n"},
    };
    check_rows(rows);
    for (const std::string_view name : {"least-conn", "least-connections", "least-requests", "hash",
                                        "ip-hash", "consistent-hash", "p2c"}) {
        const std::string text =
            "[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\nbalance = \"" +
            std::string{name} + "\"";
        CHECK(complaints_of(text).find("not supported yet") != std::string::npos);
    }
}

TEST_CASE("a wrong type is refused with what was found") {
    static constexpr Row rows[] = {
        {"workers = \"two\"",
         "f:1:11: workers: expected \"auto\" or a whole number from 1 to 256, found \"two\"\n"},
        {"workers = 1.5",
         "f:1:11: workers: expected \"auto\" or a whole number from 1 to 256, found 1.5\n"},
        {"grace = 30", "f:1:9: grace: expected a duration in quotes, such as \"30s\", found 30\n"},
        {"drain_delay = true",
         "f:1:15: drain_delay: expected a duration in quotes, such as \"30s\", found true\n"},
        {"session = 5", "f:1:11: session: expected a table, found 5\n"},
        {"timeouts = []", "f:1:12: timeouts: expected a table, found an empty array\n"},
        {"[session]\nheaders = \"X\"", "f:2:11: session.headers: expected a table, found \"X\"\n"},
        {"[session]\nsessions_max = \"1\"",
         "f:2:16: session.sessions_max: expected a whole number from 1 to 100000000, found "
         "\"1\"; write it without quotes\n"},
        {"[session]\nidle = 2026-03-01",
         "f:2:8: session.idle: expected a duration in quotes, such as \"30m\", found a date or "
         "time\n"},
        {"[session]\nmemory_max = 268435456",
         "f:2:14: session.memory_max: expected a size in quotes, such as \"256MiB\", found "
         "268435456\n"},
        {"[session]\ncookie = 5",
         "f:2:10: session.cookie: expected a cookie name, a token of 1 to 128 characters, found "
         "5\n"},
        {"[limits]\nbody = 5",
         "f:2:8: limits.body: expected a size in quotes, such as \"5B\" (0: no limit), found 5\n"},
        {"[limits]\nhead = 0",
         "f:2:8: limits.head: expected a size in quotes, such as \"32KiB\", found 0\n"},
        {"[log]\nquery = \"yes\"", "f:2:9: log.query: expected true or false, found \"yes\"\n"},
        {"[log]\naccess = false",
         "f:2:10: log.access: expected \"stdout\", \"off\" or a file's path with a \"/\" in it, "
         "found false\n"},
        {"[[listener]]\naddress = 8080",
         "f:2:11: listener[0].address: expected an IP address or localhost with a port, found "
         "8080, did you mean \"0.0.0.0:8080\"\n"},
        {"[[listener]]\naddress = \"[::1]:1\"\ntrusted_proxies = \"::1\"",
         "f:3:19: listener[0].trusted_proxies: expected an array of networks, found \"::1\"\n"},
        {"[[upstream]]\nname = \"a\"\nservers = \"[::1]:1\"",
         "f:3:11: upstream[0].servers: expected an array of servers such as [{ address = "
         "\"10.0.0.1:8080\" }], found \"[::1]:1\"\n"},
        {"[[upstream]]\nname = \"a\"\nservers = [\"[::1]:1\", { address = 1 }]",
         "f:3:12: upstream[0].servers[0]: expected a table, found \"[::1]:1\", did you mean { "
         "address = \"[::1]:1\" }\n"
         "f:3:35: upstream[0].servers[1].address: expected an IP address or localhost with a port, "
         "found 1, did you mean \"127.0.0.1:1\"\n"},
        {"[[route]]\nupstream = \"ss\"\nhosts = \"a\"",
         "f:3:9: route[0].hosts: expected an array of hosts, found \"a\"\n"},
        {"[[route]]\nupstream = [\"ss\"]",
         "f:2:12: route[0].upstream: expected the name of an upstream, found an array\n"},
        {"[[route]]\nupstream = { a = 1 }",
         "f:2:12: route[0].upstream: expected the name of an upstream, found a table\n"},
    };
    check_rows(rows);
}

TEST_CASE("durations and sizes need a number and a known unit") {
    for (const std::string_view text :
         {"", "s", "10", "10 s", " 10s", "10s ", "-1s", "1.5s", "10S", "10sec", "1h30m", "1e3s"}) {
        CAPTURE(text);
        CHECK(complaints_of("grace = \"" + std::string{text} + "\"") ==
              "f:1:9: grace: expected a duration such as \"30s\" in ms, s, m, h or d, found \"" +
                  std::string{text} + "\"\n");
    }
    for (const std::string_view text :
         {"", "KiB", "10", "10 KiB", "10KB", "10K", "10kib", "-1B", "1.5MiB"}) {
        CAPTURE(text);
        CHECK(complaints_of("[limits]\nhead = \"" + std::string{text} + "\"") ==
              "f:2:8: limits.head: expected a size such as \"32KiB\" in B, KiB, MiB, GiB or TiB, "
              "found \"" +
                  std::string{text} + "\"\n");
    }
}

TEST_CASE("a value out of its range is refused with the range") {
    static constexpr Row rows[] = {
        {"grace = \"0ms\"\n[timeouts]\nheader = \"0s\"\nsend = \"2d\"\nclient_gone = "
         "\"99999999999999999999999d\"",
         "f:3:10: timeouts.header: expected a duration from \"1ms\" to \"1h\", found \"0s\"\n"
         "f:4:8: timeouts.send: expected a duration from \"1ms\" to \"1d\", or \"0s\" for no "
         "limit, found \"2d\"\n"
         "f:5:15: timeouts.client_gone: expected a duration from \"1ms\" to \"1d\", or \"0s\" for "
         "no wait, "
         "found \"99999999999999999999999d\"\n"},
        {"[limits]\nhead = \"255B\"\nbody = \"99999999999999999999999TiB\"",
         "f:2:8: limits.head: expected a size from \"256B\" to \"1MiB\", found \"255B\"\n"
         "f:3:8: limits.body: expected a size from \"1B\" to \"1TiB\", or 0 for no limit, "
         "found \"99999999999999999999999TiB\"\n"},
    };
    check_rows(rows);
}

TEST_CASE("what a file cannot do without is missed at its table") {
    CHECK(lines(load_config("grace = \"1s\"").complaints) ==
          "f:1:1: listener: expected at least one [[listener]], found none\n"
          "f:1:1: upstream: expected at least one [[upstream]], found none\n"
          "f:1:1: route: expected at least one [[route]], found none\n");
    CHECK(
        lines(load_config("[listener]\naddress = \"127.0.0.1:1\"\n[log]\nupstream = 1\nroute = []")
                  .complaints) ==
        "f:1:1: listener: expected at least one [[listener]], found a table\n"
        "f:1:1: upstream: expected at least one [[upstream]], found none\n"
        "f:1:1: route: expected at least one [[route]], found none\n"
        "f:4:1: log.upstream: expected a known key, found \"upstream\"\n"
        "f:5:1: log.route: expected a known key, found \"route\"\n");
    CHECK(lines(load_config("listener = []\nupstream = 5\nroute = [5]").complaints) ==
          "f:1:12: listener: expected at least one [[listener]], found an empty array\n"
          "f:2:12: upstream: expected at least one [[upstream]], found 5\n"
          "f:3:10: route[0]: expected a table, found 5\n");
    static constexpr Row rows[] = {
        {"\n[[listener]]\n[[upstream]]\n [[route]]",
         "f:2:1: listener[0].address: expected an IP address or localhost with a port, found none\n"
         "f:3:1: upstream[0].name: expected a name of 1 to 64 letters, digits, \".\", \"_\" or "
         "\"-\", found none\n"
         "f:3:1: upstream[0].servers: expected at least one server, found none\n"
         "f:4:2: route[0].upstream: expected the name of an upstream, found none\n"},
        {"[[upstream]]\nname = \"a\"\nservers = [{ weight = 1 }]",
         "f:3:12: upstream[0].servers[0].address: expected an IP address or localhost with a port, "
         "found none\n"},
        {"[[upstream]]\nname = \"a\"\nservers = []",
         "f:3:11: upstream[0].servers: expected at least one server, found none\n"},
        {"[[route]]\nupstream = \"ss\"\nhosts = []",
         "f:3:9: route[0].hosts: expected at least one host, such as \"*\", found an empty "
         "array\n"},
    };
    check_rows(rows);
}

TEST_CASE("addresses are IP addresses or localhost, and a server has a port") {
    static constexpr Row rows[] = {
        {"[[listener]]\naddress = \"[::1]\"",
         "f:2:11: listener[0].address: expected an IP address or localhost with a port, found "
         "\"[::1]\"; the port is missing\n"},
        {"[[listener]]\naddress = \"example.com:80\"",
         "f:2:11: listener[0].address: expected an IP address or localhost with a port, found "
         "\"example.com:80\"; names "
         "are not supported yet\n"},
        {"[[listener]]\naddress = \"abcd::1\"",
         "f:2:11: listener[0].address: expected an IP address or localhost with a port, found "
         "\"abcd::1\"; the port is missing\n"},
        {"[[upstream]]\nname = \"a\"\nservers = [[\"[::1]:1\"]]\nkeepalive = [1]",
         "f:3:12: upstream[0].servers[0]: expected a table, found an array\n"
         "f:4:13: upstream[0].keepalive: expected a table, found an array\n"},
        {"[[listener]]\naddress = \"localhost\"",
         "f:2:11: listener[0].address: expected an IP address or localhost with a port, found "
         "\"localhost\"; the port is missing\n"},
        {"[[upstream]]\nname = \"a\"\nservers = [{ address = \"App01\" }, { address = "
         "\"http://app:80\" },\n"
         "{ address = \"127.0.0.1\" }, { address = \"127.0.0.1:0\" }, { address = \"::1:80\" }]",
         "f:3:24: upstream[0].servers[0].address: expected an IP address or localhost with a port, "
         "found \"App01\"; names "
         "are not supported yet\n"
         "f:3:47: upstream[0].servers[1].address: expected an IP address or localhost with a port, "
         "found "
         "\"http://app:80\"; without \"http://\"; names are not supported yet\n"
         "f:4:13: upstream[0].servers[2].address: expected an IP address or localhost with a port, "
         "found "
         "\"127.0.0.1\"; the port is missing\n"
         "f:4:40: upstream[0].servers[3].address: expected a port from 1 to 65535, found "
         "\"127.0.0.1:0\"\n"
         "f:4:69: upstream[0].servers[4].address: expected an IP address or localhost with a port, "
         "found \"::1:80\", did you mean \"[::1]:80\"\n"},
        {"[[listener]]\naddress = \"[::1]:1\"\ntrusted_proxies = [\"10.0.0.1/8\", \"::1\", 7]",
         "f:3:20: listener[0].trusted_proxies[0]: expected an IP address or a network such as "
         "\"10.0.0.0/8\", found "
         "\"10.0.0.1/8\", did you mean \"10.0.0.0/8\"\n"
         "f:3:41: listener[0].trusted_proxies[2]: expected an IP address or a network such as "
         "\"10.0.0.0/8\", found 7\n"},
    };
    check_rows(rows);
}

TEST_CASE("the admin listener has a loopback address, or there is none") {
    static constexpr Row rows[] = {
        {"[admin]", "f:1:1: admin.address: expected a loopback address with a port, found none\n"},
        {"admin = {}",
         "f:1:9: admin.address: expected a loopback address with a port, found none\n"},
        {"admin = 1", "f:1:9: admin: expected a table, found 1\n"},
        {"[[admin]]\naddress = \"127.0.0.1:9\"",
         "f:1:1: admin: expected a table, found an array; write [admin] instead of [[admin]]\n"},
        {"[admin]\naddress = \"10.0.0.1:9\"",
         "f:2:11: admin.address: expected a loopback address with a port, found \"10.0.0.1:9\", "
         "did you mean \"127.0.0.1:9\"\n"},
        {"[admin]\naddress = \"0.0.0.0:9\"",
         "f:2:11: admin.address: expected a loopback address with a port, found \"0.0.0.0:9\", did "
         "you mean \"127.0.0.1:9\"\n"},
        {"[admin]\naddress = \"[::]:9\"",
         "f:2:11: admin.address: expected a loopback address with a port, found \"[::]:9\", did "
         "you mean \"127.0.0.1:9\"\n"},
        {"[admin]\naddress = \"[::ffff:10.0.0.1]:9\"",
         "f:2:11: admin.address: expected a loopback address with a port, found "
         "\"[::ffff:10.0.0.1]:9\", did you mean \"127.0.0.1:9\"\n"},
        {"[admin]\naddress = \"example.com:9\"",
         "f:2:11: admin.address: expected an IP address or localhost with a port, found "
         "\"example.com:9\"; names are not supported yet\n"},
        {"[admin]\naddress = \"127.0.0.1\"",
         "f:2:11: admin.address: expected an IP address or localhost with a port, found "
         "\"127.0.0.1\"; the port is missing\n"},
        {"[admin]\naddress = 9",
         "f:2:11: admin.address: expected an IP address or localhost with a port, found 9, "
         "did you mean \"127.0.0.1:9\"\n"},
        {"[admin]\nadress = \"127.0.0.1:9\"\naddress = \"127.0.0.1:9\"",
         "f:2:1: admin.adress: expected a known key, found \"adress\", did you mean address\n"},
        {"[admin]\naddress = \"127.0.0.1:9\"\ntrusted_proxies = []",
         "f:3:1: admin.trusted_proxies: expected a known key, found \"trusted_proxies\"; it "
         "belongs in [[listener]]\n"},
        {"[admin]\naddress = \"127.0.0.1:9\"\ntoken_file = \"/t\"",
         "f:3:1: admin.token_file: expected a supported key, found \"token_file\", which is not "
         "supported yet\n"},
    };
    check_rows(rows);

    CHECK(load_config(rest).config.admin.address == Address{});
    for (const std::string text :
         {"127.0.0.1:0", "127.0.0.1:9", "127.9.8.7:9", "[::1]:0", "[::1]:9", "localhost:9"}) {
        CAPTURE(text);
        const Loaded loaded =
            load_config("[admin]\naddress = \"" + text + "\"" + std::string{rest});
        CHECK(lines(loaded.complaints) == "");
        CHECK(loaded.config.admin.address == *parse_address(text));
        CHECK(loaded.config.listeners.size() == 1);
    }
}

TEST_CASE("where the sessions are in Redis is told in one way") {
    constexpr std::string_view where =
        "expected `sentinels` and `master`, or `address`, because store = \"redis\", found "
        "none";
    constexpr std::string_view master =
        "the master's name in `sentinel monitor`: 1 to 128 letters, digits, \".\", \"_\" or "
        "\"-\"";
    const std::string on = "session.store = \"redis\"\n";
    const std::string at = on + "[redis]\naddress = \"r:1\"\n";
    struct Case {
        std::string text;
        std::string complaints;
    };
    const Case cases[] = {
        {on, "f:1:1: redis.sentinels: " + std::string{where} + "\n"},
        {on + "[redis]", "f:2:1: redis.sentinels: " + std::string{where} + "\n"},
        {"[redis]\naddress = \"r:1\"",
         "f:1:1: redis: expected store = \"redis\" in [session], found a table; the sessions are "
         "in "
         "memory\n"},
        {on + "redis = 1", "f:2:9: redis: expected a table, found 1\n"},
        {on + "[redis]\nsentinels = [\"a:1\"]",
         "f:2:1: redis.master: expected " + std::string{master} + ", found none\n"},
        {on + "[redis]\nsentinels = [\"a:1\"]\nmaster = \"my master\"",
         "f:4:10: redis.master: expected " + std::string{master} + ", found \"my master\"\n"},
        {on + "[redis]\nsentinels = [\"a:1\"]\nmaster = \"m\"\naddress = \"r:1\"",
         "f:5:11: redis.address: expected no `address` together with `sentinels`, found "
         "\"r:1\"\n"},
        {at + "master = \"m\"",
         "f:4:10: redis.master: expected nothing without `sentinels`, found \"m\"\n"},
        {on + "[redis]\nsentinels = [\"a:1\", \"a\", \"a:1\", 7, \"a:0\"]\nmaster = \"m\"",
         "f:3:21: redis.sentinels[1]: expected a host with a port such as \"redis-1:6379\", found "
         "\"a\", did you mean \"a:26379\"\n"
         "f:3:26: redis.sentinels[2]: expected each Sentinel only once, found \"a:1\"\n"
         "f:3:33: redis.sentinels[3]: expected a host with a port such as \"redis-1:6379\", found "
         "7, did you mean \"127.0.0.1:7\"\n"
         "f:3:36: redis.sentinels[4]: expected a host with a port such as \"redis-1:6379\", found "
         "\"a:0\"\n"},
        {on + "[redis]\nsentinels = \"a:1\"\nmaster = \"m\"",
         "f:3:13: redis.sentinels: expected an array of hosts with ports, found \"a:1\"\n"},
        {on + "[redis]\naddress = \"r\"",
         "f:3:11: redis.address: expected a host with a port such as \"redis-1:6379\", found "
         "\"r\", did you mean \"r:6379\"\n"},
        {at + "username = \"a b\"\nsentinel_username = \"\\t\"",
         "f:4:12: redis.username: expected a name without blanks, found \"a b\"\n"
         "f:5:21: redis.sentinel_username: expected a name without blanks, found \"\\x09\"\n"},
        {at + "database = -1\nprefix = \"a b\"",
         "f:4:12: redis.database: expected a whole number from 0 to 1000000, found -1\n"
         "f:5:10: redis.prefix: expected 1 to 64 letters, digits, \".\", \"_\" or \"-\", found "
         "\"a b\"\n"},
        {at + "connect_timeout = \"0s\"\ncommand_timeout = \"61s\"",
         "f:4:19: redis.connect_timeout: expected a duration from \"10ms\" to \"1m\", found "
         "\"0s\"\n"
         "f:5:19: redis.command_timeout: expected a duration from \"10ms\" to \"1m\", found "
         "\"61s\"\n"},
        {at + "discover = 1\nlast_known = \"yes\"",
         "f:4:12: redis.discover: expected true or false, found 1\n"
         "f:5:14: redis.last_known: expected true or false, found \"yes\"\n"},
        {at + "tls = true\nkill_wait_replicas = 1",
         "f:4:1: redis.tls: expected a supported key, found \"tls\", which is not supported yet\n"
         "f:5:1: redis.kill_wait_replicas: expected a supported key, found \"kill_wait_replicas\", "
         "which is not supported yet\n"},
        {at + "pasword_file = \"p\"",
         "f:4:1: redis.pasword_file: expected a known key, found \"pasword_file\", did you mean "
         "password_file\n"},
        {at + "password_file = \"\"",
         "f:4:17: redis.password_file: expected a string that is not empty, found \"\"\n"},
        {at + "password_file = \"a\"\npassword_env = \"b\"",
         "f:5:16: redis.password_env: expected only one way to pass the password, found \"b\"; "
         "there is "
         "another\n"},
        {at + "password_env = \"a\"\npassword_credential = \"b\"",
         "f:5:23: redis.password_credential: expected only one way to pass the password, found "
         "\"b\"; "
         "there is another\n"},
        {at + "sentinel_password_file = \"a\"\nsentinel_password_credential = \"b\"",
         "f:5:32: redis.sentinel_password_credential: expected only one way to pass the password, "
         "found "
         "\"b\"; there is another\n"},
        {at + "password_env = \"BATON_TEST_NO_SUCH_VARIABLE\"",
         "f:4:16: redis.password_env: expected the name of an environment variable that is set, "
         "found \"BATON_TEST_NO_SUCH_VARIABLE\"\n"},
    };
    for (const Case& one : cases) {
        CAPTURE(one.text);
        CHECK(complaints_of(one.text + "\n") == one.complaints);
    }
    CHECK(complaints_of(at) == "");
}

TEST_CASE("what bounds the table in memory is refused with Redis") {
    const std::string head = "redis.address = \"r:1\"\n[session]\nstore = \"redis\"\n";
    CHECK(complaints_of(head + "sessions_max = 5\nmemory_max = \"1MiB\"") ==
          "f:4:16: session.sessions_max: expected nothing with store = \"redis\", found 5; "
          "Redis limits its memory itself (maxmemory)\n"
          "f:5:14: session.memory_max: expected nothing with store = \"redis\", found \"1MiB\"; "
          "Redis limits its memory itself (maxmemory)\n");
    CHECK(complaints_of(head + "attributes_max = 2000") == "");
    CHECK(complaints_of(head + "attributes_max = 2001") ==
          "f:4:18: session.attributes_max: expected at most 2000 with store = \"redis\", found "
          "2001\n");
    CHECK(complaints_of("[session]\nattributes_max = 10000") == "");
}

TEST_CASE("hosts of routes") {
    struct Host {
        std::string_view written;
        std::string_view kept;  // empty: refused
    };
    const std::string label(63, 'a');
    const std::string name = label + "." + label + "." + label + "." + std::string(61, 'a');  // 253
    const Host hosts[] = {
        {"*", "*"},
        {"example.com", "example.com"},
        {"EXAMPLE.com.", "example.com"},
        {"*.Example.com", "*.example.com"},
        {"127.0.0.1", "127.0.0.1"},
        {"[::1]", "[::1]"},
        {"a_b.c-d", "a_b.c-d"},
        {label, label},
        {name, name},
        {"", ""},
        {".", ""},
        {"*.", ""},
        {"*..", ""},
        {"**", ""},
        {"*example.com", ""},
        {"www.*", ""},
        {"a.*.b", ""},
        {"example.com:80", ""},
        {"[::1]:80", ""},
        {"::1", ""},
        {"[]", ""},
        {"[127.0.0.1]", ""},
        {"a..b", ""},
        {".a", ""},
        {"a..", ""},
        {"-a", ""},
        {"a-", ""},
        {"a b", ""},
        {"a/b", ""},
        {"b\xc3\xbc"
         "cher.de",
         ""},
    };
    for (const Host& host : hosts) {
        CAPTURE(host.written);
        const Loaded loaded = load_config("[[route]]\nupstream = \"ss\"\nhosts = [\"" +
                                          std::string{host.written} + "\"]" + std::string{rest});
        CHECK(loaded.complaints.empty() != host.kept.empty());
        CHECK(loaded.config.routes[0].hosts[0] == host.kept);
    }
    for (const std::string& bad : {label + "a", name + "a"}) {
        CHECK_FALSE(load_config("[[route]]\nupstream = \"ss\"\nhosts = [\"" + bad + "\"]" +
                                std::string{rest})
                        .complaints.empty());
    }
    static constexpr Row rows[] = {
        {"[[route]]\nupstream = \"ss\"\nhosts = [\"a\", 1, \"b:80\"]",
         "f:3:15: route[0].hosts[1]: expected a host without a port such as \"example.com\", "
         "\"*.example.com\" or \"*\", "
         "found 1\n"
         "f:3:18: route[0].hosts[2]: expected a host without a port such as \"example.com\", "
         "\"*.example.com\" or \"*\", "
         "found \"b:80\", did you mean \"b\"\n"},
    };
    check_rows(rows);
}

TEST_CASE("texts have a shape") {
    struct Text {
        std::string_view table;
        std::string_view key;
        std::vector<std::string> good;
        std::vector<std::string> bad;
    };
    const std::string upstream = "[[upstream]]\nservers = [{ address = \"[::1]:1\" }]\n";
    const std::string route = "[[route]]\nupstream = \"ss\"\n";
    const Text texts[] = {
        {"[session]\n",
         "cookie",
         {"a", "A_b-c.d!", std::string(128, 'a')},
         {"", "a b", "a=b", "a;b", "a,b", "\\\"a\\\"", "a\\u0000", "(a)", "a/b", "\xc3\xbc",
          std::string(129, 'a')}},
        {"[session.headers]\n",
         "prefix",
         {"B-", "Sess1-Two-", std::string(63, 'b') + "-"},
         {"", "-", "B", "B-S", "B_-", "B S-", "B:-", "X-", "x-real-", "Content-", "SET-",
          std::string(64, 'b') + "-"}},
        {upstream,
         "name",
         {"a", "A.b_c-1", std::string(64, 'a')},
         {"", "a b", "a/b", "\xc3\xbc", std::string(65, 'a')}},
        {"[[upstream]]\nname = \"a\"\nservers = [{ address = \"[::1]:1\" }]\n",
         "scope",
         {"a", "ss"},
         {"", "a b"}},
        {route,
         "path",
         {"/", "/app/", "/a%20b", "//", "/~'*", "/" + std::string(1023, 'a')},
         {"", "app", "*", "/a b", "/a?b", "/a#b", "/\\t", "/\xc3\xbc",
          "/" + std::string(1024, 'a')}},
        {route,
         "name",
         {"a", "*/app", std::string(128, 'a')},
         {"", "a b", "a\\\"b", "a\\\\b", "\xc3\xbc", std::string(129, 'a')}},
        {"[log]\n",
         "access",
         {"stdout", "off", "/tmp/a", "./a", "/tmp/a b"},
         {"", "stderr", "Off", "access.log", "/var/log/", "/", "/a\\u0000"}},
    };
    for (const Text& text : texts) {
        CAPTURE(text.key);
        const std::string begin = std::string{text.table} + std::string{text.key} + " = \"";
        for (const std::string& good : text.good) {
            CAPTURE(good);
            CHECK(complaints_of(begin + good + "\"") == "");
        }
        for (const std::string& bad : text.bad) {
            CAPTURE(bad);
            const auto complaints = load_config(begin + bad + "\"" + std::string{rest}).complaints;
            REQUIRE(complaints.size() == 1);
            CHECK(complaints[0].text.find("." + std::string{text.key} + ": expected ") !=
                  std::string::npos);
        }
    }
}

TEST_CASE("what a file cannot be read as gives one complaint with its position") {
    static constexpr Row rows[] = {
        {"workers = 1\nworkers = 2",
         "f:2:11: syntax error while parsing key-value pair: cannot redefine existing integer "
         "'workers'\n"},
        {"a = \"\xff\"", "f:1:5: syntax error: encountered invalid utf-8 sequence\n"},
        {"\xc3\xa9 = 1",
         "f:1:1: syntax error while parsing root table: expected keys, tables, whitespace or "
         "comments, saw '\\xC3\\xA9'\n"},
    };
    check_rows(rows);
    for (const std::string_view header : {"[.a]", "[[.a]]", "[[[listener]]]"}) {
        CAPTURE(header);
        CHECK(load_config(header).complaints.size() == 1);
    }
    CHECK(lines(load_config("grace = ").complaints) ==
          "f:1:9: syntax error while parsing key-value pair: encountered end-of-file\n");
}

TEST_CASE("comments and texts may hold any letters") {
    for (const std::string_view letters : {"\xc3\xa9", "\xd0\xb6", "\xe4\xb8\xad", "\xe2\xba\xbc",
                                           "\xef\xbb\xbc", "\xef\xb9\xb0", "\xf0\x9f\x98\x80"}) {
        CAPTURE(letters);
        const std::string text =
            "# " + std::string{letters} + "\n[log]\naccess = \"/tmp/" + std::string{letters} + "\"";
        const Loaded loaded = load_config(text + std::string{rest});
        CHECK(lines(loaded.complaints) == "");
        CHECK(loaded.config.log.access == "/tmp/" + std::string{letters});
    }
}

TEST_CASE("nesting that would exhaust the stack is refused") {
    std::string dots = "\n# ....................................................................\n";
    for (int i = 0; i < 100'000; ++i) dots += "a.";
    CHECK(lines(load_config(dots + "a = 1").complaints) ==
          "f:3:1: syntax error: key of more than 32 parts\n");
    CHECK(load_config("a = " + std::string(100'000, '[')).complaints.size() == 1);
    CHECK(complaints_of("# " + std::string(200, '.') + "\ngrace = \"1s\" # " +
                        std::string(200, '.')) == "");
}

TEST_CASE("all complaints come at once, by position, one for each value") {
    static constexpr Row rows[] = {
        {"grace = 1\nfoo = 1\nworkers = 0\n[session]\nidle = 1\n[log]\nlevel = "
         "1\n[[upstream]]\nservers = 1\nname = 1",
         "f:1:9: grace: expected a duration in quotes, such as \"1s\", found 1\n"
         "f:2:1: foo: expected a known key, found \"foo\"\n"
         "f:3:11: workers: expected \"auto\" or a whole number from 1 to 256, found 0\n"
         "f:5:8: session.idle: expected a duration in quotes, such as \"1s\", found 1\n"
         "f:7:9: log.level: expected \"debug\", \"info\", \"warn\" or \"error\", found 1\n"
         "f:9:11: upstream[0].servers: expected an array of servers such as [{ address = "
         "\"10.0.0.1:8080\" }], found 1\n"
         "f:10:8: upstream[0].name: expected a name of 1 to 64 letters, digits, \".\", \"_\" or "
         "\"-\", found 1\n"},
    };
    check_rows(rows);
}

TEST_CASE("a long value is shown by its beginning") {
    CHECK(complaints_of("grace = \"" + std::string(81, 'a') + "\"") ==
          "f:1:9: grace: expected a duration such as \"30s\" in ms, s, m, h or d, found \"" +
              std::string(80, 'a') + "...\"\n");
}

TEST_CASE("a slip is at most two letters, and not the whole word") {
    const std::vector<std::string_view> names = {"header", "headers", "off", "idle_max"};
    CHECK(nearest("header", names) == "header");
    CHECK(nearest("headres", names) == "headers");
    CHECK(nearest("hader", names) == "header");
    CHECK(nearest("foof", names) == "");
    CHECK(nearest("haer", names) == "header");
    CHECK(nearest("hr", names) == "");
    CHECK(nearest("idle_maxes", names) == "idle_max");
    CHECK(nearest("idle_maxims", names) == "");
    CHECK(nearest("of", names) == "off");
    CHECK(nearest("on", names) == "");
    CHECK(nearest("", names) == "");
    CHECK(nearest("x", {}) == "");
}
