#pragma once

// A head that came to no request: malformed, too late, or given up by its client.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "net/http/http_head.h"
#include "net/result.h"
#include "proxy/context/lane.h"

namespace baton {

struct RefusedHead {
    Error error;
    const Head* head = nullptr;  // as far as it was read
    std::string_view id;         // that its answer names; empty: it was not answered
    std::string_view client;
    std::size_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t begun_us = 0;  // of uv_hrtime; 0: its first byte was not seen
};

// Counts it and writes its line of the access log. The loop's thread.
void note_refused(Lane& lane, const RefusedHead& refused);

}  // namespace baton
