// Why a request was refused, in the access log.

#include <doctest/doctest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

// The fault of the line, its reason and its detail, as they are there.
std::string why(const std::string& line) {
    const std::size_t fault = line.find("\"fault\":");
    return fault == std::string::npos ? line : line.substr(fault, line.rfind('}') - fault);
}

std::string said(std::string_view fault, std::string_view reason, std::string_view detail = {}) {
    std::string text = "\"fault\":\"";
    text.append(fault).append("\",\"reason\":\"").append(reason).append("\"");
    if (!detail.empty()) text.append(",\"detail\":\"").append(detail).append("\"");
    return text;
}

std::string why_refused(std::string_view request, Setup setup = {}) {
    Proxy proxy{std::move(setup)};
    Peer client = proxy.connect_client();
    client.sends(request);
    client.until_end();
    return why(proxy.log());
}

// What the log says of an answer. The server closes behind it.
std::string why_bad(std::string_view answer) {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 0\r\n\r\n");  // never sent twice
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(answer);
    server.closes();
    client.until_end();
    return why(proxy.log());
}

const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\n";
const std::string chunks = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

}  // namespace

TEST_CASE("F:reason the access log names the rule that a request broke") {
    struct Row {
        std::string bytes;
        std::string expected;
    };
    const Row rows[] = {
        {begin + "X: a\r\n b\r\n\r\n", said("bad_request", "folded_line")},
        {begin + "X-Long: a\x01"
                 "b\r\n\r\n",
         said("bad_request", "bad_value", "X-Long")},
        {begin + "X-Cut: a\rb\r\n\r\n", said("bad_request", "bare_cr", "X-Cut")},
        {begin + "Cookie: a=secret\n\r\n", said("bad_request", "bare_lf", "Cookie")},
        {begin + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
         said("bad_request", "two_content_length")},
        {"GET / HTTP/1.1\r\n\r\n", said("bad_request", "no_host")},
        {"\x16\x03\x01\x02", said("bad_request", "tls")},
        {"GET /a\r\n\r\n", said("bad_request", "short_line")},
        {begin + "Cookie: " + std::string(40'000, 'a') + "\r\n\r\n",
         said("head_too_large", "head_too_long", "Cookie")},
        {begin +
             [] {
                 std::string fields;
                 for (int i = 0; i < 120; ++i) fields += "X: a\r\n";
                 return fields;
             }() +
             "\r\n",
         said("head_too_large", "too_many_fields")},
        {chunks + "zz\r\n", said("bad_request", "bad_chunk_size")},
        {chunks + "1\r\naXX", said("bad_request", "bad_chunk_end")},
        {chunks + "1;" + std::string(5'000, 'a') + "\r\n",
         said("bad_request", "extensions_too_long")},
        {chunks + "1;a\x01\r\n", said("bad_request", "bad_chunk_extension")},
        {chunks + std::string(20'000, '0') + "1\r\na\r\n", said("bad_request", "padding")},
        {chunks + "0\r\n(a): b\r\n\r\n", said("bad_request", "bad_trailer")},
        {chunks + "0\r\nA: b\r\n\n", said("bad_request", "bare_lf")},
    };
    for (const Row& row : rows) {
        CAPTURE(row.bytes.substr(0, 200));
        CHECK(why_refused(row.bytes) == row.expected);
    }
}

TEST_CASE("F:reason a field is named where that helps, and no value ever is") {
    CHECK(why_refused(begin + "X_Real_IP: 10.0.0.1\r\nConnection: close\r\n\r\n",
                      {.change = [](Config& config) {
                          config.limits.underscores = Underscores::reject;
                      }}) == said("bad_request", "underscore", "X_Real_IP"));
    // What stands where a name should is perhaps no name.
    for (const std::string bytes :
         {"hunter2\r\n\r\n", "X: a\r\n hunter2\r\n\r\n", "hunter2 : a\r\n\r\n",
          "(hunter2): a\r\n\r\n", "Host: hunter2\r\n\r\n", "Content-Length: hunter2\r\n\r\n",
          "Transfer-Encoding: hunter2\r\nContent-Length: 1\r\n\r\n", "X: hunter2\x01\r\n\r\n"}) {
        CAPTURE(bytes);
        const std::string found = why_refused(begin + bytes);
        CHECK(found.find("\"reason\":\"") != std::string::npos);
        CHECK(found.find("hunter2") == std::string::npos);
    }
    // A long name is cut, an odd byte is escaped: the line stays one.
    const std::string found = why_refused(begin + std::string(3000, 'n') + ": \x01\r\n\r\n");
    CHECK(found.size() < 200);
    CHECK(found.ends_with("nnn...\""));
}

TEST_CASE("F:reason a response that is refused is explained") {
    struct Row {
        std::string bytes;
        std::string expected;
    };
    const Row rows[] = {
        {"HTTP/1.1 200 OK\r\nX Foo: 1\r\n\r\n", said("bad_response", "blank_in_name")},
        {"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", said("bad_response", "folded_line")},
        {"HTTP/1.1 200 OK\r\nSet-Cookie: a\x02\r\n\r\n",
         said("bad_response", "bad_value", "Set-Cookie")},
        {"HTTP/1.1 999 OK\r\n\r\n", said("bad_response", "bad_status")},
        {"<html>", said("bad_response", "not_http")},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
         said("bad_response", "two_content_length")},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
         said("bad_response", "unknown_coding")},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", said("bad_response", "unasked_101")},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nab\r\n",
         said("bad_response", "bad_chunk_size")},
        {[] {
             std::string many;
             for (int i = 0; i < 20; ++i) many += "HTTP/1.1 100 Continue\r\n\r\n";
             return many;
         }(),
         said("bad_response", "too_many_interims")},
        {"", said("server_gone", "closed_unanswered")},
        {"HTTP/1.1 200 OK\r\n", said("server_gone", "cut_head")},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", said("server_gone", "cut_body")},
    };
    for (const Row& row : rows) {
        CAPTURE(row.bytes.substr(0, 200));
        CHECK(why_bad(row.bytes) == row.expected);
    }
}

TEST_CASE("F:reason no_server says what the connects that failed have in common") {
    Proxy proxy{{.servers = 2, .change = [](Config& config) {
                     config.upstreams[0].timeouts.connect = Milliseconds{50};
                 }}};
    std::vector<int> fillers;
    std::string expected;
    SUBCASE("all refused") {
        proxy.close_server(0);
        proxy.close_server(1);
        expected = said("no_server", "all_refused");
    }
    SUBCASE("none in time") {
        proxy.fill_queue(0, fillers);
        proxy.fill_queue(1, fillers);
        expected = said("no_server", "all_timed_out");
    }
    SUBCASE("one each") {
        proxy.fill_queue(0, fillers);
        proxy.close_server(1);
        expected = said("no_server", "none_connected");
    }
    Peer client = proxy.connect_client();
    client.sends(begin + "\r\n");
    client.expects("HTTP/1.1 503 ");
    CHECK(why(proxy.log()) == expected);
    for (const int fd : fillers) ::close(fd);
}

TEST_CASE("F:reason a request that succeeds has neither reason nor detail") {
    Proxy proxy{{.servers = 2}};
    proxy.close_server(0);
    Peer client = proxy.connect_client();
    client.sends(begin + "\r\n");
    Peer server = proxy.accept_at_any();
    server.head();
    server.sends(ok);
    client.expects("ok");
    const std::string line = proxy.log();
    CHECK(line.find("reason") == std::string::npos);
    CHECK(line.find("detail") == std::string::npos);
}

}  // namespace baton::test
