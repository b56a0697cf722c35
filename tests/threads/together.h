#pragma once

// Threads that begin together, and what they have to say.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace baton::test {

// A guard against hanging, not a measure: a sanitizer on a busy machine is slow.
inline constexpr std::chrono::seconds patience{30};

// Runs work(0), work(1), ... in threads of their own; returns when all are done.
template <class Work>
void in_threads(unsigned count, const Work& work) {
    std::atomic<unsigned> ready = 0;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < count; ++i) {
        threads.emplace_back([&, i] {
            ready.fetch_add(1);
            while (ready.load() < count) std::this_thread::yield();
            work(i);
        });
    }
    for (std::thread& thread : threads) thread.join();
}

// For what nothing tells of: looks again and again.
template <class Condition>
bool eventually(const Condition& condition) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return true;
}

// What went wrong, from any thread; the test's own thread looks at it in the end.
class Faults {
public:
    void add(const std::string& what) {
        const std::lock_guard lock{mutex_};
        if (++count_ <= 10) text_ += what.substr(0, 400) + "\n";
    }
    // Empty if nothing did.
    std::string text() const {
        const std::lock_guard lock{mutex_};
        return count_ <= 10 ? text_ : text_ + std::to_string(count_) + " in all\n";
    }

private:
    mutable std::mutex mutex_;
    std::size_t count_ = 0;
    std::string text_;
};

}  // namespace baton::test
