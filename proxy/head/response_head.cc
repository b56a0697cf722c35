#include "proxy/head/response_head.h"

namespace baton {

bool sets_session_cookie(std::string_view set_cookie, const ForwardResponse& response) noexcept {
    const auto& others = response.other_cookies;
    return sets_cookie(set_cookie, response.session_cookie) ||
           std::any_of(others.begin(), others.end(),
                       [&](std::string_view other) { return sets_cookie(set_cookie, other); });
}

bool append_private(std::string& out, std::string_view value, bool first) {
    if (first) out.append("private, ");
    const std::size_t rest = out.size();
    append_unshared(out, value);
    if (out.size() > rest) return true;
    if (first) out.resize(rest - 2);  // the comma
    return first;
}

}  // namespace baton
