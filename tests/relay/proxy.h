#pragma once

// A worker whose loop the test turns itself, with scripted peers on both sides: whole requests, in
// process, on ports found at run time. Nothing sleeps; what does not come within a few seconds
// fails loudly.

#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/process/worker.h"
#include "session/ended_sessions.h"
#include "session/memory/memory_table.h"
#include "tests/relay/records.h"

namespace baton::test {

class Proxy;

// One end of a connection that the test plays: a client of the proxy, or a server behind it.
class Peer {
public:
    Peer(Proxy& proxy, int fd) : proxy_(&proxy), fd_(fd) {}
    ~Peer();
    Peer(Peer&& other) noexcept;
    Peer& operator=(Peer&& other) noexcept;

    Peer& sends(std::string_view text);
    // Sends what is taken now. Returns how much of `text` that was; what follows must be offered next.
    std::size_t offers(std::string_view text);
    // Reads what has arrived now: 0 at an orderly end, -1 and errno as recv(2).
    ssize_t takes(char* room, std::size_t size);
    // As `sends`, one byte a write, with the loop turned between.
    Peer& dribbles(std::string_view text);
    // Waits until `text` has come (anywhere behind what was expected before) and passes over it.
    Peer& expects(std::string_view text);
    // Waits for a whole head and returns it, its empty line included; what follows stays. `head` leaves
    // out the Date, which is another one each time.
    std::string head();
    std::string dated_head();
    // Waits for `size` more bytes and returns them.
    std::string bytes(std::size_t size);
    // Waits for the other end to finish; returns everything that came before and was not expected.
    std::string until_end();
    // True if the end was a reset, or a truncated one.
    bool was_reset() const noexcept { return reset_; }
    Peer& closes();  // both directions; unread bytes make it a reset, as always
    Peer& shuts();   // no more bytes from this end
    Peer& resets();
    bool ended();       // so far
    std::string got();  // unexpected so far
    // Turns the loop a few times: nothing more must have come.
    void expects_nothing();
    int fd() const noexcept { return fd_; }

private:
    bool fill();
    void send_end() noexcept;

    Proxy* proxy_;
    int fd_;
    std::string got_;
    bool ended_ = false;
    bool reset_ = false;
    RecordReader records_;
    std::string unsent_;  // records
};

// A store that answers when the test says so, or never.
class LateStore final : public Store {
public:
    explicit LateStore(MemoryTable& table) : table_(table) {}
    std::optional<StoreAnswer> load(const SessionKey& key, ShownBy shown_by,
                                    const StoreAsk& ask) override;
    std::optional<StoreAnswer> load_several(std::span<const SessionKey> keys, ShownBy shown_by,
                                            const StoreAsk& ask) override;
    std::optional<StoreAnswer> create(const SessionKey& key, NewSession session,
                                      const StoreAsk& ask) override;
    std::optional<StoreAnswer> commit(const SessionKey& key, SessionChange change,
                                      const StoreAsk& ask) override;
    std::optional<StoreAnswer> kill(const SessionKey& key, const StoreAsk& ask) override;
    void touch(const SessionKey& key, std::int64_t slack, std::int64_t now) override {
        ++touches;
        table_.touch(key, slack, now);
    }
    void forget(StoreTicket ticket) noexcept override;

    struct Question {
        StoreAsk ask;
        std::string what;
        StoreAnswer answer;
        SessionKey key{};
        SessionChange change;                     // of a commit
        std::vector<SessionKey> keys = {};        // of several
        std::optional<SessionKey> replaces = {};  // of a create
    };
    void answers(StoreTicket ticket, StoreAnswer answer) {
        answer_later(ticket, std::move(answer));
    }
    std::vector<Question> questions;  // asked and not answered
    std::size_t forgotten = 0;
    std::size_t touches = 0;

private:
    MemoryTable& table_;
};

struct Setup {
    std::size_t servers = 1;
    bool sessions = false;
    bool late_store = false;
    bool access_log = true;
    // Most tests look at a body as it comes, piece by piece.
    std::size_t request_buffer = 0;
    std::function<void(Config&)> change = [](Config&) {};
};

class Proxy {
public:
    // Its worker is the first; others are for tests.
    static constexpr std::size_t loops = 3;

