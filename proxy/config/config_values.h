#pragma once

// Values that are read in a way of their own, and what several tables say of their values.

#include <string_view>

#include "proxy/config/config.h"
#include "proxy/config/config_key.h"

namespace baton {

constexpr std::string_view cookie_name_expected = "a cookie name, a token of 1 to 128 characters";
constexpr std::string_view workers_expected = "\"auto\" or a whole number from 1 to 256";
constexpr std::string_view admin_address_expected = "a loopback address with a port";
constexpr std::string_view token_file_expected =
    "the path of a file with a scope and a token in each line";

inline constexpr Choice<SessionCreate> create_choices[] = {{"on-demand", SessionCreate::on_demand},
                                                           {"always", SessionCreate::always}};
inline constexpr Choice<OnUnavailable> on_unavailable_choices[] = {
    {"wait-serve", OnUnavailable::wait_serve},
    {"wait-reject", OnUnavailable::wait_reject},
    {"serve", OnUnavailable::serve},
    {"reject", OnUnavailable::reject}};

void read_workers(TomlTable& table, const Key<Config>& key, Config& out);
void read_trusted_proxies(TomlTable& table, const Key<ListenerConfig>& key, ListenerConfig& out);
void read_servers(TomlTable& table, const Key<UpstreamConfig>& key, UpstreamConfig& out);
// A host that is refused stays as an empty one, so that the others keep their index.
void read_hosts(TomlTable& table, const Key<RouteConfig>& key, RouteConfig& out);

}  // namespace baton
