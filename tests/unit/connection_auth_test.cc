#include "proxy/head/connection_auth.h"

#include <doctest/doctest.h>

#include <string>

#include "net/http/http_parser.h"

namespace baton {

namespace {

const HeadLimits limits;

bool asks(const std::string& fields, const std::string& status = "401 Unauthorized") {
    const std::string text = "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: 0\r\n\r\n";
    HttpParser parser{HeadGuard::Kind::response, limits};
    Head head;
    REQUIRE(parser.read_head(text, head));
    return asks_connection_auth(head);
}

bool has(const std::string& fields) {
    const std::string text = "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
    HttpParser parser{HeadGuard::Kind::request, limits};
    Head head;
    REQUIRE(parser.read_head(text, head));
    return has_connection_auth(head);
}

}  // namespace

TEST_CASE("F:connection-auth a 401 that asks for it, among whatever else it asks for") {
    for (const char* challenges :
         {"NTLM", "Negotiate", "ntlm", "nEGOTIATE", "NTLM TlRMTVNTUAACAAAA==", "Negotiate oYG2MIGz",
          "Negotiate, NTLM", "Basic realm=\"x\", NTLM", "Basic realm=\"a, b\",Negotiate",
          "Digest realm=\"a\", nonce=\"b\\\", c\", NTLM", "NTLM, Basic realm=\"x\"", ", ,\tNTLM ,",
          "Basic realm = \"NTLM\", Negotiate =="}) {
        CAPTURE(challenges);
        const bool token68 = std::string{challenges}.ends_with("Negotiate ==");
        CHECK(asks("WWW-Authenticate: " + std::string{challenges} + "\r\n") == !token68);
    }
    CHECK(asks("www-authenticate: Basic realm=\"x\"\r\nWWW-AUTHENTICATE: NTLM\r\n"));
}

TEST_CASE("F:connection-auth no other 401 asks for it, nor any other status") {
    for (const char* challenges :
         {"Basic realm=\"NTLM\"", "Basic realm=\"a, NTLM\"", "Basic realm=\"a\\\", NTLM\"",
          "NTLMv2", "XNTLM", "Digest NTLM=\"x\"", "Basic realm=x, NTLM=y",
          "Basic realm=x, Negotiate = y", "Bearer", "Basic realm=\"never ended, NTLM", ""}) {
        CAPTURE(challenges);
        CHECK_FALSE(asks("WWW-Authenticate: " + std::string{challenges} + "\r\n"));
    }
    CHECK_FALSE(asks(""));
    CHECK_FALSE(asks("Proxy-Authenticate: NTLM\r\n"));
    CHECK_FALSE(asks("WWW-Authenticate: NTLM\r\n", "200 OK"));
    CHECK_FALSE(asks("WWW-Authenticate: NTLM\r\n", "407 Proxy"));
}

TEST_CASE("F:connection-auth a request that has it") {
    for (const char* given : {"NTLM TlRMTVNTUAAB", "negotiate YII", "Negotiate\tx", "NTLM"}) {
        CAPTURE(given);
        CHECK(has("Authorization: " + std::string{given} + "\r\n"));
    }
    CHECK(has("AUTHORIZATION: Basic eDp5\r\nAuthorization: NTLM x\r\n"));
    for (const char* given : {"Basic NTLM", "Bearer x", "NTLMx", "", "Digest a=\"NTLM \""}) {
        CAPTURE(given);
        CHECK_FALSE(has("Authorization: " + std::string{given} + "\r\n"));
    }
    CHECK_FALSE(has(""));
    CHECK_FALSE(has("Proxy-Authorization: NTLM x\r\n"));
}

}  // namespace baton
