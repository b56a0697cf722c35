#pragma once

// The client side: frames the bytes of one connection into requests, one at a time and in order,
// and carries the answers back.

#include <cstdint>
#include <memory>
#include <span>

#include "net/loop.h"
#include "net/stream.h"
#include "proxy/context/client_connection.h"
#include "proxy/context/lane.h"
#include "proxy/exchange/bound_servers.h"
#include "proxy/exchange/client_side.h"
#include "proxy/http1/http1_block.h"

namespace baton {

class LocalService;

class Http1Client final : public ClientSide, public ClientConnection {
public:
    // `service` answers its requests; null: they are relayed. All but the stream and the peer outlive it.
    Http1Client(Lane& lane, Http1Blocks& blocks, ClientOwner& owner, StreamPtr stream, Peer peer,
                std::shared_ptr<const ListenerConfig> listener, LocalService* service);
    ~Http1Client() override;

    void stop() override;
    bool close_if_idle() override;
    void abort() override;
    const Peer& peer() const noexcept override { return peer_; }
    const ListenerConfig& listener() const noexcept override { return *listener_; }
    bool is_relayed() const noexcept override { return service_ == nullptr; }

    Address local_address() const noexcept override { return stream_->local_address(); }
    bool half_closed() const noexcept override { return half_closed_; }
    void go_on() override;
    void interim(const ForwardResponse& response) override;
    std::size_t begin(ForwardResponse& response, const Pieces& data, bool complete) override;
    void body(const Pieces& data, bool complete) override;
    void reply(const Reply& reply) override;
    std::span<char> take_raw() noexcept override;
    void raw(std::span<const char> bytes) override;
    void half_close() override { stream_->half_close(); }
    std::size_t unsent() const noexcept override { return stream_->unsent(); }
    std::uint64_t bytes_out() const noexcept override;
    bool broken() const noexcept override { return stream_->broken(); }
    void see_progress(Stamps& at) noexcept override;
    BoundServers* bound() noexcept override { return bound_.get(); }
    void bind(Lease lease) override;
    void turn() override;

private:
    enum class State : std::uint8_t {
        // Between requests; holds no block.
        idle,
        reading_head,
        exchanging,
        tunnelling,  // holds no block, either
        // The last answer leaves, then the connection ends.
        flushing,
        // It has left; what the client still sends is read and dropped, so that no reset eats it.
        lingering,
        over,
    };
    // What becomes of the connection after the response, as that has said.
    enum class After : std::uint8_t { keep, close };
    // Of the running request.
    enum class RequestBody : std::uint8_t {
        coming,
        complete,
        refused,  // it is not HTTP: what still comes is dropped, and the parser not asked again
    };
    static const StreamEvents events;

    void on_arrived(std::span<char> bytes);
    void on_ended(StreamEnd end);
    void on_deadline();
    void on_bound_ended();

    void next_input();
    void write(std::span<const iovec> pieces, Stream::Then then);
    void save_input();
    void read_head();
    void begin_request();
    void complete_body();
    void read_body();
    void client_gone_within_body();
    Exchange& running() noexcept { return tunnel_ ? *tunnel_ : *block_->exchange; }
    void end_request();
    void begin_tunnel();
    void end_tunnel();
    void refuse(Error error);
    void close_after_reply();
    After after_response(bool may_keep) const noexcept;
    Framing framing_to_client(Body body) const noexcept;
    Stream::Then then(bool complete) const noexcept;
    std::size_t waiting_bytes() const noexcept;
    bool body_complete() const noexcept { return body_ == RequestBody::complete; }
    bool ends_here() const noexcept;
    bool client_sends() const noexcept;
    bool next_has_arrived() const noexcept;
    bool is_idle() const noexcept;
    bool may_have_unread() const noexcept;
    static bool gives_way(State state) noexcept;
    void enter(State state);
    void log_refused(Error error, std::string_view id, std::size_t bytes_out);
    void set_reading();
    void arm(std::uint64_t when);
    std::uint64_t deadline() noexcept;
    void see_sent() noexcept;
    std::uint64_t now() const noexcept { return lane_.loop.now(); }

    Lane& lane_;
    Http1Blocks& blocks_;
    ClientOwner& owner_;
    StreamPtr stream_;
    std::shared_ptr<const ListenerConfig> listener_;
    LocalService* service_;
    Peer peer_;
    Timer<&Http1Client::on_deadline> timer_;
    std::unique_ptr<Http1Block> block_;  // not while idle
    std::unique_ptr<Exchange> tunnel_;
    std::unique_ptr<BoundServers> bound_;
    // Arrived, unread: in the loop's buffer during an event, else in the block.
    std::span<char> input_;
    State state_ = State::idle;
    bool turning_ = false;
    RequestBody body_ = RequestBody::coming;
    bool half_closed_ = false;
    bool bound_ended_ = false;
    bool linger_ = false;  // once flushed: it is sending what nobody wants
    After after_ = After::keep;
    Framing framing_ = Framing::none;  // of the response's body
    std::uint64_t written_ = 0;        // bytes of this request's response
    std::uint64_t sent_before_ = 0;    // bytes on the wire, by this request's response
    std::uint64_t armed_for_ = 0;      // 0: not
    std::uint64_t since_ = 0;          // when the state was entered
    std::uint64_t half_closed_at_ = 0;
    std::uint64_t last_input_at_ = 0;
    std::uint64_t sent_seen_ = 0;
    std::uint64_t sent_seen_at_ = 0;
    std::uint64_t head_begun_us_ = 0;
};

}  // namespace baton
