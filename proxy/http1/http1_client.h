#pragma once

// The client side: frames the bytes of one connection into requests, one at a time and in order,
// and carries the answers back.

#include <cstdint>
#include <memory>
#include <span>

#include "net/loop.h"
#include "net/stream.h"
#include "proxy/context/lane.h"
#include "proxy/head/forward.h"
#include "proxy/http1/bound_servers.h"
#include "proxy/http1/head_block.h"

namespace baton {

class Clients;
class LocalService;
struct ListenerConfig;
struct Stamps;

class Http1Client {
public:
    // `service` answers its requests; null: they are relayed.
    Http1Client(Lane& lane, Clients& clients, StreamPtr stream, Peer peer,
                const ListenerConfig& listener, LocalService* service);
    ~Http1Client();
    Http1Client(const Http1Client&) = delete;
    Http1Client& operator=(const Http1Client&) = delete;

    // Where `clients` keeps it, and its neighbours in the order in which they became idle.
    std::size_t place = 0;
    Http1Client* idle_before = nullptr;
    Http1Client* idle_after = nullptr;

    // An idle connection closes now, a busy one after its answer.
    void stop();
    // False if a request runs, or has arrived; else the connection is gone.
    bool close_if_idle();
    bool is_relayed() const noexcept { return service_ == nullptr; }
    // The grace is over.
    void abort();
    // Something of the running request's happened: goes on as far as possible. The outermost
    // function of every event; the connection may be gone when it returns.
    void turn();

    // For the exchange.
    Stream& stream() noexcept { return *stream_; }
    const Peer& peer() const noexcept { return peer_; }
    const ListenerConfig& listener() const noexcept { return listener_; }
    bool body_complete() const noexcept { return body_ == RequestBody::complete; }
    std::uint64_t body_bytes() const noexcept { return body_bytes_; }
    bool half_closed() const noexcept { return half_closed_; }
    // The running request's answer is the last: the process is to end, the client has finished sending
    // and no further request has arrived, or a server connection of its own has ended.
    bool ends_here() const noexcept;
    // Server connections that are this client's alone.
    void bind(Lease lease);
    bool has_bound() const noexcept { return bound_ && !bound_->empty(); }
    BoundServers& bound() noexcept { return *bound_; }
    // What the client did, and when.
    void see_progress(Stamps& at) noexcept;
    std::size_t waiting_bytes() const noexcept;
    // Tunnels: what has arrived behind the request.
    std::span<char> take_raw() noexcept;

private:
    enum class State : std::uint8_t {
        // Between requests; holds no block.
        idle,
        reading_head,
        exchanging,
        // The last answer leaves, then the connection ends.
        flushing,
        // It has left; what the client still sends is read and dropped, so that no reset eats it.
        lingering,
        over,
    };
    // Of the running request.
    enum class RequestBody : std::uint8_t {
        coming,
        complete,
        refused,  // it is not HTTP: what still comes is dropped, and the parser not asked again
    };
    static const StreamEvents events;

    void on_arrived(std::span<char> bytes);
    void on_ended(int uv_error);
    void on_deadline();
    void on_bound_ended();

    void next_input();
    void save_input();
    void read_head();
    void begin_request();
    void read_body();
    void client_gone_within_body();
    void end_request();
    void refuse(Error error);
    void close_after_reply();
    bool client_sends() const noexcept;
    bool next_has_arrived() const noexcept;
    bool is_idle() const noexcept;
    static bool gives_way(State state) noexcept;
    void enter(State state);
    void log_refused(Error error, std::string_view id, std::size_t bytes_out);
    void set_reading();
    void arm(std::uint64_t when);
    std::uint64_t deadline() noexcept;
    void see_sent() noexcept;
    std::uint64_t now() const noexcept { return lane_.loop.now(); }

    Lane& lane_;
    Clients& clients_;
    StreamPtr stream_;
    const ListenerConfig& listener_;
    LocalService* service_;
    Peer peer_;
    Timer<&Http1Client::on_deadline> timer_;
    std::unique_ptr<HeadBlock> block_;  // not while idle
    std::unique_ptr<BoundServers> bound_;
    // Arrived, unread: in the loop's buffer during an event, else in the block.
    std::span<char> input_;
    State state_ = State::idle;
    bool turning_ = false;
    RequestBody body_ = RequestBody::coming;
    bool half_closed_ = false;
    bool bound_ended_ = false;
    bool linger_ = false;  // once flushed: it is sending what nobody wants
    std::uint64_t body_bytes_ = 0;
    std::uint64_t armed_for_ = 0;  // 0: not
    std::uint64_t since_ = 0;      // when the state was entered
    std::uint64_t half_closed_at_ = 0;
    std::uint64_t last_input_at_ = 0;
    std::uint64_t sent_seen_ = 0;
    std::uint64_t sent_seen_at_ = 0;
    std::uint64_t head_begun_us_ = 0;
};

}  // namespace baton
