#pragma once

// The session of a tunnel: kept alive while the tunnel is in use, followed to its new id, and watched for its
// end. It keeps what it needs of the configuration, for a tunnel outlasts that.

#include <cstdint>
#include <optional>
#include <string>

#include "proxy/config/config.h"
#include "proxy/context/lane.h"
#include "session/store.h"

namespace baton {

// How often the session of what runs on is looked after, in milliseconds: twice while an old id leads to the
// new one.
std::int64_t watch_interval_ms(const SessionConfig& config, std::int64_t idle_ms) noexcept;

class TunnelSession {
public:
    enum class Step : std::uint8_t { done, waits };  // waits: for `answered`
    // How much is known of it: a store that is away says nothing.
    enum class Known : std::uint8_t { unsure, live, ended };
    struct Facts {
        SessionId id;
        std::string scope;
        std::string cookie;
        std::int64_t idle_ms = 0;
        Known known = Known::live;
    };
    TunnelSession(Lane& lane, const SessionConfig& config, Facts facts);

    // The tunnel opens: a use of the session. `ticket` goes with each question to the store.
    void begin(StoreTicket ticket);
    // Asks the store if it is time to, unless a question is open. `used_at_ms`: when a byte last went
    // through, by the loop's clock.
    Step look_after(std::uint64_t used_at_ms);
    Step answered(StoreAnswer&& answer);
    // When `look_after` is due though no byte goes through; 0: never.
    std::uint64_t next_look() const noexcept;
    // The tunnel is to be closed, for its session has ended.
    bool closes_tunnel() const noexcept { return closes_ && facts_.known == Known::ended; }

private:
    bool has_ended_here() noexcept;
    Step load();
    void touch();
    void use(const SessionId& id);

    Lane* lane_;
    Facts facts_;
    SessionKey key_;
    StoreTicket ticket_ = 0;
    bool closes_;  // `close_tunnels`
    bool
        followed_;  // looked after in silence, too: an id that was replaced leads to its successor for a minute
    std::uint64_t interval_ms_;  // between two looks
    bool in_use_ = false;        // since the look before
    // Milliseconds of the loop's clock.
    std::uint64_t looked_at_ = 0;
    std::uint64_t noted_at_ = 0;    // when it was last seen whether it has ended in this process
    std::uint64_t ended_seen_ = 0;  // of the store's list of what has
};

}  // namespace baton
