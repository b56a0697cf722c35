#pragma once

// The session of one request: found before a server is asked, changed as its response asks, before
// that is released.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/http_head.h"
#include "net/result.h"
#include "proxy/config/config.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/tunnel_session.h"
#include "proxy/route/router.h"
#include "session/contract.h"
#include "session/cookie.h"
#include "session/store.h"

namespace baton {

class RequestSession {
public:
    struct Needs {
        Lane* lane = nullptr;
        const Route* route = nullptr;  // with a session
        const SessionConfig* config = nullptr;
        StoreTicket ticket = 0;
        std::string_view request_id;
        std::string_view client;  // its address
    };
    // A step is done, or the store will answer: then `answered` goes on with it.
    enum class Step : std::uint8_t { done, waits };

    RequestSession() = default;  // a request without a session: state off, all steps done

    // Looks the cookie up; with `create = "always"` makes a session where there is none. After
    // `done`, `error` says whether the request may go on.
    Step find(const Needs& needs, const Head& request);
    // Takes the session fields of a response and carries them out. After `done`, `error` says
    // whether the response may pass.
    Step apply(const Head& response);
    // After a `session_conflict`: looks the session up as it is now, for another response in place of
    // the refused one.
    Step find_again();
    Step answered(StoreAnswer&& answer);
    // The request runs on: when its session's expiry is to be moved on, by the lane's clock of
    // sessions, since a session does not expire under a request.
    static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
    std::int64_t keep_alive_at_ms() const noexcept { return keep_alive_at_ms_; }
    // Moves the expiry on if that is due. If the session was renewed meanwhile, goes on with its new id.
    Step keep_alive();
    // Whether the store has been asked for that and has not answered.
    bool looks_again() const noexcept { return doing_ == Doing::looking_again; }
    // The request is over: moves the session's expiry on if that is due.
    void finish();

    // What looks after the session of a tunnel that the request becomes; none if it has no session.
    std::optional<TunnelSession> for_tunnel() const;

    SessionState state() const noexcept { return state_; }
    // Its detail lives as long as this object.
    const std::optional<Error>& error() const noexcept { return error_; }
    // The fields for the server.
    void append_request_fields(std::string& out);
    // The value of the Set-Cookie for the client, if one is to be sent.
    void append_cookie(std::string& out, bool secure) const;
    // Whether that tells of something that was done to the session, whatever becomes of the response.
    bool is_cookie_settled() const noexcept {
        return cookie_ == CookieAction::give || cookie_ == CookieAction::end;
    }
    // 8 hex digits to correlate log lines by; empty if there is no session.
    std::string_view token() const noexcept;
    const SessionId& id() const noexcept { return id_; }

private:
    enum class Doing : std::uint8_t {
        nothing,
        loading,
        loading_several,
        making_always,
        killing,
        making_asked,
        replacing,   // the session by a new one
        committing,  // for the version the server was told, or the one it named
        merging,     // the same again, whatever the version
        renewing,
        confirming,  // whether the id the client is to be given is a session's still
        adopting,
        looking_again,
    };
    enum class CookieAction : std::uint8_t {
        none,
        lead,  // to an id that another request was given: it may have ended since
        give,
        end,
    };

    enum class Look : std::uint8_t { next, follow, enough };
    // The ids of a request that shows more than one, and what the store told of each.
    struct Several {
        std::vector<SessionId> ids;
        std::vector<StoreAnswer> answers;
        std::size_t next = 0;
    };

    // While the session is looked up.
    struct LookUp {
        SessionId id;  // that is asked for
        SessionKey key;
        bool led = false;          // `id` is where another id has led to
        bool creates = false;      // a session where there is none
        std::uint8_t unknown = 0;  // how many of the ids nobody knows
        std::unique_ptr<Several> several;
    };
    // The best of what the look-up has found. The id of a session that has ended makes none.
    enum class Found : std::uint8_t { nothing, dead, live };
    // Whether `id_` is that of a session, which `record_` was once; unsure: the store did not say.
    enum class Held : std::uint8_t { no, unsure, yes };

    StoreAsk ask() const noexcept;
    Step load(const SessionId& id);
    Step load_several(const CookieCandidates& cookies);
    Step loaded(StoreAnswer&& answer);
    Step next_of_several();
    Look look_at(StoreAnswer&& answer);
    Step looked_up();
    std::optional<SessionId> lost_rotation() const;
    Look follow(const SessionId& next) noexcept;
    void unavailable();
    bool is_guessing();
    Step not_found();
    NewSession new_session() const;
    bool is_too_long(const NewSession& session) const;
    Step make(Doing why);
    Step made(StoreAnswer&& answer);
    Step change();
    Step adopt();
    Step adopted(StoreAnswer&& answer);
    Step end_session();
    Step killed(const StoreAnswer& answer);
    Step replace();
    Step replaced(StoreAnswer&& answer);
    Step lose_rotation(const SessionKey& from);
    Step commit(Doing how);
    Step committed(const StoreAnswer& answer);
    Step conflict(const StoreAnswer& answer);
    Step pass_unchanged();
    Step renew();
    Step renewed(const StoreAnswer& answer);
    Step confirm();
    Step confirmed(const StoreAnswer& answer);
    Step look_again();
    Step looked(const StoreAnswer& answer);
    Step drop_change();
    struct Why {
        Reason reason;
        std::string_view detail;
    };
    Step refuse(Why why, std::string_view complaint, std::string_view attribute);
    Step fail(Fault fault, Reason reason = Reason::none, std::string_view detail = {});
    Step continue_with(std::optional<StoreAnswer>&& answer);
    void take_response_fields(const Head& response);
    bool renewal_due() const noexcept;
    bool rotates() const noexcept;
    void lives(std::int64_t ttl_ms, std::int64_t idle_ms, bool capped) noexcept;
    void lives_from_now() noexcept;
    void touch();
    void rests() noexcept { touch_at_ms_ = keep_alive_at_ms_ = never; }
    void use(const SessionId& id) noexcept;
    void use(const SessionId& id, const SessionKey& key) noexcept;
    void give(const SessionId& id) noexcept;
    void lead_to(const SessionId& id) noexcept;
    SessionKey key_of(const SessionId& id) const noexcept;
    std::int64_t idle_ms() const noexcept;
    std::size_t told_max() const noexcept;
    Step refuse_too_long();
    std::int64_t now() const noexcept { return needs_.lane->epoch_now_ms(); }
    Counters& counters() noexcept { return needs_.lane->counters; }
    Store& store() noexcept { return *needs_.lane->store; }

    Needs needs_;
    SessionState state_ = SessionState::off;
    Doing doing_ = Doing::nothing;
    CookieAction cookie_ = CookieAction::none;
    bool cookie_sent_ = false;  // the client sent a cookie of the name
    // Others may be sent the response, too: what no server has asked for is not given with it.
    bool for_others_ = false;
    Found found_ = Found::nothing;
    Held held_ = Held::no;
    std::int64_t touch_at_ms_ = never;  // a request that ends then, or later, is worth a touch
    std::int64_t keep_alive_at_ms_ = never;
    LookUp look_up_;
    SessionId id_;               // live, new: the session's; none: the proposed one
    SessionId next_id_;          // of a rotation that is being asked for
    TransactionId transaction_;  // of the change that is being asked for, wherever it is asked
    SessionKey key_;
    std::array<char, 8> token_;
    SessionRecord record_;
    SessionRequest asked_;
    std::optional<Error> error_;
    std::string detail_;  // of the error
};

}  // namespace baton
