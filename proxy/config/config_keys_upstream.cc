// The one table of keys: servers, and the routes to them.

#include "proxy/config/config_keys.h"
#include "proxy/config/config_syntax.h"
#include "proxy/config/config_values.h"

namespace baton {

namespace {

constexpr TextForm upstream_name{"a name of 1 to 64 letters, digits, \".\", \"_\" or \"-\"",
                                 is_upstream_name};

constexpr std::string_view balances[] = {"round-robin"};

constexpr Key<UpstreamConfig> upstream_keys[] = {
    {.name = "name",
     .value = text_at<&UpstreamConfig::name>(upstream_name),
     .meaning = "the name that routes refer to; unique",
     .example = "\"ss\"",
     .required = true},
    {.name = "scope",
     .value = text_at<&UpstreamConfig::scope>(upstream_name),
     .meaning = "upstreams of one scope share their sessions",
     .otherwise = "the name",
     .example = "\"ss\""},
    {.name = "cookie",
     .value = text_at<&UpstreamConfig::cookie>({cookie_name_expected, is_cookie_name}),
     .meaning = "the cookie of this scope's sessions, for two applications on one host; one scope "
                "has one cookie",
     .see = "[two applications](sessions.md#two-applications-on-one-host)",
     .otherwise = "that of `[session]`",
     .example = "\"JSESSIONID\""},
    {.name = "balance",
     .value = only<UpstreamConfig, balances>(
         "least-conn least-connections least-requests random hash ip-hash "
         "consistent-hash p2c"),
     .meaning = "smooth weighted round robin, one sequence for all workers together"},
    {.name = "servers",
     .value = special<UpstreamConfig>(read_servers,
                                      {"1 to 5,000 of `{ address = \"10.0.0.1:8080\" }`", ""}),
     .meaning = "the servers, which take requests in turn, by their weights",
     .otherwise = "required",
     .example = "[\n  { address = \"127.0.0.1:9001\", weight = 1 },\n"
                "  { address = \"127.0.0.1:9002\", weight = 1 },\n]"},
    {.name = "via",
     .value = flag_at<&UpstreamConfig::via>(),
     .meaning = "whether requests name this baton in `Via`; one that comes back is answered with "
                "508 instead of going round and round",
     .see = "[faults](operating.md#faults)"},
    {.name = "request_buffer",
     .value = size_at<&UpstreamConfig::request_buffer>({1, mib, "no waiting"}),
     .meaning = "how much of a request's body baton waits for before it asks a server. An "
                "application that answers during the upload needs `0`, a WSGI application "
                "`\"1MiB\"` and `limits.body` likewise"},
};

constexpr Key<ServerConfig> server_keys[] = {
    {.name = "address",
     .value = address_at<&ServerConfig::address>(here),
     .meaning = "where the server listens; no other server of the upstream has this address",
     .required = true},
    {.name = "weight",
     .value = number_at<&ServerConfig::weight>({1, 256}),
     .meaning = "the server's share of the requests"},
};

using Keepalive = UpstreamConfig::Keepalive;
constexpr Key<Keepalive> keepalive_keys[] = {
    {.name = "idle_max",
     .value = number_at<&Keepalive::idle_max>({0, 65536}),
     .meaning =
         "idle connections kept per worker and server; when there are more, the oldest is closed"},
    {.name = "idle_timeout",
     .value = duration_at<&Keepalive::idle_timeout>(up_to_a_day),
     .meaning = "how long a connection may be idle; keep it below the server's own limit, so that "
                "baton closes first"},
    {.name = "age_max",
     .value = duration_at<&Keepalive::age_max>(up_to_a_month),
     .meaning = "the age at which a connection is closed"},
    {.name = "requests_max",
     .value = number_at<&Keepalive::requests_max>({1, 1'000'000'000}),
     .meaning = "the number of requests after which a connection is closed"},
};

using Timeouts = UpstreamConfig::Timeouts;
constexpr Key<Timeouts> timeouts_keys[] = {
    {.name = "connect",
     .value = duration_at<&Timeouts::connect>(up_to_an_hour),
     .meaning = "to open a connection; then the next server is tried"},
    {.name = "response",
     .value = duration_at<&Timeouts::response>(up_to_a_day),
     .meaning = "from the last byte of the request to the head of the final response; a 1xx does "
                "not extend it"},
    {.name = "idle",
     .value = duration_at<&Timeouts::idle>(up_to_a_day),
     .meaning = "between two bytes of the response's body"},
    {.name = "total",
     .value = duration_at<&Timeouts::total>(up_to_a_day),
     .meaning = "from the first byte of the request to the end of the response"},
};

constexpr Key<UpstreamConfig> retry_keys[] = {
    {.name = "tries",
     .value = number_at<&UpstreamConfig::retry_tries>({1, 10}),
     .meaning =
         "how often one request may be sent to a server; it is sent again only if that is safe",
     .see = "[retries](operating.md#servers-connections-retries)"},
};

constexpr Choice<SessionMode> modes[] = {{"managed", SessionMode::managed},
                                         {"off", SessionMode::off}};

constexpr Key<RouteConfig> route_keys[] = {
    {.name = "hosts",
     .value = special<RouteConfig>(
         read_hosts,
         {"`\"example.com\"`, `\"*.example.com\"`, an IP address (IPv6 in brackets), `\"*\"`",
          "[\"*\"]"}),
     .meaning = "hosts without a port; `\"*.example.com\"` is every name below `example.com`, "
                "`\"*\"` every host",
     .range = "one or more of `\"example.com\"`, `\"*.example.com\"`, an IP address (IPv6 in "
              "brackets), `\"*\"`"},
    {.name = "path",
     .value = text_at<&RouteConfig::path>(
         {"a path prefix that begins with \"/\", such as \"/app/\"", is_path_prefix}),
     .meaning = "what the path begins with, byte by byte: `\"/app\"` is a prefix of `\"/apple\"`, "
                "`\"/app/\"` is not",
     .range = "a path of at most 1024 bytes that begins with \"/\", without \"?\" and \"#\""},
    {.name = "upstream",
     .value = text_at<&RouteConfig::upstream>({"the name of an upstream", is_upstream_name}),
     .meaning = "where the requests go",
     .example = "\"ss\"",
     .required = true},
    {.name = "name",
     .value = text_at<&RouteConfig::name>(
         {"a name of 1 to 128 printable ASCII characters without blanks and quotes",
          is_route_name}),
     .meaning = "the label in logs and metrics; unique",
     .range = "1 to 128 printable ASCII characters, but no blank, `\"` or `\\`",
     .otherwise = "first host + path",
     .example = "\"*/\""},
    {.name = "session",
     .value = choice_at<modes, &RouteConfig::session>("adopt affinity"),
     .meaning = "`\"managed\"`: baton keeps the session, and the application reads and writes it "
                "in header fields. `\"off\"`: baton leaves cookies and sessions to the "
                "application. An application that you do not change needs `\"off\"`",
     .see = "[which mode](sessions.md#which-mode)"},
    {.name = "create",
     .value = choice_at<create_choices, &RouteConfig::create>(),
     .meaning = "when a session begins on this route; the values are those of `[session]`",
     .otherwise = "that of `[session]`"},
    {.name = "on_unavailable",
     .value = choice_at<on_unavailable_choices, &RouteConfig::on_unavailable>(),
     .meaning = "what happens on this route to a request whose session cannot be looked up; the "
                "values are those of `[session]`",
     .otherwise = "that of `[session]`"},
    {.name = "websocket",
     .value = flag_at<&RouteConfig::websocket>(),
     .meaning = "whether a request may become a WebSocket"},
};

}  // namespace

namespace keys {

constinit const Section<UpstreamConfig> upstream{
    .header = "[[upstream]]",
    .keys = upstream_keys,
    .later = "health check slow_start tls error_pages",
    .about = "A group of servers that run the same application. One [[upstream]] for each group.",
};
constinit const Section<ServerConfig> server{
    .header = "",
    .keys = server_keys,
    .later = "route backup connections_max slow_start tls",
    .row_prefix = "servers.",
    .place = "in the table of a server",
};
constinit const Section<UpstreamConfig::Keepalive> upstream_keepalive{
    .header = "[upstream.keepalive]",
    .keys = keepalive_keys,
    .about = "Idle connections to a server.",
    .row_prefix = "keepalive.",
};
constinit const Section<UpstreamConfig::Timeouts> upstream_timeouts{
    .header = "[upstream.timeouts]",
    .keys = timeouts_keys,
    .about = "Time-outs of servers.",
    .row_prefix = "timeouts.",
};
constinit const Section<UpstreamConfig> upstream_retry{
    .header = "[upstream.retry]",
    .keys = retry_keys,
    .row_prefix = "retry.",
};
constinit const Section<RouteConfig> route{
    .header = "[[route]]",
    .keys = route_keys,
    .later = "failover_wait required error_pages",
    .about =
        "Which requests go to which upstream: the most specific host first, then the longest path. "
        "One "
        "[[route]] for each.",
};

}  // namespace keys

}  // namespace baton
