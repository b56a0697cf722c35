// The one table of keys: sessions, and where they are kept.

#include "proxy/config/config_keys.h"
#include "proxy/config/config_redis.h"
#include "proxy/config/config_syntax.h"
#include "proxy/config/config_values.h"

namespace baton {

namespace {

constexpr DurationRange from_1s_to_a_year{1s, one_year};
constexpr DurationRange from_1s_to_a_year_only{1s, one_year, ""};

constexpr Choice<SessionStore> stores[] = {{"memory", SessionStore::memory},
                                           {"redis", SessionStore::redis}};
constexpr Choice<SameSite> same_site_choices[] = {
    {"Lax", SameSite::lax}, {"Strict", SameSite::strict}, {"None", SameSite::none}};
constexpr Choice<SecureCookie> secure_choices[] = {{"auto", SecureCookie::automatic},
                                                   {"always", SecureCookie::always},
                                                   {"never", SecureCookie::never}};

constexpr Key<SessionConfig> session_keys[] = {
    {.name = "store",
     .value = choice_at<stores, &SessionConfig::store>(),
     .meaning = "where sessions are kept: in this process, or in Redis, which several batons "
                "share and which needs the table `[redis]`",
     .see = "[Redis](redis.md)",
     .reload = Reload::restart},
    {.name = "cookie",
     .value = text_at<&SessionConfig::cookie>({cookie_name_expected, is_cookie_name}),
     .meaning = "the cookie's name; one that begins with `__Host-` or `__Secure-` needs `secure = "
                "\"always\"`"},
    {.name = "create",
     .value = choice_at<create_choices, &SessionConfig::create>(),
     .meaning = "`\"on-demand\"`: a session begins when a server asks for one; `\"always\"`: with "
                "a client's first request"},
    {.name = "idle",
     .value = duration_at<&SessionConfig::idle>(from_1s_to_a_year),
     .meaning = "a session ends this long after its last request; no limit means ten years"},
    {.name = "absolute",
     .value = duration_at<&SessionConfig::absolute>(from_1s_to_a_year),
     .meaning = "a session ends this long after it was created, even while it is used"},
    {.name = "unconfirmed_idle",
     .value = duration_at<&SessionConfig::unconfirmed_idle>(from_1s_to_a_year_only),
     .meaning = "a session that `create = \"always\"` created ends after this time unless its "
                "client comes back or its server writes to it"},
    {.name = "idle_min",
     .value = duration_at<&SessionConfig::idle_min>(from_1s_to_a_year_only),
     .meaning = "the shortest idle time that a server may set for a session; at most `idle_max`"},
    {.name = "idle_max",
     .value = duration_at<&SessionConfig::idle_max>(from_1s_to_a_year_only),
     .meaning = "the longest idle time that a server may set for a session"},
    {.name = "renew_after",
     .value = duration_at<&SessionConfig::renew_after>({1s, one_year, "no renewal"}),
     .meaning = "an id older than this is replaced with the next response; the old id leads to "
                "the new one for a minute"},
    {.name = "replay_safe",
     .value = flag_at<&SessionConfig::replay_safe>(),
     .meaning = "whether a GET or HEAD is sent once more if its response changes something that "
                "has changed meanwhile; `false`: it is answered with 409, like every other request",
     .see = "[two requests at once](sessions.md#two-requests-at-once)"},
    {.name = "close_tunnels",
     .value = flag_at<&SessionConfig::close_tunnels>(),
     .meaning = "whether a WebSocket is closed when its session has ended"},
    {.name = "close_tunnels_check",
     .value = duration_at<&SessionConfig::close_tunnels_check>({1s, 1h, ""}),
     .meaning = "with `close_tunnels`: how long that takes at most if another baton ended the "
                "session; at the same baton it takes less than a second"},
    {.name = "unknown_max",
     .value = number_at<&SessionConfig::unknown_max>({0, 1'000'000}),
     .meaning = "unknown session ids allowed per client address and minute; more are answered "
                "with 429. An unknown id that comes with a valid one does not count. After a "
                "restart with `store = \"memory\"` all ids are unknown. `0`: no limit"},
    {.name = "on_unavailable",
     .value = choice_at<on_unavailable_choices, &SessionConfig::on_unavailable>(),
     .meaning = "with Redis: what happens to a request whose session cannot be looked up. "
                "`\"wait-serve\"`: "
                "it waits, then it goes to its server with the session state `unavailable`; "
                "`\"wait-reject\"`: it waits, then it is answered with 503; `\"serve\"` and "
                "`\"reject\"`: the same without waiting",
     .see = "[the policies](redis.md#while-redis-is-away)"},
    {.name = "failover_wait",
     .value = duration_at<&SessionConfig::failover_wait>({10ms, 1h, "no wait"}),
     .meaning =
         "how long an operation on the store waits for a master. A failover takes Sentinel's "
         "`down-after-milliseconds` and about 2 s more"},
    {.name = "wait_queue_max",
     .value = number_at<&SessionConfig::wait_queue_max>({0, 1'000'000}),
     .meaning = "operations that may wait at the same time, per worker; any more fail at once, "
                "those of unknown sessions first",
     .see = "[who waits](redis.md#while-redis-is-away)"},
    {.name = "strict_writes",
     .value = flag_at<&SessionConfig::strict_writes>(),
     .meaning = "what happens to a change from a server that was told `unavailable`. `true`: its "
                "response is replaced by a 503; `false`: the change is dropped, with a warning, "
                "and the response passes"},
    {.name = "sessions_max",
     .value = number_at<&SessionConfig::sessions_max>({1, 100'000'000}),
     .meaning =
         "sessions in memory; beyond that the least recently used one is dropped. Refused with "
         "`store = \"redis\"`",
     .see = "[a full table](sessions.md#lifetime)"},
    {.name = "memory_max",
     .value = size_at<&SessionConfig::memory_max>({64 * kib, tib}),
     .meaning = "memory for all sessions, bookkeeping included; beyond that the least recently "
                "used session is dropped. Refused with `store = \"redis\"`"},
    {.name = "attributes_max",
     .value = number_at<&SessionConfig::attributes_max>({1, 10'000}),
     .meaning = "attributes of one session; at most 2000 with Redis"},
    {.name = "attribute_max",
     .value = size_at<&SessionConfig::attribute_max>({1, mib}),
     .meaning = "the value of one attribute; at most `data_max`"},
    {.name = "data_max",
     .value = size_at<&SessionConfig::data_max>({1, mib}),
     .meaning = "all names and values of one session; at most `memory_max`"},
    {.name = "same_site",
     .value = choice_at<same_site_choices, &SessionConfig::same_site>(),
     .meaning = "the cookie's SameSite; `\"None\"` is refused with `secure = \"never\"`"},
    {.name = "secure",
     .value = choice_at<secure_choices, &SessionConfig::secure>(),
     .meaning = "whether the cookie is Secure; `\"auto\"`: if a trusted proxy says "
                "`X-Forwarded-Proto: https`"},
};

constexpr Key<SessionConfig> headers_keys[] = {
    {.name = "prefix",
     .value = text_at<&SessionConfig::header_prefix>(
         {"2 to 64 letters, digits and \"-\", the last one \"-\"", is_header_prefix}),
     .meaning = "what the names of the session fields begin with; no well-known field may begin "
                "so. Such fields never come from a client nor go to one"},
    {.name = "limit",
     .value = size_at<&SessionConfig::header_limit>({1, 64 * kib}),
     .meaning = "session data longer than this, encoded, is not sent to the server; it gets the "
                "size instead"},
};

constexpr Key<SessionApiConfig> api_keys[] = {
    {.name = "address",
     .value = address_at<&SessionApiConfig::listener, &ListenerConfig::address>(here),
     .meaning = "where servers call the API",
     .example = "\"127.0.0.1:8082\"",
     .required = true,
     .reload = Reload::restart},
    {.name = "token_file",
     .value = text_at<&SessionApiConfig::token_file>(
         {token_file_expected, [](std::string_view text) { return !text.empty(); }}),
     .meaning = "a file that says who may call: in each line a scope, blanks and a token of 32 to "
                "256 characters; keep it unreadable for others",
     .range = "a path; a relative one begins where baton is started",
     .example = "\"/etc/baton/api.tokens\"",
     .required = true},
};

constexpr TextForm user{"a name without blanks", is_user};
constexpr TextForm not_empty{"a string that is not empty",
                             [](std::string_view text) { return !text.empty(); }};
using From = PasswordSource;

constexpr Key<RedisConfig> redis_keys[] = {
    {.name = "sentinels",
     .value = special<RedisConfig>(read_sentinels, {"hosts with ports, each once", ""}),
     .meaning = "the Sentinels, whose port is usually 26379, not that of the Redis servers; one "
                "that answers is enough to start",
     .range = "host names or addresses with ports, each once",
     .example = "[\"10.0.0.5:26379\", \"10.0.0.6:26379\", \"10.0.0.7:26379\"]",
     .reload = Reload::restart},
    {.name = "master",
     .value = text_at<&RedisConfig::master>({master_expected, is_word}),
     .meaning = "which master they are asked for",
     .otherwise = "required with `sentinels`",
     .example = "\"mymaster\"",
     .reload = Reload::restart},
    {.name = "address",
     .value = special<RedisConfig>(read_redis_address, {endpoint_expected, ""}),
     .meaning = "a single Redis, instead of `sentinels` and `master`",
     .example = "\"10.0.0.5:6379\"",
     .reload = Reload::restart},
    {.name = "username",
     .value = text_at<&RedisConfig::username>(user),
     .meaning = "the ACL user; empty: Redis' default user",
     .range = "up to 256 characters without blanks",
     .reload = Reload::restart},
    {.name = "password_file",
     .value = text_at<&RedisConfig::password_from, &From::file>(not_empty),
     .meaning = "a file with the password in one line, which others may not read",
     .range = "a path",
     .see = "[who can read it](#sessionapi)",
     .example = "\"/etc/baton/redis.password\""},
    {.name = "password_env",
     .value = text_at<&RedisConfig::password_from, &From::environment>(not_empty),
     .meaning = "instead of `password_file`: an environment variable with the password",
     .range = "a variable's name",
     .example = "\"BATON_REDIS_PASSWORD\""},
    {.name = "password_credential",
     .value = text_at<&RedisConfig::password_from, &From::credential>(not_empty),
     .meaning = "instead of `password_file`: a systemd credential with the password "
                "(`LoadCredential=`)",
     .range = "a file's name",
     .example = "\"redis.password\""},
    {.name = "sentinel_username",
     .value = text_at<&RedisConfig::sentinel_username>(user),
     .meaning = "the ACL user at the Sentinels, if they require a password",
     .range = "up to 256 characters without blanks"},
    {.name = "sentinel_password_file",
     .value = text_at<&RedisConfig::sentinel_password_from, &From::file>(not_empty),
     .meaning = "the Sentinels' password, as `password_file`",
     .range = "a path",
     .example = "\"/etc/baton/sentinel.password\""},
    {.name = "sentinel_password_env",
     .value = text_at<&RedisConfig::sentinel_password_from, &From::environment>(not_empty),
     .meaning = "the Sentinels' password, as `password_env`",
     .range = "a variable's name",
     .example = "\"BATON_SENTINEL_PASSWORD\""},
    {.name = "sentinel_password_credential",
     .value = text_at<&RedisConfig::sentinel_password_from, &From::credential>(not_empty),
     .meaning = "the Sentinels' password, as `password_credential`",
     .range = "a file's name",
     .example = "\"sentinel.password\""},
    {.name = "database",
     .value = number_at<&RedisConfig::database>({0, 1'000'000}),
     .meaning = "the database's number",
     .reload = Reload::restart},
    {.name = "prefix",
     .value = text_at<&RedisConfig::prefix>(
         {"1 to 64 letters, digits, \".\", \"_\" or \"-\"", is_prefix}),
     .meaning = "what all keys begin with; a session's key is `PREFIX:s:HASH`",
     .reload = Reload::restart},
    {.name = "connect_timeout",
     .value = duration_at<&RedisConfig::connect_timeout>({10ms, 60s, ""}),
     .meaning = "to open a connection, name resolution included"},
    {.name = "command_timeout",
     .value = duration_at<&RedisConfig::command_timeout>({10ms, 60s, ""}),
     .meaning =
         "for an answer; when it is late the connection is closed and the Sentinels are asked"},
    {.name = "discover",
     .value = flag_at<&RedisConfig::discover>(),
     .meaning = "whether baton also asks Sentinels that those in `sentinels` name; `false`: if "
                "their addresses cannot be "
                "reached from here"},
    {.name = "last_known",
     .value = flag_at<&RedisConfig::last_known>(),
     .meaning = "whether baton stays with the last master while no Sentinel answers"},
};

}  // namespace

namespace keys {

constinit const Section<SessionConfig> session{
    .header = "[session]",
    .keys = session_keys,
    .later = "send_id hmac_secret url_param send_times cookie_max_age hash_ids kill_wait_replicas",
    .about = "The sessions that baton keeps.",
};
constinit const Section<SessionConfig> session_headers{
    .header = "[session.headers]",
    .keys = headers_keys,
    .later = "send_id hmac_secret send_times",
    .about = "The header fields in which baton and the servers exchange sessions.",
    .row_prefix = "headers.",
};
constinit const Section<SessionApiConfig> session_api{
    .header = "[session.api]",
    .keys = api_keys,
    .about =
        "An HTTP API with which servers and jobs read and change sessions, above all what does not "
        "fit into "
        "the fields. Off unless this table is present.",
    .home = "in [session], as [session.api]",
    .is_off = true,
};
constinit const Section<RedisConfig> redis{
    .header = "[redis]",
    .keys = redis_keys,
    .later = "tls kill_wait_replicas",
    .about =
        "Required with `store = \"redis\"`, refused otherwise. Redis 7.0 or newer; a complete "
        "set-up is in "
        "conf/seed. A password is given in one of three ways, or none.",
    .home = "outside of this table, as [redis]",
    .is_off = true,
};

}  // namespace keys

}  // namespace baton
