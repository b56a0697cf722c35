#pragma once

// An attempt to connect to a peer: at its address, or at two of them, one after the other. What lies below
// the stream that comes of it is decided here alone.

#include <memory>

#include "net/address.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tcp.h"

namespace baton {

// Whether a call of the network's failed for want of something of our own: descriptors, ports, memory, a
// permission (connect(2)). The peer is not to blame, and may not even have been asked.
bool is_local(int uv_error) noexcept;
// Of these, what no other peer's address would change.
bool is_exhausted(int uv_error) noexcept;

// One loop's thread. Whoever owns it sets the time limit, and gives the attempt up by destroying it.
class Connect {
public:
    struct To {
        Address first;
        Address second{};  // unspecified (AF_UNSPEC): there is none
        // For a connection that idles or waits: a peer whose host has vanished is noticed, after 25 s or 5 s,
        // and is the connection's end.
        bool notices_vanished_peer = false;
        StreamLayer layer = nullptr;
    };
    // Nothing happens before `begin`. `connected(holder, uv_error)` comes once, from within an event, 0 if
    // there is a connection; it may destroy this.
    using Connected = void (*)(void* holder, int uv_error);
    Connect(Loop& loop, TcpCounts& counts, const To& to, void* holder, Connected connected) noexcept
        : loop_(loop), counts_(counts), to_(to), holder_(holder), connected_(connected) {}
    Connect(const Connect&) = delete;
    Connect& operator=(const Connect&) = delete;

    // 0, or what stands in the way of every address: `connected` is not called then. Of two errors it is
    // always the first one: the other family may be missing on this host.
    int begin();
    // Once connected: the TCP connection, with the layer over it.
    StreamPtr take();
    const Address& address() const noexcept { return tried_ == 2 ? to_.second : to_.first; }

private:
    void ended(int uv_error);
    bool has_next() const noexcept;

    Loop& loop_;
    TcpCounts& counts_;
    const To to_;
    void* holder_;
    Connected connected_;
    std::unique_ptr<Tcp> tcp_;
    int tried_ = 0;  // addresses
    int first_error_ = 0;
};

}  // namespace baton
