#include "proxy/config/config_check_session.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "net/text.h"
#include "proxy/config/complaints.h"
#include "proxy/config/toml_value.h"
#include "proxy/config/units.h"

namespace baton {

namespace {

using Findings = std::vector<Finding>;

// What browsers demand of a cookie (RFC 6265bis, 4.1.2.7 and 4.1.3): one that they would drop is no
// session.
void check_cookie_name(const std::string& name, const std::string& path,
                       const SessionConfig& session, Findings& out) {
    for (const std::string_view prefix : {"__Host-", "__Secure-"}) {
        if (!starts_with_fold(name, prefix) || session.secure == SecureCookie::always) continue;
        out.push_back(Finding{path,
                              "expected a name without " + quoted(prefix) +
                                  ", or secure = \"always\", found " + quoted(name),
                              {},
                              "session.secure"});
    }
}

void check_cookies(const Config& config, Findings& out) {
    const SessionConfig& session = config.session;
    check_cookie_name(session.cookie, "session.cookie", session, out);
    for (std::size_t i = 0; i < config.upstreams.size(); ++i)
        check_cookie_name(config.upstreams[i].cookie, element("upstream", i) + ".cookie", session,
                          out);
    if (session.same_site == SameSite::none && session.secure == SecureCookie::never) {
        out.push_back(
            Finding{"session.same_site",
                    "expected \"Lax\" or \"Strict\" with secure = \"never\", found \"None\"",
                    {},
                    "session.secure"});
    }
}

std::string cookie_of(const Config& config, const UpstreamConfig& upstream) {
    return upstream.cookie.empty() ? config.session.cookie : upstream.cookie;
}

// The key of a session is made of both: with two names its scope would be two.
void check_scope_cookies(const Config& config, Findings& out) {
    std::map<std::string, std::size_t> first_of;
    for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
        const UpstreamConfig& upstream = config.upstreams[i];
        const auto [first, is_new] = first_of.emplace(upstream.scope, i);
        const std::string cookie = cookie_of(config, config.upstreams[first->second]);
        if (is_new || upstream.scope.empty() || cookie == cookie_of(config, upstream)) continue;
        out.push_back(Finding{element("upstream", i) + ".cookie",
                              "expected " + quoted(cookie) + ", the cookie of scope " +
                                  quoted(upstream.scope) + ", found " +
                                  quoted(cookie_of(config, upstream)),
                              element("upstream", first->second) + ".cookie",
                              {}});
    }
}

using RoutesOfHost = std::map<std::string, std::vector<std::size_t>>;

// The patterns that are tried for a host whose own, or most specific, one is `pattern`, in their order.
std::vector<std::string> patterns_tried(const std::string& pattern) {
    if (pattern == "*") return {"*"};
    std::vector<std::string> tried{pattern};
    for (auto dot = pattern.find('.', pattern.starts_with("*.") ? 2 : 0); dot != std::string::npos;
         dot = pattern.find('.', dot + 1))
        tried.push_back("*" + pattern.substr(dot));
    tried.emplace_back("*");
    return tried;
}

// The routes that requests for such a host come to. A path hides those that begin with it where the
// pattern is less specific.
std::vector<std::size_t> routes_reached(const std::string& pattern, const RoutesOfHost& routes_of,
                                        const std::vector<RouteConfig>& routes) {
    std::vector<std::size_t> reached;
    for (const std::string& one : patterns_tried(pattern)) {
        const auto found = routes_of.find(one);
        if (found == routes_of.end()) continue;
        const auto more_specific = static_cast<std::ptrdiff_t>(reached.size());
        for (const std::size_t i : found->second) {
            const bool hidden = std::any_of(
                reached.begin(), reached.begin() + more_specific,
                [&](std::size_t other) { return routes[i].path.starts_with(routes[other].path); });
            if (!hidden) reached.push_back(i);
        }
    }
    return reached;
}

// What a route with sessions shares with others that a client reaches on the same host.
struct Scoped {
    std::string_view scope;
    std::string_view cookie;
};

// Of each route; nothing of one without sessions.
std::vector<std::optional<Scoped>> scopes_of_routes(const Config& config) {
    std::map<std::string_view, const UpstreamConfig*> called;
    for (const UpstreamConfig& upstream : config.upstreams)
        called.emplace(upstream.name, &upstream);
    std::vector<std::optional<Scoped>> out;
    for (const RouteConfig& route : config.routes) {
        const auto found = called.find(route.upstream);
        const bool known = !route.upstream.empty() && found != called.end();
        out.emplace_back();
        if (!known || route.session == SessionMode::off) continue;
        const UpstreamConfig& upstream = *found->second;
        out.back() = Scoped{upstream.scope,
                            upstream.cookie.empty() ? config.session.cookie : upstream.cookie};
    }
    return out;
}

// Two applications on one host whose cookies have one name would log each other's users out.
void check_scopes(const Config& config, Findings& out) {
    check_scope_cookies(config, out);
    const auto scopes = scopes_of_routes(config);
    RoutesOfHost routes_of;
    for (std::size_t i = 0; i < config.routes.size(); ++i)
        for (const std::string& host : config.routes[i].hosts)
            if (!host.empty()) routes_of[host].push_back(i);
    std::map<std::size_t, Finding> found;  // by the later of two routes, one each
    for (const auto& entry : routes_of) {
        std::map<std::string_view, std::size_t> first_of;  // by cookie
        std::vector<std::size_t> reached = routes_reached(entry.first, routes_of, config.routes);
        std::sort(reached.begin(), reached.end());
        for (const std::size_t i : reached) {
            if (!scopes[i] || found.contains(i)) continue;
            const std::size_t first = first_of.emplace(scopes[i]->cookie, i).first->second;
            if (scopes[first]->scope == scopes[i]->scope) continue;
            found.emplace(
                i, Finding{element("route", i) + ".upstream",
                           "expected one scope or two cookies for host " + quoted(entry.first) +
                               ", found scopes " + quoted(scopes[first]->scope) + " and " +
                               quoted(scopes[i]->scope) + " with cookie " +
                               quoted(scopes[i]->cookie) + "; give one [[upstream]] another cookie",
                           element("route", first) + ".upstream",
                           {}});
        }
    }
    for (auto& entry : found) out.push_back(std::move(entry.second));
}

// Fields with the prefix are taken out of every request and response, so no field that somebody
// needs may have it.
void check_header_prefix(const SessionConfig& session, Findings& out) {
    constexpr std::string_view needed[] = {
        "Accept-Encoding",
        "Access-Control-Allow-Origin",
        "Cache-Control",
        "Content-Length",
        "If-None-Match",
        "Keep-Alive",
        "Last-Modified",
        "Proxy-Status",
        "Retry-After",
        "Sec-WebSocket-Key",
        "Set-Cookie",
        "Transfer-Encoding",
        "User-Agent",
        "WWW-Authenticate",
        "X-Forwarded-For",
        "X-Real-IP",
        "X-Request-Id",
        "Max-Forwards",
        "Strict-Transport-Security",
    };
    for (const std::string_view field : needed) {
        if (!starts_with_fold(field, session.header_prefix)) continue;
        out.push_back(Finding{"session.headers.prefix",
                              "expected a prefix that no well-known field begins with, found " +
                                  quoted(session.header_prefix) + ", as in " + std::string{field},
                              {},
                              {}});
        return;
    }
}

void check_api_scopes(const Config& config, Findings& out) {
    for (const ApiToken& token : config.session_api.tokens) {
        const bool known = std::any_of(
            config.upstreams.begin(), config.upstreams.end(),
            [&](const UpstreamConfig& upstream) { return upstream.scope == token.scope; });
        if (known) continue;
        out.push_back(Finding{"session.api.token_file",
                              "expected the scope of an upstream, found " + quoted(token.scope),
                              {},
                              {}});
        return;
    }
}

void check_idle_bounds(const SessionConfig& session, Findings& out) {
    if (session.idle_min <= session.idle_max) return;
    out.push_back(Finding{"session.idle_min",
                          "expected at most idle_max, " + quoted(duration_text(session.idle_max)) +
                              ", found " + quoted(duration_text(session.idle_min)),
                          {},
                          "session.idle_max"});
}

// A session is read with one reply, and how long a reply may be is bounded (session/redis/redis_reply.h).
void check_attributes(const SessionConfig& session, Findings& out) {
    constexpr std::size_t attributes_most = 2000;
    if (session.store != SessionStore::redis || session.attributes_max <= attributes_most) return;
    out.push_back(Finding{"session.attributes_max",
                          "expected at most " + std::to_string(attributes_most) +
                              " with store = \"redis\", found " +
                              std::to_string(session.attributes_max),
                          {},
                          "session.store"});
}
}  // namespace

void check_session(const Config& config, std::vector<Finding>& out) {
    check_cookies(config, out);
    check_scopes(config, out);
    check_header_prefix(config.session, out);
    check_idle_bounds(config.session, out);
    check_attributes(config.session, out);
    check_api_scopes(config, out);
}

}  // namespace baton
