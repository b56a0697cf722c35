#include "session/unknown_limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace baton {

namespace {

// What is counted as one: an IPv4 address, mapped into IPv6 (RFC 4291, 2.5.5.2) or not, and the
// first half of any other IPv6 address. As bytes, of which the two have different numbers; what is no
// address, as it stands.
std::string counted_as(std::string_view address) {
    std::string text{address};
    in_addr v4{};
    if (inet_pton(AF_INET, text.c_str(), &v4) == 1)
        return {reinterpret_cast<const char*>(&v4), sizeof v4};
    in6_addr v6{};
    if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
    const char* bytes = reinterpret_cast<const char*>(v6.s6_addr);
    return IN6_IS_ADDR_V4MAPPED(&v6) ? std::string{bytes + 12, 4} : std::string{bytes, 8};
}

}  // namespace

bool UnknownLimit::count(std::string_view address, std::size_t max, std::int64_t now_ms) {
    if (max == 0) return true;
    std::string key = counted_as(address);
    const std::int64_t minute = now_ms / 60'000;
    const std::lock_guard lock{mutex_};
    // Threads that look at their clocks at different times may be a moment apart.
    if (minute > minute_) {
        minute_ = minute;
        counts_.clear();
    }
    const auto found = counts_.find(key);
    if (found != counts_.end()) return ++found->second <= max;
    if (counts_.size() < addresses_max) counts_.emplace(std::move(key), 1);
    return true;
}

}  // namespace baton
