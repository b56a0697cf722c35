// What a mistaken configuration is told: the character, the line, and what to write instead.

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config_keys.h"
#include "proxy/config/config_load.h"
#include "proxy/config/secret_file.h"
#include "proxy/config/toml_scan.h"
#include "proxy/process/listener.h"

using namespace baton;

namespace {

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

std::string told(std::string_view text) {
    std::string out;
    for (const Complaint& complaint : load_config(text).complaints)
        out += format_complaint("f", complaint) + "\n";
    return out;
}

struct Row {
    std::string text;
    std::string told;
};

// Each text before a configuration that is good.
template <std::size_t Count>
void check_rows(const Row (&rows)[Count]) {
    for (const Row& row : rows) {
        CAPTURE(row.text);
        CHECK(told(row.text + std::string{rest}) == (row.told.empty() ? "" : row.told + "\n"));
    }
}

// What is told of a listener's address, behind the "found ...".
std::string hint_at(const std::string& address) {
    const std::string text = told("[[listener]]\naddress = \"" + address + "\"\n" +
                                  std::string{rest.substr(rest.find("[[upstream]]"))});
    const std::string found = "found \"" + address + "\"";
    const std::size_t at = text.find(found);
    return at == std::string::npos ? text : text.substr(at + found.size());
}

}  // namespace

TEST_CASE("F:messages a file without a key is called empty, and told what it needs") {
    const std::string needs = "f:1:1: expected [[listener]], [[upstream]] and [[route]], found ";
    for (const char* text : {"", "\n", " ", "\r\n\t\n"})
        CHECK(told(text) == needs + "an empty file\n");
    for (const char* text : {"#", "# all of it\n\n#", "\xEF\xBB\xBF"})
        CHECK(told(text) == needs + "nothing but comments\n");
}

TEST_CASE("F:messages what is no text is called so") {
    CHECK(told(std::string("\x7f"
                           "ELF\2\1\1\0\0",
                           9)) == "f:1:1: syntax error: expected text, found a NUL byte\n");
    CHECK(told(std::string("grace = \"1s\"\n#\0", 15)) ==
          "f:2:1: syntax error: expected text, found a NUL byte\n");
    CHECK(told(std::string("\xff\xfe#\0", 4)) ==
          "f:1:1: syntax error: expected UTF-8, found UTF-16\n");
    CHECK(told(std::string("\xfe\xff\0#", 4)) ==
          "f:1:1: syntax error: expected UTF-8, found UTF-16\n");
}

TEST_CASE("F:messages a quote left open is found where it opens") {
    const std::string open = "syntax error: quote left open: this ";
    const Row rows[] = {
        {"grace = \"30s", "f:1:9: " + open + "\" has no end on its line"},
        {"grace = \"30s\r", "f:1:9: " + open + "\" has no end on its line"},
        {"grace = '30s", "f:1:9: " + open + "' has no end on its line"},
        {"grace = 30s\"", "f:1:12: " + open + "\" has no end on its line"},
        {"grace = \"30s\"\"", "f:1:14: " + open + "\" has no end on its line"},
        {"grace = \"30s\\\"", "f:1:9: " + open + "\" has no end on its line"},
        {"grace = \"30s'", "f:1:9: " + open + "\" has no end on its line"},
        {"grace = \"30s # not a comment", "f:1:9: " + open + "\" has no end on its line"},
        {"workers = 1\n\n  grace = \"30s\n\n", "f:3:11: " + open + "\" has no end on its line"},
        {"# \"\ngrace = \"30s\" # \"\n[log]\naccess = \"off",
         "f:4:10: " + open + "\" has no end on its line"},
        {"[[route]]\nhosts = [\"a, \"b\"]\nupstream = \"ss\"",
         "f:2:16: " + open + "\" has no end on its line"},
        {"\"grace = \"30s\"", "f:1:14: " + open + "\" has no end on its line"},
        {"[\"log]", "f:1:2: " + open + "\" has no end on its line"},
        {"log = { access = \"off }", "f:1:18: " + open + "\" has no end on its line"},
        // Of several lines: the end is missed at the end of the file.
        {"grace = ''' '", "f:1:9: " + open + "''' has no end"},
        {"workers = 1\ngrace = '''30s''", "f:2:9: " + open + "''' has no end"},
        // Letters before it count as one each.
        {"name = \"\xc3\xa9\xe4\xb8\xad\"; grace = \"30s",
         "f:1:22: " + open + "\" has no end on its line"},
    };
    check_rows(rows);
}

