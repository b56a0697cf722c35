#pragma once

// The configuration, its upstreams and its routes, consistent with each other. Made once, then shared and
// const.

#include <memory>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/route/registry.h"
#include "proxy/route/router.h"
#include "upstream/server.h"

namespace baton {

class Snapshot {
public:
    // The registry is asked for its identities now, and not referred to later.
    Snapshot(Config config, Registry& registry);
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

    const Config& config() const noexcept { return config_; }
    const Router& router() const noexcept { return router_; }
    const Upstreams& upstreams() const noexcept { return upstreams_; }
    const std::vector<Route>& routes() const noexcept { return routes_; }

private:
    Upstreams make_upstreams(Registry& registry) const;
    std::vector<Route> make_routes(Registry& registry) const;

    Config config_;
    Upstreams upstreams_;
    std::vector<Route> routes_;
    Router router_;
};

}  // namespace baton
