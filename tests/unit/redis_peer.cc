#include "tests/unit/redis_peer.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

namespace baton::test {

namespace {

constexpr std::uint64_t patience_us = 20'000'000;  // a hang guard, for machines that do much else

std::string capitals(std::string_view text) {
    std::string word{text};
    for (char& c : word)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return word;
}

// A number behind its mark, "*3" or "$5", and its line's end. False while it is not whole.
bool take_number(std::string_view& text, char mark, std::size_t& number) {
    const std::size_t end = text.find("\r\n");
    if (end == text.npos) return false;
    REQUIRE(text[0] == mark);
    number = std::stoul(std::string{text.substr(1, end - 1)});
    text.remove_prefix(end + 2);
    return true;
}

// The next whole command at the beginning of `text`: its size, or 0 while it is not whole.
std::size_t read_command(std::string_view text, RedisPeer::Command& command) {
    std::string_view rest = text;
    std::size_t words = 0;
    if (!take_number(rest, '*', words)) return 0;
    for (; words > 0; --words) {
        std::size_t size = 0;
        if (!take_number(rest, '$', size) || rest.size() < size + 2) return 0;
        REQUIRE(rest.substr(size, 2) == "\r\n");
        command.emplace_back(rest.substr(0, size));
        rest.remove_prefix(size + 2);
    }
    return text.size() - rest.size();
}

std::string line_of(const RedisPeer::Command& command) {
    std::string line;
    for (const std::string& word : command) line += (line.empty() ? "" : " ") + word;
    return line;
}

int bound_socket(Address& address) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    REQUIRE(::bind(fd, address.raw(), address.size()) == 0);
    socklen_t size = address.size();
    REQUIRE(::getsockname(fd, address.raw(), &size) == 0);
    return fd;
}

}  // namespace

std::string resp_text(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string{text} + "\r\n";
}

std::string resp_status(std::string_view text) { return "+" + std::string{text} + "\r\n"; }

std::string resp_error(std::string_view text) { return "-" + std::string{text} + "\r\n"; }

std::string resp_integer(std::int64_t value) { return ":" + std::to_string(value) + "\r\n"; }

std::string resp_array(std::initializer_list<std::string> replies) {
    std::string bytes = "*" + std::to_string(replies.size()) + "\r\n";
    for (const std::string& reply : replies) bytes += reply;
    return bytes;
}

std::string resp_texts(std::initializer_list<std::string_view> texts) {
    std::string bytes = "*" + std::to_string(texts.size()) + "\r\n";
    for (const std::string_view text : texts) bytes += resp_text(text);
    return bytes;
}

std::string resp_message(std::string_view channel, std::string_view text) {
    return resp_texts({"message", channel, text});
}

bool turns_until(Loop& loop, const std::function<bool()>& so) {
    // The loop waits for events; the timer is one now and then.
    const auto tick = open_handle<uv_timer_t>(
        nullptr, [&](uv_timer_t& timer) { return uv_timer_init(loop.uv(), &timer); });
    uv_timer_start(
        tick.get(), [](uv_timer_t*) {}, 5, 5);
    const std::uint64_t end = now_us() + patience_us;
    while (!so()) {
        if (now_us() > end) return false;
        loop.turn(true);
    }
    return true;
}

void turns_for(Loop& loop, std::chrono::milliseconds time) {
    const std::uint64_t end = now_us() + static_cast<std::uint64_t>(time.count()) * 1000;
    turns_until(loop, [end] { return now_us() >= end; });
}

// ------------------------------------------------------------ a connection

const StreamEvents RedisPeer::Connection::events = {
    .arrived =
        [](void* connection, std::span<char> bytes) {
            static_cast<Connection*>(connection)->arrived({bytes.data(), bytes.size()});
        },
    .flushed = [](void*) {},
    .ended = [](void* connection, StreamEnd) { static_cast<Connection*>(connection)->close(); },
};

RedisPeer::Connection::~Connection() = default;

void RedisPeer::Connection::arrived(std::string_view bytes) {
    in_.append(bytes);
    for (;;) {
        Command command;
        const std::size_t size = read_command(in_, command);
        if (size == 0) return;
        in_.erase(0, size);
        asked.push_back(command);
        peer_.take(*this, command);
    }
}

void RedisPeer::Connection::send(std::string_view bytes) {
    if (silent || ending_ != Ending::none) return;
    if (peer_.dribble_ || !out_.empty()) {
        out_.append(bytes);
        uv_idle_start(peer_.busy_.get(), [](uv_idle_t*) {});
        return;
    }
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    tcp_->write({&piece, 1});
}

// ------------------------------------------------------------ the peer

