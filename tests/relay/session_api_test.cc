// The session API over a store that answers later, or not at all.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <functional>
#include <string>
#include <vector>

#include "proxy/process/listener.h"
#include "session/base64.h"
#include "session/cookie.h"
#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string token = "a-token-of-the-scope-app-0123456789";

// A proxy whose API asks a late store.
class Api {
public:
    explicit Api(
        bool late = true, std::function<void(Config&)> change = [](Config&) {})
        : proxy{{.sessions = true, .late_store = late, .change = [&](Config& config) {
                     change(config);
                     std::string complaint;
                     config.session_api.tokens = parse_api_tokens("app " + token, complaint);
                     config.session_api.listener.address = *parse_address("127.0.0.1:0");
                 }}} {
        std::string complaint;
        const ListenerConfig& listener = proxy.config().session_api.listener;
        REQUIRE(open_listener(listener.address, 1, sockets_, complaint));
        proxy.worker().listen_for_api(sockets_.fds[0], sockets_.address, listener);
    }

    // A connection of a server to the API; `narrow`: few answers fit into it.
    Peer connect(bool narrow = false) {
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        const int least = 1;
        if (narrow) {
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
            setsockopt(sockets_.fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
        }
        REQUIRE(::connect(fd, sockets_.address.raw(), sockets_.address.size()) == 0);
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        proxy.turn(2);
        return {proxy, fd};
    }

    // Waits until the store has been asked, and for what.
    std::string asked() {
        proxy.turn_until([&] { return !proxy.late_store().questions.empty(); }, "a question");
        return proxy.late_store().questions.front().what;
    }

    SessionKey key(const SessionId& id) const {
        return session_key("app", proxy.config().session.cookie, id);
    }
    // A session in the table.
    SessionId session(Attributes attributes) {
        const SessionId id = mint_session_id();
        NewSession made;
        made.idle_ms = 60'000;
        made.slack_ms = 6'000;
        made.attributes = std::move(attributes);
        proxy.table().create(key(id), std::move(made), now());
        return id;
    }
    bool is_live(const SessionId& id) {
        return proxy.table().load(key(id), now(), ShownBy::server).kind == StoreAnswer::Kind::live;
    }
    std::int64_t now() { return proxy.worker().lane().epoch_now_ms(); }

    Proxy proxy;

private:
    ListenerSockets sockets_;
};

std::string call(const std::string& method, const std::string& path, const std::string& body = {},
                 const std::string& fields = {}) {
    std::string text = method + " /v1/sessions" + path +
                       " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token + "\r\n" + fields;
    if (!body.empty())
        text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n";
    return text + "\r\n" + body;
}

std::string path_of(const SessionId& id) { return "/" + std::string{id.view()}; }

// The status of the next answer; its body in `body`.
std::string status_of(Peer& peer, std::string* body = nullptr) {
    const std::string head = peer.head();
    const auto length = head.find("Content-Length: ");
    const std::size_t size = length == std::string::npos ? 0 : std::stoul(head.substr(length + 16));
    const std::string text = peer.bytes(size);
    if (body != nullptr) *body = text;
    return head.substr(9, 3);
}

StoreAnswer only(StoreAnswer::Kind kind) {
    StoreAnswer answer;
    answer.kind = kind;
    return answer;
}

}  // namespace

TEST_CASE("a call of the session API waits for the store, each kind of it") {
    Api api;
    Peer server = api.connect();
    const SessionId id = api.session({{"a", "1"}});
    std::string body;

    server.sends(call("GET", path_of(id)));
    CHECK(api.asked() == "load");
    server.expects_nothing();
    api.proxy.store_answers();
    CHECK(status_of(server, &body) == "200");
    CHECK(body.find(R"("attrs":{"a":"1"})") != std::string::npos);

    server.sends(call("PATCH", path_of(id), R"({"attrs":{"a":"2"}})"));
    CHECK(api.asked() == "commit");
    server.expects_nothing();
    api.proxy.store_answers();
    CHECK(status_of(server, &body) == "200");
    CHECK(body == "{\"version\":2}\n");

    server.sends(call("POST", "", R"({"attrs":{"b":"1"}})"));
    CHECK(api.asked() == "create");
    server.expects_nothing();
    api.proxy.store_answers();
    CHECK(status_of(server) == "201");

    server.sends(call("POST", path_of(id) + "/rotate"));
    CHECK(api.asked() == "commit");
    server.expects_nothing();
    api.proxy.store_answers();
    CHECK(status_of(server, &body) == "200");
    CHECK(body.find("\"version\":3") != std::string::npos);
    CHECK_FALSE(api.is_live(id));

    server.sends(call("DELETE", path_of(id)));
    CHECK(api.asked() == "kill");
    server.expects_nothing();
    api.proxy.store_answers();
    CHECK(status_of(server) == "204");
    CHECK(api.proxy.late_store().forgotten == 0);
}

