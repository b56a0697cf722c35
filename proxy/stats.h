#pragma once

// What a worker counts. Written by its thread, read by any.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "net/result.h"

namespace baton {

// A plain load and store: there is no other writer to race with, and readers need no order between
// counters.
class Counter {
public:
    void add(std::uint64_t n = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    std::uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

struct alignas(64) Counters {
    Counter requests;
    Counter retries;          // requests written to a server a second time
    Counter connects_failed;  // refused, unreachable, or too slow
    std::array<Counter, fault_count> faults;
    Counter session_unknown_malformed;  // a cookie whose value is no id
    Counter session_unknown_absent;     // a well-formed id the table does not know
    Counter session_unknown_dead;       // the id of a session that was ended
    Counter session_second_live;        // a request with two live sessions
    Counter session_cookies_dropped;    // a server's Set-Cookie of the session cookie's name
    // Session fields where none count: from a client, on a route without sessions, unknown ones.
    Counter session_fields_dropped;
    Counter session_refused;
    // A change to a session that ended meanwhile; the answer passed without it.
    Counter session_gone;
};

}  // namespace baton
