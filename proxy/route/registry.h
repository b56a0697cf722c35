#pragma once

// The identities: what outlives the snapshots, found by name. Whoever asks for one that is in use, by a
// snapshot, a request or a tunnel, gets that one.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/route/route_state.h"
#include "upstream/server_state.h"

namespace baton {

// The control thread.
class Registry {
public:
    // Loops that serve clients: each has its own cell in every identity.
    explicit Registry(std::size_t loops) noexcept : loops_(loops) {}
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    std::shared_ptr<RouteState> route(const std::string& name);
    std::shared_ptr<UpstreamState> upstream(const std::string& name);
    std::shared_ptr<ServerState> server(const std::string& upstream, const std::string& address);

    // Those that nobody has any more: their slots are given to others.
    void forget_unused();
    // Open connections to servers, also to those that are in no snapshot any more.
    std::uint64_t server_connections() const;

private:
    struct Known {
        std::weak_ptr<ServerState> state;
        std::size_t slot = 0;
    };

    std::size_t loops_;
    std::map<std::string, std::weak_ptr<RouteState>> routes_;
    std::map<std::string, std::weak_ptr<UpstreamState>> upstreams_;
    std::map<std::pair<std::string, std::string>, Known> servers_;
    std::vector<std::size_t> free_slots_;  // below the number of those in use
};

}  // namespace baton
