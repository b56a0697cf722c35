#pragma once

// One request of a client connection and its answer, from the head to the last byte, whoever gives
// the answer: a server, through a Relay, or this program itself, in a LocalCall. Lives in the
// request's block; the client side makes it, drives it and ends it.

#include <cstdint>
#include <optional>

#include "net/result.h"
#include "proxy/exchange/deadline.h"
#include "session/store.h"

namespace baton {

class Http1Client;
struct Lane;

class Exchange {
public:
    // How the client's connection goes on.
    enum class End : std::uint8_t {
        keep,
        close,   // once the answer has left
        linger,  // the same, of a client that may be sending and does not expect the end
        cut,     // at once, by a reset: what there is of an answer must not look complete
        drop,    // at once: the client has gone and there is no answer
    };

    virtual ~Exchange();
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    // Goes as far as it can with what is there; true once it is over. What the client has brought
    // must be consumed when it returns.
    virtual bool advance() = 0;
    End end() const noexcept { return end_; }

    // Events of the client side, which calls `advance` next.
    virtual void client_gone(int uv_error) = 0;
    virtual void client_fault(Error error) = 0;  // its body is not HTTP
    virtual void on_deadline(std::uint64_t now_ms) = 0;
    virtual void stop() = 0;  // the process's grace is over

    virtual Deadline deadline() noexcept = 0;
    bool wants_client_input() const noexcept { return wants_client_; }
    // After a 101: bytes both ways.
    virtual bool tunnelling() const noexcept { return false; }

    // The store's late answer to this exchange's ticket.
    void store_answered(StoreAnswer answer);

protected:
    Exchange(Lane& lane, Http1Client& client) noexcept : lane_(lane), client_(client) {}

    // What goes with each question to the store. One question at a time.
    StoreTicket ticket() noexcept;
    // The store will answer later.
    void await_answer();
    bool awaits_answer() const noexcept;
    std::optional<StoreAnswer> take_answer() noexcept;
    // It is not needed any more.
    void forget_answer() noexcept;

    Lane& lane_;
    Http1Client& client_;
    End end_ = End::keep;
    bool wants_client_ = true;

private:
    StoreTicket ticket_ = 0;
    std::optional<StoreAnswer> answer_;
};

}  // namespace baton
