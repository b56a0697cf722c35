#pragma once

// A byte stream to a peer: the word in every interface that talks to the network. `Tcp` is its first
// kind; the contract leaves room for one that encrypts (RFC 8446).
//
// One loop's thread.

#include <sys/uio.h>
#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "net/address.h"

namespace baton {

class Loop;

// How the peer's bytes came to their end.
struct StreamEnd {
    enum class Kind : std::uint8_t {
        // The peer has said that this is all, and may still read: TCP's FIN (RFC 9293, 3.6), TLS's
        // close_notify (RFC 8446, 6.1).
        orderly,
        // The connection has ended without the peer's word, as a TLS connection does by a FIN alone: bytes
        // may be missing. No message is complete because of it, and nobody reads any more.
        truncated,
        failed,  // the connection is dead
    };
    Kind kind = Kind::orderly;
    int error = UV_EOF;  // libuv's: UV_EOF unless it failed

    bool is_orderly() const noexcept { return kind == Kind::orderly; }
    static constexpr StreamEnd orderly() noexcept { return {}; }
    static constexpr StreamEnd truncated() noexcept { return {Kind::truncated, UV_EOF}; }
    static constexpr StreamEnd failed(int uv_error) noexcept { return {Kind::failed, uv_error}; }
};

// The events of a stream. Plain functions, so that a connection can change hands. Each comes from within
// `uv_run` only, never from within a call of the holder's, and the holder may destroy the stream during it.
struct StreamEvents {
    // `bytes` may be overwritten, and are gone when the call returns. Never after `ended`, nor while reading
    // is off.
    void (*arrived)(void* holder, std::span<char> bytes);
    // Everything written has left for the kernel: `unsent` is 0. Does not follow a write that left at once.
    void (*flushed)(void* holder);
    // The peer's bytes have ended, behind all that arrived; unless that was orderly, writing is of no use
    // either. A write that fails is an end, too, but only while reading is off or has come to its end: else
    // the reading side tells, behind the bytes that are still to be read.
    void (*ended)(void* holder, StreamEnd end);
};

class Stream {
public:
    // Closes the connection: if everything has left, that is an orderly end.
    virtual ~Stream() = default;

    // From now on `holder` gets the events. `events` must outlive the stream (a constant).
    virtual void attach(void* holder, const StreamEvents& events) noexcept = 0;
    // Writes all of it: what the kernel does not take now is copied and follows. Empty pieces are
    // allowed. Returns how many bytes of the caller's that were: 0 if the stream is half-closed or broken, and
    // then not a byte has left. Whoever logs what was sent adds these up, for on the wire they may be more.
    // With `end` they are the last ones: the stream is half-closed behind them, in the same segment where
    // that is possible.
    enum class Then : std::uint8_t { more, end };
    virtual std::size_t write(std::span<const iovec> pieces, Then then) = 0;
    std::size_t write(std::span<const iovec> pieces) { return write(pieces, Then::more); }
    // Bytes, as they are on the wire, that were written and that the kernel has not taken yet. 0 means that
    // everything has left, or that the stream is broken.
    virtual std::size_t unsent() const noexcept = 0;
    // Bytes, as they are on the wire, that the kernel has taken since the beginning: they grow when, and only
    // when, the peer's side takes some.
    virtual std::uint64_t sent() const noexcept = 0;
    // A write failed: what was written since is lost, and the connection is of no use. Look after
    // each event.
    virtual bool broken() const noexcept = 0;
    // What lies unread, for those who cannot wait for the event. A system call; at the peer's end another one,
    // which tells an end of sending from a dead connection.
    enum class Unread : std::uint8_t {
        nothing,
        bytes,
        end,     // an orderly one
        broken,  // any other end
        // Something has arrived, and only to read it tells what: bytes, the end, or neither (a session ticket,
        // RFC 8446, 4.6.1). Once it has been read the answer is another one.
        unknown,
    };
    virtual Unread peek() const noexcept = 0;
    // Of this end; unknown (AF_UNSPEC) if the kernel does not tell. A system call.
    virtual Address local_address() const noexcept = 0;
    // Bytes that the kernel has taken and the peer's has not confirmed: to close while there is something
    // to be read could destroy them. A system call; 0 where it cannot be known.
    virtual std::size_t unacknowledged() const noexcept { return 0; }
    // Reading on or off. Saying what is already so costs nothing. Bytes that the stream has read off its
    // socket already, and holds because reading was switched off, arrive though the socket is silent: from
    // the loop, in the round of events that is being delivered or, if there is none, in the next one. `peek`
    // knows of them.
    virtual void read(bool on) noexcept = 0;
    // No more will be written: the peer sees an orderly end once the unsent bytes have left. Saying it again
    // does nothing.
    virtual void half_close() noexcept = 0;
    // The connection's destruction is to be a reset instead of an orderly end: what the peer has of
    // an answer must not look complete.
    virtual void reset_on_close() noexcept = 0;
};

using StreamPtr = std::unique_ptr<Stream>;

// What lies between a connection and those who use it, as encryption does: makes a stream over the one below.
// Null: nothing does.
using StreamLayer = StreamPtr (*)(Loop& loop, StreamPtr below);

}  // namespace baton
