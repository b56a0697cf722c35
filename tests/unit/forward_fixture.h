#pragma once

// Heads as they are received, through the guard and the parser, and what becomes of them.

#include <doctest/doctest.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "net/http/http_parser.h"
#include "proxy/http1/head_text.h"

namespace baton::test {

// A head as the proxy reads it.
class Received {
public:
    Received(HeadGuard::Kind kind, std::string_view text, bool upgrade = false) : bytes_(text) {
        HttpParser parser{kind, limits_};
        parser.answer_to({.upgrade = upgrade});
        const auto size = parser.read_head(bytes_, head);
        accepted = size && *size == bytes_.size();
        body = parser.body();
    }
    Received(const Received&) = delete;
    Received& operator=(const Received&) = delete;

    bool accepted = false;
    Head head;
    Body body;

private:
    HeadLimits limits_;
    std::string bytes_;
};

struct Situation {
    bool trusted = false;
    bool secure = false;
    bool keep_underscores = false;
    bool websocket = false;
    std::string_view cookie = "JSESSIONID";
    std::string_view session_fields = "";
    std::string_view prefix = "Baton-Session-";
    std::string_view via_line = "";
};

inline Peer peer_of(const Situation& situation) {
    Peer peer;
    peer.address = *parse_address("192.0.2.1:5000");
    peer.host = "192.0.2.1";
    peer.local_port = 8080;
    peer.trusted = situation.trusted;
    peer.secure = situation.secure;
    return peer;
}

// What the server is sent for the request; `dropped`: the session fields that were taken out.
inline std::string sent(std::string_view request, const Situation& situation = {},
                        std::size_t* dropped = nullptr) {
    const Received received{HeadGuard::Kind::request, request};
    REQUIRE(received.accepted);
    const Peer peer = peer_of(situation);
    std::string out = "before ";
    const ConnectionOptions connection{received.head};
    const std::size_t count =
        append_request_head(out, {.head = &received.head,
                                  .connection = &connection,
                                  .to = destination_of(received.head),
                                  .listener_host = "10.0.0.9:8080",
                                  .peer = &peer,
                                  .body = received.body,
                                  .request_id = "the-id",
                                  .via_line = situation.via_line,
                                  .session_prefix = situation.prefix,
                                  .session_fields = situation.session_fields,
                                  .session_cookie = situation.cookie,
                                  .keep_underscores = situation.keep_underscores,
                                  .websocket = situation.websocket});
    if (dropped != nullptr) *dropped = count;
    REQUIRE(out.starts_with("before "));
    return out.substr(7);
}

struct Answering {
    std::optional<Body> body = std::nullopt;  // as received
    bool keep_length = false;
    bool client_is_1_0 = false;
    bool close = false;
    bool upgrade = false;
    std::string_view cookie = "JSESSIONID";
    std::string_view set_cookie = "";
    std::string_view prefix = "Baton-Session-";
    std::string_view date_line = "";
};

inline std::string answered(std::string_view response, const Answering& how = {},
                            std::size_t* dropped = nullptr) {
    const Received received{HeadGuard::Kind::response, response, how.upgrade};
    REQUIRE(received.accepted);
    std::string out = "before ";
    const ConnectionOptions connection{received.head};
    const std::size_t count =
        append_response_head(out, {.head = &received.head,
                                   .connection = &connection,
                                   .body = how.body ? *how.body : received.body,
                                   .keep_length = how.keep_length,
                                   .client_is_1_0 = how.client_is_1_0,
                                   .close = how.close,
                                   .upgrade = how.upgrade,
                                   .session_prefix = how.prefix,
                                   .session_cookie = how.cookie,
                                   .date_line = how.date_line,
                                   .cookie = how.set_cookie});
    if (dropped != nullptr) *dropped = count;
    REQUIRE(out.starts_with("before "));
    return out.substr(7);
}

}  // namespace baton::test
