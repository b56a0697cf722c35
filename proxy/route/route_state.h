#pragma once

// What of a route outlives the snapshots: its numbers.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/counter.h"

namespace baton {

// Answers by the first digit of their status. Written by one thread, read by any; no two of them share a
// cache line.
struct alignas(64) StatusCounters {
    static constexpr std::array<std::string_view, 5> classes{"1xx", "2xx", "3xx", "4xx", "5xx"};
    std::array<Counter, classes.size()> by_class;

    // A status of 0 is none: nothing of an answer was sent, and no fault is to blame.
    void add(int status) noexcept {
        if (status >= 100 && status <= 599)
            by_class[static_cast<std::size_t>(status / 100 - 1)].add();
    }
};

// A route's identity is its name, its label in metrics. Shared by all loops.
class RouteState {
public:
    RouteState(std::string name, std::size_t loops) : name_(std::move(name)), requests_(loops) {}

    const std::string& name() const noexcept { return name_; }
    // What one loop counts: its thread only.
    StatusCounters& requests_of(std::size_t loop) noexcept { return requests_[loop]; }
    // What all loops have counted. Any thread.
    std::uint64_t requests(std::size_t status_class) const noexcept {
        std::uint64_t sum = 0;
        for (const StatusCounters& one : requests_) sum += one.by_class[status_class].read();
        return sum;
    }

private:
    std::string name_;
    std::vector<StatusCounters> requests_;  // by the loop that counts
};

}  // namespace baton
