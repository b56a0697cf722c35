// What load.h says of options, sockets and messages.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/apps/load.h"

namespace load {

Options::Options(int count, char** words) {
    for (int i = 0; i < count; ++i) {
        const std::string word = words[i];
        const auto equal = word.find('=');
        if (equal == std::string::npos) die("no KEY=VALUE: " + word);
        values_[word.substr(0, equal)] = word.substr(equal + 1);
    }
}

std::uint64_t Options::number(const std::string& key, std::uint64_t otherwise) const {
    const auto found = values_.find(key);
    return found == values_.end() ? otherwise : to_number(found->second);
}

std::string Options::text(const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? std::string{} : found->second;
}

std::size_t below(Random& random, std::size_t end) {
    return std::uniform_int_distribution<std::size_t>{0, end - 1}(random);
}

void die(const std::string& what) {
    std::fprintf(stderr, "load: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

std::string body_of(std::uint64_t id, std::size_t size) {
    const std::string unit = std::to_string(id) + ';';
    std::string body;
    body.reserve(size + unit.size());
    while (body.size() < size) body += unit;
    body.resize(size);
    return body;
}

bool is_body_of(std::uint64_t id, std::string_view bytes) {
    return bytes == body_of(id, bytes.size());
}

std::string_view field(std::string_view head, std::string_view name) {
    for (std::size_t at = head.find("\r\n"); at + 2 < head.size();) {
        const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
        if (line.size() > name.size() + 1 && line.starts_with(name) && line[name.size()] == ':')
            return line.substr(name.size() + 2);
        at += 2 + line.size();
    }
    return {};
}

std::uint64_t to_number(std::string_view text) {
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

std::string request_of(std::string_view method, std::uint64_t id, std::size_t answer_size,
                       std::size_t body_size) {
    std::string request{method};
    request += " /" + std::to_string(id) + '/' + std::to_string(answer_size) +
               " HTTP/1.1\r\nHost: load.example\r\n";
    if (method == "POST") request += "Content-Length: " + std::to_string(body_size) + "\r\n";
    request += "\r\n";
    if (method == "POST") request += body_of(id, body_size);
    return request;
}

std::optional<Answer> whole_answer(std::string_view bytes) {
    const auto end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view head = bytes.substr(0, end + 4);
    const std::size_t size = to_number(field(head, "Content-Length"));
    if (bytes.size() - head.size() < size) return std::nullopt;
    return Answer{static_cast<int>(to_number(head.substr(std::min(head.size(), std::size_t{9})))),
                  head, bytes.substr(head.size(), size)};
}

int connect_to(std::uint64_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) die("connect");
    return fd;
}

void reset(int fd) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    ::close(fd);
}

}  // namespace load