    explicit Proxy(Setup setup = {});
    ~Proxy();
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;

    Peer connect_client();
    // To another listener on the same loop.
    Peer connect_client(const Address& to);
    // Waits for the proxy's connection to server `index`.
    Peer accept_at_server(std::size_t index = 0);
    // The same, unless a request ends first: nothing then.
    std::optional<Peer> accept_unless_over();
    // True if the proxy connects to server `index` while the loop is turned a few times.
    bool connects_to_server(std::size_t index = 0);
    // The next connection to any server, and which server it was.
    Peer accept_at_any(std::size_t* index = nullptr);
    void close_server(std::size_t index);  // refuses from now on
    void reopen_server(std::size_t index);
    // Fills the queue of server `index`, which accepts nobody: further connects get no answer. The
    // sockets are the caller's.
    void fill_queue(std::size_t index, std::vector<int>& fillers);

    // Turns the loop until `condition` holds; fails the test after some seconds.
    void turn_until(const std::function<bool()>& condition, const char* what);
    void turn(int times = 8);

    // The worker takes a snapshot of the configuration as changed.
    void publish(const std::function<void(Config&)>& change);

    // Delivers the oldest question's answer, or `instead`.
    void store_answers();
    void store_answers(StoreAnswer instead);

    const Address& address() const noexcept { return address_; }
    Worker& worker() noexcept { return *worker_; }
    const Counters& counters() noexcept { return worker_->lane().counters; }
    std::uint64_t faults(Fault fault) {
        return counters().faults[static_cast<std::size_t>(fault)].read();
    }
    // All requests that are over.
    std::uint64_t requests();
    std::uint64_t server_faults(ServerFault fault, std::size_t server = 0) {
        return worker_->lane().pools[server].counters.faults(fault);
    }
    MemoryTable& table() noexcept { return table_; }
    EndedSessions& ended() noexcept { return ended_; }
    ConnectionGate& gate() noexcept { return gate_; }
    log::Writer& writer() noexcept { return writer_; }
    const Registry& registry() const noexcept { return registry_; }
    const std::shared_ptr<const Snapshot>& snapshot() const noexcept { return snapshot_; }
    LateStore& late_store() noexcept { return *late_store_; }
    const Config& config() const noexcept { return snapshot_->config(); }
    std::string server_text(std::size_t index) const {
        return config().upstreams[0].servers[index].text;
    }
    // The access log so far.
    std::string log();

private:
    struct ServerEnd {
        int fd = -1;
        Address address;
    };
    int accept_now(std::size_t index);

    std::vector<ServerEnd> servers_;
    std::string log_path_;
    log::Writer writer_;
    MemoryTable table_;
    EndedSessions ended_;
    UnknownLimit unknown_limit_;
    LostRotations lost_rotations_;
    ConnectionGate gate_;
    Registry registry_{loops};
    std::shared_ptr<const Snapshot> snapshot_;
    LateStore* late_store_ = nullptr;
    std::unique_ptr<Worker> worker_;
    Address address_;
};

// What a server answers most.
inline constexpr std::string_view ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// From here on no descriptor can be had.
class NoDescriptors {
public:
    NoDescriptors() {
        getrlimit(RLIMIT_NOFILE, &before_);
        const int next = ::dup(0);
        ::close(next);
        rlimit now = before_;
        now.rlim_cur = static_cast<rlim_t>(next);
        setrlimit(RLIMIT_NOFILE, &now);
    }
    ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

private:
    rlimit before_{};
};

}  // namespace baton::test
