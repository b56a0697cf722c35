#include "proxy/route/registry.h"

namespace baton {

std::shared_ptr<RouteState> Registry::route(const std::string& name) {
    std::weak_ptr<RouteState>& known = routes_[name];
    std::shared_ptr<RouteState> state = known.lock();
    if (!state) known = state = std::make_shared<RouteState>(name, loops_);
    return state;
}

}  // namespace baton
