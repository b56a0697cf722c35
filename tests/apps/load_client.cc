// Clients: those that ask and look at every byte of what they get, those that leave, and those that
// are many.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "tests/apps/load.h"

namespace load {

namespace {

class Asker {
public:
    explicit Asker(const Options& options)
        : port_(options.number("port", 0)),
          requests_(options.number("requests", UINT64_MAX)),
          large_(options.number("large", 0)),
          method_(options.text("method").empty() ? "GET" : options.text("method")),
          connections_(options.number("connections", 1)) {
        if (epoll_ < 0) die("epoll_create1");
        epoll_event event{.events = EPOLLIN, .data = {.u64 = connections_.size()}};
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0) die("epoll_ctl");
    }

    void run() {
        for (Connection& connection : connections_) next(connection);
        std::array<epoll_event, 256> events;
        while (running_ > 0) {
            const int count =
                epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < count; ++i) {
                const epoll_event& event = events[static_cast<std::size_t>(i)];
                if (event.data.u64 == connections_.size())
                    stop();
                else
                    go_on(connections_[event.data.u64], event.events);
            }
        }
        std::fwrite(outcomes_.data(), 1, outcomes_.size(), stdout);
    }

private:
    struct Connection {
        int fd = -1;
        std::uint64_t id = 0;  // of the request that runs; 0: none
        std::string out;
        std::string in;
    };

    // Bodies are small, but for one in so many, which is more than a buffer holds.
    bool is_large(std::uint64_t id) const { return large_ != 0 && id % large_ == 0; }
    std::size_t answer_size_of(std::uint64_t id) const {
        return is_large(id) ? 200'000 : id % 1500;
    }
    std::size_t body_size_of(std::uint64_t id) const {
        return is_large(id + 1) ? 100'000 : id % 300;
    }

    // No new requests.
    void stop() {
        requests_ = 0;
        epoll_ctl(epoll_, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
    }

    void next(Connection& connection) {
        if (last_id_ >= requests_) return end(connection);
        if (connection.fd < 0) open(connection);
        connection.id = ++last_id_;
        ++running_;
        connection.out = request_of(method_, connection.id, answer_size_of(connection.id),
                                    body_size_of(connection.id));
        send_rest(connection);
    }

    void open(Connection& connection) {
        connection.fd = connect_to(port_);
        epoll_event event{
            .events = EPOLLIN | EPOLLOUT | EPOLLET,
            .data = {.u64 = static_cast<std::uint64_t>(&connection - connections_.data())}};
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event) < 0) die("epoll_ctl");
    }

    static void end(Connection& connection) {
        if (connection.fd >= 0) ::close(connection.fd);
        connection.fd = -1;
        connection.in.clear();
        connection.out.clear();
    }

    static void send_rest(Connection& connection) {
        if (connection.out.empty()) return;
        const ssize_t size = ::send(connection.fd, connection.out.data(), connection.out.size(),
                                    MSG_DONTWAIT);  // a failure shows when reading
        connection.out.erase(0, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    }

    void go_on(Connection& connection, std::uint32_t events) {
        if ((events & EPOLLOUT) != 0) send_rest(connection);
        while (connection.fd >= 0) {
            const ssize_t size =
                ::recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
            if (size < 0 && errno == EAGAIN) return;
            if (size <= 0) return broken(connection);
            connection.in.append(buffer_.data(), static_cast<std::size_t>(size));
            if (const auto answer = whole_answer(connection.in)) judge(connection, *answer);
        }
    }

    void judge(Connection& connection, const Answer& answer) {
        const std::size_t size = answer.head.size() + answer.body.size();
        const bool own = to_number(field(answer.head, "X-Id")) == connection.id &&
                         answer.body.size() == answer_size_of(connection.id) &&
                         is_body_of(connection.id, answer.body);
        const bool extra = connection.in.size() != size;
        const bool closes = field(answer.head, "Connection") == "close";
        if (extra || (answer.status == 200 && !own))
            note(connection, "wrong");
        else
            note(connection, answer.status == 200 ? "ok" : std::to_string(answer.status));
        connection.in.clear();
        if (closes || extra) end(connection);
        next(connection);
    }

    // The end, where none was announced.
    void broken(Connection& connection) {
        note(connection, "broken");
        end(connection);
        next(connection);
    }

    void note(Connection& connection, const std::string& outcome) {
        if (connection.id == 0) return;
        outcomes_ += std::to_string(connection.id) + ' ' + outcome + '\n';
        connection.id = 0;
        --running_;
    }

    std::uint64_t port_;
    std::uint64_t requests_;
    std::uint64_t large_;
    std::string method_;
    std::vector<Connection> connections_;
    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    std::uint64_t last_id_ = 0;
    std::size_t running_ = 0;
    std::string outcomes_;
    std::array<char, std::size_t{1} << 18> buffer_;
};

}  // namespace

int ask(const Options& options) {
    Asker asker{options};
    asker.run();
    return 0;
}

