// What is forwarded and what is answered here: Via, Date, Max-Forwards, requests without a Host.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "proxy/context/pseudonym.h"
#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\n";

// The values of the fields of a name, in their order.
std::vector<std::string> values(const std::string& head, const std::string& name) {
    std::vector<std::string> found;
    const std::string line = "\r\n" + name + ": ";
    for (std::size_t at = head.find(line); at != head.npos; at = head.find(line, at)) {
        at += line.size();
        found.push_back(head.substr(at, head.find("\r\n", at) - at));
    }
    return found;
}

bool is_date(const std::string& text) {
    return text.size() == 29 && text[3] == ',' && text.ends_with(" GMT");
}

using Values = std::vector<std::string>;

}  // namespace

TEST_CASE("F:via each request says which version came, and that it came through here") {
    CHECK(pseudonym().size() == 22);
    CHECK(pseudonym().starts_with("baton-"));
    CHECK(pseudonym().find_first_not_of("0123456789abcdef", 6) == std::string_view::npos);
    const std::string own{pseudonym()};
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(begin + "Via: 1.0 fred\r\n\r\n");
    Peer server = proxy.accept_at_server();
    CHECK(values(server.head(), "Via") == Values{"1.0 fred", "1.1 " + own});
    server.sends("HTTP/1.1 200 OK\r\nVia: 1.1 server\r\nContent-Length: 0\r\n\r\n");
    CHECK(values(client.head(), "Via") == Values{"1.1 server"});
    client.sends("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    CHECK(values(server.head(), "Via") == Values{"1.0 " + own});
}

TEST_CASE("F:via a request that comes back is a loop, and no server hears of it again") {
    const std::string own{pseudonym()};
    Proxy proxy;
    for (const std::string& via : {"1.1 " + own, "1.1 a, 1.0 " + own + ", 1.1 b"}) {
        CAPTURE(via);
        Peer client = proxy.connect_client();
        client.sends(begin + "Via: 1.1 x\r\nVia: " + via + "\r\n\r\n");
        const std::string head = client.head();
        CHECK(head.starts_with("HTTP/1.1 508 Loop Detected\r\n"));
        client.expects("508 Loop Detected\n");
        CHECK_FALSE(proxy.connects_to_server());
        // The connection goes on: its next request may be another one.
        client.sends("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
        Peer server = proxy.accept_at_server();
        server.expects("GET /next ");
        server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        client.head();
    }
    CHECK(proxy.faults(Fault::loop) == 2);
    CHECK(proxy.log().find("\"status\":508") != std::string::npos);
    CHECK(proxy.log().find("\"fault\":\"loop\"") != std::string::npos);
}

TEST_CASE("F:via none is added, and no loop is looked for, where an upstream says so") {
    Proxy proxy{{.change = [](Config& config) { config.upstreams[0].via = false; }}};
    Peer client = proxy.connect_client();
    const std::string via = "1.1 " + std::string{pseudonym()};
    client.sends(begin + "Via: " + via + "\r\n\r\n");
    Peer server = proxy.accept_at_server();
    CHECK(values(server.head(), "Via") == Values{via});
}

TEST_CASE("F:date each answer has one, but for those that are not the last") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(begin + "\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 103 Early Hints\r\n\r\n");
    CHECK(values(client.dated_head(), "Date").empty());
    server.sends(ok);
    const Values added = values(client.dated_head(), "Date");
    REQUIRE(added.size() == 1);
    CHECK(is_date(added[0]));
    client.expects("ok");
    client.sends(begin + "\r\n");
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nDate: theirs\r\nContent-Length: 2\r\n\r\nok");
    CHECK(values(client.dated_head(), "Date") == Values{"theirs"});
    client.expects("ok");
    // A refused head, and one that no route takes.
    client.sends("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    CHECK(values(client.dated_head(), "Date").size() == 1);
    proxy.close_server(0);
    server.closes();
    Peer other = proxy.connect_client();
    other.sends(begin + "\r\n");
    const std::string head = other.dated_head();
    CHECK(head.starts_with("HTTP/1.1 503 "));
    CHECK(values(head, "Date").size() == 1);
}

TEST_CASE("F:date a tunnel's beginning has none but the server's") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(begin + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    CHECK(values(client.dated_head(), "Date").empty());
}

TEST_CASE("F:date our error tells a 1.0 client that asked for it that its connection goes on") {
    Proxy proxy;
    proxy.close_server(0);
    Peer client = proxy.connect_client();
    for (int i = 0; i < 2; ++i) {
        client.sends("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
        const std::string head = client.head();
        CHECK(head.starts_with("HTTP/1.1 503 "));
        CHECK(values(head, "Connection") == Values{"keep-alive"});
        client.expects("503 Service Unavailable\n");
    }
    client.sends("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    CHECK(values(client.head(), "Connection") == Values{"close"});
    client.until_end();
}

TEST_CASE("F:max-forwards an OPTIONS that may go no further is answered here") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    for (const std::string target : {"/", "*", "/a?b"}) {
        for (const std::string zero : {"0", "000"}) {
            CAPTURE(target);
            client.sends("OPTIONS " + target + " HTTP/1.1\r\nHost: h\r\nMax-Forwards: " + zero +
                         "\r\n\r\n");
            const std::string head = client.head();
            CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
            CHECK(values(head, "Allow") == Values{"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"});
            CHECK(values(head, "Content-Length") == Values{"0"});
        }
    }
    CHECK_FALSE(proxy.connects_to_server());
    CHECK(proxy.log().find("\"status\":200") != std::string::npos);
    CHECK(proxy.log().find("fault") == std::string::npos);
    // With a body that is not there yet the connection ends.
    client.sends("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\nContent-Length: 5\r\n\r\n");
    CHECK(values(client.head(), "Connection") == Values{"close"});
    client.until_end();
}

TEST_CASE("F:max-forwards others go on, an OPTIONS one step less") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 1\r\n\r\n");
    Peer server = proxy.accept_at_server();
    CHECK(values(server.head(), "Max-Forwards") == Values{"0"});
    server.sends(ok);
    client.expects("ok");
    for (const std::string request : {"GET / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n",
                                      "POST / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n"}) {
        client.sends(request);
        CHECK(values(server.head(), "Max-Forwards") == Values{"0"});
        server.sends(ok);
        client.expects("ok");
    }
}

TEST_CASE("F:no-host the server hears of the address that the client found") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.0\r\n\r\n");
    Peer server = proxy.accept_at_server();
    const std::string head = server.head();
    CHECK(values(head, "Host") == Values{proxy.address().text()});
    CHECK(values(head, "X-Forwarded-Host").empty());
    CHECK(values(head, "X-Forwarded-Port") == Values{std::to_string(proxy.address().port())});
}

}  // namespace baton::test
