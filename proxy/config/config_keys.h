#pragma once

// The one table of keys: each table of the configuration with its keys. What is read, what is told of a
// mistake, conf/baton.toml and the manual come from here; a key is written nowhere else.

#include <string>
#include <string_view>

#include "proxy/config/config.h"
#include "proxy/config/config_key.h"

namespace baton::keys {

extern const Section<Config> top;
extern const Section<ListenerConfig> listener;
extern const Section<UpstreamConfig> upstream;
extern const Section<ServerConfig> server;
extern const Section<UpstreamConfig::Keepalive> upstream_keepalive;
extern const Section<UpstreamConfig::Timeouts> upstream_timeouts;
extern const Section<UpstreamConfig> upstream_retry;
extern const Section<RouteConfig> route;
extern const Section<SessionConfig> session;
extern const Section<SessionConfig> session_headers;
extern const Section<SessionApiConfig> session_api;
extern const Section<RedisConfig> redis;
extern const Section<ClientTimeouts> timeouts;
extern const Section<LimitsConfig> limits;
extern const Section<LogConfig> log;
extern const Section<AdminConfig> admin;

// Calls `visit` with each section, in the order of conf/baton.toml and of the manual.
template <class Visit>
void for_each_section(Visit visit) {
    visit(top);
    visit(listener);
    visit(upstream);
    visit(server);
    visit(upstream_keepalive);
    visit(upstream_timeouts);
    visit(upstream_retry);
    visit(route);
    visit(session);
    visit(session_headers);
    visit(session_api);
    visit(redis);
    visit(timeouts);
    visit(limits);
    visit(log);
    visit(admin);
}

}  // namespace baton::keys

namespace baton {

// "in [limits]", for a key that one table alone has, written below another header: as it happens to those
// of the top that come last in a file. Empty for all other words.
std::string home_of(std::string_view key);

}  // namespace baton