namespace {

// What a client that leaves has said by then.
std::string beginning(Random& random, std::uint64_t id) {
    switch (below(random, 4)) {
    case 0: {
        std::string request = request_of("GET", id, 1000, 0);
        request.resize(below(random, request.size()));
        return request;
    }
    case 1: return request_of("GET", id, 1000, 0);
    case 2: {
        std::string request = request_of("POST", id, 1000, 100'000);
        request.resize(request.size() - 1 - below(random, 100'000));
        return request;
    }
    default: return request_of("GET", id, 300'000, 0);
    }
}

void stay(int fd, std::uint64_t id) {
    const std::string request = request_of("GET", id, 1000, 0);
    std::array<char, 2000> buffer;
    std::string in;
    ::send(fd, request.data(), request.size(), 0);
    while (!whole_answer(in)) {
        const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
        if (size <= 0) die("a client that stayed got no answer");
        in.append(buffer.data(), static_cast<std::size_t>(size));
    }
    const Answer answer = *whole_answer(in);
    if (answer.status != 200 || answer.body != body_of(id, 1000)) die("a wrong answer");
}

}  // namespace

// Each connection is left when chance comes upon it again, which is sooner or later. Now and then a
// client stays until it has its answer: it keeps the others from running ahead.
int leave(const Options& options) {
    const std::uint64_t port = options.number("port", 0);
    Random random{static_cast<unsigned>(options.number("seed", 1))};
    std::vector<int> fds(options.number("connections", 1), -1);
    std::vector<char> buffer(std::size_t{1} << 18);
    const std::uint64_t clients = options.number("clients", 1);
    for (std::uint64_t id = 1; id <= clients; ++id) {
        int& fd = fds[below(random, fds.size())];
        if (fd >= 0) {
            if (below(random, 2) == 0)
                ::recv(fd, buffer.data(), below(random, 100'000), MSG_DONTWAIT);
            if (below(random, 2) == 0)
                reset(fd);
            else
                ::close(fd);
        }
        fd = connect_to(port);
        if (id % 16 == 0) stay(fd, id);
        const std::string bytes = beginning(random, id);
        ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (below(random, 8) == 0) ::shutdown(fd, SHUT_WR);
    }
    for (const int fd : fds)
        if (fd >= 0) ::close(fd);
    return 0;
}

namespace {

class Crowd {
public:
    // `begun`: each has sent the beginning of a request from the first moment on, so that none is idle.
    Crowd(std::uint64_t port, std::size_t size, bool begun) : connections_(size) {
        for (std::size_t i = 0; i < size; ++i) {
            connections_[i].fd = connect_to(port);
            if (begun) send(i, 0, connections_[i].begun = begun_size);
            epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
            if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[i].fd, &event) < 0) die("epoll_ctl");
        }
    }
    std::size_t size() const { return connections_.size(); }

    void ask(std::size_t place) {
        send(place, std::exchange(connections_[place].begun, 0), std::string::npos);
        connections_[place].asked = true;
    }

    // Of the next answer, on whichever connection it comes.
    int next_status() {
        for (;;) {
            epoll_event event{};
            if (epoll_wait(epoll_, &event, 1, -1) < 1) continue;
            Connection& connection = connections_[event.data.u64];
            const ssize_t size = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
            if (size <= 0) {
                if (connection.asked) die("a connection of the crowd broke");
                ::close(connection.fd);  // it was idle, and gave its place to another one
                continue;
            }
            connection.in.append(buffer_.data(), static_cast<std::size_t>(size));
            const auto answer = whole_answer(connection.in);
            if (!answer) continue;
            if (answer->status == 200 && answer->body != body_of(event.data.u64, 10))
                die("a wrong answer");
            const int status = answer->status;
            connection.in.clear();
            connection.asked = false;
            return status;
        }
    }

private:
    static constexpr std::size_t begun_size = 10;
    struct Connection {
        int fd = -1;
        std::string in;
        std::size_t begun = 0;  // bytes of the next request that were sent
        bool asked = false;
    };

    void send(std::size_t place, std::size_t from, std::size_t to) const {
        const std::string request = request_of("GET", place, 10, 0).substr(from, to);
        if (::send(connections_[place].fd, request.data(), request.size(), 0) < 0) die("send");
    }

    int epoll_ = epoll_create1(EPOLL_CLOEXEC);
    std::vector<Connection> connections_;
    std::array<char, 4096> buffer_;
};

}  // namespace

// Lines on stdin: "each" asks on one connection after the other; "all N" on all at once, and waits
// for N answers. With begun=1 each connection has begun to ask from the first moment on.
int crowd(const Options& options) {
    Crowd connections{options.number("port", 0), options.number("connections", 1),
                      options.number("begun", 0) != 0};
    std::printf("connected %zu\n", connections.size());
    std::fflush(stdout);
    std::array<char, 80> line;
    while (std::fgets(line.data(), line.size(), stdin) != nullptr) {
        const std::string_view order{line.data()};
        const bool each = order.starts_with("each");
        const std::size_t answers = each ? connections.size() : to_number(order.substr(4));
        std::size_t refused = 0;
        for (std::size_t i = 0; i < connections.size(); ++i) {
            connections.ask(i);
            if (each && connections.next_status() != 200) ++refused;
        }
        for (std::size_t i = 0; !each && i < answers; ++i)
            if (connections.next_status() != 200) ++refused;
        std::printf("answers %zu refused %zu\n", answers, refused);
        std::fflush(stdout);
    }
    return 0;
}

}  // namespace load
