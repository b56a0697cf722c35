#pragma once

// The time of day, which a person may set back or forward: for what is shown and for what is stored,
// never for time-outs (those go by the loop's clock). Milliseconds since 1970. Any thread.

#include <cstdint>

namespace baton {

std::int64_t wall_now_ms() noexcept;
// What to add to the loop's time (uv_now, ms) for a time of day that no later leap of the wall clock
// moves.
std::int64_t measure_epoch_offset_ms() noexcept;

}  // namespace baton