TEST_CASE("F:messages quotes and blanks of other alphabets are named") {
    const std::string error = "syntax error: ";
    const Row rows[] = {
        {"grace = \u201c30s\u201d", "f:1:9: " + error + "curly quote U+201C, expected \""},
        {"grace = \u201e30s\u201c", "f:1:9: " + error + "curly quote U+201E, expected \""},
        {"grace = \u00ab30s\u00bb", "f:1:9: " + error + "angle quote U+00AB, expected \""},
        {"grace = \u201830s\u2019", "f:1:9: " + error + "curly quote U+2018, expected '"},
        {"grace = `30s`", "f:1:9: " + error + "backtick U+0060, expected '"},
        {"grace = \u00b430s\u00b4", "f:1:9: " + error + "acute accent U+00B4, expected '"},
        {"grace = \u201c30s\"", "f:1:9: " + error + "curly quote U+201C, expected \""},
        {"grace = \"30s\u201d",
         "f:1:9: " + error + "quote left open: this \" ends in the curly quote U+201D"},
        {"grace = \"30s\u201d  # long\r",
         "f:1:9: " + error + "quote left open: this \" ends in the curly quote U+201D"},
        {"grace = '30s\u2019",
         "f:1:9: " + error + "quote left open: this ' ends in the curly quote U+2019"},
        {"\u201cgrace\u201d = \"30s\"", "f:1:1: " + error + "curly quote U+201C, expected \""},
        {"[log\u201d]\naccess = \"off\"", "f:1:5: " + error + "curly quote U+201D, expected \""},
        {"[[route]]\nhosts = [\"a\", \u201cb\u201d]\nupstream = \"ss\"",
         "f:2:15: " + error + "curly quote U+201C, expected \""},
        {"log = { access = \u201coff\u201d }",
         "f:1:18: " + error + "curly quote U+201C, expected \""},
        {"grace =\u00a0\"30s\"", "f:1:8: " + error + "no-break space U+00A0, expected a blank"},
        {"\u00a0grace = \"30s\"", "f:1:1: " + error + "no-break space U+00A0, expected a blank"},
        {"grace = \"30s\"\u200b",
         "f:1:14: " + error + "invisible character U+200B, expected nothing"},
        {"grace \uff1d \"30s\"", "f:1:7: " + error + "wide equals sign U+FF1D, expected ="},
        {"idle\u2013max = 5", "f:1:5: " + error + "dash U+2013, expected -"},
        {"workers = 1\n\ngrace = \u201c30s\u201d",
         "f:3:9: " + error + "curly quote U+201C, expected \""},
        // Where they are only text they are no matter.
        {"# \u201c \u2018 ` \u00a0\n[log]\naccess = \"/tmp/\u201c\u00a0`\u2019.log\"", ""},
    };
    check_rows(rows);
}

TEST_CASE("F:messages a value without quotes is told them") {
    const std::string error = "syntax error: value without quotes, expected ";
    const Row rows[] = {
        {"grace = 30s", "f:1:9: " + error + "\"30s\""},
        {"grace = 500ms # half", "f:1:9: " + error + "\"500ms\""},
        {"[session]\nmemory_max = 64MiB", "f:2:14: " + error + "\"64MiB\""},
        {"[log]\nlevel = info", "f:2:9: " + error + "\"info\""},
        {"[log]\naccess = /var/log/a.log", "f:2:10: " + error + "\"/var/log/a.log\""},
        {"[[listener]]\naddress = 127.0.0.1:80", "f:2:11: " + error + "\"127.0.0.1:80\""},
        {"[[route]]\nhosts = [a.de]\nupstream = \"ss\"", "f:2:10: " + error + "\"a.de\""},
        {"[[route]]\nhosts = [\"a\",\n  b]\nupstream = \"ss\"", "f:3:3: " + error + "\"b\""},
        {"log = { level = info }", "f:1:17: " + error + "\"info\""},
        {"[log]\nquery = True", "f:2:9: syntax error: expected true or false, found True"},
        {"[log]\nquery = off", "f:2:9: syntax error: expected true or false, found off"},
        // What the library says better, and mistakes that come before.
        {"a = 1\na = 2\nb = \u201c",
         "f:2:5: syntax error while parsing key-value pair: cannot redefine "
         "existing integer 'a'"},
        {"workers = 09",
         "f:1:13: syntax error while parsing decimal integer: leading zeroes are prohibited"},
    };
    check_rows(rows);
}

