#include "proxy/service/admin.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "net/text.h"
#include "proxy/service/json_reply.h"
#include "proxy/service/metrics.h"
#include "proxy/service/store_report.h"

namespace baton {

namespace {

// A 503 on every baton at once would leave the balancer before them with none: only if requests
// would be refused, or nothing is known yet.
Reply store_readiness(const ProcessView& view) {
    const StoreView store = view.stores->guide()->view();
    if (store.state == StoreState::ready || store.state == StoreState::read_only)
        return json_reply(200, {{"ready", true}});
    const auto& routes = view.snapshot->config().routes;
    const bool refuses = std::any_of(routes.begin(), routes.end(), [](const RouteConfig& route) {
        return route.session != SessionMode::off && rejects(route.on_unavailable);
    });
    const bool ready = store.ever_ready && !refuses;
    return json_reply(ready ? 200 : 503, {{"ready", ready}, {"reasons", {"store down"}}});
}

Reply health(const ProcessView&) {
    Reply reply;
    reply.body = "ok\n";
    return reply;
}

Reply readiness(const ProcessView& view) {
    if (view.draining) return json_reply(503, {{"ready", false}, {"reasons", {"draining"}}});
    if (view.stores == nullptr) return json_reply(200, {{"ready", true}});
    return store_readiness(view);
}

std::string time_text(std::int64_t epoch_ms) {
    std::array<char, 24> text;
    log::format_time(epoch_ms, text.data());
    return {text.data(), text.size()};
}

// A server as all workers together know it.
Json describe(const Server& server) {
    std::uint64_t in_flight = 0;
    std::uint64_t requests = 0;
    ServerCounters::LastFault last;
    for (const ServerCounters& counters : server.state->counters()) {
        in_flight += counters.in_flight.read();
        requests += counters.requests.read();
        if (const auto fault = counters.last_fault(); fault.time_ms > last.time_ms) last = fault;
    }
    Json fault;  // null
    if (last.time_ms != 0) fault = {{"fault", name(last.fault)}, {"time", time_text(last.time_ms)}};
    return {{"address", server.text}, {"weight", server.weight}, {"state", "unchecked"},
            {"in_flight", in_flight}, {"requests", requests},    {"last_fault", fault}};
}

Reply upstreams(const ProcessView& view) {
    Json all = Json::array();
    for (const auto& upstream : view.snapshot->upstreams()) {
        Json servers = Json::array();
        for (const Server& server : upstream->servers()) servers.push_back(describe(server));
        all.push_back({{"name", upstream->name()},
                       {"balance", "round-robin"},
                       {"servers", std::move(servers)}});
    }
    return json_reply(200, {{"upstreams", std::move(all)}});
}

Reply metrics(const ProcessView& view) {
    Reply reply;
    reply.content_type = metrics_content_type;
    reply.body = metrics_text(view);
    return reply;
}

struct Page {
    std::string_view path;
    Reply (*answer)(const ProcessView& view);
};
constexpr Page pages[] = {
    {"/healthz", health},      {"/readyz", readiness}, {"/v1/upstreams", upstreams},
    {"/v1/store", store_page}, {"/metrics", metrics},
};

Reply method_refused() {
    Reply reply = plain_reply(405);
    reply.add("Allow", "GET, HEAD");
    return reply;
}

bool from_browser_elsewhere(const LocalRequest& request) {
    for (const Field& field : request.head.fields)
        if (equal_fold(request.head.text(field.name), "origin")) return true;
    // A probe in HTTP/1.0 names no host; a browser always does.
    if (request.host.empty() || equal_fold(request.host, "localhost")) return false;
    return !parse_address(std::string{request.host} + ":0");
}

}  // namespace

Reply AdminService::answer(const LocalRequest& request) {
    if (from_browser_elsewhere(request)) return plain_reply(403);
    for (const Page& page : pages) {
        if (page.path != request.path) continue;
        const Method method = request.head.method;
        if (method != Method::get && method != Method::head) return method_refused();
        return page.answer(view_);
    }
    return plain_reply(404);
}

}  // namespace baton
