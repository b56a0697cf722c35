#include "proxy/config/config_keys.h"

namespace baton {

namespace {

struct Home {
    std::string_view where;
    std::string_view keys;  // one blank between two
};

constexpr Home homes[] = {
    {"at the top, before the first [table]", "workers grace drain_delay"},
    {"in [[listener]]", "trusted_proxies defer_accept connections_per_client_max"},
    {"in [[upstream]]", "scope balance servers via request_buffer"},
    {"in [upstream.keepalive]", "idle_timeout age_max requests_max"},
    {"in [upstream.timeouts]", "connect response total"},
    {"in [upstream.retry]", "tries"},
    {"in the table of a server", "weight"},
    {"in [[route]]", "hosts path websocket"},
    {"in [session]",
     "store unconfirmed_idle idle_min absolute renew_after replay_safe "
     "close_tunnels unknown_max close_tunnels_check failover_wait "
     "wait_queue_max strict_writes sessions_max memory_max attributes_max "
     "attribute_max data_max same_site secure"},
    {"in [session.headers]", "limit"},
    {"in [session.api]", "token_file"},
    {"in [redis]",
     "sentinels master username password_file password_env "
     "password_credential sentinel_username sentinel_password_file "
     "sentinel_password_env sentinel_password_credential database "
     "connect_timeout command_timeout discover last_known"},
    {"in [timeouts]", "header body_idle send tunnel_idle client_gone"},
    {"in [limits]",
     "request_line head fields underscores body connections upload_rate_min "
     "rate_grace"},
    {"in [log]", "level access format query"},
    {"outside of this table, as [redis]", "redis"},
    {"outside of this table, as [limits]", "limits"},
    {"outside of this table, as [log]", "log"},
    {"outside of this table, as [admin]", "admin"},
    {"in [session], as [session.api]", "api"},
};

bool contains(std::string_view words, std::string_view word) noexcept {
    while (!words.empty()) {
        const std::string_view first = words.substr(0, words.find(' '));
        if (first == word) return true;
        words.remove_prefix(first.size() < words.size() ? first.size() + 1 : first.size());
    }
    return false;
}

}  // namespace

std::string_view home_of(std::string_view key) noexcept {
    for (const Home& home : homes) {
        if (contains(home.keys, key)) return home.where;
    }
    return {};
}

}  // namespace baton
