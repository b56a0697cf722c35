#pragma once

// What the client of a connection did, and when: what its deadlines are made of. All times are milliseconds
// of the loop; 0 means never.

#include <algorithm>
#include <cstdint>

#include "net/stream.h"
#include "proxy/config/config.h"
#include "proxy/exchange/deadline.h"

namespace baton {

// Of one connection; its loop's thread.
class ClientProgress {
public:
    explicit ClientProgress(std::uint64_t now) noexcept : entered_(now) {}

    // The connection's state began.
    void entered(std::uint64_t now) noexcept { entered_ = now; }
    void received(std::uint64_t now) noexcept { received_ = now; }
    void half_closed(std::uint64_t now) noexcept { half_closed_ = now; }
    void see_sent(std::uint64_t sent, std::uint64_t now) noexcept {
        if (sent == sent_) return;
        sent_ = sent;
        sent_at_ = now;
    }

    // Adds all this to what an exchange knows.
    void tell(Stamps& at, std::size_t unsent, std::uint64_t now) const noexcept {
        at.client_progress = sent_at_;
        at.client_input = received_;
        // For what it had sent behind another request it began to wait when that one was done.
        at.half_closed = half_closed_ != 0 ? std::max(half_closed_, entered_) : 0;
        if (unsent > 0) {
            if (at.unsent_since == 0) at.unsent_since = now;
        } else if (at.unsent_since != 0) {
            at.unsent_longest = std::max(at.unsent_longest, now - at.unsent_since);
            at.unsent_since = 0;
        }
    }

    // When the client has taken too long: to send a head, to take the end of a response, and when what it
    // still sends is read no more. 0: there is no limit.
    std::uint64_t since_entered(Milliseconds limit) const noexcept { return due(entered_, limit); }
    std::uint64_t since_sent(Milliseconds limit) const noexcept {
        return due(std::max(entered_, sent_at_), limit);
    }
    std::uint64_t lingering(const ClientTimeouts& timeouts) const noexcept;

private:
    static std::uint64_t due(std::uint64_t since, Milliseconds limit) noexcept {
        return limit.count() == 0 ? 0 : since + static_cast<std::uint64_t>(limit.count());
    }

    std::uint64_t entered_;
    std::uint64_t received_ = 0;
    std::uint64_t half_closed_ = 0;
    std::uint64_t sent_ = 0;  // bytes
    std::uint64_t sent_at_ = 0;
};

}  // namespace baton
