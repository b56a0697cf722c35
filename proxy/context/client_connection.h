#pragma once

// A client connection as its owner sees it, whatever protocol it speaks, and the owner as the connection
// sees it. One loop's thread.

#include <cstddef>
#include <cstdint>

namespace baton {

struct ListenerConfig;
struct Peer;

class ClientConnection {
public:
    ClientConnection() = default;
    virtual ~ClientConnection() = default;
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    // Each may destroy the connection.
    // An idle connection closes now, a busy one after its answer.
    virtual void stop() = 0;
    // False if a request runs, or has arrived; else the connection is gone.
    virtual bool close_if_idle() = 0;
    // The grace is over.
    virtual void abort() = 0;

    virtual const Peer& peer() const noexcept = 0;
    // The terms under which it was accepted.
    virtual const ListenerConfig& listener() const noexcept = 0;
    virtual bool is_relayed() const noexcept = 0;  // else baton answers its requests itself

    // The owner's.
    std::size_t index = 0;

private:
    friend class IdleConnections;
    ClientConnection* idle_before_ = nullptr;
    ClientConnection* idle_after_ = nullptr;
};

// The idle ones, in the order in which they became so. Adding and removing take constant time.
class IdleConnections {
public:
    void add(ClientConnection& connection) noexcept {
        connection.idle_before_ = newest_;
        connection.idle_after_ = nullptr;
        (newest_ != nullptr ? newest_->idle_after_ : oldest_) = &connection;
        newest_ = &connection;
    }
    void remove(ClientConnection& connection) noexcept {
        ClientConnection* const before = connection.idle_before_;
        ClientConnection* const after = connection.idle_after_;
        (before != nullptr ? before->idle_after_ : oldest_) = after;
        (after != nullptr ? after->idle_before_ : newest_) = before;
    }
    ClientConnection* oldest() const noexcept { return oldest_; }
    static ClientConnection* after(const ClientConnection& connection) noexcept {
        return connection.idle_after_;
    }

private:
    ClientConnection* oldest_ = nullptr;
    ClientConnection* newest_ = nullptr;
};

class ClientOwner {
public:
    IdleConnections idle;

    // Answers say that their connection ends.
    bool ends_connections() const noexcept {
        return phase_ == Phase::draining || phase_ == Phase::stopping;
    }
    bool is_stopping() const noexcept { return phase_ == Phase::stopping; }
    // A connection has ended: destroys it. The last thing that it does.
    virtual void retire(ClientConnection& connection) noexcept = 0;

protected:
    // What becomes of connections: with `draining` new ones still come; with `finishing` those that are
    // there are served on.
    enum class Phase : std::uint8_t { serving, draining, finishing, stopping };
    ~ClientOwner() = default;
    Phase phase_ = Phase::serving;
};

}  // namespace baton