RedisPeer::RedisPeer(Loop& loop)
    : loop_(loop),
      address_(*parse_address("127.0.0.1:0")),
      held_(bound_socket(address_)),
      turn_(open_handle<uv_prepare_t>(
          this, [&](uv_prepare_t& handle) { return uv_prepare_init(loop.uv(), &handle); })),
      busy_(open_handle<uv_idle_t>(
          this, [&](uv_idle_t& handle) { return uv_idle_init(loop.uv(), &handle); })) {
    signal(SIGPIPE, SIG_IGN);
    uv_prepare_start(turn_.get(), [](uv_prepare_t* turn) {
        if (auto* peer = owner_of<RedisPeer>(turn)) peer->on_turn();
    });
    on("PING", [](Connection& connection, const Command&) {
        connection.send(connection.channels > 0 ? resp_texts({"pong", ""}) : resp_status("PONG"));
    });
    on("SUBSCRIBE", [](Connection& connection, const Command& command) {
        for (std::size_t i = 1; i < command.size(); ++i)
            connection.send(
                resp_array({resp_text("subscribe"), resp_text(command[i]),
                            resp_integer(static_cast<std::int64_t>(++connection.channels))}));
    });
    listen();
}

RedisPeer::~RedisPeer() {
    refuse();
    ::close(held_);
}

void RedisPeer::listen() {
    if (listening_ >= 0) return;
    listening_ = bound_socket(address_);
    REQUIRE(::listen(listening_, 64) == 0);
    poll_ = open_handle<uv_poll_t>(
        this, [&](uv_poll_t& handle) { return uv_poll_init(loop_.uv(), &handle, listening_); });
    uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
        if (auto* peer = owner_of<RedisPeer>(handle)) peer->accept();
    });
}

void RedisPeer::refuse() {
    if (listening_ < 0) return;
    uv_poll_stop(poll_.get());  // before its socket goes
    poll_.reset();
    ::close(std::exchange(listening_, -1));
}

void RedisPeer::accept() {
    for (;;) {
        const int fd = ::accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        auto tcp = Tcp::adopt(loop_, fd, counts_);
        REQUIRE(tcp != nullptr);
        std::unique_ptr<Connection> connection{new Connection(*this, accepted_++)};
        connection->silent = silent_;
        connection->tcp_ = std::move(tcp);
        connection->tcp_->attach(connection.get(), Connection::events);
        connection->tcp_->read(true);
        connections_.push_back(std::move(connection));
        if (farewell_.empty()) continue;
        connections_.back()->send(farewell_);
        connections_.back()->silent = true;
        connections_.back()->close();
    }
}

void RedisPeer::on(std::string_view command, std::string_view bytes) {
    on(command, [answer = std::string{bytes}](Connection& connection, const Command&) {
        connection.send(answer);
    });
}

void RedisPeer::on(std::string_view command, Answer answer) {
    answers_.insert_or_assign(std::string{command}, std::move(answer));
}

void RedisPeer::take(Connection& connection, const Command& command) {
    heard_.push_back(line_of(command));
    if (connection.silent) return;
    const std::string first = capitals(command[0]);
    auto found =
        command.size() > 1 ? answers_.find(first + " " + capitals(command[1])) : answers_.end();
    if (found == answers_.end()) found = answers_.find(first);
    if (found == answers_.end())
        return connection.send(
            resp_error("ERR unknown command '" + command[0] + "', with args beginning with: "));
    const Answer answer = found->second;  // it may replace itself
    answer(connection, command);
}

void RedisPeer::silence(bool on) noexcept {
    silent_ = on;
    for (const auto& connection : connections_) connection->silent = on;
}

void RedisPeer::publish(std::string_view channel, std::string_view text) {
    for (const auto& connection : connections_)
        if (connection->channels > 0) connection->send(resp_message(channel, text));
}

void RedisPeer::close_all() noexcept {
    for (const auto& connection : connections_) connection->close();
}

void RedisPeer::reset_all() noexcept {
    for (const auto& connection : connections_) connection->reset();
}

std::size_t RedisPeer::heard(std::string_view beginning) const noexcept {
    return static_cast<std::size_t>(std::count_if(
        heard_.begin(), heard_.end(),
        [&](const std::string& line) { return std::string_view{line}.starts_with(beginning); }));
}

std::vector<RedisPeer::Connection*> RedisPeer::connections() noexcept {
    std::vector<Connection*> open;
    for (const auto& connection : connections_)
        if (connection->ending_ == Connection::Ending::none) open.push_back(connection.get());
    return open;
}

void RedisPeer::say(Connection& connection) {
    if (connection.out_.empty()) return;
    const iovec piece{connection.out_.data(), 1};
    connection.tcp_->write({&piece, 1});
    connection.out_.erase(0, 1);
}

// libuv calls this before it waits for what comes next.
void RedisPeer::on_turn() {
    for (const auto& connection : connections_) say(*connection);
    const bool busy = std::any_of(connections_.begin(), connections_.end(),
                                  [](const auto& connection) { return !connection->out_.empty(); });
    if (!busy) uv_idle_stop(busy_.get());
    std::erase_if(connections_, [](const std::unique_ptr<Connection>& connection) {
        if (connection->ending_ == Connection::Ending::none) return false;
        if (connection->tcp_->broken()) return true;
        if (!connection->out_.empty() || connection->tcp_->unsent() > 0) return false;
        if (connection->ending_ == Connection::Ending::reset) connection->tcp_->reset_on_close();
        return true;
    });
}

}  // namespace baton::test
