#pragma once

// The peers of workers that run in threads of their own: application servers and clients on
// blocking sockets, each with a hang guard.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "net/address.h"
#include "tests/threads/together.h"

namespace baton::test {

// A whole message.
struct Message {
    std::string head;  // with its empty line
    std::string body;

    std::string field(std::string_view name) const;  // empty if there is none
    std::string word(std::size_t index) const;       // of the first line
};

// A blocking socket with a buffer.
class Wire {
public:
    enum class End : std::uint8_t {
        whole,
        none,  // the connection ended, or broke, before a byte
        torn,  // in the middle of a message
    };

    explicit Wire(int fd) noexcept : fd_(fd) {}
    ~Wire();
    Wire(Wire&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)), buffer_(std::move(other.buffer_)) {}
    Wire& operator=(Wire&& other) noexcept;

    // Connected, or not `open`.
    static Wire to(const Address& address);
    bool open() const noexcept { return fd_ >= 0; }
    void close() noexcept;
    void send(std::string_view bytes);
    End receive(Message& message);

private:
    bool more();

    int fd_;
    std::string buffer_;
};

// Whether nobody listens there.
bool refuses(const Address& address);

// Where requests wait until the test lets them go.
class Gate {
public:
    void wait();
    void open();
    void await_waiting(std::size_t count);  // until so many wait

private:
    std::mutex mutex_;
    std::condition_variable news_;
    std::size_t waiting_ = 0;
    bool open_ = false;
};

// An application server that counts the requests of each session, a thread for each connection. It
// answers with the target and the count. Targets under /held wait at the gate. A client
// that asks for a tunnel gets one, and goes on in the same way within it.
class AppServer {
public:
    explicit AppServer(Gate& gate);
    ~AppServer();  // ends all connections
    AppServer(const AppServer&) = delete;
    AppServer& operator=(const AppServer&) = delete;

    const Address& address() const noexcept { return address_; }
    // Of all requests that came, how often.
    std::map<std::string, unsigned> received() const;

private:
    void accept_all();
    void serve(int fd);

    Gate& gate_;
    Address address_;
    int fd_;
    mutable std::mutex mutex_;
    std::vector<int> fds_;                      // guarded by mutex_
    std::map<std::string, unsigned> received_;  // guarded by mutex_
    std::vector<std::thread> threads_;          // the accepting thread's, until it is joined
    std::thread accepting_;
};

// An address where connecting is refused. The port stays taken as long as it lives.
class RefusedPort {
public:
    RefusedPort();
    ~RefusedPort();
    RefusedPort(const RefusedPort&) = delete;
    RefusedPort& operator=(const RefusedPort&) = delete;
    const Address& address() const noexcept { return address_; }

private:
    Address address_;
    int fd_;
};

// Clients in threads of their own, each with a session: they ask one request after another until
// `stopping` is set and nobody listens any more. Before that every request must have its answer;
// after that one may end without any.
class Load {
public:
    struct Options {
        unsigned clients = 8;
        std::string tail;       // of each target
        bool may_tear = false;  // once it is stopping an answer may end in its middle
    };
    Load(Address address, const std::atomic<bool>& stopping, Options options);
    ~Load() { join(); }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    // Answered whole, so far.
    std::size_t answered() const noexcept { return answered_.load(); }
    // Waits for so many. False if something went wrong before.
    bool reaches(std::size_t count) const;
    void join();
    // After `join`: what was asked and answered whole.
    std::set<std::string> targets() const;
    std::string faults() const { return faults_.text(); }

private:
    struct Client {
        std::string name;
        std::string cookie;
        std::vector<std::string> answered;
    };
    void run(Client& client);
    bool check(Client& client, const std::string& target, const Message& answer);

    const Address address_;
    const std::atomic<bool>& stopping_;
    const Options options_;
    std::atomic<std::size_t> answered_ = 0;
    Faults faults_;
    std::vector<Client> clients_;
    std::vector<std::thread> threads_;
};

}  // namespace baton::test
