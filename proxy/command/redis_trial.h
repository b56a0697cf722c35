#pragma once

// Whether baton is let in by a master, and may do what it does there: the very greeting of the
// program, and the questions of a request about a session that does not exist. Writes nothing.

#include <string>

#include "net/loop.h"
#include "net/resolve.h"
#include "session/redis/redis_link.h"

namespace baton {

// Why not, in words; empty if it is.
std::string try_master(Loop& loop, const RedisAccess& access, const std::string& prefix,
                       const Endpoint& master);

}  // namespace baton
