#include "net/tcp.h"

#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <type_traits>

namespace baton {

namespace {

// So that one fast peer cannot starve the rest of the loop: about a megabyte.
constexpr std::uint8_t reads_per_event = 16;

// More pieces than this never come at once: a head, a chunk line, a read's data, an end.
constexpr std::size_t iovecs_max = 32;

}  // namespace

Tcp::Tcp(Loop& loop, TcpCounts& counts)
    : handle_(open_handle<uv_tcp_t>(
          this, [&](uv_tcp_t& handle) { return uv_tcp_init(loop.uv(), &handle); })),
      counts_(counts) {}

Tcp::~Tcp() {
    if (reset_) {
        int fd = -1;
        if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle_.get()), &fd) == 0) {
            const linger now{.l_onoff = 1, .l_linger = 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        }
    }
}

std::unique_ptr<Tcp> Tcp::adopt(Loop& loop, int fd, TcpCounts& counts) {
    std::unique_ptr<Tcp> tcp{new Tcp(loop, counts)};
    if (uv_tcp_open(tcp->handle_.get(), fd) < 0) {
        ::close(fd);
        return nullptr;
    }
    return tcp;
}

std::unique_ptr<Tcp> Tcp::connect(Loop& loop, const Address& to, void* holder, Connected connected,
                                  TcpCounts& counts, int* error) {
    std::unique_ptr<Tcp> tcp{new Tcp(loop, counts)};
    tcp->holder_ = holder;
    tcp->connected_ = connected;
    uv_tcp_nodelay(tcp->handle_.get(), 1);
    auto request = std::make_unique<uv_connect_t>();
    *error = uv_tcp_connect(request.get(), tcp->handle_.get(), to.raw(),
                            [](uv_connect_t* ended, int status) {
                                const std::unique_ptr<uv_connect_t> last{ended};
                                if (auto* self = owner_of<Tcp>(last->handle))
                                    self->connected_(self->holder_, status);
                            });
    if (*error < 0) return nullptr;
    request.release();  // the callback's, which always comes
    return tcp;
}

void Tcp::notice_vanished_peer() noexcept {
    int fd = -1;
    if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle_.get()), &fd) < 0) return;
    const auto set = [fd](int level, int option, int value) {
        setsockopt(fd, level, option, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 10);  // seconds
    set(IPPROTO_TCP, TCP_KEEPINTVL, 5);  // seconds
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, 5000);  // milliseconds
}

void Tcp::attach(void* holder, const StreamEvents& events) noexcept {
    holder_ = holder;
    events_ = &events;
}

Stream::Unread Tcp::look() const noexcept {
    int fd = -1;
    char byte = 0;
    if (uv_fileno(reinterpret_cast<const uv_handle_t*>(handle_.get()), &fd) < 0) return Unread::end;
    const ssize_t size = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size > 0) return Unread::bytes;
    return size < 0 && errno == EAGAIN ? Unread::nothing : Unread::end;
}

void Tcp::read(bool on) noexcept {
    if (on == reading_) return;
    reading_ = on;
    if (ever_read_) ++counts_.read_toggles;
    ever_read_ = true;
    auto* stream = reinterpret_cast<uv_stream_t*>(handle_.get());
    if (on)
        uv_read_start(stream, allocate, arrived);
    else
        uv_read_stop(stream);
}

void Tcp::allocate(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    auto* tcp = owner_of<Tcp>(handle);
    if (tcp == nullptr || tcp->full_reads_ == reads_per_event) {
        *buffer = uv_buf_init(
            nullptr, 0);  // libuv goes on with the next socket and comes back in the next turn
        if (tcp != nullptr) tcp->full_reads_ = 0;
        return;
    }
    const auto room = Loop::of(handle->loop).read_buffer();
    *buffer = uv_buf_init(room.data(), static_cast<unsigned>(room.size()));
}

