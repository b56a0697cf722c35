#include "session/cookie.h"

#include <algorithm>

#include "net/text.h"

namespace baton {
namespace {

// The name of a pair: what stands before its first "=". A pair without one is a name with an empty
// value, as most servers read it.
std::string_view name_of(std::string_view pair) noexcept {
    return trimmed(pair.substr(0, pair.find('=')));
}

std::string_view value_of(std::string_view pair) noexcept {
    const std::size_t equals = pair.find('=');
    return equals == std::string_view::npos ? std::string_view{} : trimmed(pair.substr(equals + 1));
}

// Calls `each` with every piece between semicolons, blanks included. Quotes do not protect a
// semicolon: RFC 6265 and the browsers know no quoted strings in cookies.
template <class Each>
void for_each_pair(std::string_view field_value, Each each) {
    for (;;) {
        const std::size_t end = field_value.find(';');
        each(field_value.substr(0, end));
        if (end == std::string_view::npos) return;
        field_value.remove_prefix(end + 1);
    }
}

void append_attributes(std::string& out, const CookieOptions& options) {
    out.append("; HttpOnly; SameSite=").append(name(options.same_site));
    if (options.secure) out.append("; Secure");
}

}  // namespace

std::string_view name(SameSite same_site) noexcept {
    switch (same_site) {
    case SameSite::lax: return "Lax";
    case SameSite::strict: return "Strict";
    case SameSite::none: return "None";
    }
    return "Lax";
}

void CookieCandidates::collect(std::string_view field_value,
                               std::string_view cookie_name) noexcept {
    for_each_pair(field_value, [&](std::string_view pair) {
        if (name_of(pair) != cookie_name) return;
        if (const auto id = parse_session_id(value_of(pair)))
            add(*id);
        else
            ++malformed_;
    });
}

void CookieCandidates::add(const SessionId& id) noexcept {
    const auto end = ids_.begin() + static_cast<std::ptrdiff_t>(count_);
    if (std::find(ids_.begin(), end, id) != end) return;
    if (count_ < count_max) {
        ids_[count_++] = id;
        return;
    }
    ++passed_over_;
    std::copy(ids_.begin() + count_max / 2 + 1, ids_.end(), ids_.begin() + count_max / 2);
    ids_.back() = id;
}

std::size_t append_cookies_without(std::string& out, std::string_view field_value,
                                   std::string_view cookie_name,
                                   std::span<const std::string_view> others) {
    const std::size_t begin = out.size();
    bool first = true;
    bool removed_first = false;
    bool any_left = false;
    for_each_pair(field_value, [&](std::string_view pair) {
        const std::string_view name = name_of(pair);
        if (name == cookie_name || std::find(others.begin(), others.end(), name) != others.end()) {
            removed_first = removed_first || first;
        } else {
            // The blank behind the semicolon belongs to the semicolon: it goes with a removed first
            // pair.
            if (first && removed_first)
                pair.remove_prefix(std::min(pair.find_first_not_of(" \t"), pair.size()));
            if (!first) out.push_back(';');
            out.append(pair);
            first = false;
            any_left = any_left || !trimmed(pair).empty();
        }
    });
    if (!any_left) out.resize(begin);
    return out.size() - begin;
}

bool sets_cookie(std::string_view set_cookie_value, std::string_view cookie_name) noexcept {
    std::string_view pair = trimmed(set_cookie_value.substr(0, set_cookie_value.find(';')));
    // Browsers keep "=NAME=value" as a cookie without a name and send it back as "NAME=value".
    if (pair.starts_with('=')) pair.remove_prefix(1);
    return name_of(pair) == cookie_name;
}

void append_session_cookie(std::string& out, const CookieOptions& options, const SessionId& id) {
    out.append(options.name).append("=").append(id.view()).append("; Path=/");
    append_attributes(out, options);
}

void append_ended_cookie(std::string& out, const CookieOptions& options) {
    // Old browsers know Expires only; the others prefer Max-Age (RFC 6265, 5.3).
    out.append(options.name).append("=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
    append_attributes(out, options);
}

}  // namespace baton