TEST_CASE("F:messages what follows a value, and brackets left open") {
    const std::string error = "syntax error: ";
    const std::string rest_of_line = error + "expected the end of the line after the value, found ";
    const std::string comment = "; a comment begins with #";
    const Row rows[] = {
        {"grace = \"30s\" workers = 2", "f:1:15: " + rest_of_line + "\"workers\""},
        {"workers = 2 grace = \"30s\"", "f:1:13: " + rest_of_line + "\"grace\""},
        {"grace = \"30s\";", "f:1:14: " + rest_of_line + "\";\"" + comment},
        {"grace = \"30s\" // slow", "f:1:15: " + rest_of_line + "\"//\"" + comment},
        {"grace = \"30s\" -- slow", "f:1:15: " + rest_of_line + "\"--\"" + comment},
        {"[log]\nquery = true on", "f:2:14: " + rest_of_line + "\"on\""},
        {"log = { query = true } x", "f:1:24: " + rest_of_line + "\"x\""},
        {"grace == \"30s\"", "f:1:8: " + error + "expected a value, found another ="},
        {"grace = \"30s\"\rworkers = 2", "f:1:14: " + error + "CR without LF, expected a new line"},
        {"[[route]]\nhosts = [\"a\"\nupstream = \"ss\"\n",
         "f:2:9: " + error + "bracket left open: this [ has no end"},
        {"[[route]]\nhosts = [", "f:2:9: " + error + "bracket left open: this [ has no end"},
        {"log = { query = true,\n level = \"info\" }",
         "f:1:7: " + error + "a table in { } must be on one line"},
        {"[[upstream]]\nname = \"a\"\nservers = [\n  { address = \"[::1]:1\",\n    weight = 2 "
         "},\n]",
         "f:4:3: " + error + "a table in { } must be on one line"},
        // Not a table at all.
        {"server {\n  listen 80;\n}",
         "f:1:8: syntax error while parsing key-value pair: expected '=', saw '{'"},
    };
    check_rows(rows);
}

TEST_CASE("F:messages the walk finds nothing in what is TOML") {
    const std::string_view good[] = {
        "a = \"\\\"\" # \"\nb = '\\'\nc = \"\"\"\n\" \"\" \\\"\"\"\"\nd = ''' ' '' '''\n",
        "a = [ # one\n \"b\", 'c', [1, 2], { d = true, e = [inf, nan, -inf] },\n]\n",
        "a = 1979-05-27 07:32:32Z\nb = 07:32:00.5\nc = 1e5\nd = 0xdead_beef\ne = 0o17\nf = "
        "+1_000\n",
        "[a.\"b c\".'d']\n99999999999999999999 = 1\n30s = 2\n[[e]]\nf.g.true = false\n",
        "a = [\n[true]\n,\n[1],\n['b'], [ { c = [\n] } ] ]\n",
        "a = \"\"\"\"two quotes at the end\"\"\"\"\"\nb = 1\n",
        "a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = ''''''\n",
        "\xEF\xBB\xBF"
        "a = \"\xc3\xa9\"\r\nb = 2\r\n",
    };
    for (const std::string_view text : good) {
        CAPTURE(text);
        const TomlText parsed = parse_toml(text);
        CHECK(parsed.error.empty());
        const TomlScan scan = scan_toml(text);
        CHECK(scan.slips.empty());
        CHECK(scan.large_numbers.empty());
    }
    // And ends at whatever byte a text does.
    for (const std::string_view text : good) {
        for (std::size_t size = 0; size <= text.size(); ++size)
            (void)scan_toml(text.substr(0, size));
    }
}

TEST_CASE("F:messages numbers beyond 64 bits are told of with all the rest") {
    const Row rows[] = {
        {"workers = 99999999999999999999\nfoo = 1",
         "f:1:11: workers: expected \"auto\" or a whole number from 1 to 256, found "
         "99999999999999999999\n"
         "f:2:1: foo: expected a known key, found \"foo\""},
        {"[limits]\nfields = -99999999999999999999\nconnections = 0x8000000000000000",
         "f:2:10: limits.fields: expected a whole number from 1 to 10000, found "
         "-99999999999999999999\n"
         "f:3:15: limits.connections: expected a whole number from 0 to 1000000, found "
         "0x8000000000000000"},
        {"[session]\nidle = 9_223_372_036_854_775_808\nidle_max = 0o7777777777777777777777",
         "f:2:8: session.idle: expected a duration in quotes, such as \"30m\", found "
         "9_223_372_036_854_775_808\n"
         "f:3:12: session.idle_max: expected a duration in quotes, such as \"1d\", found "
         "0o7777777777777777777777"},
        {"[[listener]]\naddress = \"[::1]:1\"\ntrusted_proxies = [\n+18446744073709551616, 5]",
         "f:4:1: listener[0].trusted_proxies[0]: expected an IP address or a network such as "
         "\"10.0.0.0/8\", found +18446744073709551616\n"
         "f:4:24: listener[0].trusted_proxies[1]: expected an IP address or a network such as "
         "\"10.0.0.0/8\", found 5"},
        {"log = { level = 99999999999999999999 }",
         "f:1:17: log.level: expected \"debug\", \"info\", \"warn\" or \"error\", found "
         "99999999999999999999"},
    };
    check_rows(rows);
}

