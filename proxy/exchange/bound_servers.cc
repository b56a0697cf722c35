#include "proxy/exchange/bound_servers.h"

namespace baton {

const StreamEvents BoundServers::events{
    .arrived = [](void* bound, std::span<char>) { static_cast<BoundServers*>(bound)->end(); },
    .flushed = [](void*) {},
    .ended = [](void* bound, StreamEnd) { static_cast<BoundServers*>(bound)->end(); },
};

void BoundServers::keep(Lease lease) {
    Pool::park(*lease);
    lease->stream->attach(this, events);
    lease->stream->read(true);
    leases_.push_back(std::move(lease));
}

void BoundServers::end() {
    leases_.clear();
    ended_(holder_);
}

}  // namespace baton
