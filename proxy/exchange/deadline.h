#pragma once

// When a running request has taken too long, and what that is called. A pure function of what happened when.

#include <cstdint>

#include "net/result.h"
#include "proxy/config/config.h"

namespace baton {

// Milliseconds of the loop's clock; a stamp of 0 is "never", or "not so".
struct Stamps {
    std::uint64_t begun = 0;  // the request's first byte came
    std::uint64_t connect_began = 0;
    std::uint64_t request_progress = 0;   // the server took bytes of the request
    std::uint64_t response_progress = 0;  // the server sent
    std::uint64_t client_progress = 0;    // the client took bytes of the answer
    std::uint64_t client_input = 0;       // the client sent
    std::uint64_t unsent_since = 0;       // there have been bytes for the client to take
    std::uint64_t unsent_longest = 0;     // ms: the longest that they had to wait
    std::uint64_t half_closed = 0;        // the client has finished sending

    // The body's average rate counts only the time in which the client is awaited.
    std::uint64_t upload_since = 0;   // since when it is
    std::uint64_t upload_waited = 0;  // milliseconds that it was before
    std::uint64_t upload_bytes = 0;   // have come of the body
};

struct Progress {
    enum class Phase : std::uint8_t {
        before,  // route, session, choice of a server
        connecting,
        uploading,    // bytes of the request are awaited from the client
        sent,         // an answer is awaited, or the server has not taken all of the request
        committing,   // the answer waits for the store
        overlapping,  // the answer has begun, and bytes of the request are awaited from the client
        answering,
        replying,  // the last bytes leave for the client
    };
    Phase phase = Phase::before;
    bool server_reached = false;  // a byte of the request was written to a server
    bool answer_begun = false;    // a byte of an answer was written to the client
    Stamps at;
};

// Whom a request waits for, and since when.
struct Awaited {
    Origin whom;
    std::uint64_t since;
};
Awaited awaited(const Progress& progress) noexcept;

struct Deadline {
    std::uint64_t when = 0;  // 0: never
    Fault fault = Fault::server_slow;
    Reason reason = Reason::none;
};

// Who caused a server's connection to end with `uv_error` before its answer was whole. A server that had
// to wait for a slow client may have given up on it.
Origin origin_of_loss(const Progress& progress, int uv_error, std::uint64_t now_ms) noexcept;

// Moves the stamps of an upload, of which `bytes` have come.
void see_upload(Stamps& at, Progress::Phase phase, std::uint64_t bytes,
                std::uint64_t now_ms) noexcept;

struct TimeLimits {
    const ClientTimeouts& client;
    const UploadRate& upload;
    const UpstreamConfig::Timeouts* server = nullptr;  // null before there is a route
};
// The soonest of all that apply.
Deadline next_deadline(const Progress& progress, const TimeLimits& limits) noexcept;

// Of a tunnel in which no byte goes either way. Both sides are silent, as the client may be for as long as
// it likes: no server's fault.
Deadline tunnel_deadline(const Stamps& at, Milliseconds idle) noexcept;
// Of a client that does not take what is left for it.
Deadline send_deadline(const Stamps& at, Milliseconds send) noexcept;

}  // namespace baton
