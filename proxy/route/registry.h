#pragma once

// The identities: what outlives the snapshots, found by name. Whoever asks for one that is in use, by a
// snapshot, a request or a tunnel, gets that one.

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "proxy/route/route_state.h"

namespace baton {

// The control thread.
class Registry {
public:
    // Loops that serve clients: each has its own cell in every identity.
    explicit Registry(std::size_t loops) noexcept : loops_(loops) {}
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    std::shared_ptr<RouteState> route(const std::string& name);

private:
    std::size_t loops_;
    std::map<std::string, std::weak_ptr<RouteState>> routes_;
};

}  // namespace baton
