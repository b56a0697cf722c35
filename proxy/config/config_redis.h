#pragma once

// The table [redis]: where the session table is, and how to get in.

#include <string_view>

#include "proxy/config/config.h"
#include "proxy/config/config_key.h"
#include "proxy/config/toml_table.h"

namespace baton {

constexpr std::string_view endpoint_expected = "a host with a port such as \"redis-1:6379\"";
constexpr std::string_view master_expected =
    "the master's name in `sentinel monitor`: 1 to 128 letters, digits, \".\", \"_\" or \"-\"";

bool is_word(std::string_view text);
// Of keys; what Redis Cluster reads as a tag is left to it.
bool is_prefix(std::string_view text);
bool is_user(std::string_view text);

void read_sentinels(TomlTable& table, const Key<RedisConfig>& key, RedisConfig& out);
void read_redis_address(TomlTable& table, const Key<RedisConfig>& key, RedisConfig& out);

// `used`: the sessions are there; then it must say where.
void read_redis(TomlTable table, RedisConfig& out, bool used);

}  // namespace baton
