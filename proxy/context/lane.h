#pragma once

// What client connections need of their loop. Every loop that serves clients owns one.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "proxy/context/access_log.h"
#include "proxy/context/date_line.h"
#include "proxy/context/request_ids.h"
#include "proxy/context/snapshot_ref.h"
#include "proxy/context/stats.h"
#include "proxy/context/store_waiters.h"
#include "proxy/route/snapshot.h"
#include "session/lost_rotations.h"
#include "session/store.h"
#include "session/unknown_limit.h"
#include "upstream/pools.h"

namespace baton {

// The target as logged: without its query unless `query`.
std::string_view logged_target(const Head& head, bool query) noexcept;

struct Lane {
    // Serves nobody before it has taken a snapshot.
    Lane(Loop& the_loop, std::size_t its_index, std::unique_ptr<Store> the_store,
         UnknownLimit& the_unknown_limit, log::Writer* writer, log::Writer::Sink access_sink);
    Lane(const Lane&) = delete;  // the store holds its address
    Lane& operator=(const Lane&) = delete;

    Loop& loop;
    const std::size_t index;  // of its cell in every identity
    std::unique_ptr<Store> store;
    Pools pools;
    SnapshotRef snapshot;  // the newest; a request keeps the one that it began with
    // Between two iterations: requests that begin from here on have this one.
    void take(std::shared_ptr<const Snapshot> newest);
    AccessLog access_log;
    Counters counters;
    TcpCounts tcp;
    StreamLayer client_layer = nullptr;  // of the connections that are accepted
    StreamLayer server_layer = nullptr;  // of those to servers
    RequestIds ids;
    DateLine date;
    std::array<std::string, 2> via_lines;  // of a request, by its minor version
    UnknownLimit* unknown_limit;
    LostRotations* lost_rotations = nullptr;  // none: a lane that serves no sessions
    std::string head_out;                     // a head being built; empty between events
    std::string lines_out;                    // session lines being built
    std::int64_t epoch_offset_ms;  // loop.now() + this = milliseconds since 1970, but never jumps
    log::OncePerMinute unknown_field_warning;
    log::OncePerMinute foreign_cookie_warning;
    log::OncePerMinute made_private_warning;
    log::OncePerMinute connect_warning;
    log::OncePerMinute many_cookies_warning;
    log::OncePerMinute omitted_warning;
    log::OncePerMinute own_connect_warning;  // descriptors, ports, memory
    log::OncePerMinute slow_server_warning;
    log::OncePerMinute bad_response_warning;
    log::OncePerMinute overwrite_warning;
    log::OncePerMinute dropped_change_warning;
    log::OncePerSecond refused_warning;

    StoreWaiters waiters;

    // Microseconds for the spans of a log line; without a log the turn's milliseconds will do, which
    // cost no look at the clock.
    std::uint64_t clock_us() const noexcept {
        return access_log.enabled() ? now_us() : loop.now() * 1000;
    }
    // A field of an answer that is made now.
    std::string_view date_line() { return date.line(loop.now()); }
    std::int64_t epoch_now_ms() const noexcept {
        return static_cast<std::int64_t>(loop.now()) + epoch_offset_ms;
    }
};

}  // namespace baton