TEST_CASE("F:messages a bare number is shown its unit and its quotes") {
    const Row rows[] = {
        {"[session]\nidle = 1800",
         "f:2:8: session.idle: expected a duration in quotes, such as \"1800s\", found 1800"},
        {"grace = 0", "f:1:9: grace: expected a duration in quotes, such as \"30s\", found 0"},
        {"grace = -5", "f:1:9: grace: expected a duration in quotes, such as \"30s\", found -5"},
        {"grace = 1.5", "f:1:9: grace: expected a duration in quotes, such as \"30s\", found 1.5"},
        {"[session]\nmemory_max = 1048576",
         "f:2:14: session.memory_max: expected a size in quotes, such as \"1MiB\", found 1048576"},
        // What is offered would be taken.
        {"session.store = \"redis\"\n[redis]\naddress = \"a:1\"\nconnect_timeout = 500",
         "f:4:19: redis.connect_timeout: expected a duration in quotes, such as \"500ms\", found "
         "500"},
        {"grace = 86401",
         "f:1:9: grace: expected a duration in quotes, such as \"86401ms\", found 86401"},
        {"grace = 864000000",
         "f:1:9: grace: expected a duration in quotes, such as \"30s\", found 864000000"},
        {"[session]\nmemory_max = 256",
         "f:2:14: session.memory_max: expected a size in quotes, such as \"256MiB\", found 256"},
        // And what is shown does not contradict what was expected.
        {"workers = 4.0",
         "f:1:11: workers: expected \"auto\" or a whole number from 1 to 256, found 4.0"},
        {"workers = \"4\"",
         "f:1:11: workers: expected \"auto\" or a whole number from 1 to 256, found \"4\"; write "
         "it without quotes"},
        {"workers = \"0\"",
         "f:1:11: workers: expected \"auto\" or a whole number from 1 to 256, found \"0\""},
        {"[limits]\nfields = \"50\"",
         "f:2:10: limits.fields: expected a whole number from 1 to 10000, found \"50\"; write it "
         "without quotes"},
        {"[log]\nquery = \"true\"",
         "f:2:9: log.query: expected true or false, found \"true\"; write it without quotes"},
        {"[log]\nlevel = \"INFO\"",
         "f:2:9: log.level: expected \"debug\", \"info\", \"warn\" or \"error\", found \"INFO\", "
         "did you mean \"info\""},
        {"[limits]\nbody = 1500",
         "f:2:8: limits.body: expected a size in quotes, such as \"1500B\" (0: no limit), found "
         "1500"},
    };
    check_rows(rows);
}

