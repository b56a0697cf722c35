#pragma once

// What a Redis tells of itself with INFO (https://redis.io/commands/info/) and CONFIG GET, read once for
// all who ask. Pure functions of values; views are as long as the text they are of.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

// The value of a line "name:value"; empty if there is none.
std::string_view info_value(std::string_view info, std::string_view name) noexcept;
// The same as a number; `otherwise` if it is none.
std::int64_t info_number(std::string_view info, std::string_view name,
                         std::int64_t otherwise) noexcept;

// A replica as its master knows it: "slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=0".
struct ReplicaLine {
    std::string_view host;  // an IPv6 address without brackets
    std::string_view port;
    std::string_view state;  // "online", …
    std::int64_t lag = -1;   // s, since it was last heard of; -1: not told
};
std::vector<ReplicaLine> replica_lines(std::string_view info);

// How many keys the server has dropped by itself, as they had expired or as it was full, by INFO stats;
// 0 if it does not tell.
std::int64_t read_dropped_keys(std::string_view info) noexcept;

// The settings that `setting_warnings` looks at, for CONFIG GET.
inline constexpr std::string_view risky_settings[] = {"maxmemory-policy", "min-replicas-to-write",
                                                      "appendonly", "save"};
// What is unwise about a server's settings, in words; empty if nothing is. `value` gives that of a
// setting, nothing where it may not be asked.
std::vector<std::string> setting_warnings(
    const std::function<std::optional<std::string>(std::string_view)>& value, bool with_sentinel);

}  // namespace baton