TEST_CASE("a call whose client leaves is forgotten, and its answer finds nobody") {
    Api api;
    const SessionId id = api.session({});
    for (const bool reset : {true, false}) {
        CAPTURE(reset);
        Peer server = api.connect();
        server.sends(call("PATCH", path_of(id), R"({"attrs":{"a":"1"}})"));
        api.asked();
        const StoreTicket ticket = api.proxy.late_store().questions.front().ask.ticket;
        const std::size_t before = api.proxy.late_store().forgotten;
        if (reset) {
            server.resets();
        } else {
            // One that only stops sending may still wait for its answer: a write to it says more.
            server.shuts();
            api.proxy.turn();
            CHECK(api.proxy.late_store().forgotten == before);
            api.proxy.store_answers();
            CHECK(server.until_end().starts_with("HTTP/1.1 200 OK\r\n"));
            continue;
        }
        api.proxy.turn_until([&] { return api.proxy.late_store().forgotten == before + 1; },
                             "the store to be told");
        CHECK(api.proxy.late_store().questions.empty());
        api.proxy.late_store().answers(ticket, only(StoreAnswer::Kind::committed));
    }
    Peer next = api.connect();
    next.sends(call("GET", path_of(id)));
    api.asked();
    api.proxy.store_answers();
    CHECK(status_of(next) == "200");
}

TEST_CASE("a call that waits ends with the process's grace") {
    Api api;
    const SessionId id = api.session({});
    Peer server = api.connect();
    server.sends(call("GET", path_of(id)));
    api.asked();
    api.proxy.worker().stop_now();
    server.expects_nothing();
    api.proxy.worker().abort_now();
    server.until_end();
    CHECK(server.was_reset());
    CHECK(api.proxy.late_store().forgotten == 1);
}

