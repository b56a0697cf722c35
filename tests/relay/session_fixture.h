#pragma once

// What the tests of sessions through whole requests share: requests on connections of their own, what
// the server was told and what the client got.

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/relay/proxy.h"

namespace baton::test {

using Kind = StoreAnswer::Kind;

// The value of a field in a head, or "(none)".
inline std::string field(const std::string& head, const std::string& name) {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "(none)";
    const auto from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
}

// What a response does with the session cookie: "none", "ended", or the id that it gives.
inline std::string cookie_in(const std::string& head) {
    const auto at = head.find("\r\nSet-Cookie: ");
    if (at == std::string::npos) return "none";
    CHECK(head.find("\r\nSet-Cookie: ", at + 1) == std::string::npos);
    const std::string cookie = field(head, "Set-Cookie");
    if (cookie ==
        "JSESSIONID=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
        "HttpOnly; SameSite=Lax")
        return "ended";
    CHECK(cookie.size() == 75);
    CHECK(cookie.starts_with("JSESSIONID="));
    CHECK(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    return cookie.substr(11, 32);
}

inline std::string head_of(const std::string& method, const std::string& cookies,
                           const std::string& fields = "") {
    std::string head = method + " / HTTP/1.1\r\nHost: h\r\n";
    if (!cookies.empty()) head += "Cookie: " + cookies + "\r\n";
    return head + fields + "\r\n";
}

inline std::string cookie_of(std::string_view id) { return "JSESSIONID=" + std::string{id}; }
inline std::string cookie_of(const SessionId& id) { return cookie_of(id.view()); }

// A request on a connection of its own. Its server closes the connection after the answer, so that
// each request comes to a server on a new one.
class Visit {
public:
    Visit(Proxy& proxy, const std::string& cookies, const std::string& method = "GET",
          const std::string& fields = "", const std::string& body = "")
        : client(proxy.connect_client()), proxy_(proxy), is_head_(method == "HEAD") {
        client.sends(head_of(method, cookies, fields) + body);
    }

    // Waits until a server has been asked: for the first time, or once more.
    Visit& asks() {
        server.emplace(proxy_.accept_at_any());
        told_ = server->head();
        return *this;
    }
    const std::string& told() {
        if (!server) asks();
        return told_;
    }
    // "State", "Id", ...
    std::string told(const std::string& suffix) { return field(told(), "Baton-Session-" + suffix); }

    // `fields` are session fields without their prefix, "Set: a=1".
    Visit& answers(const std::vector<std::string>& fields = {}) {
        told();
        std::string head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n";
        for (const std::string& one : fields) head += "Baton-Session-" + one + "\r\n";
        server->sends(head + "\r\n" + (is_head_ ? "" : "ok"));
        return *this;
    }
    const std::string& got() {
        if (got_.empty()) got_ = client.head();
        return got_;
    }
    std::string status() { return got().substr(9, 3); }
    std::string cookie() { return cookie_in(got()); }

    Peer client;
    std::optional<Peer> server;

private:
    Proxy& proxy_;
    bool is_head_;
    std::string told_;
    std::string got_;
};

inline std::int64_t now_of(Proxy& proxy) { return proxy.worker().lane().epoch_now_ms(); }
// The clock of sessions, and nothing else, goes on.
inline void passes(Proxy& proxy, std::int64_t ms) { proxy.worker().lane().epoch_offset_ms += ms; }

inline SessionKey key_of(const SessionId& id, std::string_view scope = "app") {
    return session_key(scope, "JSESSIONID", id);
}
inline SessionId id_in(const std::string& text) {
    const auto id = parse_session_id(text);
    REQUIRE(id);
    return *id;
}

// A session in the table, made `age_ms` ago.
inline SessionId make_session(Proxy& proxy, Attributes attributes = {}, std::int64_t age_ms = 0,
                              std::string_view scope = "app") {
    const SessionConfig& config = proxy.config().session;
    const SessionId id = mint_session_id();
    NewSession session;
    session.idle_ms = config.idle.count();
    session.slack_ms = touch_slack_ms(session.idle_ms);
    session.absolute_ms = config.absolute.count();
    session.attributes = std::move(attributes);
    REQUIRE(proxy.table().create(key_of(id, scope), session, now_of(proxy) - age_ms).kind ==
            Kind::created);
    return id;
}

inline StoreAnswer found(Proxy& proxy, const SessionId& id) {
    return proxy.table().load(key_of(id), now_of(proxy), ShownBy::server);
}
inline Attributes attributes_of(Proxy& proxy, const SessionId& id) {
    return found(proxy, id).record.attributes;
}

// What the store is asked, once it is.
inline const LateStore::Question& asked(Proxy& proxy) {
    proxy.turn_until([&] { return !proxy.late_store().questions.empty(); }, "a question");
    return proxy.late_store().questions.front();
}

}  // namespace baton::test
