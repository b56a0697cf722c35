#pragma once

// Connections that a test looks at without waiting, a server's port, and a reader of answers.

#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"
#include "tests/relay/proxy.h"

namespace baton::test {

class Wire {
public:
    Wire(Proxy& proxy, int fd) : proxy_(&proxy), fd_(fd) {}
    ~Wire() { closes(); }
    Wire(Wire&& other) noexcept;
    Wire& operator=(Wire&&) = delete;

    // All of it, or what the other end took before it left.
    void sends(std::string_view text);
    // Takes what has arrived. True if something had.
    bool look();
    void closes() noexcept;

    std::string got;     // all there ever was
    bool ended = false;  // the other end has finished, or reset
    std::size_t answered = 0;

private:
    Proxy* proxy_;
    int fd_;
};

// A port of 127.0.0.1 and the connections to it.
class ServerPort {
public:
    ServerPort();
    ~ServerPort();
    ServerPort(const ServerPort&) = delete;
    ServerPort& operator=(const ServerPort&) = delete;

    const Address& address() const noexcept { return address_; }
    // Takes new connections, and what has arrived on all.
    void look(Proxy& proxy);
    std::vector<Wire> wires;

private:
    int fd_;
    Address address_;
};

struct Answer {
    std::string gives;                // status, framing and body, as http_rows.txt writes them
    std::vector<std::string> fields;  // "NAME: VALUE"
    int status = 0;
    bool complete = false;
};

struct Answers {
    std::vector<Answer> all;
    std::string rest;  // no whole head, or no head at all
    bool bad = false;  // what follows is not HTTP/1.1 as the proxy itself would accept it

    std::size_t complete() const noexcept;
};

// What a client was sent. `heads`: the requests, in their order, that were HEAD.
Answers read_answers(std::string_view bytes, bool ended, const std::vector<bool>& heads);

}  // namespace baton::test
