#pragma once

#include "net/counter.h"

namespace baton {

// What one store counts. Any thread reads.
struct RedisCounters {
    Counter commands;     // sent, the connection's own not among them
    Counter connections;  // that became ready
    Counter losses;       // of a connection that was ready
    Counter retries;      // questions asked again
    Counter refusals;     // writes that the server refused for now: NOREPLICAS, OOM, MISCONF
    Counter waited;       // questions that had to wait
    Counter unavailable;  // answers that said so
    Counter touches_dropped;
    Counter foreign;    // keys that hold no session of ours, and fields that are none of one
    Counter too_large;  // sessions that were too large to be read
    Gauge waiting;      // questions, now
};

}  // namespace baton
