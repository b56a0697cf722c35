// Time-outs: each ends what it should, with its own word.

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

}  // namespace

TEST_CASE("header: a head that does not come in time is a 408, however it dribbles") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.header = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHo");
    client.expects("HTTP/1.1 408 Request Timeout\r\n").expects("Connection: close\r\n");
    CHECK(proxy.faults(Fault::client_slow) == 1);
}

TEST_CASE("keepalive: an idle connection closes without a word") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.keepalive = 50ms; }}};
    Peer client = proxy.connect_client();
    CHECK(client.until_end() == "");
    CHECK(proxy.requests() == 0);
}

TEST_CASE("body_idle: a body that stops is a 408, and the server's connection ends") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.body_idle = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    Peer server = proxy.accept_at_server();
    server.head();
    client.expects("HTTP/1.1 408 Request Timeout\r\n").expects("Connection: close\r\n");
    server.until_end();
}

TEST_CASE("response: a server that does not answer is a 504, and the client's connection ends") {
    Proxy proxy{{.change = [](Config& config) { config.upstreams[0].timeouts.response = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    client.expects("HTTP/1.1 504 Gateway Timeout\r\n").expects("Connection: close\r\n");
    server.until_end();
    CHECK(proxy.faults(Fault::server_slow) == 1);
}

TEST_CASE("response: an interim answer does not move the deadline") {
    Proxy proxy{{.change = [](Config& config) { config.upstreams[0].timeouts.response = 100ms; }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 102 Processing\r\n\r\n");
    client.expects("102 Processing").expects("HTTP/1.1 504 Gateway Timeout\r\n");
}

TEST_CASE("idle: an answer that stops is cut, not ended") {
    Proxy proxy{{.change = [](Config& config) { config.upstreams[0].timeouts.idle = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    CHECK(client.until_end().find("0\r\n\r\n") == std::string::npos);
    CHECK(client.was_reset());
    CHECK(proxy.faults(Fault::server_slow) == 1);
}

TEST_CASE("total: the whole request has an end, even if something always moves") {
    Proxy proxy{{.change = [](Config& config) { config.upstreams[0].timeouts.total = 100ms; }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (!client.ended()) server.sends("1\r\nx\r\n");
    CHECK(proxy.faults(Fault::server_slow) == 1);
}

TEST_CASE("send: a client that takes nothing of its answer is cut") {
    if (only_tcp("the test itself writes to its socket, or reads from it")) return;
    Proxy proxy{{.change = [](Config& config) { config.timeouts.send = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n");
    const std::string block(100'000, 'x');
    proxy.turn_until(
        [&] {
            ::send(server.fd(), block.data(), block.size(), MSG_NOSIGNAL);
            return proxy.faults(Fault::client_slow) == 1;
        },
        "the cut");
    CHECK(proxy.worker().clients() == 0);
}

TEST_CASE("connect: a server that does not answer the connect is left for the next") {
    // A listening socket whose queue is full drops further connects.
    Proxy proxy{{.servers = 2, .change = [](Config& config) {
                     config.upstreams[0].timeouts.connect = 50ms;
                     config.upstreams[0].timeouts.total = 0ms;
                 }}};
    std::vector<int> fillers;
    proxy.fill_queue(0, fillers);
    Peer client = proxy.connect_client();
    client.sends(get);
    Peer server = proxy.accept_at_server(1);
    server.head();
    server.sends(ok);
    client.expects("ok");
    CHECK(proxy.server_faults(ServerFault::connect_slow) == 1);
    CHECK(proxy.server_faults(ServerFault::connect_failed) == 0);
    for (const int fd : fillers) ::close(fd);
}

TEST_CASE(
    "client_gone: an answer to a client that has closed its side is waited for only so long") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.client_gone = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends(get).shuts();
    Peer server = proxy.accept_at_server();
    server.head();
    server.until_end();
    CHECK(proxy.faults(Fault::client_gone) == 1);
}

TEST_CASE("client_gone ends with the first byte of the answer: a download flows on") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.client_gone = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends(get).shuts();
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    client.expects("\r\n\r\no");
    const std::uint64_t later = proxy.worker().loop().now() + 100;
    proxy.turn_until([&] { return proxy.worker().loop().now() > later; }, "time to pass");
    server.sends("k");
    CHECK(client.until_end() == "k");
    CHECK(proxy.faults(Fault::client_gone) == 0);
}

TEST_CASE("tunnel_idle: a silent tunnel ends") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.tunnel_idle = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.head();
    client.until_end();
    server.until_end();
}

TEST_CASE("a client that goes on sending after its refusal is dropped in the end") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.body_idle = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends("BAD\r\n\r\n");
    client.expects("HTTP/1.1 400 Bad Request\r\n");
    proxy.turn_until(
        [&] {
            client.sends("x");
            return proxy.worker().clients() == 0;
        },
        "the end of lingering");
}

TEST_CASE("a client that is silent after its refusal is dropped soon") {
    Proxy proxy{{.change = [](Config& config) { config.timeouts.body_idle = 50ms; }}};
    Peer client = proxy.connect_client();
    client.sends("BAD\r\n\r\n");
    client.expects("HTTP/1.1 400 Bad Request\r\n");
    proxy.turn_until([&] { return proxy.worker().clients() == 0; }, "the end of lingering");
}

TEST_CASE("a client may send all of its body before it reads the answer that came early") {
    Proxy proxy{{.change = [](Config& config) { config.limits.body_max = 1000; }}};
    Peer client = proxy.connect_client();
    constexpr std::size_t size = std::size_t{4} << 20;
    client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) +
                 "\r\n\r\n");
    client.expects("HTTP/1.1 413 Content Too Large\r\n");
    const std::string piece(std::size_t{64} << 10, 'x');
    for (std::size_t sent = 0; sent < size; sent += piece.size()) client.sends(piece);
    client.shuts();
    client.until_end();
    CHECK_FALSE(client.was_reset());
    proxy.turn_until([&] { return proxy.worker().clients() == 0; }, "the end of lingering");
}

TEST_CASE("a client that is only read out any more does not hold a stop up") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("BAD\r\n\r\n");
    client.expects("400 Bad Request\n");
    proxy.turn();
    CHECK(proxy.worker().clients() == 1);
    proxy.worker().stop_now();
    CHECK(proxy.worker().clients() == 0);
}

}  // namespace baton::test
