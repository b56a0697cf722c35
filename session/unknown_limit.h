#pragma once

// How many ids that nobody has an address may show: who guesses ids shows many (OWASP, Session
// Management). Off unless there is a limit.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace baton {

// Any thread.
class UnknownLimit {
public:
    // Counts an unknown id that `address` has shown: an address as text, of which IPv6 counts by its
    // first 64 bits (what one customer is given). False if it is more than `max` a minute; 0: no limit,
    // and nothing is counted. `now_ms` is any clock that never jumps.
    bool count(std::string_view address, std::size_t max, std::int64_t now_ms);

private:
    // Beyond this many addresses in one minute further ones are not counted.
    static constexpr std::size_t addresses_max = 65'536;

    std::mutex mutex_;
    std::int64_t minute_ = 0;                              // guarded by mutex_
    std::unordered_map<std::string, std::size_t> counts_;  // of this minute; guarded by mutex_
};

}  // namespace baton
