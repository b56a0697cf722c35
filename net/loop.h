#pragma once

// libuv's loop, handles and timers as owned values.
//
// A handle's block is freed when libuv lets go of it, not when its owner does: the owner dies, the
// block forgets the owner, and every callback that still comes finds nobody and returns.

#include <uv.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

#include "net/check.h"

namespace baton {

// Microseconds of a clock that never jumps, as of this very call.
inline std::uint64_t now_us() noexcept { return uv_hrtime() / 1000; }

// Closes a libuv handle and frees its block when libuv lets go of it.
template <class Block>
struct CloseLater {
    void operator()(Block* block) const noexcept {
        static_assert(std::is_standard_layout_v<Block>, "the uv handle must be the first member");
        auto* handle = reinterpret_cast<uv_handle_t*>(block);
        handle->data = nullptr;  // from here on no callback finds an owner
        uv_close(handle, [](uv_handle_t* closed) { delete reinterpret_cast<Block*>(closed); });
    }
};

template <class Block>
using Handle = std::unique_ptr<Block, CloseLater<Block>>;

// Opens a handle with `init`, a uv_*_init call, which fails at start-up only. `owner` is what its
// callbacks find.
template <class Block, class Init>
Handle<Block> open_handle(void* owner, Init init) {
    auto block = std::make_unique<Block>();
    if (const int rc = init(*block); rc < 0) die("cannot open a libuv handle", uv_strerror(rc));
    reinterpret_cast<uv_handle_t*>(block.get())->data = owner;
    return Handle<Block>{block.release()};
}

// The owner of a handle, or null once the owner has let the handle go.
template <class Owner, class UvHandle>
Owner* owner_of(const UvHandle* handle) noexcept {
    return static_cast<Owner*>(handle->data);
}

// One event loop and the buffers that all its connections read into and write from. Used by one
// thread, but for `post`.
class Loop {
public:
    // Not 64 KiB: the MSS of loopback is 65,483, and a buffer just above it costs a second, tiny
    // read.
    static constexpr std::size_t read_size = 60'000;
    // What is no larger is put together and leaves in one piece.
    static constexpr std::size_t write_size = std::size_t{4} << 10;

    Loop();
    // Every handle must be gone or closing; runs until the last is closed.
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    uv_loop_t* uv() noexcept { return &loop_; }
    // Until `stop`. What was posted before is done before any event.
    void run() {
        run_tasks();
        uv_run(&loop_, UV_RUN_DEFAULT);
    }
    // One turn; waits for an event if `wait`. For tests.
    void turn(bool wait = false) noexcept { uv_run(&loop_, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT); }
    void stop() noexcept { uv_stop(&loop_); }

    // Milliseconds of a clock that never jumps, as of this turn.
    std::uint64_t now() const noexcept { return uv_now(&loop_); }
    // The number of this iteration. All events of one were ready when it began, so that what a socket
    // delivers in the iteration in which something was written to it is no answer to that: unless there
    // are so many events that libuv looks for more in between (1,024).
    std::uint64_t iteration() const noexcept { return iteration_; }
    bool polled_once() const noexcept { return events_ < events_max; }
    void count_event() noexcept { ++events_; }
    // Whether a timer is running, which is before the iteration looks for events.
    bool in_timer() const noexcept { return in_timer_; }
    void in_timer(bool is) noexcept { in_timer_ = is; }
    // For who begins to wait late in a long turn: `now` and timers count from this moment.
    void look_at_clock() noexcept { uv_update_time(&loop_); }
    std::span<char> read_buffer() noexcept { return {read_buffer_.get(), read_size}; }
    // For what is put together within one call.
    std::span<char> write_buffer() noexcept { return write_buffer_; }

    // Any thread: the task runs on the loop's thread, in a later turn.
    void post(std::function<void()> task);

    static Loop& of(const uv_loop_t* loop) noexcept { return *static_cast<Loop*>(loop->data); }

private:
    // Half of libuv's number, since we do not see every event that it does.
    static constexpr std::size_t events_max = 512;

    void run_tasks();
    void begin_iteration() noexcept {
        ++iteration_;
        events_ = 0;
    }

    uv_loop_t loop_;
    std::unique_ptr<char[]> read_buffer_;
    std::array<char, write_size> write_buffer_;
    std::mutex mutex_;
    std::vector<std::function<void()>> tasks_;  // guarded by mutex_
    Handle<uv_async_t> wake_;
    Handle<uv_prepare_t> prepare_;
    std::uint64_t iteration_ = 0;
    std::size_t events_ = 0;  // so far in this iteration
    bool in_timer_ = false;
};

// A timer that calls one member function. The owner must not move.
//     Timer<&Worker::on_second> second_{loop, *this};
template <auto OnFire>
class Timer;

template <class Owner, void (Owner::*OnFire)()>
class Timer<OnFire> {
public:
    Timer(Loop& loop, Owner& owner)
        : timer_(open_handle<uv_timer_t>(
              &owner, [&](uv_timer_t& timer) { return uv_timer_init(loop.uv(), &timer); })) {}

    void arm(std::chrono::milliseconds after) noexcept {
        uv_timer_start(timer_.get(), fired, static_cast<std::uint64_t>(after.count()), 0);
    }
    void repeat(std::chrono::milliseconds every) noexcept {
        const auto ms = static_cast<std::uint64_t>(every.count());
        uv_timer_start(timer_.get(), fired, ms, ms);
    }
    void disarm() noexcept { uv_timer_stop(timer_.get()); }

private:
    static void fired(uv_timer_t* timer) {
        auto* owner = owner_of<Owner>(timer);
        if (owner == nullptr) return;
        Loop& loop = Loop::of(timer->loop);
        loop.in_timer(true);
        (owner->*OnFire)();
        loop.in_timer(false);
    }

    Handle<uv_timer_t> timer_;
};

}  // namespace baton
