// The admin listener: its pages, and whom it refuses.

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/process/admin_listener.h"
#include "proxy/service/metrics.h"
#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

constexpr std::string_view text_type = "text/plain; charset=utf-8";
constexpr std::string_view json_type = "application/json";

struct Answer {
    std::string head;
    std::string body;
};

// An admin listener on the loop of a worker whose numbers it tells.
struct Admin {
    explicit Admin(Setup setup = {})
        : proxy(std::move(setup)),
          view{proxy.snapshot(),
               &proxy.registry(),
               {&std::as_const(proxy.worker()).lane()},
               &proxy.gate(),
               &proxy.table(),
               nullptr,
               &proxy.writer(),
               false},
          listener(proxy.worker().loop(), 2, view, std::make_unique<MemoryStore>(proxy.table()),
                   unknown_limit, this,
                   [](void* admin) { static_cast<Admin*>(admin)->emptied = true; }) {
        ListenerSockets sockets;
        std::string complaint;
        REQUIRE(open_listener(*parse_address("127.0.0.1:0"), 1, sockets, complaint));
        if (speaks_records()) listener.lane().client_layer = over_records;
        listener.take(proxy.snapshot());
        listener.listen(sockets.fds[0], sockets.address, proxy.config().admin);
    }

    Peer connect() { return proxy.connect_client(listener.address()); }
    Answer ask(Peer& client, const std::string& request) {
        client.sends(request);
        Answer answer;
        answer.head = client.head();
        if (request.starts_with("HEAD ")) return answer;
        const auto at = answer.head.find("Content-Length: ");
        REQUIRE(at != std::string::npos);
        answer.body = client.bytes(std::stoul(answer.head.substr(at + 16)));
        return answer;
    }
    // One request of a connection of its own.
    Answer ask(const std::string& request) {
        Peer client = connect();
        return ask(client, request);
    }
    Answer page(const std::string& path) { return ask(request_for(path)); }
    static std::string request_for(const std::string& path, const std::string& method = "GET",
                                   const std::string& fields = "Host: 127.0.0.1:81\r\n") {
        return method + " " + path + " HTTP/1.1\r\n" + fields + "\r\n";
    }

    Proxy proxy;
    UnknownLimit unknown_limit;
    ProcessView view;
    bool emptied = false;
    AdminListener listener;
};

std::string head_of(std::string_view status, std::string_view type, std::size_t length,
                    std::string_view more = {}) {
    return "HTTP/1.1 " + std::string{status} + "\r\nContent-Type: " + std::string{type} +
           "\r\nContent-Length: " + std::to_string(length) +
           "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" +
           std::string{more} + "\r\n";
}

void check(const Answer& answer, std::string_view status, std::string_view type,
           const std::string& body, std::string_view more = {}) {
    CHECK(answer.body == body);
    CHECK(answer.head == head_of(status, type, body.size(), more));
}

bool is_forbidden(const Answer& answer) {
    return answer.head == head_of("403 Forbidden", text_type, 14) &&
           answer.body == "403 Forbidden\n";
}

}  // namespace

TEST_CASE("admin: health and readiness") {
    Admin admin;
    check(admin.page("/healthz"), "200 OK", text_type, "ok\n");
    check(admin.page("/readyz"), "200 OK", json_type, "{\"ready\":true}\n");
    admin.view.draining = true;
    check(admin.page("/readyz"), "503 Service Unavailable", json_type,
          "{\"ready\":false,\"reasons\":[\"draining\"]}\n");
    check(admin.page("/healthz"), "200 OK", text_type, "ok\n");
}

