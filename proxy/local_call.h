#pragma once

// A request that this program answers itself, on a listener of its own: the same client side, the
// same guard and limits as a relayed one, and no server. Such requests stand neither in the access
// log nor in the counters of the traffic.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/exchange.h"
#include "proxy/head_block.h"
#include "proxy/lane.h"

namespace baton {

class Http1Client;

struct LocalRequest {
    const Head& head;
    std::string_view path;   // of the target, without the query
    std::string_view query;  // behind the "?"
    std::string_view host;   // without its port; empty if there is none
    std::string_view body;
};

struct LocalReply {
    int status = 200;
    std::string_view content_type = "text/plain; charset=utf-8";
    std::string body;
    std::string_view allow;  // of a 405
};
// A status and its reason in words, as the body.
LocalReply plain_reply(int status, std::string_view allow = {});

// Who answers. One per listener; called on the thread of its loop.
class LocalService {
public:
    virtual LocalReply answer(const LocalRequest& request) = 0;

protected:
    ~LocalService() = default;
};

class LocalCall final : public Exchange {
public:
    // A longer body is refused (413).
    static constexpr std::size_t body_max = std::size_t{8} << 10;

    LocalCall(Lane& lane, Http1Client& client, HeadBlock& block, LocalService& service);

    bool advance() override;
    void client_gone(int uv_error) override;
    void client_fault(Error error) override;
    void on_deadline(std::uint64_t now_ms) override;
    void stop() override;
    Deadline deadline() noexcept override;

private:
    enum class State : std::uint8_t { receiving, replying, over };

    void receive();
    void answer();
    void fail(Error error);
    void send(std::string_view bytes);
    void finish(End end) noexcept;

    Lane& lane_;
    Http1Client& client_;
    HeadBlock& block_;
    LocalService& service_;
    State state_ = State::receiving;
    bool close_client_ = false;  // said so in the answer
    Stamps at_;
};

}  // namespace baton
