#pragma once

// Numbers that one thread writes and any thread reads: what is counted for metrics.

#include <atomic>
#include <cstdint>

namespace baton {

// Only grows. A plain load and store: there is no other writer to race with, and readers need no
// order between counters.
class Counter {
public:
    void add(std::uint64_t n = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    std::uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

// How many there are now.
class Gauge {
public:
    void add() noexcept { set(read() + 1); }
    void sub() noexcept { set(read() - 1); }
    void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
    std::uint64_t read() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

}  // namespace baton
