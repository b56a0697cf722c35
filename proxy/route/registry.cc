#include "proxy/route/registry.h"

namespace baton {
namespace {

template <class Key, class State>
void erase_unused(std::map<Key, std::weak_ptr<State>>& all) {
    std::erase_if(all, [](const auto& entry) { return entry.second.expired(); });
}

}  // namespace

std::shared_ptr<RouteState> Registry::route(const std::string& name) {
    std::weak_ptr<RouteState>& known = routes_[name];
    std::shared_ptr<RouteState> state = known.lock();
    if (!state) known = state = std::make_shared<RouteState>(name, loops_);
    return state;
}

std::shared_ptr<UpstreamState> Registry::upstream(const std::string& name) {
    std::weak_ptr<UpstreamState>& known = upstreams_[name];
    std::shared_ptr<UpstreamState> state = known.lock();
    if (!state) known = state = std::make_shared<UpstreamState>();
    return state;
}

std::shared_ptr<ServerState> Registry::server(const std::string& upstream,
                                              const std::string& address) {
    const auto [entry, is_new] = servers_.try_emplace({upstream, address});
    Known& known = entry->second;
    if (is_new && free_slots_.empty()) {
        known.slot = servers_.size() - 1;
    } else if (is_new) {
        known.slot = free_slots_.back();
        free_slots_.pop_back();
    }
    std::shared_ptr<ServerState> state = known.state.lock();
    if (!state)
        known.state = state = std::make_shared<ServerState>(upstream, address, known.slot, loops_);
    return state;
}

void Registry::forget_unused() {
    erase_unused(routes_);
    erase_unused(upstreams_);
    std::erase_if(servers_, [this](const auto& entry) {
        if (!entry.second.state.expired()) return false;
        free_slots_.push_back(entry.second.slot);
        return true;
    });
}

std::uint64_t Registry::server_connections() const {
    std::uint64_t open = 0;
    for (const auto& entry : servers_)
        if (const auto state = entry.second.state.lock())
            open += state->sum([](const ServerCounters& counters) {
                return counters.in_flight.read() + counters.idle.read();
            });
    return open;
}

}  // namespace baton
