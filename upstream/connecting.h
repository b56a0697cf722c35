#pragma once

// An attempt to connect to one server: at its address, or, for localhost, at the loopback addresses of
// both families.

#include <memory>

#include "net/loop.h"
#include "net/tcp.h"
#include "upstream/pool.h"
#include "upstream/server.h"

namespace baton {

// One worker's thread. The pool remembers which of two addresses worked last: that one comes first.
class Connecting {
public:
    // Nothing happens before `begin`. `connected(holder, uv_error)` is told once, later, 0 if it
    // worked; it may destroy this. Destroying it gives the attempt up.
    Connecting(Loop& loop, TcpCounts& counts, const Server& server, Pool& pool, void* holder,
               Tcp::Connected connected) noexcept;
    Connecting(const Connecting&) = delete;
    Connecting& operator=(const Connecting&) = delete;

    // 0, or what stands in the way of every address: nothing is told then.
    int begin();
    // Once connected.
    std::unique_ptr<Tcp> take() noexcept { return std::move(tcp_); }

private:
    void ended(int uv_error);
    int try_next();

    Loop& loop_;
    TcpCounts& counts_;
    const Server& server_;
    Pool& pool_;
    void* holder_;
    Tcp::Connected connected_;
    std::unique_ptr<Tcp> tcp_;
    unsigned left_;  // addresses not tried yet
    bool at_other_;  // the one that is being tried
    int first_error_ = 0;
};

}  // namespace baton
