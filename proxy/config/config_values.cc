#include "proxy/config/config_values.h"

#include <utility>

#include "proxy/config/address_hint.h"
#include "proxy/config/config_keys.h"
#include "proxy/config/config_syntax.h"

namespace baton {

namespace {

constexpr std::string_view network_expected = "an IP address or a network such as \"10.0.0.0/8\"";
constexpr std::string_view host_expected =
    "a host without a port such as \"example.com\", \"*.example.com\" or \"*\"";
constexpr std::string_view servers_expected =
    "an array of servers such as [{ address = \"10.0.0.1:8080\" }]";

// `true` and `nan` are words of TOML and no names.
std::string hint_of(const TomlValue& value, const AddressForm& form) {
    const bool is_written =
        value.kind == TomlValue::Kind::text || value.kind == TomlValue::Kind::integer;
    return is_written ? address_hint(text_of(value), form) : std::string{};
}

// For an address in the place of a server.
std::string server_hint(const TomlValue& value) {
    if (value.kind != TomlValue::Kind::text || !parse_address(value.text)) return {};
    return ", did you mean { address = " + quoted(value.text) + " }";
}

ServerConfig read_server(TomlTable table) {
    ServerConfig server;
    read_keys(table, keys::server, server);
    if (const TomlValue* value = table.find("address")) server.text = value->text;
    if (server.address.raw()->sa_family != AF_UNSPEC && server.address.port() == 0) {
        table.refuse("address", server_port_expected);
        server.address = Address{};
    }
    server.other = other_loopback(server.text);
    table.finish(keys::server.later);
    return server;
}

}  // namespace

void read_address(TomlTable& table, std::string_view key, const AddressForm& form, Address& out) {
    const TomlValue* value = table.find(key);
    if (value == nullptr) return;
    const auto address = parse_address(value->text);
    if (value->kind != TomlValue::Kind::text || !address)
        return table.refuse(key, address_expected, hint_of(*value, form));
    out = *address;
}

void read_workers(TomlTable& table, const Key<Config>& key, Config& out) {
    const TomlValue* value = table.find(key.name);
    if (value == nullptr || (value->kind == TomlValue::Kind::text && value->text == "auto")) return;
    if (value->kind != TomlValue::Kind::integer || value->integer < 1 || value->integer > 256)
        return table.refuse(key.name, workers_expected, quotes_hint(*value, {1, 256}));
    out.workers = static_cast<unsigned>(value->integer);
}

void read_trusted_proxies(TomlTable& table, const Key<ListenerConfig>& key, ListenerConfig& out) {
    for (const TomlTable::Item& item : table.items(key.name, "an array of networks")) {
        const auto network = parse_network(item.value->text);
        if (!network) table.refuse(item, network_expected, network_hint(item.value->text));
        if (network) out.trusted_proxies.push_back(*network);
    }
}

void read_servers(TomlTable& table, const Key<UpstreamConfig>& key, UpstreamConfig& out) {
    for (const TomlTable& server : table.tables(key.name, servers_expected, server_hint))
        out.servers.push_back(read_server(server));
}

void read_hosts(TomlTable& table, const Key<RouteConfig>& key, RouteConfig& out) {
    const auto items = table.items(key.name, "an array of hosts");
    for (const TomlTable::Item& item : items) {
        std::string host = tidy_host(item.value->text);
        if (is_host_pattern(host)) {
            out.hosts.push_back(std::move(host));
            continue;
        }
        table.refuse(item, host_expected, host_hint(item.value->text));
        out.hosts.emplace_back();
    }
    if (items.empty()) table.refuse(key.name, "at least one host, such as \"*\"");
    if (out.hosts.empty()) out.hosts.emplace_back("*");
}

}  // namespace baton
