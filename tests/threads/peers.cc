#include "tests/threads/peers.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "net/loop.h"

namespace baton::test {

namespace {

// Requests of a client on one connection: many connections, so that each worker gets some.
constexpr std::size_t requests_max = 10;

int listening(Address& address, bool listens) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address = *parse_address("127.0.0.1:0");
    if (::bind(fd, address.raw(), address.size()) != 0 || (listens && ::listen(fd, 128) != 0))
        die("no port for a test");
    socklen_t size = address.size();
    getsockname(fd, address.raw(), &size);
    return fd;
}

int connected(const Address& address) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, address.raw(), address.size()) == 0) return fd;
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
}

void prepare(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const timeval guard{.tv_sec = patience.count(), .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &guard, sizeof(guard));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &guard, sizeof(guard));
}

}  // namespace

std::string Message::field(std::string_view name) const {
    const std::size_t at = head.find("\r\n" + std::string{name} + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

std::string Message::word(std::size_t index) const {
    std::size_t begin = 0;
    while (index-- > 0) begin = head.find(' ', begin) + 1;
    return head.substr(begin, head.find_first_of(" \r", begin) - begin);
}

Wire::~Wire() { close(); }

Wire& Wire::operator=(Wire&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(buffer_, other.buffer_);
    return *this;
}

Wire Wire::to(const Address& address) {
    const int fd = connected(address);
    if (fd >= 0) prepare(fd);
    return Wire{fd};
}

void Wire::close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    buffer_.clear();
}

void Wire::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t size = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (size <= 0) return;  // the other end is gone: `receive` will tell
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
}

bool Wire::more() {
    std::array<char, 16384> room;
    const ssize_t size = ::recv(fd_, room.data(), room.size(), 0);
    if (size > 0) buffer_.append(room.data(), static_cast<std::size_t>(size));
    return size > 0;
}

Wire::End Wire::receive(Message& message) {
    std::size_t head_size = buffer_.find("\r\n\r\n");
    for (; head_size == std::string::npos; head_size = buffer_.find("\r\n\r\n"))
        if (!more()) return buffer_.empty() ? End::none : End::torn;
    head_size += 4;
    message.head = buffer_.substr(0, head_size);
    const std::size_t body_size =
        std::strtoul(message.field("Content-Length").c_str(), nullptr, 10);
    while (buffer_.size() < head_size + body_size)
        if (!more()) return End::torn;
    message.body = buffer_.substr(head_size, body_size);
    buffer_.erase(0, head_size + body_size);
    return End::whole;
}

bool refuses(const Address& address) {
    const Wire wire{connected(address)};
    return !wire.open() && errno == ECONNREFUSED;
}

void Gate::wait() {
    std::unique_lock lock{mutex_};
    ++waiting_;
    news_.notify_all();
    news_.wait_for(lock, 2 * patience, [this] { return open_; });
}

void Gate::open() {
    const std::lock_guard lock{mutex_};
    open_ = true;
    news_.notify_all();
}

void Gate::await_waiting(std::size_t count) {
    std::unique_lock lock{mutex_};
    news_.wait_for(lock, patience, [&] { return waiting_ >= count; });
}

AppServer::AppServer(Gate& gate)
    : gate_(gate), fd_(listening(address_, true)), accepting_{[this] { accept_all(); }} {}

