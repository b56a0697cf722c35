#pragma once

// What a relay sees of the server: one request and its response on a leased connection, whatever protocol
// that speaks. The server side frames the request; the relay says what it is.
//
// One loop's thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "net/http/http_parser.h"
#include "net/result.h"
#include "net/stream.h"
#include "proxy/head/request_head.h"
#include "upstream/pool.h"

namespace baton {

struct Stamps;

// What has come of a response.
struct Response {
    Head head;  // valid once it is whole, until the event ends; after `keep`, until the next head
    ConnectionOptions
        connection;      // what it says of the connection; not its names, once the head is gone
    Body body;           // as the head declares it
    Pieces arrived;      // data of the body: what `read_body` has read, gone when the event is over
    bool heard = false;  // a byte of it came
    bool complete = false;
    std::optional<StreamEnd> end;  // of what the server sends

    // Whether the connection ends with it, as far as its head says.
    bool ends_connection() const noexcept {
        return !connection.persistent || body.framing == Framing::until_close;
    }
};

class ServerSide {
public:
    struct Use {
        bool head_only = false;  // the request is a HEAD
        bool upgrade = false;    // it asks for an upgrade that is allowed
        // The connection was idle, and nobody has looked whether something lies in the kernel already.
        bool unlooked = false;
    };
    // Something came or left, or the connection has ended: from within an event only.
    using Happened = void (*)(void* holder);
    virtual void open(Lease lease, const Use& use, void* holder, Happened happened) = 0;
    bool is_open() const noexcept { return lease_ != nullptr; }
    // While it is open: whether the connection has carried a request before.
    bool is_reused() const noexcept { return lease_->requests > 0; }
    void close() noexcept { lease_.reset(); }
    // The response is complete, and so is the request if `request_sent`: the connection, if it can carry
    // another one.
    virtual Lease release(bool request_sent) = 0;

    // The request, each call one write. `complete`: it ends with it.
    struct Sent {
        std::size_t fields_dropped = 0;  // session fields of the client's
        bool lost = false;  // not a byte was written: the server has not seen the request
    };
    // The head and the first data of the body: `held`, then `arrived`.
    virtual Sent send(ForwardRequest& request, std::string_view held, const Pieces& arrived,
                      bool complete) = 0;
    virtual void send_body(const Pieces& data, bool complete) = 0;

    const Response& response() const noexcept { return response_; }
    // True once the response's head is whole.
    virtual Result<bool> read_head() = 0;
    // An interim response (1xx) was passed on: the next head follows.
    virtual void next_head() noexcept = 0;
    // Reads what has arrived of the body, in place of what was read before.
    virtual std::optional<Error> read_body() = 0;
    // All that has come must outlive this event.
    virtual void keep() = 0;
    // The connection has ended: whether that was orderly, and completes the response.
    virtual bool end_completes() noexcept = 0;

    // After a 101: the connection as it is, and what was read of it behind the head: as long as the event
    // lasts, or this object is not used again.
    struct Raw {
        Lease lease;
        std::span<char> unread;
        std::optional<StreamEnd> end;
    };
    virtual Raw release_raw() noexcept = 0;

    bool is_reading() const noexcept { return reading_; }
    void read(bool on) noexcept {
        reading_ = on;
        lease_->stream->read(on);
    }
    // Bytes written that the kernel has not taken yet.
    std::size_t unsent() const noexcept { return lease_ ? lease_->stream->unsent() : 0; }
    // What the server did, and when.
    virtual void see_progress(Stamps& at) noexcept = 0;

protected:
    ~ServerSide() = default;
    Stream& stream() noexcept { return *lease_->stream; }

    Lease lease_;
    Response response_;
    bool reading_ = true;
};

}  // namespace baton
