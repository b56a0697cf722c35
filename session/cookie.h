#pragma once

// The session cookie: read from Cookie, taken out of it, and written in Set-Cookie (RFC 6265).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "session/id.h"

namespace baton {

enum class SameSite : std::uint8_t { lax, strict, none };
std::string_view name(SameSite same_site) noexcept;  // "Lax", "Strict", "None"

struct CookieOptions {
    std::string_view name;
    SameSite same_site = SameSite::lax;
    bool secure = false;
};

// The values a Cookie field gives to `cookie_name`, in their order, at most four over all calls of
// one request (further ones are ignored). Views into `field_value`. The name is compared with case.
struct CookieCandidates {
    static constexpr std::size_t count_max = 4;
    std::string_view values[count_max];
    std::size_t count = 0;
    void collect(std::string_view field_value, std::string_view cookie_name) noexcept;
};

// Appends `field_value` without the pairs called `cookie_name`, the others byte for byte and in
// order, joined as they were. Returns the number of bytes appended: 0 when nothing is left and the
// field is to be dropped.
std::size_t append_cookies_without(std::string& out, std::string_view field_value,
                                   std::string_view cookie_name);

// Whether a Set-Cookie value sets a cookie called `cookie_name`.
bool sets_cookie(std::string_view set_cookie_value, std::string_view cookie_name) noexcept;

// "JSESSIONID=<id>; Path=/; HttpOnly; SameSite=Lax[; Secure]": the value of a Set-Cookie that gives
// the id.
void append_session_cookie(std::string& out, const CookieOptions& options, const SessionId& id);
// The value of a Set-Cookie that ends the cookie, with the same attributes, Max-Age=0 and an
// Expires in 1970.
void append_ended_cookie(std::string& out, const CookieOptions& options);

}  // namespace baton
