#pragma once

// The admin listener: client connections of its own on the control thread, so that it answers whatever the
// workers do.

#include <cstddef>
#include <memory>

#include "proxy/context/connection_gate.h"
#include "proxy/context/lane.h"
#include "proxy/process/clients.h"
#include "proxy/service/admin.h"

namespace baton {

class AdminListener {
public:
    // As many connections as an operator and his tools need, and no more: they are not taken from
    // those of the traffic.
    static constexpr std::size_t connections_max = 32;

    // `index`: among the registry's loops. `view` outlives it.
    // `emptied(holder)`: stopped, and the last connection is gone.
    AdminListener(Loop& loop, std::size_t index, const ProcessView& view,
                  std::unique_ptr<Store> store, UnknownLimit& unknown_limit, void* holder,
                  Clients::Emptied emptied);

    // Whose holders give a descriptor to who connects here when there is none. It outlives this.
    void take_descriptors_from(const ConnectionGate& gate) noexcept {
        gate_.descriptors_from = &gate;
    }
    // Needed once before a connection comes.
    void take(std::shared_ptr<const Snapshot> newest);
    // Takes the listening socket, which is bound to `address`.
    void listen(int fd, const Address& address, const ListenerConfig& config);
    const Address& address() const noexcept { return address_; }
    Lane& lane() noexcept { return lane_; }
    // As of Clients.
    void finish() { clients_.finish(); }
    void stop() { clients_.stop(); }
    void abort() { clients_.abort(); }

private:
    Lane lane_;
    Address address_;
    ConnectionGate gate_;
    AdminService service_;
    Clients clients_;
};

}  // namespace baton
