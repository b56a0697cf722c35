#include "proxy/route/router.h"

#include <algorithm>

namespace baton {

Router::Router(const std::vector<Route>& routes) {
    for (const Route& route : routes) {
        for (const std::string& host : route.config->hosts) {
            Paths& paths = host == "*"              ? any_
                           : host.starts_with("*.") ? below_[host.substr(1)]
                                                    : exact_[host];
            paths.emplace_back(route.config->path, &route);
        }
    }
    const auto sort = [](Paths& paths) {
        std::stable_sort(paths.begin(), paths.end(), [](const auto& a, const auto& b) {
            return a.first.size() > b.first.size();
        });
    };
    sort(any_);
    for (auto& entry : exact_) sort(entry.second);
    for (auto& entry : below_) sort(entry.second);
}

const Route* Router::match(const Paths& paths, std::string_view target) noexcept {
    for (const auto& [prefix, route] : paths)
        if (target.starts_with(prefix)) return route;
    return nullptr;
}

const Route* Router::find(std::string_view host, std::string_view target) const noexcept {
    if (target == "*") target = "/";
    if (!host.empty() && !exact_.empty()) {
        if (const auto found = exact_.find(host); found != exact_.end())
            if (const Route* route = match(found->second, target)) return route;
    }
    if (!below_.empty()) {
        // The longest suffix is the most specific: of a.b.example.com first .b.example.com, then
        // .example.com, then .com.
        for (auto dot = host.find('.'); dot != std::string_view::npos;
             dot = host.find('.', dot + 1)) {
            const auto found = below_.find(host.substr(dot));
            if (found == below_.end()) continue;
            if (const Route* route = match(found->second, target)) return route;
        }
    }
    return match(any_, target);
}

std::string_view routing_host(std::string_view host_field, std::span<char, 256> room) noexcept {
    const auto colon = host_field.starts_with('[') ? host_field.find("]:") : host_field.find(':');
    if (colon != std::string_view::npos)
        host_field = host_field.substr(0, host_field.starts_with('[') ? colon + 1 : colon);
    if (host_field.ends_with('.')) host_field.remove_suffix(1);
    if (host_field.size() > room.size()) return {};
    std::transform(host_field.begin(), host_field.end(), room.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    return {room.data(), host_field.size()};
}

}  // namespace baton
