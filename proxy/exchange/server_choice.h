#pragma once

// Which server a request goes to, over which connection, and where it goes next if that fails. Each server
// gets one connect; one that lost the request is asked again only when no other is left.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "net/connect.h"
#include "net/result.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/bound_servers.h"
#include "proxy/route/router.h"
#include "upstream/pool.h"
#include "upstream/server_set.h"

namespace baton {

// Of one request; its loop's thread.
class ServerChoice {
public:
    // A connect has ended: `next` goes on. From within an event only.
    using Happened = void (*)(void* holder);
    ServerChoice(Lane& lane, void* holder, Happened happened) noexcept
        : lane_(lane), holder_(holder), happened_(happened) {}
    ServerChoice(const ServerChoice&) = delete;
    ServerChoice& operator=(const ServerChoice&) = delete;

    // Looks for a connection; called again until it is there or cannot be had.
    enum class Step : std::uint8_t {
        leased,  // `take` gives the connection
        waits,   // for a connect
        failed,  // `error` says why
    };
    struct Wish {
        const Route* route = nullptr;
        BoundServers* bound = nullptr;  // the client's own connections come first
        // The request can be sent again if an idle connection proves to be stale, so that nobody need look
        // at it before.
        bool resendable = false;
    };
    Step next(const Wish& wish);
    Lease take() noexcept { return std::move(lease_); }
    Error error() const noexcept;

    // The server asked last; null before there is one.
    const Server* server() const noexcept { return server_; }
    Pool& pool() const noexcept { return lane_.pools[server_->slot]; }
    bool is_bound() const noexcept {
        return source_ == Source::bound || source_ == Source::bound_unlooked;
    }
    bool is_unlooked() const noexcept { return source_ >= Source::idle_unlooked; }

    // Requests of which a byte was written.
    unsigned tries() const noexcept { return tries_; }
    void written() noexcept;
    // Not a byte was: the server has not seen the request.
    void unwritten(bool reused);
    // The request is sent again: never on an idle connection, which may be as stale as the last.
    void again() noexcept { connections_ = Connections::fresh; }
    // Once more for another answer: the servers that lost it may be asked again.
    void once_more() { tried_ = refused_; }

    bool is_connecting() const noexcept { return connecting_.has_value(); }
    std::uint64_t connect_began_ms() const noexcept { return connect_began_ms_; }
    void connect_timed_out() noexcept;
    void give_up() noexcept { connecting_.reset(); }
    // A connect has failed already, in this request.
    bool has_failed() const noexcept { return connect_error_ != 0; }

    void count(ServerFault fault) noexcept;

private:
    enum class Connections : std::uint8_t { any, fresh };
    // Unlooked: something may lie in the kernel already, which would be no answer.
    enum class Source : std::uint8_t { idle, fresh, bound, idle_unlooked, bound_unlooked };

    Step pick(const Wish& wish);
    Connect::To addresses() const noexcept;
    Step connected();
    Step leased(Lease lease, Source source) noexcept;
    Lease idle_connection(Source source);
    Step bound_connection(BoundServers& bound);
    bool connect_failed(int uv_error);
    void add_connect_failure(Reason reason) noexcept;

    Lane& lane_;
    void* holder_;
    Happened happened_;
    const Upstream* upstream_ = nullptr;
    const Server* server_ = nullptr;
    std::optional<Connect> connecting_;
    std::optional<int> connect_result_;
    Lease lease_;
    ServerSet tried_;    // not to be picked again
    ServerSet refused_;  // of these, the ones no connection could be had to
    Connections connections_ = Connections::any;
    Source source_ = Source::fresh;
    Reason connect_reason_ = Reason::none;  // what the connects that failed have in common
    unsigned tries_ = 0;
    int connect_error_ = 0;  // of the last connect that failed
    std::uint64_t connect_began_ms_ = 0;
};

}  // namespace baton
