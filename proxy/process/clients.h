#pragma once

// The client connections of one loop, and the listeners that bring them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/context/connection_gate.h"
#include "proxy/context/lane.h"
#include "proxy/http1/http1_client.h"
#include "proxy/process/listener.h"

namespace baton {

class Clients {
public:
    // `emptied(holder)` is told when, after `stop`, the last connection is gone.
    using Emptied = void (*)(void* holder);
    Clients(Lane& lane, ConnectionGate& gate, void* holder, Emptied emptied);
    ~Clients() { abort(); }
    Clients(const Clients&) = delete;
    Clients& operator=(const Clients&) = delete;

    // Takes a listening socket, and serves who connects to it: requests are relayed, or answered by
    // `service` if there is one, which outlives them. So does `config`.
    void listen(int fd, const Address& address, const ListenerConfig& config,
                LocalService* service = nullptr);

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

    // For the connections.
    bool ends_connections() const noexcept {
        return phase_ == Phase::draining || phase_ == Phase::stopping;
    }
    bool stopping() const noexcept { return phase_ == Phase::stopping; }
    void became_idle(Http1Client& client) noexcept;
    void no_longer_idle(Http1Client& client) noexcept;
    // One has ended; the last thing it does.
    void retire(std::size_t place) noexcept;

private:
    enum class Phase : std::uint8_t { serving, draining, finishing, stopping };
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
    std::vector<std::unique_ptr<Http1Client>> clients_;
    // Those that are idle, in the order in which they became so.
    Http1Client* idle_longest_ = nullptr;
    Http1Client* idle_shortest_ = nullptr;
    Phase phase_ = Phase::serving;
    bool asking_ = false;  // the other holders for room
    log::OncePerMinute eviction_warning_;
    log::OncePerMinute refusal_warning_;
};

}  // namespace baton
