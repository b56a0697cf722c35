#pragma once

// A byte stream to a peer: the word in every face that talks to the network. `Tcp` is its first
// kind.

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "net/address.h"

namespace baton {

// What a stream tells whoever holds it. Plain functions, so that a connection can change hands.
// Each event may come from within `uv_run` only, never from within a call of the holder's, and the
// holder may destroy the stream during it.
struct StreamEvents {
    // `bytes` lie in the loop's read buffer: they may be overwritten, and are gone when the call
    // returns.
    void (*arrived)(void* holder, std::span<char> bytes);
    // Everything written has left for the kernel: `unsent` is 0. Not told after a write that went out
    // at once.
    void (*flushed)(void* holder);
    // UV_EOF: the peer has finished sending; writing still works. Any other: the connection is
    // dead.
    void (*ended)(void* holder, int uv_error);
};

class Stream {
public:
    virtual ~Stream() = default;  // closes the connection

    // From now on `holder` gets the events. `events` must outlive the stream (a constant).
    virtual void attach(void* holder, const StreamEvents& events) noexcept = 0;
    // Writes all of it: what the kernel does not take now is copied and follows. Empty pieces are
    // allowed. With `end` the stream must be shut as soon as nothing is unsent: its end then leaves in
    // one segment with the last bytes, which wait for it (MSG_MORE, send(2)).
    enum class Then : std::uint8_t { more, end };
    virtual void write(std::span<const iovec> pieces, Then then) = 0;
    void write(std::span<const iovec> pieces) { write(pieces, Then::more); }
    // Bytes written and not yet taken by the kernel.
    virtual std::size_t unsent() const noexcept = 0;
    // Bytes the kernel has taken since the beginning.
    virtual std::uint64_t sent() const noexcept = 0;
    // A write failed: what was written since is lost, and the connection is of no use. Look after
    // each event.
    virtual bool broken() const noexcept = 0;
    // What has arrived and was not read yet, for those who cannot wait for the event. A system call;
    // at the peer's end another one, which tells an end of sending from a dead connection.
    enum class Unread : std::uint8_t { nothing, bytes, end, broken };
    virtual Unread look() const noexcept = 0;
    // Of this end; unknown (AF_UNSPEC) if the kernel does not tell. A system call.
    virtual Address local_address() const noexcept = 0;
    // Bytes that the kernel has taken and the peer's has not confirmed: to close while there is something
    // to be read could destroy them. A system call; 0 where it cannot be known.
    virtual std::size_t unacknowledged() const noexcept { return 0; }
    // Reading on or off. Saying what is already so costs nothing.
    virtual void read(bool on) noexcept = 0;
    // No more will be written: the peer sees the end once the unsent bytes have left.
    virtual void shut() noexcept = 0;
    // The connection's destruction is to be a reset instead of an orderly end: what the peer has of
    // an answer must not look complete.
    virtual void reset_on_close() noexcept = 0;
};

using StreamPtr = std::unique_ptr<Stream>;

}  // namespace baton