TEST_CASE("admin: the servers with what is known of them") {
    Admin admin{{.servers = 2, .change = [](Config& config) {
                     if (config.upstreams[0].servers.empty()) return;
                     UpstreamConfig second = config.upstreams[0];
                     second.name = "second";
                     second.servers.resize(1);
                     second.servers[0].text = "local\"host\\:1";
                     second.servers[0].weight = 7;
                     config.upstreams.push_back(second);
                 }}};
    Worker other{
        {.index = 1,
         .make_store = [&](Loop&) { return std::make_unique<MemoryStore>(admin.proxy.table()); },
         .unknown_limit = &admin.unknown_limit,
         .gate = &admin.proxy.gate(),
         .api_gate = &admin.proxy.gate(),
         .writer = &admin.proxy.writer()}};
    other.take(admin.proxy.snapshot());
    admin.view.lanes.push_back(&std::as_const(other).lane());
    std::string in_flight = "0";
    std::string requests = "0";
    std::string fault = "null";
    const auto expected = [&] {
        return "{\"upstreams\":[{\"name\":\"app\",\"balance\":\"round-robin\",\"servers\":["
               "{\"address\":\"" +
               admin.proxy.server_text(0) +
               "\",\"weight\":1,\"state\":\"unchecked\",\"in_flight\":0,\"requests\":0,"
               "\"last_fault\":null},{\"address\":\"" +
               admin.proxy.server_text(1) +
               "\",\"weight\":1,\"state\":\"unchecked\",\"in_flight\":" + in_flight +
               ",\"requests\":" + requests + ",\"last_fault\":" + fault +
               "}]},"
               "{\"name\":\"second\",\"balance\":\"round-robin\",\"servers\":["
               "{\"address\":\"local\\\"host\\\\:1\",\"weight\":7,\"state\":\"unchecked\","
               "\"in_flight\":0,\"requests\":0,\"last_fault\":null}]}]}\n";
    };
    check(admin.page("/v1/upstreams"), "200 OK", json_type, expected());

    ServerCounters& here = admin.proxy.worker().lane().pools[1].counters;
    ServerCounters& there = other.lane().pools[1].counters;
    here.in_flight.add();
    there.in_flight.add();
    there.in_flight.add();
    here.requests.add(20);
    there.requests.add(4);
    in_flight = "3";
    requests = "24";
    check(admin.page("/v1/upstreams"), "200 OK", json_type, expected());

    // The latest of all workers counts, whichever has it.
    there.add(ServerFault::connect_slow, 2'000);
    fault = "{\"fault\":\"connect_slow\",\"time\":\"1970-01-01T00:00:02.000Z\"}";
    check(admin.page("/v1/upstreams"), "200 OK", json_type, expected());
    here.add(ServerFault::bad_response, 1'999);
    check(admin.page("/v1/upstreams"), "200 OK", json_type, expected());
    here.add(ServerFault::server_gone, 1'772'323'200'123);
    fault = "{\"fault\":\"server_gone\",\"time\":\"2026-03-01T00:00:00.123Z\"}";
    check(admin.page("/v1/upstreams"), "200 OK", json_type, expected());
    there.add(ServerFault::server_slow, 1'772'323'200'122);
    check(admin.page("/v1/upstreams"), "200 OK", json_type, expected());
}

TEST_CASE("admin: what really happened to a server stands there") {
    Admin admin;
    admin.proxy.close_server(0);
    Peer client = admin.proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.expects("503 Service Unavailable\n");
    const std::string refused = admin.page("/v1/upstreams").body;
    CHECK(
        refused.find("\"requests\":0,\"last_fault\":{\"fault\":\"connect_failed\",\"time\":\"2") !=
        std::string::npos);
    admin.proxy.reopen_server(0);
    client.sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    Peer server = admin.proxy.accept_at_server();
    server.head();
    CHECK(admin.page("/v1/upstreams").body.find("\"in_flight\":1,\"requests\":1,") !=
          std::string::npos);
    server.sends(ok);
    client.expects("ok");
    CHECK(admin.page("/v1/upstreams").body.find("\"in_flight\":0,\"requests\":1,") !=
          std::string::npos);
}

TEST_CASE("admin: the numbers") {
    Admin admin;
    check(admin.page("/metrics"), "200 OK", metrics_content_type, metrics_text(admin.view));
    Peer client = admin.proxy.connect_client();
    client.sends("BAD\r\n\r\n");
    client.expects("400 Bad Request\n");
    const Answer answer = admin.page("/metrics");
    CHECK(answer.body.find("\nbaton_faults_total{fault=\"bad_request\"} 1\n") != std::string::npos);
    CHECK(answer.body.find("\nbaton_connections{side=\"client\"} 1\n") != std::string::npos);
}

TEST_CASE("admin: HEAD has the same head, and no body") {
    Admin admin;
    Peer client = admin.connect();
    for (const std::string path :
         {"/healthz", "/readyz", "/v1/upstreams", "/metrics", "/nothing"}) {
        CAPTURE(path);
        const std::string head = admin.ask(client, Admin::request_for(path, "HEAD")).head;
        CHECK(head == admin.ask(client, Admin::request_for(path)).head);
        CHECK(head.find("Content-Length: 0\r\n") == std::string::npos);
    }
}

TEST_CASE("admin: other paths are not found, whatever the method") {
    Admin admin;
    Peer client = admin.connect();
    for (const std::string path :
         {"/", "//healthz", "/healthz/", "/HEALTHZ", "/%68ealthz", "/healthz%00", "/health",
          "/healthzz", "/v1", "/v1/", "/v1/upstreams/app", "/x/../healthz", "/metrics;a=b",
          "http://127.0.0.1", "http://127.0.0.1?/healthz"}) {
        for (const std::string method : {"GET", "POST", "DELETE"}) {
            CAPTURE(path);
            CAPTURE(method);
            check(admin.ask(client, Admin::request_for(path, method)), "404 Not Found", text_type,
                  "404 Not Found\n");
        }
    }
    check(admin.ask(client, Admin::request_for("*", "OPTIONS")), "404 Not Found", text_type,
          "404 Not Found\n");
    for (const std::string path : {"/healthz?", "/healthz?a=b?c", "http://127.0.0.1/healthz",
                                   "http://localhost:81/healthz?a", "HTTP://[::1]/healthz"}) {
        CAPTURE(path);
        check(admin.ask(client, Admin::request_for(path)), "200 OK", text_type, "ok\n");
    }
}

TEST_CASE("admin: other methods are refused, and the answer says which are not") {
    Admin admin;
    Peer client = admin.connect();
    for (const std::string path : {"/healthz", "/readyz", "/v1/upstreams", "/metrics"}) {
        for (const std::string method :
             {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "PURGE"}) {
            CAPTURE(path);
            CAPTURE(method);
            check(admin.ask(client, Admin::request_for(path, method)), "405 Method Not Allowed",
                  text_type, "405 Method Not Allowed\n", "Allow: GET, HEAD\r\n");
        }
        check(admin.ask(client, Admin::request_for(path, "POST",
                                                   "Host: localhost\r\nContent-Length: 3\r\n") +
                                    "abc"),
              "405 Method Not Allowed", text_type, "405 Method Not Allowed\n",
              "Allow: GET, HEAD\r\n");
    }
}

TEST_CASE("admin: a request of a web page is refused") {
    Admin admin;
    Peer client = admin.connect();
    const std::string host = "Host: localhost\r\n";
    for (const std::string path :
         {"/healthz", "/readyz", "/v1/upstreams", "/metrics", "/nothing"}) {
        for (const std::string method : {"GET", "POST"}) {
            for (const std::string origin : {"Origin: http://127.0.0.1:81", "origin: null",
                                             "ORIGIN:", "oRiGiN: https://a.b"}) {
                CAPTURE(path);
                CAPTURE(origin);
                CHECK(is_forbidden(
                    admin.ask(client, Admin::request_for(path, method, host + origin + "\r\n"))));
            }
        }
    }
    check(admin.ask(client, Admin::request_for("/healthz", "GET",
                                               host + "X-Origin: a\r\nOrigin-: b\r\nReferer: c\r\n"
                                                      "Sec-Fetch-Site: none\r\n")),
          "200 OK", text_type, "ok\n");
}

TEST_CASE("admin: a Host is an address or localhost; a name may be anybody's") {
    Admin admin;
    Peer client = admin.connect();
    for (const std::string host : {"127.0.0.1", "127.0.0.1:81", "127.0.0.1:", "10.1.2.3:9", "[::1]",
                                   "[::1]:81", "[::1]:", "[2001:db8::1]:81", "[::ffff:127.0.0.1]",
                                   "localhost", "localhost:81", "LocalHost", "LOCALHOST:1"}) {
        CAPTURE(host);
        const std::string fields = "Host: " + host + "\r\n";
        check(admin.ask(client, Admin::request_for("/healthz", "GET", fields)), "200 OK", text_type,
              "ok\n");
    }
    for (const std::string host :
         {"example.com", "example.com:81", "localhost.example.com", "localhostx", "xlocalhost",
          "127.0.0.1.example.com", "127.0.0.1.nip.io:81", "127.1", "0x7f.0.0.1", "127.0.0.01",
          "1.2.3.4.5", "a"}) {
        CAPTURE(host);
        const std::string fields = "Host: " + host + "\r\n";
        CHECK(is_forbidden(admin.ask(client, Admin::request_for("/healthz", "GET", fields))));
        // An absolute target's host counts, not the field's.
        CHECK(is_forbidden(admin.ask(client, Admin::request_for("http://" + host + "/healthz"))));
        check(admin.ask(client, Admin::request_for("http://127.0.0.1/healthz", "GET", fields)),
              "200 OK", text_type, "ok\n");
    }
    // A probe in HTTP/1.0 names none; a client of HTTP/1.1 must.
    check(admin.ask("GET /healthz HTTP/1.0\r\n\r\n"), "200 OK", text_type, "ok\n",
          "Connection: close\r\n");
    check(admin.ask("GET /healthz HTTP/1.0\r\nHost:\r\n\r\n"), "200 OK", text_type, "ok\n",
          "Connection: close\r\n");
    for (const std::string fields : {"", "Host:\r\n", "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n",
                                     "Host: 127.0.0.1:99999\r\n", "Host: ::1\r\n"}) {
        CAPTURE(fields);
        CHECK(admin.ask(Admin::request_for("/healthz", "GET", fields))
                  .head.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    }
}

TEST_CASE("admin: its requests are in no number of the traffic") {
    Admin admin;
    const std::string before = metrics_text(admin.view);
    {
        Peer bad = admin.connect();
        bad.sends("BAD\r\n\r\n");
        bad.expects("400 Bad Request\n");
        Peer idle = admin.connect();
        for (const std::string path : {"/healthz", "/nothing"})
            admin.ask(idle, Admin::request_for(path));
        admin.ask(idle, Admin::request_for("/metrics", "POST"));
        admin.ask(Admin::request_for("/healthz", "GET", "Host: evil\r\n"));
        CHECK(metrics_text(admin.view) == before);
        CHECK(admin.page("/metrics").body == before);
    }
    CHECK(metrics_text(admin.view) == before);
}

TEST_CASE("admin: as many connections as it may have, the next one takes an idle one's place") {
    Admin admin;
    std::vector<Peer> idle;
    for (std::size_t i = 0; i < AdminListener::connections_max; ++i) {
        idle.push_back(admin.connect());
        admin.ask(idle.back(), Admin::request_for("/healthz"));
    }
    CHECK(AdminListener::connections_max == 32);
    Peer next = admin.connect();
    next.sends(Admin::request_for("/healthz"));
    next.expects("ok\n");
    CHECK(idle[0].ended());
    CHECK(!idle[1].ended());
    CHECK(admin.proxy.gate().open == 0);
}

TEST_CASE("admin: stopping tells when the last connection is gone") {
    Admin admin;
    Peer idle = admin.connect();
    admin.ask(idle, Admin::request_for("/healthz"));
    Peer busy = admin.connect();
    busy.sends("GET /healthz HTTP/1.1\r\nHo");
    admin.proxy.turn();
    admin.listener.stop();
    CHECK(idle.until_end() == "");
    CHECK_FALSE(admin.emptied);
    SUBCASE("by itself") {
        busy.sends("st: localhost\r\n\r\n");
        busy.expects("Connection: close\r\n").expects("ok\n");
        CHECK(busy.until_end() == "");
    }
    SUBCASE("or cut") { admin.listener.abort(); }
    admin.proxy.turn_until([&] { return admin.emptied; }, "the word");
    CHECK(busy.until_end() == "");
}

}  // namespace baton::test