TEST_CASE("a store that is away is a 503, with a time to come back, and nothing else is lost") {
    Api api;
    const SessionId id = api.session({});
    Peer server = api.connect();
    const std::string calls[] = {
        call("GET", path_of(id)), call("PATCH", path_of(id), R"({"attrs":{"a":"1"}})"),
        call("POST", ""), call("POST", path_of(id) + "/rotate"), call("DELETE", path_of(id))};
    for (const std::string& each : calls) {
        CAPTURE(each);
        server.sends(each);
        api.asked();
        api.proxy.store_answers(only(StoreAnswer::Kind::unavailable));
        const std::string head = server.head();
        CHECK(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        CHECK(head.find("\r\nRetry-After: 1\r\n") != std::string::npos);
        CHECK(head.find("\r\nConnection: close\r\n") == std::string::npos);
        server.expects("{\"error\":\"the store is unavailable\"}\n");
    }
}

TEST_CASE("a session that has another id now is followed there, by each call") {
    Api api;
    Peer server = api.connect();
    const SessionId old = mint_session_id();
    StoreAnswer moved = only(StoreAnswer::Kind::moved);

    SessionId id = api.session({{"a", "1"}});
    moved.moved_to = veiled(id, old);
    std::string body;
    server.sends(call("GET", path_of(old)));
    api.asked();
    api.proxy.store_answers(moved);
    CHECK(api.asked() == "load");
    server.expects_nothing();
    api.proxy.store_answers();
    CHECK(status_of(server, &body) == "200");
    CHECK(body.find(R"("attrs":{"a":"1"})") != std::string::npos);

    server.sends(call("PATCH", path_of(old), R"({"attrs":{"a":"2"}})", "If-Match: \"1\"\r\n"));
    api.asked();
    api.proxy.store_answers(moved);
    CHECK(api.asked() == "commit");
    api.proxy.store_answers();
    CHECK(status_of(server) == "200");

    server.sends(call("POST", path_of(old) + "/rotate"));
    api.asked();
    api.proxy.store_answers(moved);
    CHECK(api.asked() == "commit");
    api.proxy.store_answers();
    CHECK(status_of(server, &body) == "200");
    CHECK_FALSE(api.is_live(id));

    id = api.session({});
    moved.moved_to = veiled(id, old);
    server.sends(call("DELETE", path_of(old)));
    api.asked();
    api.proxy.store_answers(moved);
    CHECK(api.asked() == "kill");
    api.proxy.store_answers();
    CHECK(status_of(server) == "204");
    CHECK_FALSE(api.is_live(id));
}

TEST_CASE("an id that was minted twice is minted again; one that was given is refused") {
    Api api;
    Peer server = api.connect();
    std::string body;
    server.sends(call("POST", "", R"({"attrs":{"a":"1"}})"));
    CHECK(api.asked() == "create");
    const std::size_t before = api.proxy.table().sessions();
    api.proxy.store_answers(only(StoreAnswer::Kind::exists));
    CHECK(api.asked() == "create");
    CHECK(api.proxy.table().sessions() == before + 1);  // under another id
    api.proxy.store_answers();
    CHECK(status_of(server, &body) == "201");
    const auto minted = parse_session_id(body.substr(body.find("\"id\":\"") + 6, 32));
    REQUIRE(minted);
    CHECK(api.is_live(*minted));

    const SessionId id = api.session({});
    server.sends(call("POST", path_of(id) + "/rotate"));
    CHECK(api.asked() == "commit");
    api.proxy.store_answers(only(StoreAnswer::Kind::exists));
    CHECK(api.asked() == "commit");
    api.proxy.late_store().questions.front().answer = only(StoreAnswer::Kind::committed);
    api.proxy.store_answers();
    CHECK(status_of(server) == "200");

    server.sends(call("POST", "", R"({"id":")" + std::string{id.view()} + R"("})"));
    CHECK(api.asked() == "create");
    api.proxy.store_answers(only(StoreAnswer::Kind::exists));
    CHECK(status_of(server, &body) == "409");
    CHECK(body == "{\"error\":\"this id is taken\"}\n");
}

TEST_CASE("what the store refuses has a status each") {
    using Kind = StoreAnswer::Kind;
    struct Row {
        std::string call;
        Kind kind;
        std::string status;
    };
    Api api;
    Peer server = api.connect();
    const std::string path = path_of(mint_session_id());
    const std::string patch = call("PATCH", path, R"({"attrs":{"a":"1"}})");
    const Row rows[] = {{call("GET", path), Kind::none, "404"},
                        {call("GET", path), Kind::dead, "404"},
                        {patch, Kind::gone, "404"},
                        {patch, Kind::limit, "413"},
                        {patch, Kind::too_large, "413"},
                        {patch, Kind::conflict, "412"},
                        {call("POST", path + "/rotate"), Kind::gone, "404"},
                        {call("POST", ""), Kind::limit, "413"},
                        {call("POST", ""), Kind::too_large, "413"},
                        {call("DELETE", path), Kind::done, "204"}};
    for (const Row& row : rows) {
        CAPTURE(row.call);
        CAPTURE(row.status);
        server.sends(row.call);
        api.asked();
        StoreAnswer answer = only(row.kind);
        answer.names = {"a", "b"};
        answer.record.version = 7;
        api.proxy.store_answers(answer);
        std::string body;
        CHECK(status_of(server, &body) == row.status);
        if (row.kind == Kind::conflict)
            CHECK(body == "{\"error\":\"changed meanwhile\",\"names\":[\"a\",\"b\"]}\n");
    }
}

TEST_CASE("while one call waits for the store others are answered") {
    Api api;
    const SessionId id = api.session({});
    Peer first = api.connect();
    Peer second = api.connect();
    first.sends(call("GET", path_of(id)));
    api.asked();
    second.sends(call("GET", path_of(mint_session_id())));
    api.proxy.turn_until([&] { return api.proxy.late_store().questions.size() == 2; }, "both");
    LateStore& store = api.proxy.late_store();
    LateStore::Question later = store.questions.front();
    store.questions.erase(store.questions.begin());
    api.proxy.store_answers();
    CHECK(status_of(second) == "404");
    first.expects_nothing();
    store.answers(later.ask.ticket, std::move(later.answer));
    CHECK(status_of(first) == "200");
}

TEST_CASE("a call answered later is followed by the next of its connection") {
    Api api;
    const SessionId id = api.session({});
    Peer server = api.connect();
    server.sends(call("GET", path_of(id)) + call("DELETE", path_of(id)));
    CHECK(api.asked() == "load");
    api.proxy.turn();
    CHECK(api.proxy.late_store().questions.size() == 1);
    api.proxy.store_answers();
    CHECK(status_of(server) == "200");
    CHECK(api.asked() == "kill");
    api.proxy.store_answers();
    CHECK(status_of(server) == "204");
}

TEST_CASE("the body of a refused call whose answer cannot leave yet is nobody else's") {
    Api api{false};
    std::string calls;
    for (int answers = 0; answers < 60; ++answers) {
        // After some of these the last answer finds no room in the connection.
        Peer refused = api.connect(true);
        refused.sends(
            calls +
            "POST /v1/sessions HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nnot yours");
        api.proxy.turn(2);
        Peer server = api.connect();
        server.sends(call("POST", ""));
        CHECK(status_of(server) == "201");
        calls += call("GET", path_of(mint_session_id()));
    }
}

TEST_CASE("the session API one byte at a time") {
    Api api{false};
    Peer server = api.connect();
    const SessionId id = api.session({{"a", "1"}});
    server.dribbles(call("PATCH", path_of(id), R"({"attrs":{"a":{"b64":"/w=="}}})"));
    CHECK(status_of(server) == "200");
    std::string body;
    server.dribbles(call("GET", path_of(id)));
    CHECK(status_of(server, &body) == "200");
    CHECK(body.find(R"("attrs":{"a":{"b64":"/w=="}})") != std::string::npos);
}

TEST_CASE("calls of the session API are no traffic") {
    Api api{false};
    Peer server = api.connect();
    server.sends(call("POST", ""));
    CHECK(status_of(server) == "201");
    server.sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(status_of(server) == "401");
    CHECK(api.proxy.requests() == 0);
    CHECK_FALSE(api.proxy.connects_to_server());
}

TEST_CASE("S23 an If-Match without an ETag, and a second one, are no condition to be passed over") {
    Api api{false};
    const SessionId id = api.session({{"a", "1"}});
    for (const char* fields :
         {"If-Match:\r\n", "If-Match: \r\n", "If-Match: \"1\"\r\nIf-Match: \"0\"\r\n"}) {
        CAPTURE(fields);
        Peer server = api.connect();
        server.sends(call("PATCH", path_of(id), R"({"attrs":{"a":"2"}})", fields));
        CHECK(status_of(server) == "400");
    }
}

TEST_CASE("S23 a key given twice is refused") {
    Api api{false};
    const SessionId id = api.session({{"a", "1"}});
    for (const char* body :
         {R"({"attrs":{"a":"2"},"attrs":{"b":"2"}})", R"({"attrs":{"a":"2","a":null}})",
          R"({"id":"../x","id":"00000000000000000000000000000000"})"}) {
        CAPTURE(body);
        Peer server = api.connect();
        const bool post = std::string{body}.find("id") != std::string::npos;
        server.sends(call(post ? "POST" : "PATCH", post ? "" : path_of(id), body));
        CHECK(status_of(server) == "400");
    }
}

TEST_CASE("S29 a PATCH moves the expiry on by the session's own slack") {
    Api api{false};
    const SessionId id = api.session({{"a", "1"}});
    for (const bool rotates : {false, true}) {
        CAPTURE(rotates);
        Peer server = api.connect();
        std::string body;
        server.sends(rotates ? call("POST", path_of(id) + "/rotate")
                             : call("PATCH", path_of(id), R"({"attrs":{"a":"2"}})"));
        CHECK(status_of(server, &body) == "200");
        const SessionId now =
            rotates ? *parse_session_id(body.substr(body.find("\"id\":") + 6, 32)) : id;
        const auto ttl =
            api.proxy.table().load(api.key(now), api.now(), ShownBy::server).record.ttl_ms;
        CHECK(ttl <= 66'000);
        CHECK(ttl >= 60'000);
    }
}

TEST_CASE("an id of a POST is no quoted string") {
    Api api{false};
    Peer server = api.connect();
    server.sends(call("POST", "", R"({"id":"\"00000000000000000000000000000000\""})"));
    CHECK(status_of(server) == "400");
}

TEST_CASE("F:no-abort attributes of any bytes are answered, and what is no name does no harm") {
    Api api;
    const SessionId id = api.session({});
    Peer server = api.connect();
    // A hostile store; of the names the last one is whole, of the values all are.
    StoreAnswer answer = only(StoreAnswer::Kind::live);
    answer.record.attributes = {{"\xff\xfe", "1"},
                                {std::string("\0\x80", 2), "2"},
                                {"cut\xc3", std::string("\xff\0\"\n", 4)},
                                {"\xed\xa0\x80", "\xc0\xaf"},
                                {"plain", "\xf4\x90\x80\x80"}};
    std::string body;
    server.sends(call("GET", path_of(id)));
    api.asked();
    api.proxy.store_answers(answer);
    CHECK(status_of(server, &body) == "200");
    CHECK(is_utf8(body));
    for (const char* value : {R"("1")", R"("2")", R"({"b64":"/wAiCg=="})", R"({"b64":"wK8="})"})
        CHECK(body.find(value) != std::string::npos);
    CHECK(body.find(R"("plain":{"b64":"9JCAgA=="})") != std::string::npos);

    answer = only(StoreAnswer::Kind::conflict);
    answer.names = {"\xff", "a"};
    server.sends(call("PATCH", path_of(id), R"({"attrs":{"a":"1"}})"));
    api.asked();
    api.proxy.store_answers(answer);
    CHECK(status_of(server, &body) == "412");
    CHECK(body == "{\"error\":\"changed meanwhile\",\"names\":[\"\xEF\xBF\xBD\",\"a\"]}\n");

    // A name of the body that a complaint cuts in the middle of a letter.
    server.sends(call("PATCH", path_of(id), "{\"" + std::string(79, 'k') + "\xC3\xA9\":1}"));
    CHECK(status_of(server, &body) == "400");
    CHECK(is_utf8(body));
}

TEST_CASE("F:json-end what HTTP itself refuses is refused in JSON on the API's listener") {
    const std::string head = "POST /v1/sessions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " +
                             token + "\r\nContent-Type: application/json\r\n";
    struct Row {
        std::string request;
        std::string status;
        std::string error;
    };
    const Row rows[] = {
        {"\x16\x03\x01 hello\r\n\r\n", "400", "Bad Request: tls"},
        {"GET / HTTP/1.1\nHost: h\n\n", "400", "Bad Request: bare_lf"},
        {"GET / HTTP/1.1\r\n\r\n", "400", "Bad Request: no_host"},
        {"GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", "400", "Bad Request: folded_line"},
        {head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "400",
         "Bad Request: two_content_length"},
        {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "400", "Bad Request: bad_chunk_size"},
        {head + "Transfer-Encoding: gzip\r\n\r\n", "501", "Not Implemented: unknown_coding"},
        {"QUERY / HTTP/1.1\r\nHost: h\r\n\r\n", "501", "Not Implemented"},
        {"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "405", "Method Not Allowed"},
        {"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "405", "Method Not Allowed"},
        {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505", "HTTP Version Not Supported"},
        {head + "Expect: more\r\n\r\n", "417", "Expectation Failed"},
        {"GET /" + std::string(9000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n", "414", "URI Too Long"},
        {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n", "431",
         "Request Header Fields Too Large: head_too_long"},
        {head + "Content-Length: 1001\r\n\r\n", "413", "the body is longer than 1000 bytes"},
        {head + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, ' ') + "\r\n",
         "413", "the body is longer than 1000 bytes"},
        {"GET /nothing HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token + "\r\n\r\n", "404",
         "no such path or id"},
        {"GET /v1/sessions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token + "\r\n\r\n",
         "405", "method not allowed"},
        {"GET /v1/sessions HTTP/1.1\r\nHost: h\r\n\r\n", "401", "a token is needed"},
    };
    Api api{false, [](Config& config) { config.limits.body_max = 1000; }};
    for (const Row& row : rows) {
        CAPTURE(row.request.substr(0, 100));
        for (const bool bytewise : {false, true}) {
            if (bytewise && row.request.size() > 2000) continue;
            Peer server = api.connect();
            if (bytewise)
                server.dribbles(row.request);
            else
                server.sends(row.request);
            const std::string got = server.head();
            CHECK(got.substr(9, 3) == row.status);
            CHECK(got.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
            CHECK((got.find("\r\nAllow: ") != std::string::npos) == (row.status == "405"));
            const std::string body = "{\"error\":\"" + row.error + "\"}\n";
            CHECK(server.bytes(body.size()) == body);
        }
    }
    CHECK(api.proxy.table().sessions() == 0);
}

TEST_CASE("F:json-end an answer to HEAD has no body, also where HTTP refuses it") {
    Api api{false};
    Peer server = api.connect();
    server.sends("HEAD / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n");
    const std::string head = server.head();
    CHECK(head.substr(9, 3) == "400");
    CHECK(head.find("Content-Length: 35\r\n") != std::string::npos);
    CHECK(server.until_end() == "");
}

TEST_CASE("F:json-end who is too slow is told so in JSON, too") {
    Api api{false, [](Config& config) {
                config.timeouts.header = Milliseconds{50};
                config.timeouts.body_idle = Milliseconds{50};
            }};
    struct Row {
        std::string begun;
        std::string reason;
    };
    for (const Row& row :
         {Row{"GET / HTTP/1.1\r\nHo", "header_timeout"},
          Row{"POST /v1/sessions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + token +
                  "\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
              "body_idle_timeout"}}) {
        CAPTURE(row.begun);
        Peer server = api.connect();
        server.sends(row.begun);
        std::string body;
        CHECK(status_of(server, &body) == "408");
        CHECK(body == "{\"error\":\"Request Timeout: " + row.reason + "\"}\n");
    }
}

}  // namespace baton::test