void Tcp::arrived(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
    auto* tcp = owner_of<Tcp>(stream);
    if (tcp == nullptr || size == UV_ENOBUFS) return;
    ++tcp->counts_.reads;
    if (size == 0) return;  // EAGAIN
    if (size < 0) {
        tcp->reading_ = false;
        uv_read_stop(stream);
        return tcp->events_->ended(tcp->holder_, static_cast<int>(size));
    }
    const auto count = static_cast<std::size_t>(size);
    tcp->full_reads_ = count == Loop::read_size ? static_cast<std::uint8_t>(tcp->full_reads_ + 1)
                                                : std::uint8_t{0};
    tcp->events_->arrived(tcp->holder_, {buffer->base, count});
}

void Tcp::write(std::span<const iovec> pieces) {
    if (broken_ || shutting_) return;
    if (in_flight_) return keep(pieces, 0);
    __attribute__((uninitialized)) std::array<uv_buf_t, iovecs_max> buffers;  // the first `count`
    std::size_t count = 0;
    std::size_t total = 0;
    for (const iovec& piece : pieces) {
        if (piece.iov_len == 0) continue;
        if (count == iovecs_max) die("too many pieces in one write");
        buffers[count++] =
            uv_buf_init(static_cast<char*>(piece.iov_base), static_cast<unsigned>(piece.iov_len));
        total += piece.iov_len;
    }
    if (total == 0) return;
    ++counts_.writes;
    const int done = uv_try_write(reinterpret_cast<uv_stream_t*>(handle_.get()), buffers.data(),
                                  static_cast<unsigned>(count));
    if (done < 0 && done != UV_EAGAIN) {
        broken_ = true;
        return;
    }
    const auto taken = done > 0 ? static_cast<std::size_t>(done) : 0;
    sent_ += taken;
    if (taken == total) return;
    keep(pieces, taken);
    send_kept();
}

// Copies what lies behind the first `skip` bytes.
void Tcp::keep(std::span<const iovec> pieces, std::size_t skip) {
    if (!kept_) kept_ = std::make_unique<Write>();
    for (const iovec& piece : pieces) {
        const std::size_t passed = std::min(skip, piece.iov_len);
        skip -= passed;
        kept_->bytes.append(static_cast<const char*>(piece.iov_base) + passed,
                            piece.iov_len - passed);
        unsent_ += piece.iov_len - passed;
    }
}

void Tcp::send_kept() {
    ++counts_.writes;
    const uv_buf_t buffer =
        uv_buf_init(kept_->bytes.data(), static_cast<unsigned>(kept_->bytes.size()));
    in_flight_ = uv_write(&kept_->request, reinterpret_cast<uv_stream_t*>(handle_.get()), &buffer,
                          1, wrote) == 0;
    if (in_flight_)
        kept_.release();  // the callback's, which always comes
    else
        broken_ = true;
}

void Tcp::wrote(uv_write_t* request, int status) {
    static_assert(std::is_standard_layout_v<Write> && offsetof(Write, request) == 0);
    const std::unique_ptr<Write> write{reinterpret_cast<Write*>(request)};
    auto* tcp = owner_of<Tcp>(request->handle);
    if (tcp == nullptr) return;
    tcp->in_flight_ = false;
    if (status < 0) {
        // While reading is on, that side tells: what the peer sent before it left is still to be
        // read.
        tcp->broken_ = true;
        tcp->unsent_ = 0;
        if (!tcp->reading_) tcp->events_->ended(tcp->holder_, status);
        return;
    }
    tcp->sent_ += write->bytes.size();
    tcp->unsent_ -= write->bytes.size();
    if (tcp->kept_)
        tcp->send_kept();
    else if (tcp->shutting_)
        tcp->finish_sending();
    tcp->events_->flushed(tcp->holder_);
}

void Tcp::shut() noexcept {
    if (shutting_) return;
    shutting_ = true;
    if (!in_flight_) finish_sending();
}

void Tcp::finish_sending() noexcept {
    int fd = -1;
    if (uv_fileno(reinterpret_cast<uv_handle_t*>(handle_.get()), &fd) == 0) ::shutdown(fd, SHUT_WR);
}

}  // namespace baton
