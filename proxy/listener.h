#pragma once

// Listening sockets: made once at start, one per address and worker (SO_REUSEPORT), and accepting
// from one of them.

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/log.h"
#include "net/loop.h"
#include "proxy/config.h"

namespace baton {

class LocalService;

// How many client connections the process may hold. Shared by all workers.
struct ConnectionGate {
    std::size_t max = 0;
    std::atomic<std::size_t> open{0};  // relaxed: a count, nothing is ordered by it

    // A place for one more, if there is one.
    bool take() noexcept {
        std::size_t now = open.load(std::memory_order_relaxed);
        while (now < max)
            if (open.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
        return false;
    }
    void give_back() noexcept { open.fetch_sub(1, std::memory_order_relaxed); }
};

// One address's sockets, one per worker, bound and listening. Owned by whoever takes them out.
struct ListenerSockets {
    Address address;  // as bound: with the port the kernel chose, if 0 was asked for
    std::vector<int> fds;
};

// Why bind(2) failed, with what to do where the system's word does not say so (capabilities(7)).
std::string bind_error(int error);

// Binds and listens. On failure `complaint` says which address and why, and nothing stays open. An
// address that another process listens on is a failure, even if that process would share it: half
// of the traffic would silently go there.
bool open_listener(const Address& address, unsigned workers, ListenerSockets& out,
                   std::string& complaint);

// One socket of one worker.
class Listener {
public:
    // Takes the socket. `accepted` gets each connection: a non-blocking socket, to be closed by it,
    // and a place in the gate, to be given back.
    using Accepted = void (*)(void* holder, Listener& listener, int fd, const Address& peer);
    Listener(Loop& loop, int fd, Address address, const ListenerConfig& config,
             LocalService* service, ConnectionGate& gate, void* holder, Accepted accepted);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    const ListenerConfig& config() const noexcept { return config_; }
    const Address& address() const noexcept { return address_; }
    // Who answers what comes in here; null: requests are relayed.
    LocalService* service() const noexcept { return service_; }

    // A connection has ended: there may be room again.
    void resume() noexcept;
    // Accepts what the kernel has queued, so that closing the socket resets nobody.
    void drain();

private:
    void on_readable();
    void on_retry();
    bool accept_one();
    void pause(const char* why) noexcept;

    Loop& loop_;
    int fd_;
    Address address_;
    const ListenerConfig& config_;
    LocalService* service_;
    ConnectionGate& gate_;
    void* holder_;
    Accepted accepted_;
    Handle<uv_poll_t> poll_;
    Timer<&Listener::on_retry> retry_;
    log::OncePerMinute warning_;
    bool paused_ = false;
};

}  // namespace baton
