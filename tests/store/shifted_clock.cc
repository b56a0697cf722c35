#include "tests/store/shifted_clock.h"

#include <uv.h>

namespace {

uint64_t shift_ms = 0;

}  // namespace

// Called in place of libuv's by all that asks for the time of a loop, but libuv itself.
extern "C" uint64_t uv_now(const uv_loop_t* loop) { return loop->time + shift_ms; }

namespace baton::test {

void put_clock_forward(std::chrono::milliseconds by) {
    shift_ms += static_cast<uint64_t>(by.count());
}

}  // namespace baton::test
