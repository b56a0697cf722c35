#pragma once

// The session cookie: read from Cookie, taken out of it, and written in Set-Cookie (RFC 6265).

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
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

// The ids that the Cookie fields of one request give to `cookie_name`, each once and in their order.
// Of many the first eight and the last eight: others may plant cookies of the name, and a browser
// sends those with the longest paths first, so ours, with "/", last (RFC 6265, 5.4). The name is
// compared with case.
class CookieCandidates {
public:
    static constexpr std::size_t count_max = 16;

    void collect(std::string_view field_value, std::string_view cookie_name) noexcept;

    std::span<const SessionId> ids() const noexcept { return {ids_.data(), count_}; }
    std::size_t malformed() const noexcept { return malformed_; }      // values that are no id
    std::size_t passed_over() const noexcept { return passed_over_; }  // ids between the two eights
    // Whether there is any cookie of the name.
    bool any() const noexcept { return count_ + malformed_ > 0; }

private:
    void add(const SessionId& id) noexcept;

    std::size_t count_ = 0;
    std::size_t malformed_ = 0;
    std::size_t passed_over_ = 0;
    std::array<SessionId, count_max> ids_;  // of which `count_` are set
};

// Appends `field_value` without the pairs called `cookie_name` or as one of `others`, the rest byte
// for byte and in order, joined as they were. Returns the number of bytes appended: 0 when nothing is left and the
// field is to be dropped.
std::size_t append_cookies_without(std::string& out, std::string_view field_value,
                                   std::string_view cookie_name,
                                   std::span<const std::string_view> others = {});

// Whether a Set-Cookie value sets a cookie called `cookie_name`.
bool sets_cookie(std::string_view set_cookie_value, std::string_view cookie_name) noexcept;

// "JSESSIONID=<id>; Path=/; HttpOnly; SameSite=Lax[; Secure]": the value of a Set-Cookie that gives
// the id.
void append_session_cookie(std::string& out, const CookieOptions& options, const SessionId& id);
// The value of a Set-Cookie that ends the cookie, with the same attributes, Max-Age=0 and an
// Expires in 1970.
void append_ended_cookie(std::string& out, const CookieOptions& options);

}  // namespace baton
