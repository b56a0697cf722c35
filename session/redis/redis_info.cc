#include "session/redis/redis_info.h"

#include <algorithm>

#include "net/text.h"

namespace baton {
namespace {

// Up to the first `end`, which goes with it.
std::string_view take_until(std::string_view& text, char end) noexcept {
    const std::string_view taken = text.substr(0, text.find(end));
    text.remove_prefix(std::min(taken.size() + 1, text.size()));
    return taken;
}

// The next line, taken off the front; CR LF ends it.
std::string_view take_line(std::string_view& text) noexcept {
    std::string_view line = take_until(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

// The value of "name=value" in a line of values separated by commas.
std::string_view item(std::string_view line, std::string_view name) noexcept {
    while (!line.empty()) {
        const std::string_view one = take_until(line, ',');
        if (one.starts_with(name) && one.substr(name.size()).starts_with('='))
            return one.substr(name.size() + 1);
    }
    return {};
}

}  // namespace

std::string_view info_value(std::string_view info, std::string_view name) noexcept {
    while (!info.empty()) {
        const std::string_view line = take_line(info);
        if (line.starts_with(name) && line.substr(name.size()).starts_with(':'))
            return line.substr(name.size() + 1);
    }
    return {};
}

std::int64_t info_number(std::string_view info, std::string_view name,
                         std::int64_t otherwise) noexcept {
    return parse_decimal(info_value(info, name)).value_or(otherwise);
}

std::vector<ReplicaLine> replica_lines(std::string_view info) {
    std::vector<ReplicaLine> replicas;
    while (!info.empty()) {
        std::string_view line = take_line(info);
        const std::string_view name = take_until(line, ':');
        if (!name.starts_with("slave") || name.size() < 6 || !is_digit(name[5])) continue;
        replicas.push_back({item(line, "ip"), item(line, "port"), item(line, "state"),
                            parse_decimal(item(line, "lag")).value_or(-1)});
    }
    return replicas;
}

std::int64_t read_dropped_keys(std::string_view info) noexcept {
    std::int64_t dropped = 0;
    for (const std::string_view name : {"expired_keys", "evicted_keys"})
        dropped += std::max<std::int64_t>(info_number(info, name, 0), 0);
    return dropped;
}

std::vector<std::string> setting_warnings(
    const std::function<std::optional<std::string>(std::string_view)>& value, bool with_sentinel) {
    std::vector<std::string> warnings;
    const auto policy = value("maxmemory-policy");
    if (policy && policy->starts_with("allkeys-"))
        warnings.push_back("maxmemory-policy " + *policy +
                           " lets Redis drop live sessions: set it to noeviction");
    const auto replicas = value("min-replicas-to-write");
    if (with_sentinel && replicas && *replicas == "0")
        warnings.emplace_back(
            "min-replicas-to-write 0: a master that is cut off keeps accepting writes that are "
            "lost "
            "later, set it to 1");
    const auto append_only = value("appendonly");
    const auto save = value("save");
    if (append_only && save && *append_only == "no" && save->empty())
        warnings.emplace_back(
            "no persistence: a master that restarts before Sentinel notices comes back empty, and "
            "its replicas with it");
    return warnings;
}

}  // namespace baton
