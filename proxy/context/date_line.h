#pragma once

// "Date: ...\r\n" of now, put together at most once a second. One thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "net/http/http_date.h"

namespace baton {

class DateLine {
public:
    // `now_ms` is the loop's clock. Valid until the next call.
    std::string_view line(std::uint64_t now_ms) {
        if (now_ms >= until_ms_) write(now_ms);
        return line_;
    }

private:
    void write(std::uint64_t now_ms);

    std::string line_;
    std::uint64_t until_ms_ = 0;
};

}  // namespace baton
