#include "tests/relay/wire.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "net/http/http_parser.h"

namespace baton::test {

namespace {

std::string text_of(const Body& body) {
    switch (body.framing) {
    case Framing::none: return " none";
    case Framing::length: return " length=" + std::to_string(body.length);
    case Framing::chunked: return " chunked";
    case Framing::until_close: return " until_close";
    }
    return {};
}

}  // namespace

Wire::Wire(Wire&& other) noexcept
    : got(std::move(other.got)),
      ended(other.ended),
      answered(other.answered),
      proxy_(other.proxy_),
      fd_(std::exchange(other.fd_, -1)) {}

void Wire::sends(std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            text.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
            proxy_->turn(1);
            look();
        } else {
            return;
        }
    }
}

bool Wire::look() {
    char room[65536];
    if (fd_ < 0 || ended) return false;
    const ssize_t size = ::recv(fd_, room, sizeof(room), MSG_DONTWAIT);
    if (size > 0) got.append(room, static_cast<std::size_t>(size));
    ended = size == 0 || (size < 0 && errno != EAGAIN);
    return size > 0;
}

void Wire::closes() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

ServerPort::ServerPort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    address_ = *parse_address("127.0.0.1:0");
    if (::bind(fd_, address_.raw(), address_.size()) != 0 || ::listen(fd_, 64) != 0)
        FAIL("no port");
    socklen_t size = address_.size();
    getsockname(fd_, address_.raw(), &size);
}

ServerPort::~ServerPort() { ::close(fd_); }

void ServerPort::look(Proxy& proxy) {
    for (;;) {
        const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK);
        if (fd < 0) break;
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        wires.emplace_back(proxy, fd);
    }
    for (Wire& wire : wires) {
        while (wire.look()) {
        }
    }
}

std::size_t Answers::complete() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [](const Answer& answer) { return answer.complete; }));
}

Answers read_answers(std::string_view bytes, bool ended, const std::vector<bool>& heads) {
    Answers answers;
    std::string left{bytes};
    const HeadLimits limits;
    Head head;
    HttpParser parser{HeadGuard::Kind::response, limits};
    std::size_t finals = 0;
    while (!left.empty()) {
        parser.reset();
        parser.answer_to({.head = finals < heads.size() && heads[finals]});
        const auto size = parser.read_head(left, head);
        if (!size || *size == 0) {
            answers.bad = !size;
            answers.rest = left;
            return answers;
        }
        Answer answer;
        answer.status = head.status;
        answer.gives = std::to_string(head.status) + text_of(parser.body());
        for (const Field& field : head.fields)
            answer.fields.push_back(std::string{head.text(field.name)} + ": " +
                                    std::string{head.text(field.value)});
        left.erase(0, *size);
        std::string body;
        while (!parser.complete() && !left.empty()) {
            Pieces pieces;
            const auto used = parser.read_body(left, pieces);
            if (!used) answers.bad = true;
            for (const std::string_view piece : pieces.view()) body += piece;
            left.erase(0, used ? *used : left.size());
        }
        if (!body.empty()) answer.gives += ' ' + body;
        answer.complete = parser.complete() || (ended && !answers.bad && parser.end_of_input());
        finals += answer.status >= 200 ? 1 : 0;
        answers.all.push_back(std::move(answer));
    }
    return answers;
}

}  // namespace baton::test
