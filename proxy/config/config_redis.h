#pragma once

// The table [redis]: where the session table is, and how to get in.

#include "proxy/config/config.h"
#include "proxy/config/toml_table.h"

namespace baton {

// `used`: the sessions are there; then it must say where.
void read_redis(TomlTable table, RedisConfig& out, bool used);

}  // namespace baton
