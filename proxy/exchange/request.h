#pragma once

// One request as its exchange sees it, whatever protocol brought it.

#include <cstddef>
#include <cstdint>
#include <string>

#include "net/http/head_guard.h"
#include "net/http/http_head.h"
#include "net/http/http_parser.h"

namespace baton {

// Filled by the client side, which owns it. The exchange takes what has arrived of the body.
struct Request {
    Head head;                     // valid until the exchange has ended
    ConnectionOptions connection;  // what the head says of the client's connection
    Body body;                     // as the head declares it
    Pieces arrived;    // data of the body: what this event brought, gone when it is over
    std::string held;  // data of the body that is kept, from its first byte on
    std::uint64_t body_bytes = 0;  // of the body that have come, its framing included
    bool complete = false;         // the last byte of the body has come

    // Of what waits for somebody this much is kept; then reading stops.
    static constexpr std::size_t waiting_max = std::size_t{16} << 10;

    // What is there of the body's beginning.
    std::size_t gathered() const noexcept { return held.size() + arrived.bytes(); }
    // Keeps what has arrived.
    void hold() {
        if (arrived.bytes() == 0) return;
        for (const std::string_view piece : arrived.view()) held.append(piece);
        arrived.clear();
    }
    // Keeps nothing; memory that other requests do not need is given back.
    void drop_held() {
        held.clear();
        if (held.capacity() > waiting_max) held.shrink_to_fit();
    }
};

}  // namespace baton
