#pragma once

// The programs around a proxy that is measured: clients, servers, and a relay of bytes that stands
// for a proxy that does nothing. Small, on epoll, one thread each, so that the proxy is what is slow.

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/apps/load.h"

namespace traffic {

using load::die;
using load::Options;

// What a body of answers and uploads consists of, as long as the longest.
inline constexpr std::size_t body_max = std::size_t{1} << 20;
const std::string& body();

inline constexpr std::size_t small_size = 1024;
inline constexpr std::size_t large_size = std::size_t{100} << 10;
inline constexpr std::size_t upload_size = body_max;
inline constexpr std::size_t chunked_size = std::size_t{16} << 10;
inline constexpr std::size_t chunk_size = 64;

// An epoll and who is asked for what.
class Poll {
public:
    Poll();
    void watch(int fd, std::uint64_t who, std::uint32_t events = EPOLLIN);
    void change(int fd, std::uint64_t who, std::uint32_t events);
    // Calls `handle(who, events)` for each; waits until the first, `until_us` at most (0: for ever).
    template <class Handle>
    void turn(std::int64_t until_us, Handle handle) {
        const int count = wait(until_us);
        for (int i = 0; i < count; ++i)
            handle(events_[static_cast<std::size_t>(i)].data.u64,
                   events_[static_cast<std::size_t>(i)].events);
    }

private:
    int wait(std::int64_t until_us);
    int fd_;
    std::array<epoll_event, 256> events_{};
};

std::int64_t now_us();

// A listening socket on loopback; port 0 is any. `port_of` tells which.
int listen_on(std::uint64_t port);
std::uint64_t port_of(int fd);
// The next connection that waits, without blocking, or -1.
int accept_from(int listener, const std::string& congestion);
// A connection in the making: writable once it is there. -1 with errno if there can be none.
int begin_to_connect(std::uint64_t port, const std::string& congestion);
// The algorithm a socket has.
std::string congestion_of(int fd);

// The verbs.
int serve(const Options& options);
int ask(const Options& options);
int relay(const Options& options);

}  // namespace traffic
