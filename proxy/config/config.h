#pragma once

// What the program believes: the configuration as values with units. An initializer is the default of the
// key whose value the member holds (`config_keys.h`).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "net/http/head_guard.h"
#include "net/log.h"
#include "net/resolve.h"
#include "session/api_token.h"
#include "session/cookie.h"

namespace baton {

using namespace std::chrono_literals;
using Milliseconds = std::chrono::milliseconds;  // 0 means no limit, unless a field says otherwise

enum class SessionMode : std::uint8_t { off, managed };
enum class SessionCreate : std::uint8_t { on_demand, always };
enum class SecureCookie : std::uint8_t { automatic, always, never };
enum class SessionStore : std::uint8_t { memory, redis };
// What a request does whose session the store cannot tell: wait for it, up to `failover_wait`; then
// go to its server, which is told, or be answered with 503.
enum class OnUnavailable : std::uint8_t { wait_serve, wait_reject, serve, reject };
constexpr bool waits(OnUnavailable policy) noexcept {
    return policy == OnUnavailable::wait_serve || policy == OnUnavailable::wait_reject;
}
constexpr bool rejects(OnUnavailable policy) noexcept {
    return policy == OnUnavailable::wait_reject || policy == OnUnavailable::reject;
}

struct ListenerConfig {
    Address address;
    std::vector<Network> trusted_proxies;
    bool defer_accept = false;  // a connection is taken in when it has sent something
    // Of one client's address, over all workers; trusted proxies are not counted. 0: no limit.
    std::size_t connections_per_client_max = 0;
};

struct ServerConfig {
    Address address;
    // As written: the label in log and metrics, and the Host for a 1.0 request without one.
    std::string text;
    unsigned weight = 1;  // 1–256
    Address other{};      // of localhost, the same port of [::1]; else unspecified
};

struct UpstreamConfig {
    std::string name;
    std::string scope;   // sessions are shared by upstreams of one scope; default: the name
    std::string cookie;  // of the scope's sessions; empty: that of [session]
    std::vector<ServerConfig> servers;

    // Per worker and server.
    struct Keepalive {
        std::size_t idle_max = 64;
        Milliseconds idle_timeout = 50s;
        Milliseconds age_max = 1h;
        std::uint64_t requests_max = 10'000;
    } keepalive;

    struct Timeouts {
        Milliseconds connect = 2s;
        // From the last request byte written to the first byte of the final head.
        Milliseconds response = 60s;
        Milliseconds idle = 60s;  // between two bytes of the response
        Milliseconds total = 0s;  // from the first request byte to the end
    } timeouts;

    unsigned retry_tries = 2;  // requests of which a byte was written, 1–10

