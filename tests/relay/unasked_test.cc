// Idle connections to servers: bytes that nobody asked for are no answer, and an end is no 502.

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const std::string evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL";

// A client and a server with one answered request between them.
struct Warm {
    Proxy proxy;
    Peer client;
    Peer server;
    explicit Warm(unsigned tries = 2)
        : proxy{{.change = [tries](Config& config) { config.upstreams[0].retry_tries = tries; }}},
          client(proxy.connect_client()),
          server(begin()) {}
    Peer begin() {
        client.sends(get);
        Peer peer = proxy.accept_at_server();
        peer.head();
        peer.sends(ok);
        client.expects("ok");
        proxy
            .turn();  // so that of two sockets the first to get something is the first to be told of
        return peer;
    }
    // The request comes to another connection, whose answer is the client's.
    void is_answered_elsewhere() {
        Peer second = proxy.accept_at_server();
        second.head();
        second.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nGOOD");
        CHECK(client.head().find("200 OK") != std::string::npos);
        CHECK(client.bytes(4) == "GOOD");
        client.expects_nothing();
        CHECK(server.ended());
        CHECK(proxy.faults(Fault::server_gone) + proxy.faults(Fault::bad_response) == 0);
        for (std::size_t fault = 0; fault < server_fault_count; ++fault)
            CHECK(proxy.server_faults(static_cast<ServerFault>(fault)) == 0);
    }
};

const std::string requests[] = {
    get,
    "HEAD / HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n",
    "OPTIONS / HTTP/1.1\r\nHost: h\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    "DELETE / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"};

}  // namespace

TEST_CASE("F:unasked what a server sent before the request was written is not its answer") {
    const std::string unasked[] = {
        evil,     evil.substr(0, 1), "HTTP/1.1 200 OK\r\n", "\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
        "garbage"};
    for (const std::string& request : requests) {
        if (request.starts_with("HEAD")) continue;  // its answer has no body
        for (const std::string& bytes : unasked) {
            for (const unsigned tries : {1U, 2U}) {
                for (const bool client_first : {true, false}) {
                    CAPTURE(request);
                    CAPTURE(bytes);
                    CAPTURE(tries);
                    CAPTURE(client_first);
                    Warm warm{tries};
                    // Both come in one turn of the loop.
                    if (client_first) {
                        warm.client.sends(request);
                        warm.server.sends(bytes);
                    } else {
                        warm.server.sends(bytes);
                        warm.client.sends(request);
                    }
                    warm.is_answered_elsewhere();
                }
            }
        }
    }
}

TEST_CASE("F:unasked an answer that comes in the next turn is one") {
    Warm warm;
    warm.client.sends(get);
    warm.server.head();
    warm.server.sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nGOOD");
    warm.client.expects("GOOD");
    CHECK(warm.proxy.counters().retries.read() == 0);
    CHECK_FALSE(warm.proxy.connects_to_server());
}

TEST_CASE("F:unasked an idle connection costs no system call more") {
    if (only_tcp("system calls are counted")) return;
    Warm warm;
    const TcpCounts before = warm.proxy.worker().lane().tcp;
    for (int i = 0; i < 10; ++i) {
        warm.client.sends(get);
        warm.server.head();
        warm.server.sends(ok);
        warm.client.expects("ok");
    }
    const TcpCounts& after = warm.proxy.worker().lane().tcp;
    CHECK(after.reads - before.reads == 20);
    CHECK(after.writes - before.writes == 20);
}

TEST_CASE("F:stale-once an end that lies in the kernel is no 502, whatever `tries` says") {
    for (const std::string& request : requests) {
        if (request.starts_with("HEAD")) continue;
        for (const unsigned tries : {1U, 2U, 3U}) {
            for (const bool client_first : {true, false}) {
                CAPTURE(request);
                CAPTURE(tries);
                CAPTURE(client_first);
                Warm warm{tries};
                if (client_first) warm.client.sends(request);
                ::shutdown(warm.server.fd(), SHUT_RDWR);
                if (!client_first) warm.client.sends(request);
                warm.is_answered_elsewhere();
            }
        }
    }
}

TEST_CASE("F:stale-once a body too long to be kept is not sent where the end lies") {
    Warm warm;
    warm.client.sends("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
                      std::string(50'000, 'x'));
    ::shutdown(warm.server.fd(), SHUT_RDWR);
    Peer second = warm.proxy.accept_at_server();
    second.head();
    warm.client.sends(std::string(50'000, 'x'));
    second.bytes(100'000);
    second.sends(ok);
    warm.client.expects("200 OK");
}

TEST_CASE("F:stale-once of several idle connections only those that are good are used") {
    Proxy proxy{{.change = [](Config& config) { config.upstreams[0].retry_tries = 1; }}};
    std::vector<Peer> clients;
    std::vector<Peer> servers;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(proxy.connect_client());
        clients.back().sends(get);
        servers.push_back(proxy.accept_at_server());
        servers.back().head();
    }
    for (std::size_t i = 0; i < 4; ++i) {
        servers[i].sends(ok);
        clients[i].expects("ok");
    }
    clients[0].sends(get);
    ::shutdown(servers[3].fd(), SHUT_RDWR);
    servers[2].sends(evil);
    servers[1].head();
    servers[1].sends(ok);
    clients[0].expects("200 OK").expects("ok");
    CHECK(proxy.faults(Fault::server_gone) == 0);
}

}  // namespace baton::test
