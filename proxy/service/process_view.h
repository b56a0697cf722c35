#pragma once

// What the control thread may see of the process while its workers run: all of it is const, or
// counted in atomics.

#include <memory>
#include <vector>

#include "net/log.h"
#include "proxy/context/connection_gate.h"
#include "proxy/context/lane.h"
#include "proxy/context/session_stores.h"
#include "proxy/route/snapshot.h"

namespace baton {

struct ProcessView {
    std::shared_ptr<const Snapshot> snapshot;  // the newest
    const Registry* registry = nullptr;
    std::vector<const Lane*> lanes;  // of the workers: counters
    const ConnectionGate* gate = nullptr;
    const MemoryTable* table = nullptr;
    const SessionStores* stores = nullptr;  // null without Redis
    const log::Writer* writer = nullptr;
    bool draining = false;  // told to stop
};

}  // namespace baton
