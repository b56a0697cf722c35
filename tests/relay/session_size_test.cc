// Sessions that are longer than what a server is sent of them, and why a change is refused.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

Setup limited(std::size_t longest, bool with_api = false) {
    return {.servers = 2, .sessions = true, .change = [=](Config& config) {
                config.session.header_limit = longest;
                if (with_api) config.session_api.listener.address = *parse_address("127.0.0.1:1");
            }};
}

// What the access log says of the last request.
std::string why(Proxy& proxy) {
    const std::string log = proxy.log();
    const auto at = log.rfind("\"fault\":");
    if (at == std::string::npos) return "";
    std::string line = log.substr(at);
    return line.substr(0, line.find('}'));
}

std::string said(const std::string& fault, const std::string& reason,
                 const std::string& detail = "") {
    std::string text = "\"fault\":\"" + fault + "\",\"reason\":\"" + reason + "\"";
    if (!detail.empty()) text += ",\"detail\":\"" + detail + "\"";
    return text;
}

}  // namespace

TEST_CASE(
    "F:large-session without the session API nothing is stored that no server could be told") {
    Proxy proxy{limited(20)};
    const SessionId id = make_session(proxy, {{"cart", "123456789"}});  // 14 bytes
    struct Case {
        std::vector<std::string> fields;
        bool good;
    };
    for (const Case& c : std::vector<Case>{{{"Set: more=1"}, false},
                                           {{"Set: cart=1234567890123456"}, false},
                                           {{"Set: cart=%2F%2F%2F%2F%2F%2F"}, false},
                                           {{"Incr: number=1"}, false},
                                           {{"Set: more=1", "Rotate: login"}, false},
                                           {{"Destroy: 1", "Set: cart=1234567890123456"}, false},
                                           {{"Set: n=1"}, true},
                                           {{"Unset: n", "Set: cart=123456789012345"}, true}}) {
        CAPTURE(c.fields[0]);
        const std::uint64_t before = found(proxy, id).record.version;
        Visit visit{proxy, cookie_of(id)};
        CHECK(visit.answers(c.fields).status() == (c.good ? "200" : "502"));
        CHECK(visit.cookie() == "none");
        CHECK(found(proxy, id).record.version == before + (c.good ? 1 : 0));
        proxy.turn();
        if (!c.good) CHECK(why(proxy) == said("session_refused", "session_too_long"));
    }
    CHECK(Visit{proxy, ""}.answers({"Set: cart=1234567890123456"}).status() == "502");
    CHECK(Visit{proxy, ""}.answers({"Set: cart=123456789012345"}).status() == "200");
    CHECK(proxy.counters().session_omitted.read() == 0);
}

TEST_CASE("F:large-session one that is too long already may shrink, and is counted when omitted") {
    Proxy proxy{limited(20)};
    const SessionId id = make_session(proxy, {{"cart", std::string(100, 'x')}});
    Visit visit{proxy, cookie_of(id)};
    CHECK(visit.told("Data") == "(none)");
    CHECK(visit.told("Data-Omitted") == "105");
    CHECK(proxy.counters().session_omitted.read() == 1);
    CHECK(visit.answers({"Set: cart=" + std::string(99, 'y')}).status() == "200");
    Visit longer{proxy, cookie_of(id)};
    CHECK(longer.answers({"Set: cart=" + std::string(100, 'y')}).status() == "502");
    Visit touching{proxy, cookie_of(id)};
    CHECK(touching.answers({"Idle: 600"}).status() == "200");
}

TEST_CASE("F:large-session with the session API it is stored, and its server told to ask there") {
    Proxy proxy{limited(20, true)};
    Visit first{proxy, ""};
    CHECK(first.answers({"Set: cart=" + std::string(100, 'x')}).status() == "200");
    Visit next{proxy, cookie_of(first.cookie())};
    CHECK(next.told("Data-Omitted") == "105");
    CHECK(next.answers({"Set: more=1"}).status() == "200");
    CHECK(proxy.counters().session_omitted.read() == 1);
}

TEST_CASE("F:reason the access log says why a change of a session was refused") {
    struct Case {
        std::vector<std::string> fields;
        std::string expected;
    };
    const auto refused = [](const std::string& reason, const std::string& detail = "") {
        return said("session_refused", reason, detail);
    };
    for (const Case& c : std::vector<Case>{
             {{"Set: cart=" + std::string(31, 'x')}, refused("value_too_long", "cart")},
             {{"Set: a=1&b=2&c=3&d=4"}, refused("too_many_attributes", "d")},
             {{"Set: a=1&b=2&c=3"}, refused("data_too_long")},
             {{"Set: a%20b=1"}, refused("bad_attribute_name", "a b")},
             {{"Set: =secret"}, refused("bad_attribute_name", "Set")},
             {{"Set: a=%secret"}, refused("bad_encoding", "a")},
             {{"Incr: name=secret"}, refused("not_integer", "name")},
             {{"Incr: x=1"}, refused("not_integer", "x")},
             {{"Unset: a=secret"}, refused("value_in_unset", "a")},
             {{"Set: a=1", "Unset: a"}, refused("attribute_twice", "a")},
             {{"Destroy: 1", "Rotate: 1"}, refused("session_fields_clash", "Destroy and Rotate")},
             {{"Create: secret"}, refused("bad_session_field", "Create")},
             {{"Base: 1", "Base: 2"}, refused("session_field_twice", "Base")},
             {{"Set: x=2", "Base: 0"}, said("session_conflict", "changed_meanwhile", "x")}}) {
        CAPTURE(c.fields[0]);
        Proxy proxy{{.sessions = true, .change = [](Config& config) {
                         config.session.attributes_max = 3;
                         config.session.attribute_max = 30;
                         config.session.replay_safe = false;
                     }}};
        const SessionId id = make_session(proxy, {{"x", "secret"}});
        Visit visit{proxy, cookie_of(id)};
        visit.answers(c.fields).status();
        proxy.turn();
        CHECK(why(proxy) == c.expected);
        CHECK(proxy.log().find("secret") == std::string::npos);
    }
}

TEST_CASE("F:reason the access log says what of a session the store did not do") {
    for (const bool before : {true, false}) {
        Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                         config.routes[0].on_unavailable = OnUnavailable::reject;
                     }}};
        const SessionId id = make_session(proxy);
        Visit visit{proxy, cookie_of(id)};
        asked(proxy);
        if (!before) {
            proxy.store_answers();
            visit.answers({"Set: a=1"});
            asked(proxy);
        }
        proxy.store_answers(StoreAnswer{});
        CHECK(visit.status() == "503");
        proxy.turn();
        CHECK(why(proxy) == said("store_unavailable", before ? "not_looked_up" : "not_stored"));
    }
    Proxy proxy{
        {.sessions = true, .change = [](Config& config) { config.session.unknown_max = 1; }}};
    passes(proxy, 60'000 - now_of(proxy) % 60'000);
    for (int i = 0; i < 2; ++i) {
        Visit visit{proxy, cookie_of(mint_session_id())};
        if (i == 0) visit.answers();
        visit.status();
    }
    proxy.turn();
    CHECK(why(proxy) == said("session_guessed", "unknown_ids"));
}

}  // namespace baton::test