AppServer::~AppServer() {
    ::shutdown(fd_, SHUT_RDWR);  // wakes accept
    accepting_.join();
    gate_.open();
    {
        const std::lock_guard lock{mutex_};
        for (const int fd : fds_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(fd_);
}

void AppServer::accept_all() {
    for (;;) {
        const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        prepare(fd);
        {
            const std::lock_guard lock{mutex_};
            fds_.push_back(fd);
        }
        threads_.emplace_back([this, fd] { serve(fd); });
    }
}

void AppServer::serve(int fd) {
    Wire wire{fd};
    Message request;
    while (wire.receive(request) == Wire::End::whole) {
        const std::string target = request.word(1);
        {
            const std::lock_guard lock{mutex_};
            ++received_[target];
        }
        if (!request.field("Upgrade").empty()) {
            wire.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
                "websocket\r\n\r\n");
            continue;
        }
        if (target.starts_with("/held")) gate_.wait();
        const std::string data = request.field("Baton-Session-Data");
        const unsigned long count =
            data.starts_with("n=") ? std::strtoul(data.c_str() + 2, nullptr, 10) : 0;
        const std::string body = target + " " + std::to_string(count + 1);
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                  "\r\nBaton-Session-Set: n=" + std::to_string(count + 1) + "\r\n\r\n" + body);
    }
    // Closed under the lock: the number may be another connection's from then on.
    const std::lock_guard lock{mutex_};
    fds_.erase(std::find(fds_.begin(), fds_.end(), fd));
    wire.close();
}

std::map<std::string, unsigned> AppServer::received() const {
    const std::lock_guard lock{mutex_};
    return received_;
}

RefusedPort::RefusedPort() : fd_(listening(address_, false)) {}

RefusedPort::~RefusedPort() { ::close(fd_); }

Load::Load(Address address, const std::atomic<bool>& stopping, Options options)
    : address_(address), stopping_(stopping), options_(std::move(options)) {
    clients_.resize(options_.clients);
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        clients_[i].name = "/c" + std::to_string(i) + "/";
        threads_.emplace_back([this, i] { run(clients_[i]); });
    }
}

bool Load::reaches(std::size_t count) const {
    return eventually([&] { return answered() >= count || !faults_.text().empty(); }) &&
           answered() >= count;
}

void Load::join() {
    for (std::thread& thread : threads_)
        if (thread.joinable()) thread.join();
}

std::set<std::string> Load::targets() const {
    std::set<std::string> targets;
    for (const Client& client : clients_)
        targets.insert(client.answered.begin(), client.answered.end());
    return targets;
}

void Load::run(Client& client) {
    Wire wire{-1};
    for (std::size_t asked = 0;; ++asked) {
        if (!wire.open()) {
            wire = Wire::to(address_);
            if (!wire.open()) {
                if (!stopping_) faults_.add(client.name + " cannot connect");
                return;
            }
        }
        const std::string target = client.name + std::to_string(asked) + options_.tail;
        std::string request = asked % 4 == 3 ? "POST " : "GET ";
        request += target + " HTTP/1.1\r\nHost: a\r\n";
        if (!client.cookie.empty()) request += "Cookie: " + client.cookie + "\r\n";
        request += asked % 4 == 3 ? "Content-Length: 5\r\n\r\nhello" : "\r\n";
        wire.send(request);
        Message answer;
        const Wire::End end = wire.receive(answer);
        if (end == Wire::End::whole) {
            if (!check(client, target, answer)) return;
            if (asked % requests_max == requests_max - 1 || answer.field("Connection") == "close")
                wire.close();
            continue;
        }
        if (!stopping_ || (end == Wire::End::torn && !options_.may_tear)) {
            faults_.add(target + " had no answer, or half of one: " + answer.head);
            return;
        }
        wire.close();
    }
}

bool Load::check(Client& client, const std::string& target, const Message& answer) {
    const std::string expected = target + " " + std::to_string(client.answered.size() + 1);
    if (answer.word(1) != "200" || answer.body != expected) {
        faults_.add("\"" + expected + "\" was answered with " + answer.head + answer.body);
        return false;
    }
    const std::string cookie = answer.field("Set-Cookie");
    const bool first = client.answered.empty();
    if (first == cookie.empty()) {
        faults_.add(target + " has a cookie, or none, at the wrong time: " + cookie);
        return false;
    }
    if (first) client.cookie = cookie.substr(0, cookie.find(';'));
    client.answered.push_back(target);
    answered_.fetch_add(1);
    return true;
}

}  // namespace baton::test
