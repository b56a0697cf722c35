#pragma once

// The session of one request: found before a server is asked, changed as its response asks, before
// that is released.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_head.h"
#include "net/log.h"
#include "net/result.h"
#include "proxy/config.h"
#include "proxy/router.h"
#include "proxy/stats.h"
#include "session/contract.h"
#include "session/cookie.h"
#include "session/store.h"

namespace baton {

class RequestSession {
public:
    struct Needs {
        const Route* route = nullptr;  // with a session
        const SessionConfig* config = nullptr;
        Store* store = nullptr;
        StoreTicket ticket = 0;
        Counters* counters = nullptr;
        log::OncePerMinute* unknown_field = nullptr;
        std::string_view request_id;
    };
    // A step is done, or the store will answer: then `answered` goes on with it.
    enum class Step : std::uint8_t { done, waits };

    RequestSession() = default;  // a request without a session: state off, all steps done

    // Looks the cookie up; with `create = "always"` makes a session where there is none.
    Step find(const Needs& needs, const Head& request, std::int64_t now_ms);
    // Takes the session fields of a response and carries them out. After `done`, `fault` says
    // whether the response may pass.
    Step apply(const Head& response, std::int64_t now_ms);
    Step answered(StoreAnswer answer, std::int64_t now_ms);
    // The request is over: moves the session's expiry on if that is due.
    void finish(std::int64_t now_ms);

    SessionState state() const noexcept { return state_; }
    std::optional<Fault> fault() const noexcept { return fault_; }
    // The fields for the server.
    void append_request_fields(std::string& out) const;
    // The Set-Cookie line for the client, if there is one to be sent.
    void append_cookie_line(std::string& out, bool secure) const;
    // 8 hex digits to correlate log lines by; empty if there is no session.
    std::string_view token() const noexcept;
    const SessionId& id() const noexcept { return id_; }

private:
    enum class Doing : std::uint8_t {
        nothing,
        loading,
        making_always,
        killing,
        making_asked,
        committing
    };
    enum class CookieAction : std::uint8_t { none, give, end };

    Step load_next(std::int64_t now_ms);
    bool loaded(StoreAnswer answer);
    Step not_found(std::int64_t now_ms);
    Step make(Doing why, Attributes attributes, std::int64_t now_ms);
    Step made(StoreAnswer answer, std::int64_t now_ms);
    Step end_session(std::int64_t now_ms);
    Step killed(std::int64_t now_ms);
    Step commit(std::int64_t now_ms);
    Step committed(const StoreAnswer& answer);
    Step refuse(std::string_view complaint, std::string_view attribute);
    Step continue_with(std::optional<StoreAnswer> answer, std::int64_t now_ms);
    void take_response_fields(const Head& response, std::int64_t now_ms);
    void use(const SessionId& id) noexcept;
    std::int64_t slack_ms() const noexcept;

    Needs needs_;
    SessionState state_ = SessionState::off;
    Doing doing_ = Doing::nothing;
    CookieAction cookie_ = CookieAction::none;
    bool cookie_sent_ = false;  // the client sent a cookie of the name
    bool dead_seen_ = false;    // one of its ids is a tombstone's: nothing is made by itself
    bool live_seen_ = false;
    bool changed_ = false;  // committed or killed: no touch
    std::array<SessionId, CookieCandidates::count_max> candidates_;
    std::size_t candidate_count_ = 0;
    std::size_t candidate_ = 0;
    SessionId id_;  // live, new: the session's; none: the proposed one
    SessionKey key_;
    std::array<char, 8> token_;
    SessionRecord record_;
    SessionRequest asked_;
    std::optional<Fault> fault_;
};

}  // namespace baton
