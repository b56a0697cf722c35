#pragma once

// TCP: the first kind of Stream.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "net/address.h"
#include "net/loop.h"
#include "net/stream.h"

namespace baton {

// System calls and toggles of all Tcp objects of a loop; tests and gates read them.
struct TcpCounts {
    std::uint64_t reads = 0;
    std::uint64_t writes = 0;
    std::uint64_t read_toggles = 0;  // switching reads on or off after the first "on"
};

class Tcp final : public Stream {
public:
    // Takes over a connected, non-blocking socket. Null if libuv refuses it; the socket is closed
    // then.
    static std::unique_ptr<Tcp> adopt(Loop& loop, int fd, TcpCounts& counts);

    // Begins to connect; `connected(holder, uv_error)` is told once, later, 0 if it worked. Null
    // and `*error` set if not even a socket could be had. Destroying the Tcp gives the attempt up.
    using Connected = void (*)(void* holder, int uv_error);
    static std::unique_ptr<Tcp> connect(Loop& loop, const Address& to, void* holder,
                                        Connected connected, TcpCounts& counts, int* error);

    ~Tcp() override;
    Tcp(const Tcp&) = delete;
    Tcp& operator=(const Tcp&) = delete;

    void attach(void* holder, const StreamEvents& events) noexcept override;
    using Stream::write;
    std::size_t write(std::span<const iovec> pieces, Then then) override;
    std::size_t unsent() const noexcept override { return unsent_; }
    std::uint64_t sent() const noexcept override { return sent_; }
    bool broken() const noexcept override { return sending_ == Sending::broken; }
    Unread peek() const noexcept override;
    Address local_address() const noexcept override;
    std::size_t unacknowledged() const noexcept override;
    void read(bool on) noexcept override;
    void half_close() noexcept override;
    void reset_on_close() noexcept override { close_ = Close::reset; }
    // For a connection that idles or waits: a peer whose host has vanished is noticed, after 25 s or
    // 5 s, and told as its end (keep-alive, TCP_USER_TIMEOUT; tcp(7)).
    void notice_vanished_peer() noexcept;

private:
    enum class Sending : std::uint8_t {
        open,          // nothing is unsent
        flushing,      // libuv has a write
        half_closing,  // the same, and the end follows
        half_closed,
        broken,
    };
    enum class Reading : std::uint8_t { never_begun, off, on };
    enum class Close : std::uint8_t { orderly, reset };
    // Bytes the kernel did not take at once, with the request that writes them. libuv's from its
    // start to its callback.
    struct Write {
        uv_write_t request;
        std::string bytes;
    };

    Tcp(Loop& loop, TcpCounts& counts);
    static void allocate(uv_handle_t* handle, std::size_t, uv_buf_t* buffer);
    static void readable(uv_stream_t* stream, ssize_t, const uv_buf_t*);
    static void wrote(uv_write_t* request, int status);
    bool receive();
    ssize_t send(std::span<const iovec> pieces, std::size_t total, Then then) const noexcept;
    int descriptor() const noexcept;
    std::size_t keep(std::span<const iovec> pieces, std::size_t skip);
    bool send_kept();
    void broke(int uv_error);

    Handle<uv_tcp_t> handle_;
    TcpCounts& counts_;
    void* holder_ = nullptr;
    const StreamEvents* events_ = nullptr;
    Connected connected_ = nullptr;
    std::unique_ptr<Write> kept_;  // behind what is in flight
    std::size_t unsent_ = 0;
    std::uint64_t sent_ = 0;
    Reading reading_ = Reading::never_begun;
    Sending sending_ = Sending::open;
    Close close_ = Close::orderly;
};

}  // namespace baton
