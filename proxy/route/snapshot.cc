#include "proxy/route/snapshot.h"

#include <algorithm>
#include <string>
#include <utility>

namespace baton {

Snapshot::Snapshot(Config config, Registry& registry)
    : config_(std::move(config)),
      upstreams_(make_upstreams(registry)),
      routes_(make_routes(registry)),
      router_(routes_) {}

Upstreams Snapshot::make_upstreams(Registry& registry) const {
    Upstreams upstreams;
    for (const UpstreamConfig& config : config_.upstreams) {
        std::vector<Server> servers;
        for (const ServerConfig& server : config.servers) {
            auto state = registry.server(config.name, server.text);
            const std::size_t slot = state->slot();
            servers.push_back({server.address, server.text, server.weight, servers.size(),
                               std::move(state), slot, server.other});
        }
        const auto& keep = config.keepalive;
        upstreams.push_back(std::make_unique<Upstream>(
            config.name, config.scope.empty() ? config.name : config.scope, std::move(servers),
            PoolOptions{keep.idle_max, keep.idle_timeout, keep.age_max, keep.requests_max},
            registry.upstream(config.name)));
    }
    return upstreams;
}

std::vector<Route> Snapshot::make_routes(Registry& registry) const {
    std::vector<Route> routes;
    for (const RouteConfig& config : config_.routes) {
        Route route;
        route.config = &config;
        route.state = registry.route(config.name);
        for (std::size_t i = 0; i < upstreams_.size(); ++i) {
            if (upstreams_[i]->name() != config.upstream) continue;
            route.upstream = upstreams_[i].get();
            route.upstream_config = &config_.upstreams[i];
            route.scope = route.upstream->scope();
            route.cookie = config_.cookie_of(route.scope);
        }
        routes.push_back(route);
    }
    for (Route& route : routes) {
        for (const Route& other : routes) {
            auto& names = route.other_cookies;
            if (other.config->session == SessionMode::off || other.cookie == route.cookie) continue;
            if (std::find(names.begin(), names.end(), other.cookie) == names.end())
                names.push_back(other.cookie);
        }
    }
    return routes;
}

}  // namespace baton
