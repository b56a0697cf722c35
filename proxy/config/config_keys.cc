#include "proxy/config/config_keys.h"

#include "proxy/config/config_syntax.h"
#include "proxy/config/config_values.h"

namespace baton {

namespace {

constexpr Key<Config> top_keys[] = {
    {.name = "workers",
     .value = special<Config>(read_workers, {workers_expected, "\"auto\""}),
     .meaning = "threads, each with its own event loop; `\"auto\"`: the number of CPUs",
     .reload = Reload::restart},
    {.name = "grace",
     .value = duration_at<&Config::grace>(up_to_a_day),
     .meaning = "how long running requests and tunnels may continue after SIGTERM"},
    {.name = "drain_delay",
     .value = duration_at<&Config::drain_delay>({1ms, 1h, "no delay"}),
     .meaning = "how long new connections are still accepted after SIGTERM, so that a balancer in "
                "front can notice; make it longer than the interval of the balancer's probe"},
};

constexpr Key<ListenerConfig> listener_keys[] = {
    {.name = "address",
     .value = address_at<&ListenerConfig::address>(anywhere),
     .meaning = "where clients connect, such as `\"0.0.0.0:80\"`, `\"[::]:80\"` or "
                "`\"localhost:8080\"`; port 0 takes "
                "any free port",
     .example = "\"0.0.0.0:8080\"",
     .required = true},
    {.name = "trusted_proxies",
     .value = special<ListenerConfig>(
         read_trusted_proxies,
         {"addresses and networks such as `[\"10.0.0.0/8\", \"::1\"]`", "[]"}),
     .meaning = "the peers whose `X-Forwarded-*`, `Forwarded`, `X-Real-IP` and `X-Request-Id` are "
                "believed: your TLS terminator or balancer",
     .see = "[TLS](tls.md)"},
    {.name = "defer_accept",
     .value = flag_at<&ListenerConfig::defer_accept>(),
     .meaning =
         "whether the kernel holds a new connection back, for about a second, until its client has "
         "sent something; for clients that send a request as soon as they connect"},
    {.name = "connections_per_client_max",
     .value = number_at<&ListenerConfig::connections_per_client_max>({0, 1'000'000}),
     .meaning = "how many connections one client may have here: an IPv4 address, or the first 64 "
                "bits of an IPv6 address; one more is closed at once. Trusted proxies are not "
                "counted. `0`: no limit"},
};

constexpr Key<ClientTimeouts> timeouts_keys[] = {
    {.name = "header",
     .value = duration_at<&ClientTimeouts::header>({1ms, 1h, ""}),
     .meaning = "to send the whole head, from its first byte; `\"0s\"` is refused"},
    {.name = "body_idle",
     .value = duration_at<&ClientTimeouts::body_idle>(up_to_a_day),
     .meaning = "between two bytes of a request's body"},
    {.name = "send",
     .value = duration_at<&ClientTimeouts::send>(up_to_a_day),
     .meaning = "how long the client may read nothing of an answer"},
    {.name = "keepalive",
     .value = duration_at<&ClientTimeouts::keepalive>(up_to_a_day),
     .meaning = "between two requests on a connection"},
    {.name = "tunnel_idle",
     .value = duration_at<&ClientTimeouts::tunnel_idle>(up_to_a_month),
     .meaning = "between two bytes of a tunnel (WebSocket), in either direction"},
    {.name = "client_gone",
     .value = duration_at<&ClientTimeouts::client_gone>({1ms, 24h, "no wait"}),
     .meaning = "how long an answer may take to begin after the client has closed its sending "
                "side, for each request that had arrived before",
     .range = "\"1ms\" to \"1d\"; \"0s\": the request ends at once"},
};

constexpr Choice<Underscores> underscores_choices[] = {
    {"drop", Underscores::drop}, {"reject", Underscores::reject}, {"keep", Underscores::keep}};

constexpr Key<LimitsConfig> limits_keys[] = {
    {.name = "request_line",
     .value = size_at<&LimitsConfig::head, &HeadLimits::request_line>({64, 64 * kib}),
     .meaning = "the request line, at most `head`; a longer one is answered with 414"},
    {.name = "head",
     .value = size_at<&LimitsConfig::head, &HeadLimits::head>({256, mib}),
     .meaning = "the head; a larger one is answered with 431, a response's head with 502"},
    {.name = "fields",
     .value = number_at<&LimitsConfig::head, &HeadLimits::fields>({1, 10'000}),
     .meaning = "fields of a head; more are answered with 431, in a response with 502"},
    {.name = "underscores",
     .value = choice_at<underscores_choices, &LimitsConfig::underscores>(),
     .meaning =
         "what happens to request fields with `_` in their name, which some servers read as `-`; "
         "`\"drop\"`: they are removed; `\"reject\"`: 400; `\"keep\"`: passed, but for those that "
         "read as a field baton writes "
         "itself (`X_Forwarded_For`)"},
    {.name = "body",
     .value = size_at<&LimitsConfig::body_max>({1, tib, "no limit"}),
     .meaning = "a request's body; a longer one is answered with 413"},
    {.name = "connections",
     .value = number_at<&LimitsConfig::connections_max>({0, 1'000'000}),
     .meaning = "client connections at the same time; `0`: as many as the limit of file "
                "descriptors allows",
     .see = "[descriptors](operating.md#descriptors-and-connections)"},
    {.name = "upload_rate_min",
     .value = size_at<&LimitsConfig::upload, &UploadRate::min>({1, 1024 * mib, "any rate"}),
     .meaning = "bytes of a request's body per second, on average; a slower one is answered with "
                "408. Only the time in which baton waits for the client counts"},
    {.name = "rate_grace",
     .value = duration_at<&LimitsConfig::upload, &UploadRate::grace>({1ms, 1h, ""}),
     .meaning = "how much longer than `upload_rate_min` allows a body may take"},
};

constexpr Choice<log::Level> level_choices[] = {{"debug", log::Level::debug},
                                                {"info", log::Level::info},
                                                {"warn", log::Level::warn},
                                                {"error", log::Level::error}};
constexpr std::string_view formats[] = {"json"};

constexpr Key<LogConfig> log_keys[] = {
    {.name = "level",
     .value = choice_at<level_choices, &LogConfig::level>(),
     .meaning = "the least severe events written to stderr"},
    {.name = "access",
     .value = text_at<&LogConfig::access>(
         {"\"stdout\", \"off\" or a file's path with a \"/\" in it", is_access_target}),
     .meaning = "where requests are logged, one line each; the file's folder must exist, the file "
                "gets mode 0640, and SIGUSR1 opens it again",
     .range = "\"stdout\", \"off\" or a file's path with a \"/\" in it, such as "
              "\"./access.log\""},
    {.name = "format",
     .value = only<LogConfig, formats>("logfmt combined"),
     .meaning = "the format of the access log"},
    {.name = "query",
     .value = flag_at<&LogConfig::query>(),
     .meaning = "`false`: targets are logged without the part after `?`"},
};

constexpr Key<AdminConfig> admin_keys[] = {
    {.name = "address",
     .value = address_at<&AdminConfig::address>(here, admin_address_expected),
     .meaning = "where operators and their tools connect; port 0 picks a free one, which the "
                "event log reports with `serves=admin`",
     .range = "a loopback address or localhost, with a port",
     .example = "\"127.0.0.1:9090\"",
     .required = true,
     .reload = Reload::restart},
};

}  // namespace

namespace keys {

constinit const Section<Config> top{
    .header = "",
    .keys = top_keys,
    .later = "error_pages tls",
    .place = "at the top, before the first [table]",
};
constinit const Section<ListenerConfig> listener{
    .header = "[[listener]]",
    .keys = listener_keys,
    .later = "tls certificate certificate_key http2 proxy_protocol",
    .about = "Where clients connect. One [[listener]] for each address.",
};
constinit const Section<ClientTimeouts> timeouts{
    .header = "[timeouts]",
    .keys = timeouts_keys,
    .about = "Time-outs of clients.",
};
constinit const Section<LimitsConfig> limits{
    .header = "[limits]",
    .keys = limits_keys,
    .later = "download_rate_min",
    .about = "What clients may send, and how much.",
    .home = "outside of this table, as [limits]",
};
constinit const Section<LogConfig> log{
    .header = "[log]",
    .keys = log_keys,
    .about = "What is written, and where to.",
    .home = "outside of this table, as [log]",
};
constinit const Section<AdminConfig> admin{
    .header = "[admin]",
    .keys = admin_keys,
    .later = "token_file",
    .about =
        "For operators and their tools: /healthz, /readyz, /v1/store, /v1/upstreams, /metrics. Off "
        "unless "
        "this table is present.",
    .home = "outside of this table, as [admin]",
    .is_off = true,
};

}  // namespace keys

namespace {

// "api" of "[session.api]".
std::string_view table_name(std::string_view header) noexcept {
    const std::size_t begin = header.find_last_of("[.") + 1;
    return header.substr(begin, header.find(']') - begin);
}

}  // namespace

std::string home_of(std::string_view word) {
    std::size_t found = 0;
    std::string home;
    keys::for_each_section([&](const auto& section) {
        if (!section.header.empty() && table_name(section.header) == word) {
            ++found;
            home = section.home;
        }
        for (const auto& key : section.keys) {
            if (key.name != word) continue;
            ++found;
            home = section.place.empty() ? "in " + std::string{section.header}
                                         : std::string{section.place};
        }
    });
    return found == 1 ? home : std::string{};
}

}  // namespace baton
