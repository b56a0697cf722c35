#pragma once

// Which route a request takes: the most specific host first, then the longest path prefix.

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/route/route_state.h"
#include "upstream/server.h"

namespace baton {

// Owned by its snapshot, as is all that it points to. No pointer is null.
struct Route {
    const RouteConfig* config = nullptr;
    const UpstreamConfig* upstream_config = nullptr;
    const Upstream* upstream = nullptr;
    std::shared_ptr<RouteState> state;
    // The scope of its sessions: their keys are made from it, the cookie's name and the id.
    std::string_view scope;
    std::string_view cookie;  // of its sessions
    // Those of the other scopes, which its servers are not shown.
    std::vector<std::string_view> other_cookies;
};

class Router {
public:
    // `routes` must outlive the router.
    explicit Router(const std::vector<Route>& routes);

    // `host`: lower case, without port and last dot; empty for a request without one, which takes the routes
    // of "*". `path`: in origin form, or `*`, which counts as "/"; never empty; a prefix of it is compared
    // byte by byte. Null: no route.
    // Without `asks_host` the host is no matter.
    bool asks_host() const noexcept { return !exact_.empty() || !below_.empty(); }
    const Route* find(std::string_view host, std::string_view path) const noexcept;

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };
    using Paths = std::vector<std::pair<std::string_view, const Route*>>;  // longest prefix first
    using Hosts = std::unordered_map<std::string, Paths, Hash, std::equal_to<>>;

    static const Route* match(const Paths& paths, std::string_view target) noexcept;

    Hosts exact_;
    Hosts below_;  // "*.example.com" under ".example.com"
    Paths any_;
};

// The host of a Host field as the router knows it: lower case, no port, no last dot. Writes into
// `room` and returns a view of it; a host longer than the room (253 bytes is the longest name) is
// no configured one and comes out empty.
std::string_view routing_host(std::string_view host_field, std::span<char, 256> room) noexcept;

}  // namespace baton
