#pragma once

// What an exchange sees of who asked, whatever protocol it speaks. The client side frames the response and
// decides whether the connection goes on; the exchange says what the response is.
//
// One loop's thread. Nothing here calls the exchange back.

#include <cstddef>
#include <cstdint>
#include <span>

#include "net/address.h"
#include "net/http/http_parser.h"
#include "proxy/head/peer.h"
#include "proxy/head/reply.h"
#include "proxy/head/response_head.h"
#include "upstream/pool.h"

namespace baton {

class BoundServers;
struct ListenerConfig;
struct Stamps;

class ClientSide {
public:
    virtual const Peer& peer() const noexcept = 0;
    virtual const ListenerConfig& listener() const noexcept = 0;
    virtual Address local_address() const noexcept = 0;  // a system call
    // The client has finished sending, and may still read.
    virtual bool half_closed() const noexcept = 0;

    // The response, each call at most one write. `complete`: the message ends with it.

    // 100 Continue: whoever waits for it sends the body (RFC 9110, 10.1.1).
    virtual void go_on() = 0;
    // Another 1xx.
    virtual void interim(const ForwardResponse& response) = 0;
    // The final head with the first data of the body, whose framing is as received. If
    // `response.close` is set, the connection ends after it; `close` and the framing are overwritten by what
    // was chosen. Returns how many Set-Cookie fields were dropped.
    virtual std::size_t begin(ForwardResponse& response, const Pieces& data, bool complete) = 0;
    virtual void body(const Pieces& data, bool complete) = 0;
    // An answer of baton's own, whole.
    virtual void reply(const Reply& reply) = 0;

    // After a 101: bytes as they are. What has arrived and was not taken yet; it may be overwritten, and is
    // gone when the event is over.
    virtual std::span<char> take_raw() noexcept = 0;
    virtual void raw(std::span<const char> bytes) = 0;
    virtual void half_close() = 0;  // no more follow

    // Bytes written that the kernel has not taken yet.
    virtual std::size_t unsent() const noexcept = 0;
    // Bytes of the response so far, with its framing.
    virtual std::uint64_t bytes_out() const noexcept = 0;
    virtual bool broken() const noexcept = 0;
    // What the client did, and when.
    virtual void see_progress(Stamps& at) noexcept = 0;

    // Server connections that belong to this client alone; null: there is none.
    virtual BoundServers* bound() noexcept = 0;
    // One more, whose answer is complete. It is closed where the client's connection ends, too.
    virtual void bind(Lease lease) = 0;

    // Something has happened on the server's side or in the store: the exchange goes on. The outermost
    // function of the event; everything here may be gone when it returns.
    virtual void turn() = 0;

protected:
    ~ClientSide() = default;
};

}  // namespace baton