TEST_CASE("F:messages addresses that are none are offered the one that was meant") {
    struct Hint {
        std::string address;
        std::string hint;
    };
    const Hint hints[] = {
        {":8080", ", did you mean \"0.0.0.0:8080\""},
        {"*:8080", ", did you mean \"0.0.0.0:8080\""},
        {"8080", ", did you mean \"0.0.0.0:8080\""},
        {":99999", "; a port is a number up to 65535"},
        {"127.0.0.1:65536", "; a port is a number up to 65535"},
        {"[::1]:99999999999999999999", "; a port is a number up to 65535"},
        {"127.0.0.1:080", "; a port is a number up to 65535"},
        {"99999", ""},
        {"127.0.0.1:", "; the port is missing"},
        {"::", "; the port is missing"},
        {"127.0.0.1:80;", ", did you mean \"127.0.0.1:80\""},
        {"//127.0.0.1:80", ", did you mean \"127.0.0.1:80\""},
        {"LocalHost:80", ", did you mean \"localhost:80\""},
        {"[127.0.0.1]:80", ", did you mean \"127.0.0.1:80\""},
        {"http://127.0.0.1:8080", "; without \"http://\", did you mean \"127.0.0.1:8080\""},
        {"http://127.0.0.1:8080/app", "; without \"http://\", did you mean \"127.0.0.1:8080\""},
        {"http://127.0.0.1", "; without \"http://\", did you mean \"127.0.0.1:80\""},
        {"http://[::1]/", "; without \"http://\", did you mean \"[::1]:80\""},
        {"http://shop.example", "; without \"http://\"; names are not supported yet"},
        {"tcp://127.0.0.1:8080", "; without \"tcp://\", did you mean \"127.0.0.1:8080\""},
        {"https://127.0.0.1:8443", "; TLS is not supported yet"},
        {"HTTPS://127.0.0.1:8443", "; TLS is not supported yet"},
        {"HTTP://127.0.0.1", "; without \"http://\", did you mean \"127.0.0.1:80\""},
        {"127.0.0.1:8080/", ", did you mean \"127.0.0.1:8080\""},
        {" 127.0.0.1:8080 ", ", did you mean \"127.0.0.1:8080\""},
        {"::1:8080", ", did you mean \"[::1]:8080\""},
        {":::8080", ", did you mean \"[::]:8080\""},
        {"127.0.0.1", "; the port is missing"},
        {"localhost", "; the port is missing"},
        {"[::1]", "; the port is missing"},
        {"unix:/run/baton.sock", "; Unix sockets are not supported yet"},
        {"/run/baton.sock", "; Unix sockets are not supported yet"},
        {"shop.example:80", "; names are not supported yet"},
        {"", ""},
        {"/", "; Unix sockets are not supported yet"},
        {"://", "; without \"://\""},
    };
    for (const Hint& one : hints) {
        CAPTURE(one.address);
        CHECK(hint_at(one.address) == one.hint + "\n");
    }
    // A name in letters that the complaint cannot show.
    CHECK(told("[[listener]]\naddress = \"gr\xc3\xb6\xc3\x9f"
               "e.de:80\"" +
               std::string{rest})
              .ends_with("e.de:80\"; names are not supported yet\n"));

    const Row rows[] = {
        {"[admin]\naddress = \":9090\"",
         "f:2:11: admin.address: expected an IP address or localhost with a port, found \":9090\", "
         "did you mean "
         "\"127.0.0.1:9090\""},
        {"session.store = \"redis\"\n[redis]\nmaster = \"m\"\nsentinels = [\":26379\", "
         "\"redis://s1\", \"s2\", \"rediss://s3:1\"]",
         "f:4:14: redis.sentinels[0]: expected a host with a port such as \"redis-1:6379\", found "
         "\":26379\", did you "
         "mean \"127.0.0.1:26379\"\n"
         "f:4:24: redis.sentinels[1]: expected a host with a port such as \"redis-1:6379\", found "
         "\"redis://s1\"; "
         "without \"redis://\", did you mean \"s1:26379\"\n"
         "f:4:38: redis.sentinels[2]: expected a host with a port such as \"redis-1:6379\", found "
         "\"s2\", did you mean "
         "\"s2:26379\"\n"
         "f:4:44: redis.sentinels[3]: expected a host with a port such as \"redis-1:6379\", found "
         "\"rediss://s3:1\"; "
         "TLS is not supported yet"},
        {"session.store = \"redis\"\n[redis]\naddress = \"redis://h:7/0\"",
         "f:3:11: redis.address: expected a host with a port such as \"redis-1:6379\", found "
         "\"redis://h:7/0\"; "
         "without \"redis://\", did you mean \"h:7\""},
    };
    check_rows(rows);
}

TEST_CASE("F:messages networks that are none are offered the one that was meant") {
    struct Hint {
        std::string network;
        std::string hint;
    };
    const Hint hints[] = {
        {"10.0.0.1/8", ", did you mean \"10.0.0.0/8\""},
        {"192.0.2.77/27", ", did you mean \"192.0.2.64/27\""},
        {"2001:db8::1/32", ", did you mean \"2001:db8::/32\""},
        {"10.0.0.1:80", ", did you mean \"10.0.0.1\""},
        {"[::1]:80", ", did you mean \"::1\""},
        {"[::1]", ", did you mean \"::1\""},
        {" 10.0.0.0/8", ", did you mean \"10.0.0.0/8\""},
        {"localhost", ", did you mean \"127.0.0.1\""},
        {"lb.example.com", "; names are not supported yet"},
        {"10.0.0.0/33", ""},
        {"10.0.0.0/", ""},
        {"10.0.0.0/255.0.0.0", ""},
        {"/", ""},
        {"/8", ""},
        {"", ""},
    };
    for (const Hint& one : hints) {
        CAPTURE(one.network);
        const std::string text = told("[[listener]]\naddress = \"[::1]:1\"\ntrusted_proxies = [\"" +
                                      one.network + "\"]\n" + std::string{rest});
        CHECK(text.ends_with("found \"" + one.network + "\"" + one.hint + "\n"));
    }
}

