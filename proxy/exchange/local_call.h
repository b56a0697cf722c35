#pragma once

// A request that this program answers itself, on a listener of its own: the same client side, the
// same guard and limits as a relayed one, and no server. Such requests stand neither in the access
// log nor in the counters of the traffic.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/context/lane.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/request.h"
#include "proxy/head/reply.h"

namespace baton {

struct LocalRequest {
    const Head& head;
    std::string_view path;   // of the target, without the query
    std::string_view query;  // behind the "?"
    std::string_view host;   // without its port; empty if there is none
    std::string_view body;
};

// A reply that waits for the store.
class PendingReply {
public:
    virtual ~PendingReply() = default;
    // The store's answer. The reply; or nothing, and the store was asked again.
    virtual std::optional<Reply> answered(StoreAnswer answer) = 0;
};

// Who answers. One per listener and loop; called on the thread of the loop.
class LocalService {
public:
    // A reply to a head that needs no look at the body: who may not ask is not listened to.
    virtual std::optional<Reply> refusal(const Head&) { return std::nullopt; }
    // The reply; or nothing, and `pending` is set: the store was asked with `ticket`.
    virtual std::optional<Reply> answer(const LocalRequest& request, StoreTicket ticket,
                                        std::unique_ptr<PendingReply>& pending) = 0;
    // A longer body is refused (413).
    virtual std::size_t body_max() const noexcept { return std::size_t{8} << 10; }
    // The reply to what HTTP refuses before there is a request, or while its body comes: a bad head,
    // a body that is too long, a client that is too slow. The connection ends after it.
    virtual Reply fault_reply(Error error) const;

protected:
    ~LocalService() = default;
};

// A service's reply as its client is sent it: no page may be guessed out of it.
Reply local_reply(Reply reply);

class LocalCall final : public Exchange {
public:
    LocalCall(Lane& lane, ClientSide& client, Request& request, LocalService& service);

    bool advance() override;
    void client_gone(StreamEnd end) override;
    void client_fault(Error error) override;
    void on_deadline(std::uint64_t now_ms) override;
    void stop() override;
    Deadline deadline() noexcept override;

private:
    enum class State : std::uint8_t { begun, receiving, asking, replying, over };

    void look_at_head();
    void receive();
    bool too_long() const noexcept;
    void ask();
    void reply_if(std::optional<Reply> reply);
    void fail(Error error);
    void send(Reply reply);
    void finish(End end) noexcept;

    Request& request_;
    LocalService& service_;
    std::unique_ptr<PendingReply> pending_;
    State state_ = State::begun;
    Stamps at_;
};

}  // namespace baton
