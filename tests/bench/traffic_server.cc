// The application server behind the proxy: answers at once, from memory.

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "tests/bench/traffic.h"

namespace traffic {
namespace {

constexpr std::uint64_t who_stdin = ~std::uint64_t{0};
constexpr std::uint64_t who_listener = who_stdin - 1;

std::string head(const std::string& fields) {
    return "HTTP/1.1 200 OK\r\nServer: traffic\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n"
           "Content-Type: text/plain\r\n" +
           fields + "\r\n";
}

std::string sized(std::size_t size, const std::string& fields = {}) {
    return head(fields + "Content-Length: " + std::to_string(size) + "\r\n") +
           body().substr(0, size);
}

std::string in_chunks() {
    std::string answer = head("Transfer-Encoding: chunked\r\n");
    for (std::size_t at = 0; at < chunked_size; at += chunk_size)
        answer += "40\r\n" + body().substr(at, chunk_size) + "\r\n";
    return answer + "0\r\n\r\n";
}

struct Connection {
    bool tunnel = false;
    bool close = false;
    std::size_t body_left = 0;  // of an upload
    std::string in;             // a head that is not whole
    std::string out;            // what the kernel did not take
};

class Server {
public:
    explicit Server(const Options& options)
        : listener_(listen_on(options.number("port", 0))), congestion_(options.text("congestion")) {
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
    void accept_all() {
        for (int fd; (fd = accept_from(listener_, congestion_)) >= 0;) {
            const auto at = static_cast<std::size_t>(fd);
            if (at >= connections_.size()) connections_.resize(at + 1);
            connections_[at] = Connection{};
            poll_.watch(fd, at);
        }
    }

    void go_on(int fd, std::uint32_t events) {
        Connection& connection = connections_[static_cast<std::size_t>(fd)];
        if ((events & EPOLLOUT) != 0 && !send(fd, connection, {})) return end(fd);
        if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) return;
        const ssize_t size = ::recv(fd, buffer_.data(), buffer_.size(), 0);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) return end(fd);
        std::string_view bytes{buffer_.data(), static_cast<std::size_t>(size)};
        if (connection.tunnel) {
            if (!send(fd, connection, bytes)) end(fd);
            return;
        }
        if (connection.body_left > 0) {
            const std::size_t part = std::min(connection.body_left, bytes.size());
            connection.body_left -= part;
            bytes.remove_prefix(part);
            if (connection.body_left == 0 && !send(fd, connection, done_)) return end(fd);
        }
        if (!bytes.empty()) requests(fd, connection, bytes);
    }

    void requests(int fd, Connection& connection, std::string_view bytes) {
        if (!connection.in.empty()) {
            connection.in += bytes;
            bytes = connection.in;
        }
        for (std::size_t end_of_head; (end_of_head = bytes.find("\r\n\r\n")) != bytes.npos;) {
            const std::string_view request = bytes.substr(0, end_of_head + 4);
            bytes.remove_prefix(request.size());
            const std::string_view answer = answer_to(connection, request);
            if (connection.body_left > 0) {
                const std::size_t part = std::min(connection.body_left, bytes.size());
                connection.body_left -= part;
                bytes.remove_prefix(part);
                if (connection.body_left > 0) break;
            }
            if (!send(fd, connection, answer)) return end(fd);
            if (connection.close) return end(fd);
        }
        connection.in = std::string{bytes};
    }

    std::string_view answer_to(Connection& connection, std::string_view request) {
        connection.close = request.find("\r\nConnection: close\r\n") != request.npos;
        const std::string_view target = request.substr(request.find(' ') + 1);
        if (target.starts_with("/small") || target.starts_with("/session")) return small_;
        if (target.starts_with("/large")) return large_;
        if (target.starts_with("/chunked")) return chunked_;
        if (target.starts_with("/tunnel")) {
            connection.tunnel = true;
            return upgraded_;
        }
        if (target.starts_with("/upload")) {
            connection.body_left = upload_size;
            return done_;
        }
        if (target.starts_with("/write")) {
            // A session that changes: another value each time.
            written_ =
                sized(small_size, "Baton-Session-Set: at=" + std::to_string(++writes_) + "\r\n");
            return written_;
        }
        return missing_;
    }

    // False if the connection is gone.
    bool send(int fd, Connection& connection, std::string_view bytes) {
        const bool waited = !connection.out.empty();
        if (waited) {
            connection.out += bytes;
            bytes = connection.out;
        }
        if (bytes.empty()) return true;
        const ssize_t size = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (size < 0 && errno != EAGAIN) return false;
        const std::string rest{bytes.substr(static_cast<std::size_t>(std::max<ssize_t>(size, 0)))};
        if (waited != !rest.empty())
            poll_.change(fd, static_cast<std::uint64_t>(fd),
                         rest.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
        connection.out = rest;
        return true;
    }

    static void end(int fd) { ::close(fd); }

    Poll poll_;
    int listener_;
    std::string congestion_;
    bool over_ = false;
    std::uint64_t writes_ = 0;
    std::vector<Connection> connections_;  // by descriptor
    std::array<char, std::size_t{256} << 10> buffer_;
    std::string written_;
    const std::string small_ = sized(small_size);
    const std::string large_ = sized(large_size);
    const std::string chunked_ = in_chunks();
    const std::string done_ = sized(0);
    const std::string upgraded_ =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    const std::string missing_ = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
};

}  // namespace

int serve(const Options& options) {
    static Server server{options};
    return server.run();
}

}  // namespace traffic