TEST_CASE("F:messages what has one cause has one complaint") {
    const Row rows[] = {
        {"[session]\nstore = \"Redis\"\n[redis]\naddress = \"a:1\"",
         "f:2:9: session.store: expected \"memory\" or \"redis\", found \"Redis\", did you mean "
         "\"redis\""},
        {"[session]\nstore = 1\n[redis]\naddress = \"a:1\"",
         "f:2:9: session.store: expected \"memory\" or \"redis\", found 1"},
        {"[session]\nstor = \"redis\"\n[redis]\naddress = \"a:1\"",
         "f:2:1: session.stor: expected a known key, found \"stor\", did you mean store"},
        {"session.store = \"redis\"\n[redis]\nsentinel = [\"a:1\"]\nmaster = \"m\"",
         "f:3:1: redis.sentinel: expected a known key, found \"sentinel\", did you mean sentinels"},
        {"session.store = \"redis\"\n[redis]\nadress = \"a:1\"",
         "f:3:1: redis.adress: expected a known key, found \"adress\", did you mean address"},
        {"[[upstream]]\nnam = \"x\"\nservers = [{ adress = \"127.0.0.1:1\" }]",
         "f:2:1: upstream[0].nam: expected a known key, found \"nam\", did you mean name\n"
         "f:3:14: upstream[0].servers[0].adress: expected a known key, found \"adress\", did you "
         "mean address"},
        {"[[route]]\nupstrem = \"ss\"",
         "f:2:1: route[0].upstrem: expected a known key, found \"upstrem\", did you mean upstream"},
    };
    check_rows(rows);
    // And what has none is missed.
    CHECK(
        told("session.store = \"redis\"\n[redis]\n" + std::string{rest}) ==
        "f:2:1: redis.sentinels: expected `sentinels` and `master`, or `address`, because store = "
        "\"redis\", found none\n");
}

TEST_CASE("F:messages Redis without a single Sentinel is refused") {
    const Row rows[] = {
        {"session.store = \"redis\"\n[redis]\nsentinels = []\nmaster = \"m\"",
         "f:3:13: redis.sentinels: expected at least one Sentinel, found an empty array"},
        {"session.store = \"redis\"\n[redis]\nsentinels = 5\nmaster = \"m\"",
         "f:3:13: redis.sentinels: expected an array of hosts with ports, found 5"},
    };
    check_rows(rows);
}

TEST_CASE("F:messages a key below the wrong header is told where it belongs") {
    const std::string last = " expected a known key, found ";
    struct Last {
        std::string text;
        std::string told;
    };
    const Last rows[] = {
        {"grace = \"30s\"",
         "route[0].grace:" + last + "\"grace\"; it belongs at the top, before the first [table]"},
        {"limits.body = \"1MiB\"",
         "route[0].limits:" + last + "\"limits\"; it belongs outside of this table, as [limits]"},
        {"[timeouts]\nconnect = \"1s\"",
         "timeouts.connect:" + last + "\"connect\"; it belongs in [upstream.timeouts]"},
        {"[session.redis]\naddress = \"a:1\"",
         "session.redis:" + last + "\"redis\"; it belongs outside of this table, as [redis]"},
        {"[log]\npassword_file = \"/a\"",
         "log.password_file:" + last + "\"password_file\"; it belongs in [redis]"},
        // Another key of this table is nearer by its letters.
        {"[[upstream]]\nname = \"b\"\nservers = [{ address = \"[::1]:1\" }]\nstore = \"redis\"",
         "upstream[1].store:" + last + "\"store\"; it belongs in [session]"},
        {"[log]\nfoo = 1", "log.foo:" + last + "\"foo\""},
    };
    for (const Last& row : rows) {
        CAPTURE(row.text);
        CHECK(told(std::string{rest} + row.text + "\n").ends_with(": " + row.told + "\n"));
    }
}

