// traffic VERB [KEY=VALUE]...: see traffic.h. Each runs until stdin ends, or until it is done.
//
//     serve [port=0] [congestion=cubic]      prints its port
//     relay to=PORT [port=0] [congestion=…]  prints its port
//     ask port=PORT work=NAME [connections=64] [milliseconds=4000] [requests=N] [rate=N] [congestion=…]
//         prints "begin" after a moment to warm up, then one line of JSON: what came since, how
//         fast, and what was wrong
//
// Work: small heads large upload close chunked tunnel-128 tunnel-16k session write idle.

#include "tests/bench/traffic.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

namespace traffic {
namespace {

constexpr int queue_length = 4096;

sockaddr_in loopback(std::uint64_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void tune(int fd, const std::string& congestion) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (congestion.empty()) return;
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion.data(),
                   static_cast<socklen_t>(congestion.size())) < 0)
        die("TCP_CONGESTION " + congestion);
}

}  // namespace

const std::string& body() {
    static const std::string bytes = [] {
        std::string made;
        // Of a length that divides no buffer, so that bytes in a wrong place show.
        while (made.size() < body_max)
            made += "baton carries the session; " + std::to_string(made.size());
        made.resize(body_max);
        return made;
    }();
    return bytes;
}

Poll::Poll() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) die("epoll_create1");
}

void Poll::watch(int fd, std::uint64_t who, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = who}};
    if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

void Poll::change(int fd, std::uint64_t who, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.u64 = who}};
    if (epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &event) < 0) die("epoll_ctl");
}

int Poll::wait(std::int64_t until_us) {
    timespec left{};
    if (until_us != 0) {
        const std::int64_t us = std::max<std::int64_t>(until_us - now_us(), 0);
        left = {.tv_sec = us / 1'000'000, .tv_nsec = us % 1'000'000 * 1000};
    }
    const int count = epoll_pwait2(fd_, events_.data(), static_cast<int>(events_.size()),
                                   until_us != 0 ? &left : nullptr, nullptr);
    if (count < 0 && errno != EINTR) die("epoll_pwait2");
    return count;
}

std::int64_t now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

int listen_on(std::uint64_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(port);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) die("bind");
    if (::listen(fd, queue_length) < 0) die("listen");
    return fd;
}

std::uint64_t port_of(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
}

int accept_from(int listener, const std::string& congestion) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) tune(fd, congestion);
    return fd;
}

int begin_to_connect(std::uint64_t port, const std::string& congestion) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    tune(fd, congestion);
    const sockaddr_in address = loopback(port);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
        errno == EINPROGRESS)
        return fd;
    ::close(fd);
    return -1;
}

std::string congestion_of(int fd) {
    std::array<char, 16> name{};
    socklen_t size = name.size() - 1;
    getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size);
    return name.data();
}

}  // namespace traffic

int main(int count, char** words) {
    std::signal(SIGPIPE, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    const std::string verb = count > 1 ? words[1] : "";
    const load::Options options{count > 2 ? count - 2 : 0, words + 2};
    if (verb == "serve") return traffic::serve(options);
    if (verb == "ask") return traffic::ask(options);
    if (verb == "relay") return traffic::relay(options);
    errno = EINVAL;
    load::die("no verb: " + verb);
}
