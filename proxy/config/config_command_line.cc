#include <utility>

#include "proxy/config/address_hint.h"
#include "proxy/config/config_check.h"
#include "proxy/config/config_load.h"

namespace baton {

namespace {

// What stands between commas; blanks around are no part of it.
std::vector<std::string_view> split(std::string_view list) {
    std::vector<std::string_view> parts;
    while (true) {
        const std::size_t comma = list.find(',');
        std::string_view part = list.substr(0, comma);
        while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
        while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
        parts.push_back(part);
        if (comma == std::string_view::npos) return parts;
        list.remove_prefix(comma + 1);
    }
}

Address address_of(std::string_view option, std::string_view text, const AddressForm& form,
                   std::vector<Complaint>& complaints) {
    if (const auto address = parse_address(text)) return *address;
    complaints.push_back(Complaint{0, 0,
                                   std::string{option} + ": expected " +
                                       std::string{address_expected} + ", found " + quoted(text) +
                                       address_hint(text, form)});
    return Address{};
}

}  // namespace

Config config_of_command_line(std::string_view listen, std::string_view to,
                              std::vector<Complaint>& complaints) {
    Config config;
    for (const std::string_view text : split(listen)) {
        config.listeners.push_back(
            ListenerConfig{address_of("--listen", text, anywhere, complaints), {}});
    }
    UpstreamConfig upstream;
    upstream.name = upstream.scope = "default";
    for (const std::string_view text : split(to)) {
        Address address = address_of("--to", text, here, complaints);
        if (address.raw()->sa_family != AF_UNSPEC && address.port() == 0) {
            complaints.push_back(Complaint{
                0, 0,
                "--to: expected " + std::string{server_port_expected} + ", found " + quoted(text)});
            address = Address{};
        }
        upstream.servers.push_back(
            ServerConfig{address, std::string{text}, 1, other_loopback(text)});
    }
    config.upstreams.push_back(std::move(upstream));
    RouteConfig route;
    route.name = "*/";
    route.hosts = {"*"};
    route.upstream = "default";
    config.routes.push_back(std::move(route));

    for (const Finding& finding : check(config, own_addresses())) {
        const bool about_listener = finding.path.compare(0, 8, "listener") == 0;
        complaints.push_back(
            Complaint{0, 0, (about_listener ? "--listen: " : "--to: ") + finding.text});
    }
    return config;
}

}  // namespace baton
