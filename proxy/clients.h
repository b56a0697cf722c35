#pragma once

// The client connections of one loop, and the listeners that bring them.

#include <cstddef>
#include <memory>
#include <vector>

#include "proxy/http1_client.h"
#include "proxy/lane.h"
#include "proxy/listener.h"

namespace baton {

class Clients {
public:
    // `emptied(holder)` is told when, after `stop`, the last connection is gone.
    using Emptied = void (*)(void* holder);
    Clients(Lane& lane, ConnectionGate& gate, void* holder, Emptied emptied)
        : lane_(lane), gate_(gate), holder_(holder), emptied_(emptied) {}
    ~Clients() { abort(); }
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;

    // Takes a listening socket, and serves who connects to it: requests are relayed, or answered by
    // `service` if there is one, which outlives them. So does `config`.
    void listen(int fd, const Address& address, const ListenerConfig& config,
                LocalService* service = nullptr);

    // No new connections, idle ones close, requests finish and their answers say that the
    // connection ends.
    void stop();
    // What is left is cut.
    void abort();
    std::size_t count() const noexcept { return clients_.size(); }

    // A connection has ended; the last thing it does.
    void retire(std::size_t place) noexcept;

private:
    void adopt(Listener& listener, int fd, const Address& peer);
    void tell_if_empty();

    Lane& lane_;
    ConnectionGate& gate_;
    void* holder_;
    Emptied emptied_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::vector<std::unique_ptr<Http1Client>> clients_;
    bool stopping_ = false;
};

}  // namespace baton
