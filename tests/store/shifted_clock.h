#pragma once

// The loops' clock, which the tests of this program can put forward; timers are not touched by it.

#include <chrono>

namespace baton::test {

// From now on it is so much later. Nothing that is timed may be under way.
void put_clock_forward(std::chrono::milliseconds by);

}  // namespace baton::test
