#pragma once

// Errors as values. A fault has one name, and from the name follow its status, its word in the
// access log and its metric; nothing else in the program knows status numbers of faults.

#include <cstdint>
#include <string_view>
#include <utility>
#include <variant>

#include "net/check.h"
#include "net/reason.h"

namespace baton {

// What went wrong with a request. `name()` is the word in the access log and the metric's label.
enum class Fault : std::uint8_t {
    // The client left, or its connection broke, before the answer was complete. Log only.
    client_gone,
    // The client did not send its head or its body in time.
    client_slow,
    // The request is not HTTP/1.1 as we accept it.
    bad_request,
    target_too_long,
    head_too_large,
    body_too_large,
    // CONNECT and TRACE.
    method_refused,
    method_unknown,
    // A Transfer-Encoding other than `chunked`, once.
    coding_unknown,
    version_unknown,
    // An Expect other than 100-continue.
    expectation_unknown,
    no_route,
    // The request has been here before: servers and proxies forward it in a circle.
    loop,
    // No byte reached any server: none is there, all refused, or none answered the connect in time.
    no_server,
    // A server took bytes of the request and then left without an answer.
    server_gone,
    // A server did not answer, or stopped answering, in time.
    server_slow,
    // A server's answer is not HTTP/1.1 as we accept it.
    bad_response,
    // A server asked something of the session that cannot be done.
    session_refused,
    // A response named a version of the session that is no longer the one.
    session_conflict,
    // An address shows too many ids of sessions that nobody has.
    session_guessed,
    store_unavailable,
    // The process is stopping and its grace is over. Log only.
    stopping,
};
inline constexpr int fault_count = 22;

// The fault's word in logs and metrics.
constexpr std::string_view name(Fault fault) noexcept {
    switch (fault) {
    case Fault::client_gone: return "client_gone";
    case Fault::client_slow: return "client_slow";
    case Fault::bad_request: return "bad_request";
    case Fault::target_too_long: return "target_too_long";
    case Fault::head_too_large: return "head_too_large";
    case Fault::body_too_large: return "body_too_large";
    case Fault::method_refused: return "method_refused";
    case Fault::method_unknown: return "method_unknown";
    case Fault::coding_unknown: return "coding_unknown";
    case Fault::version_unknown: return "version_unknown";
    case Fault::expectation_unknown: return "expectation_unknown";
    case Fault::no_route: return "no_route";
    case Fault::loop: return "loop";
    case Fault::no_server: return "no_server";
    case Fault::server_gone: return "server_gone";
    case Fault::server_slow: return "server_slow";
    case Fault::bad_response: return "bad_response";
    case Fault::session_refused: return "session_refused";
    case Fault::session_conflict: return "session_conflict";
    case Fault::session_guessed: return "session_guessed";
    case Fault::store_unavailable: return "store_unavailable";
    case Fault::stopping: return "stopping";
    }
    return "unknown";
}

// The status of our own answer (RFC 9110, 15). 499 is never sent: nobody is left to read it; it
// stands in the log.
constexpr int status_of(Fault fault) noexcept {
    switch (fault) {
    case Fault::client_gone: return 499;
    case Fault::client_slow: return 408;
    case Fault::bad_request: return 400;
    case Fault::target_too_long: return 414;
    case Fault::head_too_large: return 431;
    case Fault::body_too_large: return 413;
    case Fault::method_refused: return 405;
    case Fault::method_unknown: return 501;
    case Fault::coding_unknown: return 501;
    case Fault::version_unknown: return 505;
    case Fault::expectation_unknown: return 417;
    case Fault::no_route: return 404;
    case Fault::loop: return 508;
    case Fault::no_server: return 503;
    case Fault::server_gone: return 502;
    case Fault::server_slow: return 504;
    case Fault::bad_response: return 502;
    case Fault::session_refused: return 502;
    case Fault::session_conflict: return 409;
    case Fault::session_guessed: return 429;
    case Fault::store_unavailable: return 503;
    case Fault::stopping: return 503;
    }
    return 500;
}

// Who caused a fault. Only what a server caused counts against that server.
enum class Origin : std::uint8_t {
    server,
    client,
    local,  // this process or its machine: descriptors, ports, memory, the session store
};

// Who causes a fault of this name, unless whoever reports it knows better.
constexpr Origin origin_of(Fault fault) noexcept {
    switch (fault) {
    case Fault::client_gone:
    case Fault::client_slow:
    case Fault::bad_request:
    case Fault::target_too_long:
    case Fault::head_too_large:
    case Fault::body_too_large:
    case Fault::method_refused:
    case Fault::method_unknown:
    case Fault::coding_unknown:
    case Fault::version_unknown:
    case Fault::expectation_unknown:
    case Fault::no_route:
    case Fault::loop:
    case Fault::session_conflict:
    case Fault::session_guessed: return Origin::client;
    case Fault::no_server:
    case Fault::server_gone:
    case Fault::server_slow:
    case Fault::bad_response:
    case Fault::session_refused: return Origin::server;
    case Fault::store_unavailable:
    case Fault::stopping: return Origin::local;
    }
    return Origin::local;
}

struct Error {
    Fault fault;
    int code = 0;  // a libuv or llhttp number for the log; 0 if there is none
    Reason reason = Reason::none;
    // The name of a field or an attribute that the reason is about, never a value; empty if there is
    // none. May hold any bytes and be long: escape and cut it. Views what was read, as long as that
    // is there.
    std::string_view detail = {};
    Origin origin = origin_of(fault);
};

// A value, or the error that came in its place. The names are those of C++23's std::expected.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, error) {}

    explicit operator bool() const noexcept { return has_value(); }
    bool has_value() const noexcept { return state_.index() == 0; }
    T& operator*() noexcept {
        check(has_value(), "the value of a failed result was read");
        return *std::get_if<0>(&state_);
    }
    const T& operator*() const noexcept {
        check(has_value(), "the value of a failed result was read");
        return *std::get_if<0>(&state_);
    }
    T* operator->() noexcept {
        check(has_value(), "the value of a failed result was read");
        return std::get_if<0>(&state_);
    }
    const Error& error() const noexcept {
        check(!has_value(), "the error of a good result was read");
        return *std::get_if<1>(&state_);
    }

private:
    std::variant<T, Error> state_;
};

}  // namespace baton
