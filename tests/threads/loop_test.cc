// A loop's mailbox, with eight threads posting.

#include "net/loop.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "tests/threads/together.h"

namespace baton::test {

namespace {

constexpr unsigned threads = 8;
constexpr std::size_t posts = 3000;  // of each thread

}  // namespace

TEST_CASE(
    "tasks of eight threads run while the loop runs, stops and runs again: all, once, in order") {
    Loop loop;
    // The loop's thread alone touches these.
    std::array<std::vector<std::size_t>, threads> seen;
    const std::thread::id here = std::this_thread::get_id();
    std::size_t elsewhere = 0;
    bool over = false;
    std::size_t runs = 0;

    std::thread posting{[&] {
        in_threads(threads, [&](unsigned thread) {
            for (std::size_t i = 0; i < posts; ++i) {
                loop.post([&, thread, i] {
                    seen[thread].push_back(i);
                    if (std::this_thread::get_id() != here) ++elsewhere;
                    // Those behind it in the same batch still run; the rest with the next run.
                    if (i % 100 == 99) loop.stop();
                });
            }
        });
        loop.post([&] {
            over = true;
            loop.stop();
        });
    }};
    while (!over) {
        loop.run();
        ++runs;
    }
    posting.join();
    CHECK(elsewhere == 0);
    CHECK(runs > 1);
    for (const auto& of_thread : seen) {
        REQUIRE(of_thread.size() == posts);
        for (std::size_t i = 0; i < posts; ++i) REQUIRE(of_thread[i] == i);
    }
}

TEST_CASE("a task may post: to its own loop, and to another that answers") {
    Loop here;
    Loop there;
    constexpr int rounds = 2000;
    int done = 0;
    std::function<void()> ping;
    // Each touches `done` in its turn only.
    const auto pong = [&] {
        if (++done == rounds) there.stop();
        here.post([&] { here.post(ping); });
    };
    ping = [&] {
        if (done == rounds) return here.stop();
        there.post(pong);
    };
    here.post(ping);
    std::thread other{[&] { there.run(); }};
    here.run();
    other.join();
    CHECK(done == rounds);
}

TEST_CASE("a loop that ends with tasks of many threads in its mailbox runs none and frees all") {
    const auto held = std::make_shared<int>(0);
    std::atomic<int> ran = 0;
    {
        Loop loop;
        in_threads(threads, [&](unsigned) {
            for (std::size_t i = 0; i < 100; ++i) loop.post([held, &ran] { ran.fetch_add(1); });
        });
        CHECK(held.use_count() == 1 + threads * 100);
    }
    CHECK(ran.load() == 0);
    CHECK(held.use_count() == 1);
}

}  // namespace baton::test
