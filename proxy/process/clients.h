#pragma once

// The client connections of one loop, and the listeners that bring them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "proxy/context/client_connection.h"
#include "proxy/context/connection_gate.h"
#include "proxy/context/lane.h"
#include "proxy/http1/http1_client.h"
#include "proxy/process/listener.h"

namespace baton {

class Clients final : public ClientOwner {
public:
    // `emptied(holder)` is told when, after `stop`, the last connection is gone.
    using Emptied = void (*)(void* holder);
    Clients(Lane& lane, ConnectionGate& gate, void* holder, Emptied emptied);
    ~Clients() { abort(); }
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;

    // Takes a listening socket, and serves who connects to it: requests are relayed, or answered by
    // `service` if there is one, which outlives them.
    void listen(int fd, const Address& address, const ListenerConfig& config,
                LocalService* service = nullptr);

    // The newest limits, and the terms of listeners: of those whose addresses are among them.
    void take(const LimitsConfig& limits, std::span<const ListenerConfig> terms);

    // The end will come: still listens, but answers say that their connection ends.
    void drain() noexcept;
    // No new connections; who is connected, or waits to be, is served on. Answers do not say that
    // the connection ends: there is nowhere else to ask.
    void finish();
    // No new connections, idle ones close, requests finish and their answers say that the
    // connection ends.
    void stop();
    // What is left is cut.
    void abort();
    std::size_t count() const noexcept { return clients_.size(); }

    void retire(ClientConnection& connection) noexcept override;

private:
    static const Listener::Events listener_events;

    void adopt(Listener& listener, int fd, const Address& peer);
    bool admit(const Listener& listener, const Peer& peer);
    void close_listeners();
    // A search for room that goes round.
    struct Search {
        Clients* asker;
        const std::vector<Clients*>* holders;
        Listener::Lack lack;
        std::size_t next;  // among the holders, modulo their number
        std::size_t left;  // of them, to be asked
    };

    bool close_idle_one();
    bool gives_room(Listener::Lack lack);
    Listener::Room make_room(Listener::Lack lack);
    static bool ask_next(Search search);
    void asked_for_room(const Search& search);
    void answered(bool room);
    void tell_if_empty();

    Lane& lane_;
    ConnectionGate& gate_;
    void* holder_;
    Emptied emptied_;
    std::size_t place_;  // among the gate's holders
    std::vector<std::unique_ptr<Listener>> listeners_;
    Http1Blocks blocks_;
    std::vector<std::unique_ptr<ClientConnection>> clients_;
    bool asking_ = false;  // the other holders for room
    log::OncePerMinute eviction_warning_;
    log::OncePerMinute refusal_warning_;
};

}  // namespace baton
