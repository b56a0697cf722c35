// What a small request may cost: counted, not timed.

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "tests/relay/proxy.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<std::uint64_t> allocations{0};

void* allocate(std::size_t size) {
    if (counting.load(std::memory_order_relaxed))
        allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size)) return memory;
    std::abort();
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace baton::test {

namespace {

// Peers that neither allocate nor turn the loop by themselves.
bool send_all(int fd, std::string_view text) {
    return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

std::size_t receive(Proxy& proxy, int fd, char* room, std::size_t size) {
    for (int turns = 0; turns < 100'000; ++turns) {
        proxy.worker().loop().turn();
        const ssize_t got = ::recv(fd, room, size, MSG_DONTWAIT);
        if (got > 0) return static_cast<std::size_t>(got);
    }
    return 0;
}

}  // namespace

TEST_CASE("1,000 warm small requests: two reads, two writes, no toggle and no memory each") {
    if (only_tcp("system calls are counted")) return;
    bool logged = false;
    SUBCASE("without an access log") {}
    SUBCASE("with one") { logged = true; }
    Proxy proxy{{.access_log = logged,
                 .change = [](Config& config) { config.upstreams[0].keepalive.requests_max = 0; }}};
    Peer client = proxy.connect_client();
    const std::string request =
        "GET /a/path?with=query HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: "
        "*/*\r\nCookie: a=b; c=d\r\n"
        "X-Forwarded-For: 1.2.3.4\r\nConnection: keep-alive\r\n\r\n";
    const std::string reply =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" +
        std::string(1024, 'x');
    client.sends(request);
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(reply);
    client.head();
    client.bytes(1024);
    char room[8192];
    const auto round = [&] {
        REQUIRE(send_all(client.fd(), request));
        REQUIRE(receive(proxy, server.fd(), room, sizeof(room)) > request.size() / 2);
        REQUIRE(send_all(server.fd(), reply));
        REQUIRE(receive(proxy, client.fd(), room, sizeof(room)) > 1024);
    };
    round();
    const TcpCounts before = proxy.worker().lane().tcp;
    allocations = 0;
    // Nothing between here and `counting = false` is doctest's, whose macros allocate.
    bool answered = true;
    counting = true;
    for (int i = 0; i < 1000; ++i) {
        answered = answered && send_all(client.fd(), request) &&
                   receive(proxy, server.fd(), room, sizeof(room)) > 0 &&
                   send_all(server.fd(), reply) &&
                   receive(proxy, client.fd(), room, sizeof(room)) > 1024;
    }
    counting = false;
    CHECK(answered);
    const TcpCounts& after = proxy.worker().lane().tcp;
    CHECK(after.reads - before.reads <= 2000);
    CHECK(after.writes - before.writes <= 2000);
    CHECK(after.read_toggles == before.read_toggles);
    // The log's queue takes a few small vectors for each block of some 250 lines.
    CHECK(allocations.load() <= (logged ? 20 : 0));
}

}  // namespace baton::test
