#pragma once

// The admin listener: a client side of its own on the control thread, which answers questions about
// the process. GET and HEAD only: nothing can be changed here.
//
//     /healthz       200 "ok": the process lives
//     /readyz        200 {"ready":true}, or 503 {"ready":false,"reasons":["draining"]}
//     /v1/upstreams  the servers with what is known of them
//     /metrics       numbers for Prometheus
//
// Only loopback addresses are accepted (the configuration sees to it), but a browser on this host
// may be made to ask by any web page: a request with Origin, or one whose Host is a name other than
// localhost (DNS rebinding), is refused with 403.

#include <memory>
#include <string>

#include "proxy/exchange/local_call.h"
#include "proxy/process/clients.h"
#include "proxy/service/process_view.h"

namespace baton {

// What is asked, answered. The control thread.
class AdminService final : public LocalService {
public:
    explicit AdminService(const ProcessView& view) : view_(view) {}
    std::optional<LocalReply> answer(const LocalRequest& request, StoreTicket,
                                     std::unique_ptr<PendingReply>&) override {
        return answer(request);
    }
    LocalReply answer(const LocalRequest& request);

private:
    const ProcessView& view_;
};

class AdminListener {
public:
    // As many connections as an operator and his tools need, and no more: they are not taken from
    // those of the traffic.
    static constexpr std::size_t connections_max = 32;

    // `view` outlives it. `emptied(holder)`: stopped, and the last connection is gone.
    AdminListener(Loop& loop, const ProcessView& view, std::shared_ptr<const Snapshot> snapshot,
                  std::unique_ptr<Store> store, UnknownLimit& unknown_limit, void* holder,
                  Clients::Emptied emptied);

    // Whose holders give a descriptor to who connects here when there is none. It outlives this.
    void take_descriptors_from(const ConnectionGate& gate) noexcept {
        gate_.descriptors_from = &gate;
    }
    // Takes the listening socket, which is bound to `address`.
    void listen(int fd, const Address& address);
    const Address& address() const noexcept { return address_; }
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
