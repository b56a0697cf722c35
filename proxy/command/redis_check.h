#pragma once

// `baton redis-check`: asks every Sentinel, the master and its replicas how they are, and prints what
// an operator has to know, in words.

#include <vector>

#include "net/resolve.h"
#include "proxy/config/config.h"

namespace baton {

// A line that begins with PROBLEM is something to be mended, one with WARNING something unwise; the
// last line is "ok", or how many problems there are. `nodes` are servers to look at besides those
// that are named by others. Returns the exit status: 1 with problems, 2 without a Redis to check.
int check_redis(const Config& config, const std::vector<Endpoint>& nodes);

}  // namespace baton
