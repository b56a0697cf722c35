#include "proxy/context/access_log.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>

namespace baton {

namespace {

std::string text_of(const AccessLine& line) {
    std::string block;
    append_access_line(block, line);
    return block;
}

AccessLine with_target(std::string_view target) {
    AccessLine line;
    line.target = target;
    return line;
}

// The target as it stands in the line.
std::string logged_target(std::string_view target) {
    const std::string line = text_of(with_target(target));
    const std::string_view opening = "{\"time\":\"1970-01-01T00:00:00.000Z\",\"target\":\"";
    const std::string_view ending = "\",\"in\":0,\"out\":0}\n";
    REQUIRE(line.starts_with(opening));
    REQUIRE(line.ends_with(ending));
    return line.substr(opening.size(), line.size() - opening.size() - ending.size());
}

// A text of `size` bytes in which `fill` stands again and again.
std::string many(std::size_t size, std::string_view fill) {
    std::string text;
    while (text.size() < size) text += fill;
    text.resize(size);
    return text;
}

// A log file of one test.
class LogFile {
public:
    LogFile() {
        const int fd = ::mkstemp(path_.data());
        REQUIRE(fd >= 0);
        ::close(fd);
    }
    ~LogFile() { ::unlink(path_.c_str()); }
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;
    const std::string& path() const { return path_; }
    std::string text() const {
        std::ostringstream text;
        text << std::ifstream{path_, std::ios::binary}.rdbuf();
        return text.str();
    }

private:
    std::string path_ = "/tmp/baton-access-log-test-XXXXXX";
};

}  // namespace

TEST_CASE("an access line holds everything that is known, in a fixed order") {
    AccessLine line;
    line.time_ms = 1772359200123;
    line.id = "0123456789abcdef0123456789abcdef";
    line.client = "192.0.2.7";
    line.method = "GET";
    line.host = "shop.example";
    line.target = "/cart?item=3";
    line.status = 200;
    line.in = 321;
    line.out = 4567;
    line.route = "shop";
    line.server = "127.0.0.1:9001";
    line.tries = 1;
    line.session = "live";
    line.token = "89abcdef";
    line.wait_us = 0;
    line.connect_us = 7;
    line.first_us = 1999;
    line.total_us = 12345678;
    line.fault = "bad_request";
    line.reason = "bad_value";
    line.detail = "X-Name";
    CHECK(text_of(line) ==
          "{\"time\":\"2026-03-01T10:00:00.123Z\",\"id\":\"0123456789abcdef0123456789abcdef\","
          "\"client\":\"192.0.2.7\",\"method\":\"GET\",\"host\":\"shop.example\","
          "\"target\":\"/cart?item=3\",\"status\":200,\"in\":321,\"out\":4567,\"route\":\"shop\","
          "\"server\":\"127.0.0.1:9001\",\"tries\":1,\"session\":\"live\",\"token\":\"89abcdef\","
          "\"wait_ms\":0.000,\"connect_ms\":0.007,\"first_ms\":1.999,\"total_ms\":12345.678,"
          "\"fault\":\"bad_request\",\"reason\":\"bad_value\",\"detail\":\"X-Name\"}\n");
}

TEST_CASE("what is absent is left out of an access line") {
    CHECK(text_of({}) == "{\"time\":\"1970-01-01T00:00:00.000Z\",\"in\":0,\"out\":0}\n");
    AccessLine line;
    line.client = "::1";
    line.status = 400;
    line.total_us = 10;
    line.fault = "bad_request";
    CHECK(text_of(line) ==
          "{\"time\":\"1970-01-01T00:00:00.000Z\",\"client\":\"::1\",\"status\":400,\"in\":0,"
          "\"out\":0,\"total_ms\":0.010,\"fault\":\"bad_request\"}\n");
}

TEST_CASE("times in an access line have three decimals") {
    const auto total = [](std::int64_t us) {
        AccessLine line;
        line.total_us = us;
        const std::string text = text_of(line);
        const std::size_t at = text.find("total_ms\":");
        return at == std::string::npos ? "" : text.substr(at + 10, text.size() - at - 12);
    };
    CHECK(total(-1).empty());
    CHECK(total(0) == "0.000");
    CHECK(total(1) == "0.001");
    CHECK(total(999) == "0.999");
    CHECK(total(1000) == "1.000");
    CHECK(total(1010) == "1.010");
    CHECK(total(3'600'000'123) == "3600000.123");
    CHECK(total(std::numeric_limits<std::int64_t>::max()) == "9223372036854775.807");
}

TEST_CASE("each of the 256 byte values: an access line stays printable JSON") {
    for (int value = 0; value < 256; ++value) {
        const char byte = static_cast<char>(value);
        const bool plain = value >= 0x20 && value <= 0x7e && byte != '"' && byte != '\\';
        std::ostringstream escaped;
        escaped << "\\u00" << std::hex << (value < 16 ? "0" : "") << value;
        CAPTURE(value);
        CHECK(logged_target(std::string{byte}) == (plain ? std::string{byte} : escaped.str()));
        // Between other bytes as well.
        const std::string text = std::string{"/a"} + byte + "b";
        CHECK(logged_target(text) == (plain ? text : "/a" + escaped.str() + "b"));
    }
    CHECK(logged_target("\r\n\x1b[2J\"\\") == "\\u000d\\u000a\\u001b[2J\\u0022\\u005c");
}

TEST_CASE("every text of an access line is escaped") {
    AccessLine line;
    line.id = line.client = line.method = line.host = line.target = line.route = line.server =
        line.session = line.token = line.fault = line.reason = line.detail = "\"\n";
    const std::string text = text_of(line);
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find("\\u0022\\u000a\"", at)) != std::string::npos; ++at) {
        ++found;
    }
    CHECK(found == 12);
}

TEST_CASE("a target of 2 KiB is logged whole, a longer one is cut and says so") {
    CHECK(logged_target(many(2048, "abc")) == many(2048, "abc"));
    CHECK(logged_target(many(2049, "abc")) == many(2045, "abc") + "...");
    CHECK(logged_target(many(100'000, "abc")) == many(2045, "abc") + "...");
    // Escapes count as they stand in the line, and none is cut: 341 * 6 = 2046.
    const std::string escape = "\\u00ff";
    CHECK(logged_target(many(341, "\xff")) == many(341 * 6, escape));
    CHECK(logged_target(many(341, "\xff") + "ab") == many(341 * 6, escape) + "ab");
    CHECK(logged_target(many(341, "\xff") + "abc") == many(340 * 6, escape) + "...");
    CHECK(logged_target(many(342, "\xff")) == many(340 * 6, escape) + "...");
}

TEST_CASE("an access line is at most 4 KiB, whatever its texts hold") {
    for (const std::string_view fill : {"x", "\xff", "\"", "a\n"}) {
        const std::string text = many(70'000, fill);
        AccessLine line;
        line.time_ms = std::numeric_limits<std::int64_t>::max();
        line.id = line.client = line.method = line.host = line.target = line.route = line.server =
            line.session = line.token = line.fault = line.reason = line.detail = text;
        line.status = std::numeric_limits<int>::max();
        line.in = line.out = std::numeric_limits<std::uint64_t>::max();
        line.tries = std::numeric_limits<unsigned>::max();
        line.wait_us = line.connect_us = line.first_us = line.total_us =
            std::numeric_limits<std::int64_t>::max();
        const std::string logged = text_of(line);
        CHECK(logged.size() <= access_line_max);
        CHECK(logged.size() > 3500);
        CHECK(logged.ends_with("...\"}\n"));
        CHECK(std::all_of(logged.begin(), logged.end() - 1,
                          [](char c) { return c >= 0x20 && c <= 0x7e; }));
    }
}

TEST_CASE("an access log hands its block over when it is full, without splitting a line") {
    const LogFile file;
    std::string expected;
    {
        log::Writer writer;
        AccessLog log{&writer, writer.open(file.path())};
        CHECK(log.enabled());
        for (int i = 0; i < 2000; ++i) {
            const std::string target =
                "/" + std::to_string(i) + many(static_cast<std::size_t>(i), "x");
            AccessLine line = with_target(target);
            log.write(line);
            append_access_line(expected, line);
        }
    }
    CHECK(file.text() == expected);
}

TEST_CASE("an access log's block holds 64 KiB before it is handed over") {
    const LogFile file;
    log::Writer writer;
    AccessLog log{&writer, writer.open(file.path())};
    const std::string target = many(1000, "x");
    const AccessLine line = with_target(target);
    const std::size_t size = text_of(line).size();
    for (std::size_t filled = 0; filled + size <= 65536 - access_line_max; filled += size) {
        log.write(line);
    }
    ::usleep(50'000);
    CHECK(file.text().empty());
    log.write(line);  // now another line might not fit
    for (int i = 0; i < 400 && file.text().empty(); ++i) ::usleep(5'000);
    CHECK(file.text().size() > 65536 - access_line_max);
    CHECK(file.text().size() <= 65536);
}

TEST_CASE("flush hands over what there is") {
    const LogFile file;
    log::Writer writer;
    AccessLog log{&writer, writer.open(file.path())};
    log.flush();  // nothing: no block
    log.write(with_target("/one"));
    log.flush();
    log.flush();
    const std::string expected = text_of(with_target("/one"));
    for (int i = 0; i < 400 && file.text() != expected; ++i) ::usleep(5'000);
    CHECK(file.text() == expected);
    CHECK(writer.lines_dropped() == 0);
}

TEST_CASE("an access log's lost lines are counted one by one") {
    log::Writer writer;
    {
        AccessLog log{&writer, 99};  // a sink that was never opened takes nothing
        for (int i = 0; i < 7; ++i) log.write(with_target("/"));
        CHECK(writer.lines_dropped() == 0);
        log.flush();
        CHECK(writer.lines_dropped() == 7);
        log.write(with_target("/"));
    }
    CHECK(writer.lines_dropped() == 8);
}

TEST_CASE("an access log that is off writes nothing") {
    log::Writer writer;
    AccessLog off{&writer, -1};
    CHECK(!off.enabled());
    off.write(with_target("/"));
    off.flush();
    CHECK(writer.lines_dropped() == 0);
    AccessLog nowhere{nullptr, 0};
    CHECK(!nowhere.enabled());
    nowhere.write(with_target("/"));
    nowhere.flush();
}

}  // namespace baton
