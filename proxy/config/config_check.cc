#include "proxy/config/config_check.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string_view>
#include <utility>

#include "proxy/config/complaints.h"
#include "proxy/config/config_check_session.h"
#include "proxy/config/toml_table.h"
#include "proxy/config/units.h"
#include "upstream/server.h"

namespace baton {

namespace {

using Findings = std::vector<Finding>;

bool is_known(const Address& address) noexcept { return address.raw()->sa_family != AF_UNSPEC; }

// Says of the second and of each further one that it repeats the first.
class Uniques {
public:
    Uniques(std::string_view expected, Findings& out) : expected_(expected), out_(out) {}

    // `shown` is how the complaint names `value`. Returns whether it is the first.
    bool add(const std::string& value, const std::string& shown, const std::string& path) {
        const auto [first, is_new] = first_.emplace(value, path);
        if (is_new) return true;
        out_.push_back(Finding{
            path, "expected " + expected_ + ", found " + shown + " again", first->second, {}});
        return false;
    }

private:
    std::string expected_;
    Findings& out_;
    std::map<std::string, std::string> first_;
};

struct Listening {
    std::string path;
    Address address;
};

// All addresses to be listened on that are known by now: port 0 gets its port from the kernel.
std::vector<Listening> listening(const Config& config) {
    std::vector<Listening> all;
    for (std::size_t i = 0; i < config.listeners.size(); ++i)
        all.push_back(Listening{element("listener", i) + ".address", config.listeners[i].address});
    all.push_back(Listening{"session.api.address", config.session_api.listener.address});
    all.push_back(Listening{"admin.address", config.admin.address});
    all.erase(std::remove_if(all.begin(), all.end(),
                             [](const Listening& one) {
                                 return !is_known(one.address) || one.address.port() == 0;
                             }),
              all.end());
    return all;
}

void check_listeners(const Config& config, Findings& out) {
    Uniques addresses{"an address that no other listener has", out};
    for (const Listening& one : listening(config))
        addresses.add(one.address.text(), quoted(one.address.text()), one.path);
}

// Whether a connection to `server` arrives at `listener`. Connecting to a wildcard address means
// loopback.
bool arrives_at(const Address& server, const Address& listener, const std::vector<Address>& own) {
    if (listener.port() != server.port()) return false;
    if (server.text() == listener.text()) return true;
    if (!listener.is_wildcard()) {
        return server.is_wildcard() && listener.is_loopback() &&
               server.raw()->sa_family == listener.raw()->sa_family;
    }
    // Each of 0.0.0.0 and [::] takes its own family only.
    if (server.raw()->sa_family != listener.raw()->sa_family) return false;
    if (server.is_loopback() || server.is_wildcard()) return true;
    return std::any_of(own.begin(), own.end(),
                       [&](const Address& mine) { return mine.host() == server.host(); });
}

void check_server(const Config& config, const ServerConfig& server, const std::string& path,
                  const std::vector<Address>& own, Findings& out) {
    for (const Listening& one : listening(config)) {
        if (!arrives_at(server.address, one.address, own) &&
            !(is_known(server.other) && arrives_at(server.other, one.address, own)))
            continue;
        out.push_back(
            Finding{path,
                    "expected a server, found " + quoted(server.text) + ", the proxy itself",
                    one.path,
                    {}});
        return;
    }
}

void check_upstreams(const Config& config, const std::vector<Address>& own, Findings& out) {
    Uniques names{"a unique name", out};
    for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
        const UpstreamConfig& upstream = config.upstreams[i];
        const std::string path = element("upstream", i);
        if (!upstream.name.empty()) names.add(upstream.name, quoted(upstream.name), path + ".name");
        if (upstream.servers.empty()) {
            out.push_back(
                Finding{path + ".servers", "expected at least one server, found none", {}, {}});
        }
        if (upstream.servers.size() > servers_max) {
            out.push_back(Finding{path + ".servers",
                                  "expected at most " + std::to_string(servers_max) +
                                      " servers, found " + std::to_string(upstream.servers.size()),
                                  {},
                                  {}});
        }
        Uniques addresses{"each server only once", out};
        for (std::size_t j = 0; j < upstream.servers.size(); ++j) {
            const ServerConfig& server = upstream.servers[j];
            if (!is_known(server.address)) continue;
            const std::string at = element(path + ".servers", j) + ".address";
            const bool is_first = addresses.add(server.address.text(), quoted(server.text), at);
            if (is_first && is_known(server.other))
                addresses.add(server.other.text(), quoted(server.text), at);
            check_server(config, server, at, own, out);
        }
    }
}

void check_route_upstreams(const Config& config, Findings& out) {
    std::vector<std::string_view> names;
    for (const UpstreamConfig& upstream : config.upstreams) {
        // One whose name was refused may be the one that is meant.
        if (upstream.name.empty()) return;
        names.push_back(upstream.name);
    }
    if (names.empty()) return;
    for (std::size_t i = 0; i < config.routes.size(); ++i) {
        const std::string& name = config.routes[i].upstream;
        if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) continue;
        const std::string_view near = nearest(name, names);
        const std::string hint = near.empty() ? std::string{} : ", did you mean " + quoted(near);
        out.push_back(Finding{element("route", i) + ".upstream",
                              "expected the name of an upstream, found " + quoted(name) + hint,
                              {},
                              {}});
    }
}

void check_routes(const Config& config, Findings& out) {
    Uniques names{"a unique name", out};
    Uniques places{"a host and path that no other route has", out};
    for (std::size_t i = 0; i < config.routes.size(); ++i) {
        const RouteConfig& route = config.routes[i];
        const std::string path = element("route", i);
        bool is_new = true;
        for (std::size_t j = 0; j < route.hosts.size(); ++j) {
            const std::string& host = route.hosts[j];
            if (host.empty()) continue;
            is_new &= places.add(host + route.path, quoted(host) + " with " + quoted(route.path),
                                 element(path + ".hosts", j));
        }
        // The second route of a host and path has the first one's default name, of course.
        if (is_new) names.add(route.name, quoted(route.name), path + ".name");
    }
}

struct Bound {
    std::string_view table;
    std::string_view key;
    std::size_t value;
    std::string_view bound_key;
    std::size_t bound;
};

void check_sizes(const Config& config, Findings& out) {
    const SessionConfig& session = config.session;
    const HeadLimits& head = config.limits.head;
    const Bound bounds[] = {
        {"session", "attribute_max", session.attribute_max, "data_max", session.data_max},
        {"session", "data_max", session.data_max, "memory_max", session.memory_max},
        {"limits", "request_line", head.request_line, "head", head.head},
    };
    for (const Bound& bound : bounds) {
        if (bound.value <= bound.bound) continue;
        const std::string table = std::string{bound.table} + ".";
        out.push_back(Finding{table + std::string{bound.key},
                              "expected at most " + std::string{bound.bound_key} + ", " +
                                  quoted(size_text(bound.bound)) + ", found " +
                                  quoted(size_text(bound.value)),
                              {},
                              table + std::string{bound.bound_key}});
    }
}

}  // namespace

std::vector<Finding> check(const Config& config, const std::vector<Address>& own) {
    Findings out;
    check_listeners(config, out);
    check_upstreams(config, own, out);
    check_route_upstreams(config, out);
    check_routes(config, out);
    check_session(config, out);
    check_sizes(config, out);
    return out;
}

}  // namespace baton
