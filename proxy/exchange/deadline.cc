#include "proxy/exchange/deadline.h"

#include <algorithm>

#include "net/connect.h"

namespace baton {

namespace {

// The sooner of what there is and `since` + `limit`; a limit of 0 is none.
void sooner(Deadline& deadline, std::uint64_t since, Milliseconds limit, Fault fault,
            Reason reason) noexcept {
    if (limit.count() == 0) return;
    const std::uint64_t when = since + static_cast<std::uint64_t>(limit.count());
    if (deadline.when == 0 || when < deadline.when) deadline = {when, fault, reason};
}

bool awaits_body(Progress::Phase phase) noexcept {
    return phase == Progress::Phase::uploading || phase == Progress::Phase::overlapping;
}

// A body may take the grace and the time that its bytes take at the least rate; what it has waited before
// is used up.
void upload_deadline(Deadline& deadline, const Stamps& at, const UploadRate& rate) noexcept {
    if (at.upload_since == 0) return;
    const auto grace = static_cast<std::uint64_t>(rate.grace.count());
    const std::uint64_t allowed = grace + at.upload_bytes * 1000 / rate.min;
    const std::uint64_t left = allowed - std::min(allowed, at.upload_waited);
    sooner(deadline, at.upload_since, Milliseconds{std::max<std::uint64_t>(left, 1)},
           Fault::client_slow, Reason::upload_too_slow);
}

void add_send(Deadline& deadline, const Stamps& at, Milliseconds send) noexcept {
    if (at.unsent_since != 0)
        sooner(deadline, std::max(at.client_progress, at.unsent_since), send, Fault::client_slow,
               Reason::send_timeout);
}

// `total` has run out: the fault is of whoever is awaited at that moment.
Fault fault_of_total(const Progress& progress) noexcept {
    switch (awaited(progress).whom) {
    case Origin::client: return Fault::client_slow;
    case Origin::server: return progress.server_reached ? Fault::server_slow : Fault::no_server;
    case Origin::local: break;
    }
    return Fault::store_unavailable;
}

void server_deadlines(Deadline& deadline, const Progress& progress,
                      const UpstreamConfig::Timeouts& server) noexcept {
    const Stamps& at = progress.at;
    if (server.total.count() != 0)
        sooner(deadline, at.begun, server.total, fault_of_total(progress), Reason::total_timeout);
    switch (progress.phase) {
    case Progress::Phase::connecting:
        sooner(deadline, at.connect_began, server.connect, Fault::no_server,
               Reason::connect_timeout);
        break;
    case Progress::Phase::sent:
        sooner(deadline, at.request_progress, server.response, Fault::server_slow,
               Reason::response_timeout);
        break;
    case Progress::Phase::answering:
        if (const Awaited next = awaited(progress); next.whom == Origin::server)
            sooner(deadline, next.since, server.idle, Fault::server_slow, Reason::idle_timeout);
        break;
    default: break;
    }
}

// A server that closes after it has waited so long for a slow client may have lost its patience; one that
// dies while bytes flow has not.
constexpr std::uint64_t patience_ms = 1000;

std::uint64_t elapsed(std::uint64_t since, std::uint64_t now_ms) noexcept {
    return since == 0 || now_ms < since ? 0 : now_ms - since;
}

// How long the client has kept the server waiting, in milliseconds. While the client does not read we do
// not either, so a server that gives up meanwhile is noticed only when the client has gone on.
std::uint64_t client_behind(const Progress& progress, std::uint64_t now_ms) noexcept {
    const Stamps& at = progress.at;
    const std::uint64_t unread = std::max(at.unsent_longest, elapsed(at.unsent_since, now_ms));
    if (awaits_body(progress.phase)) return std::max(unread, elapsed(at.response_progress, now_ms));
    return progress.phase == Progress::Phase::answering ? unread : 0;
}

}  // namespace

Awaited awaited(const Progress& progress) noexcept {
    using Phase = Progress::Phase;
    const Stamps& at = progress.at;
    switch (progress.phase) {
    case Phase::before:
    case Phase::committing: return {Origin::local, at.begun};
    case Phase::connecting: return {Origin::server, at.connect_began};
    case Phase::uploading:
    case Phase::overlapping:
        return {Origin::client, std::max({at.client_input, at.request_progress, at.begun})};
    case Phase::sent: return {Origin::server, at.request_progress};
    case Phase::answering:
        // What the client does not take, the server need not add to.
        if (at.unsent_since != 0)
            return {Origin::client, std::max(at.client_progress, at.unsent_since)};
        return {Origin::server,
                std::max({at.request_progress, at.response_progress, at.client_progress})};
    case Phase::replying: return {Origin::client, std::max(at.client_progress, at.unsent_since)};
    }
    return {Origin::local, at.begun};
}

Origin origin_of_loss(const Progress& progress, int uv_error, std::uint64_t now_ms) noexcept {
    if (is_local(uv_error)) return Origin::local;
    return client_behind(progress, now_ms) >= patience_ms ? Origin::client : Origin::server;
}

void see_upload(Stamps& at, Progress::Phase phase, std::uint64_t bytes,
                std::uint64_t now_ms) noexcept {
    at.upload_bytes = bytes;
    if (!awaits_body(phase)) {
        if (at.upload_since != 0) at.upload_waited += now_ms - at.upload_since;
        at.upload_since = 0;
    } else if (at.upload_since == 0) {
        at.upload_since = now_ms;
    }
}

Deadline next_deadline(const Progress& progress, const TimeLimits& limits) noexcept {
    const Stamps& at = progress.at;
    Deadline deadline;
    // Bounds the wait for an answer; what flows then is bounded by `send` and `idle`.
    if (at.half_closed != 0 && !progress.answer_begun)
        sooner(deadline, at.half_closed, limits.client.client_gone, Fault::client_gone,
               Reason::client_gone_timeout);
    if (awaits_body(progress.phase)) {
        sooner(deadline, awaited(progress).since, limits.client.body_idle, Fault::client_slow,
               Reason::body_idle_timeout);
        if (limits.upload.min != 0) upload_deadline(deadline, at, limits.upload);
    }
    add_send(deadline, at, limits.client.send);
    if (limits.server != nullptr && progress.phase != Progress::Phase::replying)
        server_deadlines(deadline, progress, *limits.server);
    return deadline;
}

Deadline tunnel_deadline(const Stamps& at, Milliseconds idle) noexcept {
    Deadline deadline;
    sooner(
        deadline,
        std::max({at.request_progress, at.response_progress, at.client_progress, at.client_input}),
        idle, Fault::client_slow, Reason::tunnel_idle_timeout);
    return deadline;
}

Deadline send_deadline(const Stamps& at, Milliseconds send) noexcept {
    Deadline deadline;
    add_send(deadline, at, send);
    return deadline;
}

}  // namespace baton
