// What a response says to caches that serve many people.

#include "net/http/cache_control.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/http_parser.h"

namespace baton::test {

namespace {

constexpr std::int64_t now_s = 1'800'000'000;  // Fri, 15 Jan 2027 08:00:00 GMT
const std::string later = "Expires: Fri, 15 Jan 2027 08:00:01 GMT\r\n";

bool invites(const std::string& fields) {
    const std::string bytes = "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 0\r\n\r\n";
    const HeadLimits limits;  // the parser holds its address
    HttpParser parser{HeadGuard::Kind::response, limits};
    Head head;
    const auto size = parser.read_head(bytes, head);
    REQUIRE(size);
    REQUIRE(*size == bytes.size());
    return invites_sharing(head, now_s);
}

}  // namespace

TEST_CASE("F:cookie-cache what a shared cache is invited to keep") {
    for (const std::string& fields : std::vector<std::string>{
             "Cache-Control: public\r\n",
             "Cache-Control: max-age=0\r\n",
             "cache-control: no-transform,MAX-AGE=\"5\"\r\n",
             "Cache-Control: no-cache\r\nCache-Control: s-maxage=5\r\n",
             "Cache-Control: max-age=5, private=\"x\"\r\n",
             "Cache-Control: public, no-cache=\"Set-Cookie\"\r\n",
             "Cache-Control: x=\"private\", x=\",no-store,\", public\r\n",
             later,
             "Date: Fri, 15 Jan 2027 09:00:00 GMT\r\nExpires: Fri, 15 Jan 2027 09:00:01 GMT\r\n",
             // A server whose clock is slow.
             "expires: Fri, 15 Jan 2027 07:30:00 GMT\r\ndate: Fri, 15 Jan 2027 "
             "07:00:00 GMT\r\n",
             "Expires: 0\r\n" + later,
             "Cache-Control: no-transform\r\n" + later,
             "Expires: Friday, 15-Jan-27 08:00:01 GMT\r\n",
             "Cache-Control: private\r\nCDN-Cache-Control: max-age=60\r\n",
             "Cache-Control: no-store\r\nSURROGATE-CONTROL: content=\"ESI/1.0\"\r\n",
             "Vercel-CDN-Cache-Control: max-age=60\r\n",
         }) {
        CAPTURE(fields);
        CHECK(invites(fields));
    }
    for (const std::string& fields : std::vector<std::string>{
             "",
             "Cache-Control: no-cache\r\n",
             "Cache-Control: must-revalidate, x-max-age=5, public-key\r\n",
             "Cache-Control: x=\"public, max-age=5\"\r\n",
             "Cache-Control: public, max-age=5, private\r\n",
             "Cache-Control: public\r\nCACHE-CONTROL: NO-STORE\r\n",
             "Cache-Control: private\r\n" + later,
             "Expires: 0\r\n",
             "Expires: Fri, 15 Jan 2027 08:00:00 GMT\r\n",
             "Expires: tomorrow\r\n",
             "Date: Fri, 15 Jan 2027 08:00:01 GMT\r\n" + later,
             "CDN-Cache-Control: no-store\r\n",
             "Surrogate-Control: max-age=60, private\r\nCache-Control: private\r\n",
             "X-Cache-Control-Info: public\r\n-Cache-Control: public\r\n",
         }) {
        CAPTURE(fields);
        CHECK_FALSE(invites(fields));
    }
}

TEST_CASE("F:cookie-cache a directive that is cut anywhere invites nobody and loses nothing") {
    const std::string whole = "a=\"b,public\", public, s-maxage=5";
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        const std::string value = whole.substr(0, size);
        CAPTURE(value);
        const bool has_public = size >= 20;
        const bool has_shared = size == 22 + 8 || size > 22 + 8;
        CHECK(invites("Cache-Control: " + value + "\r\n") == (has_public || has_shared));
        std::string out = "before ";
        append_unshared(out, value);
        REQUIRE(out.starts_with("before "));
        out.erase(0, 7);
        CHECK(out.find("s-maxage") == out.npos);
        CHECK(out.starts_with(value.substr(0, 12)));
    }
}

}  // namespace baton::test