// Each key that is offered another place is known there.
TEST_CASE("F:messages a key is where it is said to belong") {
    const std::string_view homes[] = {"",
                                      "[[listener]]\n",
                                      "[[upstream]]\n",
                                      "[upstream.keepalive]\n",
                                      "[upstream.timeouts]\n",
                                      "[upstream.retry]\n",
                                      "[[upstream.servers]]\n",
                                      "[[route]]\n",
                                      "[session]\n",
                                      "[redis]\n",
                                      "[timeouts]\n",
                                      "[limits]\n",
                                      "[log]\n",
                                      "[admin]\n",
                                      "[session.api]\n",
                                      "[session.headers]\n"};
    std::set<std::string> keys;
    std::ifstream file{std::string{BATON_SOURCE_ROOT} + "/conf/baton.toml"};
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with('#')) line.erase(0, 1);
        const std::size_t end = line.find(" = ");
        if (end != std::string::npos &&
            end == line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"))
            keys.insert(line.substr(0, end));
    }
    REQUIRE(keys.size() > 80);
    for (const std::string& key : keys) {
        CAPTURE(key);
        std::vector<std::string> at;
        for (const std::string_view home : homes) {
            const std::string text = told(std::string{home} + key + " = { a = 1 }\n");
            if (text.find(" key, found \"" + key + "\"") == std::string::npos)
                at.emplace_back(home);
        }
        REQUIRE(!at.empty());
        const std::string where{home_of(key)};
        if (at.size() > 1) {
            CHECK(where == "");
            continue;
        }
        const std::string header = at[0].substr(0, at[0].find('\n'));
        CHECK(where == (header.empty()                     ? "at the top, before the first [table]"
                        : header == "[[upstream.servers]]" ? "in the table of a server"
                                                           : "in " + header));
    }
}

TEST_CASE("F:messages a default that another value rules out is called one") {
    const Row rows[] = {
        {"[limits]\nhead = \"4KiB\"",
         "f:2:8: limits.request_line: expected at most head, \"4KiB\", found \"8KiB\", its "
         "default"},
        {"[limits]\nhead = \"4KiB\"\nrequest_line = \"5KiB\"",
         "f:3:16: limits.request_line: expected at most head, \"4KiB\", found \"5KiB\""},
        {"[session]\nidle_max = \"30s\"",
         "f:2:12: session.idle_min: expected at most idle_max, \"30s\", found \"1m\", its default"},
        {"[session]\ndata_max = \"4KiB\"",
         "f:2:12: session.attribute_max: expected at most data_max, \"4KiB\", found \"8KiB\", its "
         "default"},
    };
    check_rows(rows);
}

TEST_CASE("F:messages hosts that are none are offered the one that was meant") {
    struct Hint {
        std::string host;
        std::string hint;
    };
    const Hint hints[] = {
        {"b\xc3\xbc"
         "cher.de",
         "; write it in its xn-- form"},
        {"*.b\xc3\xbc"
         "cher.de",
         "; write it in its xn-- form"},
        {"\xe4\xbe\x8b.jp", "; write it in its xn-- form"},
        {"http://a.de", "; without \"http://\", did you mean \"a.de\""},
        {"https://a.de/", "; without \"https://\", did you mean \"a.de\""},
        {"a.de:8080", ", did you mean \"a.de\""},
        {"a.de/app/", ", did you mean \"a.de\" with path = \"/app/\""},
        {".a.de", ", did you mean \"*.a.de\""},
        {"a b", ""},
        {"", ""},
    };
    for (const Hint& one : hints) {
        CAPTURE(one.host);
        const std::string text = told("[[route]]\nhosts = [\"" + one.host +
                                      "\"]\nupstream = \"ss\"" + std::string{rest});
        CHECK(text.ends_with("\"" + one.hint + "\n"));
    }
}

TEST_CASE("F:messages the log's folder is looked at when the file is") {
    const std::string expected = "f:2:10: log.access: expected a file";
    const Row rows[] = {
        {"[log]\naccess = \"/nonexistent/access.log\"",
         expected + " in a folder that exists, found \"/nonexistent/access.log\"; "
                    "\"/nonexistent/\": No such file or directory"},
        {"[log]\naccess = \"nonexistent/access.log\"",
         expected + " in a folder that exists, found \"nonexistent/access.log\"; \"nonexistent/\": "
                    "No such file or directory"},
        {"[log]\naccess = \"/dev/null/access.log\"",
         expected + " in a folder that exists, found \"/dev/null/access.log\"; \"/dev/null/\": Not "
                    "a directory"},
        {"[log]\naccess = \"/tmp\"", expected + "'s path, found \"/tmp\"; it is a folder"},
        {"[log]\naccess = \"/tmp/access.log\"", ""},
        {"[log]\naccess = \"/access.log\"", ""},
        {"[log]\naccess = \"./access.log\"", ""},
        {"[log]\naccess = \"/dev/null\"", ""},
        {"[log]\naccess = \"stdout\"", ""},
    };
    check_rows(rows);
}

