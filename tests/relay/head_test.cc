// Answers without a body: to HEAD, 204 and 304.

#include <doctest/doctest.h>

#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

// What the client of a request is sent for the server's answer.
std::string answer_to(const std::string& method, const std::string& answer) {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends(method + " / HTTP/1.1\r\nHost: h\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(answer);
    std::string head = client.head();
    client.expects_nothing();
    // The connection goes on: nobody waits for a body.
    client.sends("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    server.expects("GET /next ");
    return head;
}

}  // namespace

TEST_CASE("an answer to HEAD keeps the length of the body it does not have") {
    CHECK(answer_to("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") ==
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    CHECK(answer_to("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") ==
          "HTTP/1.1 200 OK\r\n\r\n");
    CHECK(answer_to("HEAD", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n") ==
          "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
}

TEST_CASE("a 304 keeps its length, a 204 has none, whoever asks (RFC 9110, 8.6)") {
    CHECK(answer_to("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n") ==
          "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    for (const char* method : {"GET", "HEAD"}) {
        CAPTURE(method);
        CHECK(answer_to(method, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n") ==
              "HTTP/1.1 204 No Content\r\n\r\n");
    }
}

TEST_CASE(
    "our own answer to a HEAD has no body, also where its head is refused (RFC 9110, 9.3.2)") {
    const char* requests[] = {
        "HEAD / HTTP/1.1\r\nHost: unknown\r\n\r\n",       // no route
        "HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",  // refused at the end of the head
        "HEAD / HTTP/1.1\r\nHost: only.example\r\nX: a\x01\r\n\r\n",  // and within it
        "HEAD http://only.example/ HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    };
    for (const char* request : requests) {
        CAPTURE(request);
        Proxy proxy{{.change = [](Config& config) { config.routes[0].hosts = {"only.example"}; }}};
        Peer client = proxy.connect_client();
        client.sends(request);
        const std::string head = client.head();
        CHECK(head.find("\r\nContent-Length: ") != std::string::npos);
        CHECK(client.got() == "");
    }
}

}  // namespace baton::test
