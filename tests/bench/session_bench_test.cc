// That the benchmark measures what it says: few operations, each with the answer it must have.

#include "tests/bench/session_bench.h"

#include <doctest/doctest.h>

#include <string>

namespace baton::bench {

TEST_CASE("the benchmark of the session table") {
    SessionOptions options;
    options.sessions = 100;  // fewer than operations: each session has its turn several times
    options.each = std::chrono::milliseconds{1};
    const SessionReport report = measure_sessions(options);
    CHECK(report.operations.size() == 8);
    for (const Operation& operation : report.operations) {
        CAPTURE(std::string{operation.name});
        CHECK(operation.wrong == 0);
        CHECK(operation.right >= 64);
        CHECK(operation.per_second > 0);
    }
    CHECK(report.bytes_counted > 300);
    CHECK(report.bytes_counted < 3000);
}

}  // namespace baton::bench
