// Bytes from one side to the other and back, a connection to the server for each of a client: what
// any proxy must do at least.

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/bench/traffic.h"

namespace traffic {
namespace {

constexpr std::uint64_t who_stdin = ~std::uint64_t{0};
constexpr std::uint64_t who_listener = who_stdin - 1;

struct End {
    int other = -1;   // the descriptor of the other side
    std::string out;  // what the kernel did not take
    bool open = false;
};

class Relay {
public:
    explicit Relay(const Options& options)
        : listener_(listen_on(options.number("port", 0))),
          to_(options.number("to", 0)),
          congestion_(options.text("congestion")) {
        poll_.watch(listener_, who_listener);
        poll_.watch(STDIN_FILENO, who_stdin);
        std::printf("%llu\n", static_cast<unsigned long long>(port_of(listener_)));
        std::fflush(stdout);
    }

    int run() {
        while (!over_)
            poll_.turn(0, [this](std::uint64_t who, std::uint32_t events) {
                if (who == who_stdin)
                    over_ = true;
                else if (who == who_listener)
                    accept_all();
                else
                    go_on(static_cast<int>(who), events);
            });
        return 0;
    }

private:
    End& end_of(int fd) {
        const auto at = static_cast<std::size_t>(fd);
        if (at >= ends_.size()) ends_.resize(at + 1);
        return ends_[at];
    }

    void accept_all() {
        for (int client; (client = accept_from(listener_, congestion_)) >= 0;) {
            const int server = begin_to_connect(to_, congestion_);
            if (server < 0) die("connect");
            add(client, server);
            add(server, client);
        }
    }

    void add(int fd, int other) {
        End& end = end_of(fd);
        end.other = other;
        end.out.clear();
        end.open = true;
        poll_.watch(fd, static_cast<std::uint64_t>(fd));
    }

    void go_on(int fd, std::uint32_t events) {
        if (!end_of(fd).open) return;  // closed by an event of the same turn
        if ((events & EPOLLOUT) != 0) {
            send(fd, {});
            // Nothing was read from the other side meanwhile.
            if (end_of(fd).out.empty()) watch(end_of(fd).other);
        }
        if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) return;
        const int other = end_of(fd).other;
        if (!end_of(other).out.empty()) return;
        const ssize_t size = ::recv(fd, buffer_.data(), buffer_.size(), 0);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) return close_both(fd);
        send(other, {buffer_.data(), static_cast<std::size_t>(size)});
    }

    void send(int fd, std::string_view bytes) {
        End& end = end_of(fd);
        const bool waited = !end.out.empty();
        if (waited) bytes = end.out;
        const ssize_t size = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (size < 0 && errno != EAGAIN) return close_both(fd);
        const std::string rest{bytes.substr(static_cast<std::size_t>(std::max<ssize_t>(size, 0)))};
        end.out = rest;
        if (waited == !rest.empty()) return;
        watch(fd);
        watch(end.other);  // read from only if this side can take it
    }

    void watch(int fd) {
        const End& end = end_of(fd);
        std::uint32_t events = 0;
        if (!end.out.empty()) events |= EPOLLOUT;
        if (end_of(end.other).out.empty()) events |= EPOLLIN;
        poll_.change(fd, static_cast<std::uint64_t>(fd), events);
    }

    void close_both(int fd) {
        const int other = end_of(fd).other;
        for (const int one : {fd, other}) {
            end_of(one).open = false;
            end_of(one).out.clear();
            ::close(one);
        }
    }

    Poll poll_;
    int listener_;
    std::uint64_t to_;
    std::string congestion_;
    bool over_ = false;
    std::vector<End> ends_;  // by descriptor
    std::array<char, 60'000> buffer_;
};

}  // namespace

int relay(const Options& options) {
    static Relay relay{options};
    return relay.run();
}

}  // namespace traffic
