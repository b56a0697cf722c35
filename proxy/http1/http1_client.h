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
#include "proxy/http1/client_progress.h"
#include "proxy/http1/http1_block.h"
#include "proxy/http1/http1_response.h"
#include "proxy/http1/pending_input.h"

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
    void go_on() override { response_.go_on(); }
    void interim(const ForwardResponse& response) override { response_.interim(response); }
    std::size_t begin(ForwardResponse& response, const Pieces& data, bool complete) override;
    void body(const Pieces& data, bool complete) override { response_.body(data, complete); }
    void reply(const Reply& reply) override;
    std::span<char> take_raw() noexcept override;
    void raw(std::span<const char> bytes) override { response_.raw(bytes); }
    void half_close() override { stream_->half_close(); }
    std::size_t unsent() const noexcept override { return stream_->unsent(); }
    std::uint64_t bytes_out() const noexcept override { return response_.sent(); }
    bool broken() const noexcept override { return stream_->broken(); }
    void see_progress(Stamps& at) noexcept override {
        progress_.see_sent(stream_->sent(), now());
        progress_.tell(at, stream_->unsent(), now());
    }
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
    enum class After : std::uint8_t {
        keep,
        close,
        linger,  // close, and the client is sending what nobody wants
    };
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
    void on_bound_ended() {
        bound_ended_ = true;
        if (is_idle()) enter(State::over);  // a request that has arrived is answered
        turn();
    }

    void read_head();
    void begin_request();
    void complete_body() {
        body_ = RequestBody::complete;
        block_->request.complete = true;
    }
    void read_body();
    Exchange& running() noexcept { return tunnel_ ? *tunnel_ : *block_->exchange; }
    void end_request();
    void begin_tunnel();
    void end_tunnel();
    void refuse(Error error);
    void close_after_reply();
    // What was not read of the request would be taken for the next one.
    After after_response(bool may_keep) const noexcept {
        const bool keeps = may_keep && body_complete() && block_->request.connection.persistent;
        return keeps && !ends_here() ? After::keep : After::close;
    }
    bool body_complete() const noexcept { return body_ == RequestBody::complete; }
    bool ends_here() const noexcept {
        return owner_.ends_connections() || bound_ended_ || (half_closed_ && !input_.has_head());
    }
    // Whether to close would destroy the answer by a reset: more of what it sends is to come, or lies in
    // the kernel.
    bool client_sends() const noexcept {
        return !half_closed_ && (after_ == After::linger || may_have_unread());
    }
    // What has arrived and was not read yet counts, too, also where nobody can tell what it is.
    bool is_idle() const noexcept { return state_ == State::idle && !may_have_unread(); }
    bool may_have_unread() const noexcept {
        const Stream::Unread unread = stream_->peek();
        return unread == Stream::Unread::bytes || unread == Stream::Unread::unknown;
    }
    // Whether nothing is owed to the client: it has its answer, or has not asked.
    static bool gives_way(State state) noexcept {
        return state == State::idle || state == State::lingering;
    }
    void enter(State state);
    void note_refused(Error error, std::string_view id, std::size_t bytes_out);
    void set_reading();
    void arm(std::uint64_t when);
    std::uint64_t deadline() noexcept;
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
    PendingInput input_{block_};
    Http1Response response_;
    ClientProgress progress_;
    State state_ = State::idle;
    bool turning_ = false;
    RequestBody body_ = RequestBody::coming;
    bool half_closed_ = false;
    bool bound_ended_ = false;
    After after_ = After::keep;
    std::uint64_t armed_for_ = 0;  // milliseconds of the loop; 0: not
    std::uint64_t head_begun_us_ = 0;
};

}  // namespace baton
