#include "net/wall_clock.h"

#include <uv.h>

#include <chrono>

namespace baton {

std::int64_t wall_now_ms() noexcept {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::int64_t measure_epoch_offset_ms() noexcept {
    return wall_now_ms() - static_cast<std::int64_t>(uv_hrtime() / 1'000'000);
}

}  // namespace baton
