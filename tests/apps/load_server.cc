// A server that records each request before it answers, in a file that survives it.
//
// With close=US it ends each connection after one answer without having said so: right behind the
// answer, or at a random moment within so many microseconds. What comes after the answer it reads
// or does not read, as chance has it, and never answers. With delay=US it answers within so many
// microseconds, so that there are always requests that it has and did not answer.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <queue>
#include <vector>

#include "tests/apps/load.h"

namespace load {

namespace {

std::int64_t now_us() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

struct Connection {
    bool open = false;
    bool answered = false;
    std::uint64_t serial = 0;  // descriptors come again, this does not
    std::uint64_t id = 0;      // of the request that is to be answered
    std::size_t size = 0;
    std::string in;
    std::string out;  // not taken by the kernel yet
};

enum class What : std::uint8_t { answer, shut, close };

struct Due {
    std::int64_t at_us;
    What what;
    int fd;
    std::uint64_t serial;
    bool operator<(const Due& other) const { return at_us > other.at_us; }
};

class Server {
public:
    explicit Server(const Options& options)
        : close_within_us_(options.number("close", 0)),
          answer_within_us_(options.number("delay", 0)),
          random_(static_cast<unsigned>(options.number("seed", 1))) {
        if (const std::string path = options.text("record"); !path.empty()) {
            record_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
            if (record_ < 0) die("open " + path);
        }
        if (epoll_ < 0) die("epoll_create1");
        watch(STDIN_FILENO, EPOLLIN);
        for (std::uint64_t i = 0; i < options.number("ports", 1); ++i)
            listen_on(options.number("port", 0));
    }

    void run() {
        std::array<epoll_event, 256> events;
        for (;;) {
            const int count = wait(events);
            for (int i = 0; i < count; ++i) {
                const int fd = events[static_cast<std::size_t>(i)].data.fd;
                if (fd == STDIN_FILENO) return;
                if (std::find(listeners_.begin(), listeners_.end(), fd) != listeners_.end())
                    accept_all(fd);
                else if (at(fd).open)
                    serve_connection(fd, events[static_cast<std::size_t>(i)].events);
            }
            do_due();
        }
    }

private:
    void watch(int fd, std::uint32_t what) const {
        epoll_event event{.events = what, .data = {.fd = fd}};
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    }

    void listen_on(std::uint64_t port) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* raw = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof(address);
        if (fd < 0 || ::bind(fd, raw, size) < 0 || ::listen(fd, 4096) < 0) die("listen");
        getsockname(fd, raw, &size);
        std::printf("%d\n", ntohs(address.sin_port));
        std::fflush(stdout);
        listeners_.push_back(fd);
        watch(fd, EPOLLIN);
    }

    Connection& at(int fd) {
        const auto place = static_cast<std::size_t>(fd);
        if (place >= connections_.size()) connections_.resize(place + 1);
        return connections_[place];
    }

    int wait(std::array<epoll_event, 256>& events) {
        timespec patience{};
        if (!due_.empty())
            patience.tv_nsec = std::max<std::int64_t>(due_.top().at_us - now_us(), 0) * 1000;
        return epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()),
                            due_.empty() ? nullptr : &patience, nullptr);
    }

    void accept_all(int listener) {
        for (;;) {
            const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            at(fd) = {};
            at(fd).open = true;
            at(fd).serial = ++serial_;
            watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
        }
    }

    void end(int fd) {
        at(fd) = {};
        ::close(fd);
    }

    void serve_connection(int fd, std::uint32_t events) {
        if ((events & EPOLLOUT) != 0 && !send_rest(fd)) return;
        static std::array<char, std::size_t{1} << 17> buffer;
        while (at(fd).open) {
            const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
            if (size < 0 && errno == EAGAIN) return;
            if (size <= 0) return end(fd);
            at(fd).in.append(buffer.data(), static_cast<std::size_t>(size));
            while (at(fd).open && take_request(fd)) {
            }
        }
    }

    // True if there was a whole one.
    bool take_request(int fd) {
        std::string& in = at(fd).in;
        const auto head_end = in.find("\r\n\r\n");
        if (head_end == std::string::npos) return false;
        const std::string_view head = std::string_view{in}.substr(0, head_end + 4);
        const std::size_t body_size = to_number(field(head, "Content-Length"));
        if (in.size() < head.size() + body_size) return false;
        const std::string_view target = head.substr(std::min(head.find('/') + 1, head.size()));
        const std::uint64_t id = to_number(target);
        const std::uint64_t size =
            to_number(target.substr(std::min(target.find('/') + 1, target.size())));
        const bool right = is_body_of(id, std::string_view{in}.substr(head.size(), body_size));
        in.erase(0, head.size() + body_size);
        if (close_within_us_ > 0 && at(fd).answered) {
            if (below(random_, 2) == 0) record(id, "lost");
            end(fd);
            return false;
        }
        record(id, right ? "answered" : "wrong");
        at(fd).id = id;
        at(fd).size = size;
        if (answer_within_us_ > 0)
            within(answer_within_us_, What::answer, fd);
        else
            answer(fd);
        return true;
    }

    void record(std::uint64_t id, const char* what) const {
        if (record_ < 0) return;
        const std::string line = std::to_string(id) + ' ' + what + '\n';
        if (::write(record_, line.data(), line.size()) < 0) die("write");
    }

    void within(std::uint64_t us, What what, int fd) {
        const auto delay = static_cast<std::int64_t>(below(random_, us));
        due_.push({now_us() + delay, what, fd, at(fd).serial});
    }

    void answer(int fd) {
        Connection& connection = at(fd);
        connection.answered = true;
        connection.out += "HTTP/1.1 200 OK\r\nX-Id: " + std::to_string(connection.id) +
                          "\r\nContent-Length: " + std::to_string(connection.size) + "\r\n\r\n" +
                          body_of(connection.id, connection.size);
        // With the answer's last segment, or later.
        const bool at_once = close_within_us_ > 0 && below(random_, 3) == 0;
        if (!send_rest(fd, at_once ? MSG_MORE : 0)) return;
        if (at_once && connection.out.empty())
            ::shutdown(fd, SHUT_WR);
        else if (close_within_us_ > 0)
            within(close_within_us_, below(random_, 2) == 0 ? What::shut : What::close, fd);
    }

    // False if the connection is over.
    bool send_rest(int fd, int flags = 0) {
        std::string& out = at(fd).out;
        const ssize_t size = out.empty() ? 0 : ::send(fd, out.data(), out.size(), flags);
        if (size < 0 && errno != EAGAIN) return end(fd), false;
        out.erase(0, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        return true;
    }

    void do_due() {
        const std::int64_t now = now_us();
        while (!due_.empty() && due_.top().at_us <= now) {
            Due due = due_.top();
            due_.pop();
            const Connection& connection = at(due.fd);
            if (!connection.open || connection.serial != due.serial) continue;
            if (due.what == What::answer) {
                answer(due.fd);
            } else if (!connection.out.empty()) {  // the answer first
                due.at_us = now + 100;
                due_.push(due);
            } else if (due.what == What::shut) {
                ::shutdown(due.fd, SHUT_WR);
            } else {
                end(due.fd);
            }
        }
    }

    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    int record_ = -1;
    std::uint64_t close_within_us_;
    std::uint64_t answer_within_us_;
    std::uint64_t serial_ = 0;
    Random random_;
    std::vector<int> listeners_;
    std::vector<Connection> connections_;  // by descriptor
    std::priority_queue<Due> due_;
};

}  // namespace

int serve(const Options& options) {
    Server{options}.run();
    return 0;
}

}  // namespace load
