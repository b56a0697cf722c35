#include "net/http/http_head.h"

#include <doctest/doctest.h>

#include <cctype>
#include <string>

#include "net/http/http_syntax.h"
#include "net/text.h"

namespace baton {

TEST_CASE("known field names are found in any letter case, others are not") {
    struct Case {
        const char* name;
        FieldName id;
    };
    const Case cases[] = {
        {"host", FieldName::host},
        {"content-length", FieldName::content_length},
        {"transfer-encoding", FieldName::transfer_encoding},
        {"connection", FieldName::connection},
        {"keep-alive", FieldName::keep_alive},
        {"proxy-connection", FieldName::proxy_connection},
        {"te", FieldName::te},
        {"trailer", FieldName::trailer},
        {"upgrade", FieldName::upgrade},
        {"expect", FieldName::expect},
        {"forwarded", FieldName::forwarded},
        {"x-forwarded-for", FieldName::x_forwarded_for},
        {"x-forwarded-proto", FieldName::x_forwarded_proto},
        {"x-forwarded-host", FieldName::x_forwarded_host},
        {"x-forwarded-port", FieldName::x_forwarded_port},
        {"x-real-ip", FieldName::x_real_ip},
        {"x-request-id", FieldName::x_request_id},
        {"cookie", FieldName::cookie},
        {"set-cookie", FieldName::set_cookie},
        {"cache-control", FieldName::cache_control},
        {"authorization", FieldName::authorization},
    };
    for (const Case& c : cases) {
        std::string text = c.name;
        CAPTURE(text);
        CHECK(field_name(text) == c.id);
        for (char& letter : text) letter = static_cast<char>(std::toupper(letter));
        CHECK(field_name(text) == c.id);
        // One other byte anywhere, or one more or less, is another name.
        for (std::size_t i = 0; i < text.size(); ++i) {
            std::string other = text;
            other[i] = '_';
            CHECK(field_name(other) == FieldName::other);
        }
        CHECK(field_name(text + "x") == FieldName::other);
        CHECK(field_name(text.substr(1)) == FieldName::other);
    }
    CHECK(field_name_with_hyphens("X_Forwarded-FOR") == FieldName::x_forwarded_for);
    CHECK(field_name_with_hyphens("set_cookie") == FieldName::set_cookie);
    CHECK(field_name_with_hyphens("_") == FieldName::other);
    CHECK(field_name_with_hyphens("") == FieldName::other);
    CHECK(field_name_with_hyphens(std::string(100, '_')) == FieldName::other);
    CHECK(field_name("") == FieldName::other);
    // Bytes that only the bit between the letter cases tells apart from `-` and `@`.
    CHECK(field_name("set\rcookie") == FieldName::other);
}

TEST_CASE("a head finds the first field of a name") {
    const std::string bytes = "Cookie: a\r\nCookie: b\r\nExpect:\r\n";
    Head head;
    head.bytes = bytes.data();
    head.add({{0, 6}, {8, 1}, FieldName::cookie, false});
    head.add({{11, 6}, {19, 1}, FieldName::cookie, false});
    head.add({{22, 6}, {29, 0}, FieldName::expect, false});
    CHECK(head.value(FieldName::cookie) == "a");
    CHECK(head.find(FieldName::cookie) == &head.fields[0]);
    CHECK(head.value(FieldName::expect).empty());
    CHECK(head.find(FieldName::expect) == &head.fields[2]);
    CHECK(head.value(FieldName::host).empty());
    CHECK(head.find(FieldName::host) == nullptr);
}

TEST_CASE("letter case is ignored in ASCII only") {
    CHECK(equal_fold("", ""));
    CHECK(equal_fold("Chunked", "cHUNKED"));
    CHECK_FALSE(equal_fold("chunked", "chunke"));
    CHECK_FALSE(equal_fold("@", "`"));
    CHECK_FALSE(equal_fold("[", "{"));
    CHECK_FALSE(equal_fold("\xc4", "\xe4"));
}

TEST_CASE("what stands between commas and blanks is an option") {
    const auto closes = [](std::string_view list) {
        const std::string bytes = "Connection: " + std::string{list} + "\r\n";
        Head head;
        head.bytes = bytes.data();
        head.add({{0, 10}, {12, static_cast<std::uint32_t>(list.size())}, FieldName::connection});
        return ConnectionOptions{head}.close;
    };
    for (const char* list :
         {"close", "Close", "x, close", "close,x", "x ,\tclose\t, y", ",close", "close,"}) {
        CAPTURE(list);
        CHECK(closes(list));
    }
    for (const char* list :
         {"", ",", "closed", "clos", "x close", "close x", "x-close", "\"close\""}) {
        CAPTURE(list);
        CHECK_FALSE(closes(list));
    }
}

TEST_CASE("lengths are digits that fit") {
    CHECK(parse_length("0") == 0);
    CHECK(parse_length("005") == 5);
    CHECK(parse_length("18446744073709551615") == 18446744073709551615U);
    CHECK(parse_length("00000000000000000000000000000000000018446744073709551615") ==
          18446744073709551615U);
    for (const char* text :
         {"", " ", "+1", "-1", "1 ", "1a", "0x1", "18446744073709551616", "18446744073709551620",
          "28446744073709551615", "184467440737095516150"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_length(text));
    }
}

TEST_CASE("an authority is a host and perhaps a port") {
    for (const char* text :
         {"a", "A.example", "a-b.c_d~e.", "127.0.0.1", "h:80", "h:0", "h:65535", "h:", "h:00080",
          "[::1]", "[::1]:80", "[::1]:", "[2001:DB8::1]", "[::ffff:127.0.0.1]"}) {
        CAPTURE(text);
        CHECK(is_authority(text));
    }
    for (const char* text : {"",
                             ":",
                             ":80",
                             "h:65536",
                             "h:99999999999999999999",
                             "h:8a",
                             "h:+1",
                             "h:1:2",
                             "a b",
                             "a/b",
                             "a@b",
                             "a,b",
                             "a\\b",
                             "a?b",
                             "a#b",
                             "a%41",
                             "a;b",
                             "\xc3\xa9",
                             "[",
                             "[]",
                             "[::1",
                             "::1",
                             "[::1]x",
                             "[::1]80",
                             "[::1]:x",
                             "[::1]:65536",
                             "[::1%25lo]",
                             "[v1.a]",
                             "[127.0.0.1]",
                             "[::1]]",
                             "[[::1]]",
                             "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]"}) {
        CAPTURE(text);
        CHECK_FALSE(is_authority(text));
    }
}

TEST_CASE("only http and https targets have an authority") {
    CHECK(authority_of("http://a/x") == "a");
    CHECK(authority_of("HTTPS://a:1") == "a:1");
    CHECK(authority_of("http://a?b/c") == "a");
    CHECK(authority_of("http:///x") == "");
    CHECK(authority_of("https://") == "");
    for (const char* target :
         {"", "/", "*", "/http://a/", "http:/a", "http:a", "ftp://a/", "https:/", "a:80"}) {
        CAPTURE(target);
        CHECK_FALSE(authority_of(target));
    }
}

TEST_CASE("a method is known as llhttp knows it") {
    CHECK(method_of("GET") == Method::get);
    CHECK(method_of("HEAD") == Method::head);
    CHECK(method_of("POST") == Method::post);
    CHECK(method_of("PUT") == Method::put);
    CHECK(method_of("DELETE") == Method::delete_);
    CHECK(method_of("OPTIONS") == Method::options);
    CHECK(method_of("CONNECT") == Method::connect);
    CHECK(method_of("TRACE") == Method::trace);
    for (const char* text : {"PATCH", "M-SEARCH", "PROPFIND", "SOURCE"})
        CHECK(method_of(text) == Method::other);
    // Of HTTP/2 and RTSP, of later versions, of nobody.
    for (const char* text :
         {"PRI", "DESCRIBE", "QUERY", "get", "Get", "GE", "GETS", "MSEARCH", ""}) {
        CAPTURE(text);
        CHECK(method_of(text) == Method::unknown);
    }
}

}  // namespace baton
