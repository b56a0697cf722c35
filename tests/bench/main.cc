// ./dev bench table: prints the table.

#include <cstdio>

#include "tests/bench/session_bench.h"

int main() {
    const baton::bench::SessionOptions options;
    const baton::bench::SessionReport report = baton::bench::measure_sessions(options);
    std::size_t wrong = 0;
    std::printf("%-28s %14s %10s\n", "one thread, CPU time", "per second", "each");
    for (const auto& operation : report.operations) {
        std::printf("%-28.*s %14.0f %7.0f ns\n", static_cast<int>(operation.name.size()),
                    operation.name.data(), operation.per_second, 1e9 / operation.per_second);
        wrong += operation.wrong;
    }
    std::printf("\n%zu sessions of three attributes, one takes\n", options.sessions);
    std::printf("%-28s %8zu bytes\n", "as the table counts", report.bytes_counted);
    std::printf("%-28s %8zu bytes\n", "as the process grew", report.bytes_resident);
    if (wrong > 0) std::printf("%zu wrong answers\n", wrong);
    return wrong > 0 ? 1 : 0;
}