TEST_CASE(
    "F:messages all keys below a table that is mistyped, or has no use, are told of at once") {
    const Row rows[] = {
        {"[redis]\npassword = \"x\"\nmaster = 5\nprefx = \"a\"",
         "f:1:1: redis: expected store = \"redis\" in [session], found a table; the sessions are "
         "in memory\n"
         "f:2:1: redis.password: expected a known key, found \"password\", did you mean "
         "password_file\n"
         "f:3:10: redis.master: expected the master's name in `sentinel monitor`: 1 to 128 "
         "letters, digits, \".\", "
         "\"_\" or \"-\", found 5\n"
         "f:4:1: redis.prefx: expected a known key, found \"prefx\", did you mean prefix"},
        {"[sesion]\nidle = 1800\ncoookie = \"a\"\n[sesion.apii]\nadress = \"a\"",
         "f:1:2: sesion: expected a known key, found \"sesion\", did you mean session\n"
         "f:2:8: sesion.idle: expected a duration in quotes, such as \"1800s\", found 1800\n"
         "f:3:1: sesion.coookie: expected a known key, found \"coookie\", did you mean cookie\n"
         "f:4:1: sesion.apii.token_file: expected the path of a file with a scope and a token in "
         "each line, found none\n"
         "f:4:9: sesion.apii: expected a known key, found \"apii\", did you mean api\n"
         "f:5:1: sesion.apii.adress: expected a known key, found \"adress\", did you mean address"},
        {"[[upstream]]\nname = \"a\"\n[[upstream.server]]\naddress = \":1\"\nwieght = "
         "2\n[upstream.keepalives]\nidle_max = \"a\"",
         "f:3:12: upstream[0].server: expected a known key, found \"server\", did you mean "
         "servers\n"
         "f:4:11: upstream[0].server[0].address: expected an IP address or localhost with a port, "
         "found \":1\", did you "
         "mean \"127.0.0.1:1\"\n"
         "f:5:1: upstream[0].server[0].wieght: expected a known key, found \"wieght\", did you "
         "mean weight\n"
         "f:6:11: upstream[0].keepalives: expected a known key, found \"keepalives\", did you mean "
         "keepalive\n"
         "f:7:12: upstream[0].keepalives.idle_max: expected a whole number from 0 to 65536, found "
         "\"a\""},
        {"[[timeouts]]\nheader = 5",
         "f:1:1: timeouts: expected a table, found an array; write [timeouts] instead of "
         "[[timeouts]]\n"
         "f:2:10: timeouts.header: expected a duration in quotes, such as \"5s\", found 5"},
        {"[timeout]\nheader = \"1y\"",
         "f:1:2: timeout: expected a known key, found \"timeout\", did you mean timeouts\n"
         "f:2:10: timeout.header: expected a duration such as \"10s\" in ms, s, m, h or d, found "
         "\"1y\""},
    };
    check_rows(rows);
    // In the place of what a file cannot do without.
    CHECK(
        told("[[listners]]\naddress = \"127.0.0.1:1\"\nfoo = 1\n[upstream]\nname = \"a\"\nbar = 2\n"
             "servers = [{ address = \"127.0.0.1:2\", baz = 3 }]\n[[routes]]\nupstream = "
             "\"a\"\nqux = 4\n") ==
        "f:1:3: listners: expected a known key, found \"listners\", did you mean listener\n"
        "f:3:1: listners[0].foo: expected a known key, found \"foo\"\n"
        "f:4:1: upstream: expected at least one [[upstream]], found a table\n"
        "f:6:1: upstream.bar: expected a known key, found \"bar\"\n"
        "f:7:39: upstream.servers[0].baz: expected a known key, found \"baz\"\n"
        "f:8:3: routes: expected a known key, found \"routes\", did you mean route\n"
        "f:10:1: routes[0].qux: expected a known key, found \"qux\"\n");
}

TEST_CASE("F:messages a secret that everybody may read passes only where nobody can mend it") {
    for (mode_t mode = 0; mode <= 0777; ++mode) {
        CAPTURE(mode);
        const bool readable = (mode & S_IROTH) != 0;
        const bool open = readable || (mode & S_IWOTH) != 0;
        CHECK(exposure_of(mode, false) == (open ? Exposure::avoidable : Exposure::none));
        CHECK(exposure_of(mode, true) == (readable ? Exposure::unavoidable : Exposure::none));
    }
}

TEST_CASE("F:messages a port that is not ours to take names the capability") {
    CHECK(bind_error(EACCES).find("CAP_NET_BIND_SERVICE") != std::string::npos);
    CHECK(bind_error(EACCES).find("AmbientCapabilities=") != std::string::npos);
    CHECK(bind_error(EADDRINUSE) == "Address already in use");
    CHECK(bind_error(EADDRNOTAVAIL) == "Cannot assign requested address");
}
