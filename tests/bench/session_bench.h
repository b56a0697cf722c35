#pragma once

// What the session table does, and what it takes.

#include <chrono>
#include <cstddef>
#include <string_view>
#include <vector>

namespace baton::bench {

struct SessionOptions {
    std::size_t sessions = 100'000;         // in the table, three attributes each
    std::chrono::milliseconds each{1'000};  // CPU time for one operation, at least
};

struct Operation {
    std::string_view name;
    double per_second = 0;  // of CPU time, on one thread
    std::size_t right = 0;  // how many had the answer they must have
    std::size_t wrong = 0;
};

struct SessionReport {
    std::vector<Operation> operations;
    std::size_t bytes_counted = 0;   // of one session, as the table counts
    std::size_t bytes_resident = 0;  // as the process's resident memory grew
};

SessionReport measure_sessions(const SessionOptions& options);

}  // namespace baton::bench
