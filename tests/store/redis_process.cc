#include "tests/store/redis_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <thread>
#include <vector>

namespace baton::test {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 20s;  // a hang guard

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

std::string in_path(const char* name) {
    const char* path = std::getenv("PATH");
    std::istringstream folders{path == nullptr ? "" : path};
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::filesystem::path file = std::filesystem::path{folder} / name;
        if (::access(file.c_str(), X_OK) == 0) return file.string();
    }
    return {};
}

// Only what may be called between fork and exec.
[[noreturn]] void become(const char* program, char* const* words, pid_t parent, int log) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it ended before
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execv(program, words);
    ::_exit(127);
}

}  // namespace

std::string redis_program() {
    for (const char* name : {"redis-server", "redis-check-rdb"})
        if (std::string found = in_path(name); !found.empty()) return found;
    return {};
}

// ------------------------------------------------------------ a connection

PlainRedis::PlainRedis(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in address = loopback(port);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(fd_);
        fd_ = -1;
        return;
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const timeval longest{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
}

PlainRedis::~PlainRedis() {
    if (fd_ >= 0) ::close(fd_);
}

std::string PlainRedis::ask_bytes(std::span<const std::string_view> words) {
    std::string out;
    append_command(out, words);
    for (std::string_view rest = out; !rest.empty();) {
        const ssize_t sent = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent <= 0) return {};
        rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    RedisReader reader;
    RedisReply reply;
    std::string bytes;
    std::array<char, 65536> buffer;
    for (;;) {
        const ssize_t size = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (size <= 0) return {};
        const std::span<const char> came{buffer.data(), static_cast<std::size_t>(size)};
        bytes.append(came.data(), came.size());
        reader.feed(came);
        switch (reader.next(reply)) {
        case RedisReader::Read::reply: return bytes;
        case RedisReader::Read::bad: return {};
        case RedisReader::Read::more: break;
        }
    }
}

std::optional<RedisReply> PlainRedis::ask(std::initializer_list<std::string_view> words) {
    const std::string bytes = ask_bytes({words.begin(), words.size()});
    RedisReader reader;
    reader.feed(bytes);
    RedisReply reply;
    if (reader.next(reply) != RedisReader::Read::reply) return std::nullopt;
    return reply;
}

// ------------------------------------------------------------ the server

RedisProcess& RedisProcess::running() {
    static RedisProcess process;
    return process;
}

RedisProcess::RedisProcess()
    : held_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      log_(::memfd_create("redis-log", MFD_CLOEXEC)) {
    const int on = 1;
    ::setsockopt(held_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(held_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::getsockname(held_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        give_up("no port");
    port_ = ntohs(address.sin_port);

    // It writes no file: no folder of its own is needed.
    const std::string program = redis_program();
    std::vector<std::string> words = {
        "redis-server", "--port", std::to_string(port_), "--bind", "127.0.0.1", "--save", "",
        "--appendonly", "no",     "--daemonize",         "no"};
    std::vector<char*> raw;
    raw.reserve(words.size() + 1);
    for (std::string& word : words) raw.push_back(word.data());
    raw.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) become(program.c_str(), raw.data(), parent, log_);
    if (pid_ < 0) give_up("no process");

    for (const auto end = std::chrono::steady_clock::now() + patience;;) {
        plain_.emplace(port_);
        if (plain_->is_connected()) {
            const auto pong = plain_->ask({"PING"});
            if (pong && pong->view() == "PONG") return;
        }
        if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
            pid_ = -1;
            give_up("it has ended");
        }
        if (std::chrono::steady_clock::now() > end) give_up("it does not answer");
        std::this_thread::sleep_for(5ms);
    }
}

RedisProcess::~RedisProcess() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    ::close(held_);
    ::close(log_);
}

void RedisProcess::freeze() noexcept { ::kill(pid_, SIGSTOP); }
void RedisProcess::wake() noexcept { ::kill(pid_, SIGCONT); }

RedisReply RedisProcess::ask(std::initializer_list<std::string_view> words) {
    auto reply = plain_->ask(words);
    if (!reply) give_up("it has gone");
    if (reply->is_error()) give_up(reply->view());
    return std::move(*reply);
}

void RedisProcess::give_up(std::string_view why) {
    std::array<char, 4096> text{};
    const ssize_t size = ::pread(log_, text.data(), text.size(), 0);
    std::cerr << "redis-server: " << why << "\n"
              << std::string_view{text.data(), size > 0 ? static_cast<std::size_t>(size) : 0}
              << std::endl;
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    std::abort();
}

}  // namespace baton::test
