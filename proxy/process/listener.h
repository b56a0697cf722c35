#pragma once

// Listening sockets: made once at start, one per address and worker (SO_REUSEPORT), and accepting
// from one of them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/log.h"
#include "net/loop.h"
#include "proxy/config/config.h"
#include "proxy/context/connection_gate.h"

namespace baton {

class LocalService;

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
    // What a connection that waits to be let in lacks: a place in the gate, or a descriptor (or memory).
    enum class Lack : std::uint8_t { place, descriptor };
    // Whether there is room again, or will be: `made`, or `resume` or `tell_full` follows.
    enum class Room : std::uint8_t { made, awaited, none };
    struct Events {
        // A connection: a non-blocking socket, to be closed by the holder, and a place in the gate, to
        // be given back.
        void (*accepted)(void* holder, Listener& listener, int fd, const Address& peer);
        // Somebody waits to be let in.
        Room (*full)(void* holder, Lack lack);
    };
    // Takes the socket, which is bound to `address`. `events` must outlive it (a constant).
    Listener(Loop& loop, int fd, Address address, const ListenerConfig& config,
             LocalService* service, ConnectionGate& gate, void* holder, const Events& events);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // What clients are held to who connect from now on. Its address is the one that the socket is bound to.
    const std::shared_ptr<const ListenerConfig>& terms() const noexcept { return terms_; }
    void take_terms(const ListenerConfig& config);
    const Address& address() const noexcept { return terms_->address; }
    // The address in the configuration, whose port may be 0.
    const Address& configured() const noexcept { return configured_; }
    // Who answers what comes in here; null: requests are relayed.
    LocalService* service() const noexcept { return service_; }

    // A connection has ended: there may be room again.
    void resume() noexcept;
    // Nobody could make room: those who wait go on waiting.
    void tell_full() noexcept;
    // Accepts what the kernel has queued, beyond the gate's limit too, so that closing the socket
    // resets nobody.
    void drain();

private:
    void on_readable();
    void on_retry();
    bool enter_gate();
    bool accept_one();
    bool make_room(Lack lack, const char* why);
    void warn() noexcept;

    Loop& loop_;
    int fd_;
    const Address configured_;
    std::shared_ptr<const ListenerConfig> terms_;
    LocalService* service_;
    ConnectionGate& gate_;
    void* holder_;
    const Events& events_;
    Handle<uv_poll_t> poll_;
    Timer<&Listener::on_retry> retry_;
    log::OncePerMinute warning_;
    bool paused_ = false;
    const char* paused_why_ = "";
};

}  // namespace baton