    // Requests name this proxy in Via, and one that comes back is refused.
    bool via = true;
    // A request waits for its body until it is whole or so much of it is there; 0: it does not wait.
    std::size_t request_buffer = std::size_t{16} << 10;
};

struct RouteConfig {
    std::string name;  // label in log and metrics; default: first host + path
    std::vector<std::string>
        hosts;               // lower case, no port, no last dot: exact, "*.example.com", "*"
    std::string path = "/";  // prefix of the raw path, byte-wise
    std::string upstream;
    SessionMode session = SessionMode::managed;
    // [session] create unless the route says otherwise.
    SessionCreate create = SessionCreate::on_demand;
    // [session] on_unavailable unless the route says otherwise.
    OnUnavailable on_unavailable = OnUnavailable::wait_serve;
    bool websocket = true;
};

struct SessionConfig {
    SessionStore store = SessionStore::memory;
    std::string cookie = "JSESSIONID";
    SessionCreate create = SessionCreate::on_demand;
    // Written as "0s", no limit, it is longer than any browser keeps its cookies: the table needs a
    // number to count with.
    static constexpr Milliseconds idle_unlimited = std::chrono::hours{24 * 3650};
    Milliseconds idle = 30min;
    Milliseconds absolute = 12h;  // 0: none
    // Made by itself, with no client that came back and no server that wrote to it.
    Milliseconds unconfirmed_idle = 2min;
    // What a server may make of a session's idle time.
    Milliseconds idle_min = 1min;
    Milliseconds idle_max = 24h;
    Milliseconds renew_after = 0s;  // a new id for a session whose id is older; 0: never
    bool replay_safe = true;        // a GET whose response conflicted is sent once more
    bool close_tunnels = false;     // when their session has ended
    Milliseconds close_tunnels_check =
        5s;                       // how often that is asked, of a store that others use, too
    std::size_t unknown_max = 0;  // unknown ids from one address in a minute; 0: no limit
    OnUnavailable on_unavailable = OnUnavailable::wait_serve;
    Milliseconds failover_wait = 6s;    // of one question to the store; 0: none
    std::size_t wait_queue_max = 1024;  // questions that wait, per worker
    bool strict_writes = false;         // 503 for a change by a server that was told of no session
    std::size_t sessions_max = 100'000;
    std::size_t memory_max = std::size_t{256} << 20;
    std::size_t attributes_max = 64;
    std::size_t attribute_max = std::size_t{8} << 10;
    std::size_t data_max = std::size_t{24} << 10;
    SameSite same_site = SameSite::lax;
    SecureCookie secure = SecureCookie::automatic;
    std::string header_prefix = "Baton-Session-";
    std::size_t header_limit = std::size_t{4} << 10;
};

// Where a password is: at most one of a file's path, an environment variable's name, and a file's name
// in the directory that systemd gives a service (LoadCredential=).
struct PasswordSource {
    std::string file;
    std::string environment;
    std::string credential;
};

// Where the sessions are with `store = "redis"`.
struct RedisConfig {
    std::vector<Endpoint> sentinels;  // none: `address` is the master's
    std::string master;               // the name by which the Sentinels know it
    Endpoint address;
    std::string username;
    PasswordSource password_from;
    std::string password;
    std::string sentinel_username;
    PasswordSource sentinel_password_from;
    std::string sentinel_password;
    unsigned database = 0;
    std::string prefix = "baton";  // of the keys
    Milliseconds connect_timeout = 500ms;
    Milliseconds command_timeout = 500ms;
    bool discover = true;    // ask the Sentinels for others
    bool last_known = true;  // go on with the last master while no Sentinel answers
};

// How servers read and change sessions by themselves; off unless there is an address.
struct SessionApiConfig {
    ListenerConfig listener;
    std::string token_file;
    std::vector<ApiToken> tokens;  // of the token file
};

struct ClientTimeouts {
    Milliseconds header = 10s;     // the whole head, from its first byte; 0 is refused
    Milliseconds body_idle = 60s;  // between two bytes of a request body
    Milliseconds send = 60s;       // between two writes that the client takes bytes of
    Milliseconds keepalive = 75s;  // idle between requests
    Milliseconds tunnel_idle = 1h;
    // The wait for an answer to a client that has closed its sending side; 0: none, abort at once.
    Milliseconds client_gone = 30s;
};

// How slowly a request's body may come.
struct UploadRate {
    std::uint64_t min = 500;   // bytes a second, on average; 0: any
    Milliseconds grace = 30s;  // so much longer in all
};

struct LimitsConfig {
    HeadLimits head;                              // request_line, head, fields: both directions
    Underscores underscores = Underscores::drop;  // fields with `_` in their name
    std::uint64_t body_max = std::uint64_t{64} << 20;  // 0: no limit
    std::size_t connections_max = 0;                   // 0: derived from the descriptor limit
    UploadRate upload;                                 // upload_rate_min, rate_grace
};

// Where operators and their tools ask; off unless there is an address, which is a loopback one.
using AdminConfig = ListenerConfig;

struct LogConfig {
    log::Level level = log::Level::info;
    std::string access = "stdout";  // a path, "stdout", "off"
    bool query = true;              // false: the target is logged without its query
};

struct Config {
    // The name of the cookie of a scope's sessions.
    std::string_view cookie_of(std::string_view scope) const noexcept {
        for (const UpstreamConfig& upstream : upstreams)
            if (upstream.scope == scope && !upstream.cookie.empty()) return upstream.cookie;
        return session.cookie;
    }

    unsigned workers = 0;  // 0: one per CPU
    Milliseconds grace = 30s;
    Milliseconds drain_delay = 0s;  // 0: none
    std::vector<ListenerConfig> listeners;
    AdminConfig admin;
    std::vector<UpstreamConfig> upstreams;
    std::vector<RouteConfig> routes;
    SessionConfig session;
    SessionApiConfig session_api;
    RedisConfig redis;
    ClientTimeouts timeouts;
    LimitsConfig limits;
    LogConfig log;
};

}  // namespace baton
