#include "proxy/deadline.h"

#include <algorithm>

namespace baton {

namespace {

// The sooner of what there is and `since` + `limit`; a limit of 0 is none.
void sooner(Deadline& deadline, std::uint64_t since, Milliseconds limit, Fault fault) noexcept {
    if (limit.count() == 0) return;
    const std::uint64_t when = since + static_cast<std::uint64_t>(limit.count());
    if (deadline.when == 0 || when < deadline.when) deadline = {when, fault};
}

// Who has kept the request until now. Before there is a server nothing else waits.
Fault fault_of_total(const Progress& progress) noexcept {
    if (progress.phase == Progress::Phase::committing || progress.phase == Progress::Phase::before)
        return Fault::store_unavailable;
    return progress.server_reached ? Fault::server_slow : Fault::no_server;
}

void server_deadlines(Deadline& deadline, const Progress& progress,
                      const UpstreamConfig::Timeouts& server) noexcept {
    const Stamps& at = progress.at;
    sooner(deadline, at.begun, server.total, fault_of_total(progress));
    switch (progress.phase) {
    case Progress::Phase::connecting:
        sooner(deadline, at.connect_began, server.connect, Fault::no_server);
        break;
    case Progress::Phase::sent:
        sooner(deadline, at.request_progress, server.response, Fault::server_slow);
        break;
    case Progress::Phase::answering:
        // While the client's side is full the server is not to blame.
        if (progress.server_read)
            sooner(deadline, std::max(at.response_progress, at.client_progress), server.idle,
                   Fault::server_slow);
        break;
    default: break;
    }
}

}  // namespace

Deadline next_deadline(const Progress& progress, const ClientTimeouts& client,
                       const UpstreamConfig::Timeouts* server) noexcept {
    const Stamps& at = progress.at;
    Deadline deadline;
    if (progress.phase == Progress::Phase::tunnelling) {
        const std::uint64_t active = std::max(
            {at.request_progress, at.response_progress, at.client_progress, at.client_input});
        sooner(deadline, active, client.tunnel_idle, Fault::server_slow);
        return deadline;
    }
    // Bounds the wait for an answer; what flows then is bounded by `send` and `idle`.
    if (at.half_closed != 0 && !progress.answer_begun)
        sooner(deadline, at.half_closed, client.client_gone, Fault::client_gone);
    if (progress.phase == Progress::Phase::uploading)
        sooner(deadline, std::max(at.client_input, at.begun), client.body_idle, Fault::client_slow);
    if (at.unsent_since != 0)
        sooner(deadline, std::max(at.client_progress, at.unsent_since), client.send,
               Fault::client_slow);
    if (server != nullptr && progress.phase != Progress::Phase::replying)
        server_deadlines(deadline, progress, *server);
    return deadline;
}

}  // namespace baton
