#pragma once

// What a worker counts. Written by its thread, read by any.

#include <array>
#include <cstddef>
#include <cstdint>

#include "net/counter.h"
#include "net/result.h"
#include "proxy/route/route_state.h"

namespace baton {

struct alignas(64) Counters {
    StatusCounters unrouted;  // requests that came to no route
    Gauge requests_in_flight;
    Counter connections_evicted;  // of clients: idle ones, closed to make room
    Counter connections_refused;  // over a listener's limit for one client
    Counter retries;              // requests written to a server a second time
    std::array<Counter, fault_count> faults;
    Counter session_unknown_malformed;    // a cookie whose value is no id
    Counter session_unknown_absent;       // a well-formed id the table does not know
    Counter session_unknown_dead;         // the id of a session that was ended
    Counter session_second_live;          // a request with two live sessions
    Counter session_omitted;              // requests whose server was told Data-Omitted
    Counter session_cookies_passed_over;  // ids of one request beyond those that are looked up
    Counter session_cookies_dropped;      // a server's Set-Cookie of the session cookie's name
    // Session fields where none count: from a client, on a route without sessions, unknown ones.
    Counter session_fields_dropped;
    Counter session_overwrites;  // attributes that had changed meanwhile, and were set all the same
    Counter session_replays;     // requests sent once more after a conflict
    Counter session_use_ignored;  // a server's Use of what is no session just made
    // A change to a session that ended meanwhile; the answer passed without it.
    Counter session_gone;
};

}  // namespace baton
