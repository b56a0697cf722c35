#pragma once

// How the requests of one loop refer to a snapshot: counted without atomics, for the count that all threads
// share would be written twice by every request.

#include <cstddef>
#include <memory>
#include <utility>

#include "proxy/route/snapshot.h"
#include "upstream/pools.h"

namespace baton {

// One loop's thread. Pools for the snapshot's servers are there as long as anybody on the loop refers to it.
class SnapshotRef {
public:
    SnapshotRef() noexcept = default;
    // The newest snapshot comes into use on the loop of `pools`, which outlive it.
    SnapshotRef(std::shared_ptr<const Snapshot> newest, Pools& pools)
        : snapshot_(newest.get()), use_(new Use{std::move(newest), pools}) {}
    SnapshotRef(const SnapshotRef& other) noexcept : snapshot_(other.snapshot_), use_(other.use_) {
        if (use_ != nullptr) ++use_->references;
    }
    SnapshotRef& operator=(SnapshotRef other) noexcept {
        std::swap(snapshot_, other.snapshot_);
        std::swap(use_, other.use_);
        return *this;
    }
    ~SnapshotRef() {
        if (use_ != nullptr && --use_->references == 0) delete use_;
    }

    const Snapshot& operator*() const noexcept { return *snapshot_; }
    const Snapshot* operator->() const noexcept { return snapshot_; }

private:
    // The loop's one share in the snapshot.
    struct Use {
        Use(std::shared_ptr<const Snapshot> its_snapshot, Pools& its_pools)
            : snapshot(std::move(its_snapshot)), pools(its_pools) {
            pools.begin_use(snapshot->upstreams());
        }
        ~Use() { pools.end_use(snapshot->upstreams()); }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;

        std::shared_ptr<const Snapshot> snapshot;
        Pools& pools;
        std::size_t references = 1;
    };

    const Snapshot* snapshot_ = nullptr;
    Use* use_ = nullptr;
};

}  // namespace baton
