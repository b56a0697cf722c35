#pragma once

// One request of a client connection and its answer, from the head to the last byte, whoever gives
// the answer: a server, through a Relay, or this program itself, in a LocalCall. Lives in the
// request's block; the client side makes it, drives it and ends it.

#include <cstdint>
#include <memory>
#include <optional>

#include "net/result.h"
#include "net/stream.h"
#include "proxy/exchange/deadline.h"
#include "session/store.h"

namespace baton {

class ClientSide;
struct Lane;

class Exchange {
public:
    enum class End : std::uint8_t {
        complete,  // the response has left
        linger,    // the same, of a client that may be sending and does not expect the end
        cut,       // what there is of a response must not look complete
        dropped,   // the client has gone, and there is no response
        tunnel,    // it has become a tunnel
    };

    virtual ~Exchange();
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    // Goes as far as it can with what is there; true once it is over. What the client has brought
    // must be consumed when it returns.
    virtual bool advance() = 0;
    End end() const noexcept { return end_; }

    // Events of the client side, which calls `advance` next.
    virtual void client_gone(StreamEnd end) = 0;
    virtual void client_fault(Error error) = 0;  // its body is not HTTP
    virtual void on_deadline(std::uint64_t now_ms) = 0;
    virtual void stop() = 0;  // the process's grace is over

    virtual Deadline deadline() noexcept = 0;
    // Whether more of the request's body, or of a tunnel's bytes, may come.
    bool wants_client_input() const noexcept { return wants_client_; }
    // What carries on, if it ended with `tunnel`. It refers to nothing of the request's.
    virtual std::unique_ptr<Exchange> take_tunnel() { return nullptr; }

protected:
    Exchange(Lane& lane, ClientSide& client) noexcept : lane_(lane), client_(client) {}

    // What goes with each question to the store. One question at a time.
    StoreTicket ticket() noexcept;
    // The store will answer later.
    void await_answer();
    bool awaits_answer() const noexcept;
    std::optional<StoreAnswer> take_answer() noexcept;
    // It is not needed any more.
    void forget_answer() noexcept;

    Lane& lane_;
    ClientSide& client_;
    End end_ = End::complete;
    bool wants_client_ = true;

private:
    void store_answered(StoreAnswer answer);

    StoreTicket ticket_ = 0;
    std::optional<StoreAnswer> answer_;
};

}  // namespace baton
