#include "session/unknown_limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace baton {

namespace {

// What is counted as one: an IPv4 address as it stands, the first half of an IPv6 one.
std::string counted_as(std::string_view address) {
    std::string text{address};
    in6_addr v6{};
    if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
    return {reinterpret_cast<const char*>(v6.s6_addr), 8};
}

}  // namespace

bool UnknownLimit::count(std::string_view address, std::int64_t now_ms) {
    if (!enabled()) return true;
    std::string key = counted_as(address);
    const std::int64_t minute = now_ms / 60'000;
    const std::lock_guard lock{mutex_};
    if (minute != minute_) {
        minute_ = minute;
        counts_.clear();
    }
    const auto found = counts_.find(key);
    if (found != counts_.end()) return ++found->second <= max_;
    if (counts_.size() < addresses_max) counts_.emplace(std::move(key), 1);
    return true;
}

}  // namespace baton
