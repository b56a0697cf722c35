#include "net/tcp.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

namespace baton {

namespace {

// So that one fast peer cannot starve the rest of the loop: about a megabyte.
constexpr int reads_per_event = 16;

}  // namespace

Tcp::Tcp(Loop& loop, TcpCounts& counts)
    : handle_(open_handle<uv_tcp_t>(
          this, [&](uv_tcp_t& handle) { return uv_tcp_init(loop.uv(), &handle); })),
      counts_(counts) {}

Tcp::~Tcp() {
    if (close_ == Close::orderly) return;
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
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
    const auto set = [fd = descriptor()](int level, int option, int value) {
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

Stream::Unread Tcp::peek() const noexcept {
    char byte = 0;
    const ssize_t size = ::recv(descriptor(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size > 0) return Unread::bytes;
    if (size < 0) return errno == EAGAIN ? Unread::nothing : Unread::broken;
    // Behind the peer's FIN a reset shows in nothing that is read.
    pollfd state{.fd = descriptor(), .events = 0, .revents = 0};
    return ::poll(&state, 1, 0) > 0 ? Unread::broken : Unread::end;
}

Address Tcp::local_address() const noexcept {
    Address address;
    socklen_t size = sizeof(address.v6);
    if (::getsockname(descriptor(), address.raw(), &size) != 0) return Address{};
    return address;
}

std::size_t Tcp::unacknowledged() const noexcept {
    int bytes = 0;
    return ::ioctl(descriptor(), SIOCOUTQ, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

void Tcp::read(bool on) noexcept {
    if (on == (reading_ == Reading::on)) return;
    if (reading_ != Reading::never_begun) ++counts_.read_toggles;
    reading_ = on ? Reading::on : Reading::off;
    auto* stream = reinterpret_cast<uv_stream_t*>(handle_.get());
    if (on)
        uv_read_start(stream, allocate, readable);
    else
        uv_read_stop(stream);
}

// libuv is given no room, and so reads nothing, goes on with the next socket and comes back in the next
// turn: we read ourselves.
void Tcp::allocate(uv_handle_t*, std::size_t, uv_buf_t* buffer) {
    *buffer = uv_buf_init(nullptr, 0);
}

void Tcp::readable(uv_stream_t* stream, ssize_t, const uv_buf_t*) {
    Loop::of(stream->loop).count_event();
    for (int reads = 0; reads < reads_per_event; ++reads) {
        auto* tcp = owner_of<Tcp>(stream);  // looked for again: an event may end it
        if (tcp == nullptr || tcp->reading_ != Reading::on || !tcp->receive()) return;
    }
}

// True if there may be more to read. By recv(2), for read(2) takes the long way through the kernel's
// file layer.
bool Tcp::receive() {
    const std::span<char> room = Loop::of(handle_->loop).read_buffer();
    ++counts_.reads;
    const ssize_t size = ::recv(descriptor(), room.data(), room.size(), MSG_DONTWAIT);
    if (size > 0) {
        const auto count = static_cast<std::size_t>(size);
        const bool full = count == room.size();
        events_->arrived(holder_, room.first(count));
        return full;
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    const StreamEnd end =
        size == 0 ? StreamEnd::orderly() : StreamEnd::failed(uv_translate_sys_error(errno));
    reading_ = Reading::off;
    uv_read_stop(reinterpret_cast<uv_stream_t*>(handle_.get()));
    events_->ended(holder_, end);
    return false;
}

std::size_t Tcp::write(std::span<const iovec> pieces, Then then) {
    if (sending_ != Sending::open) {
        if (sending_ != Sending::flushing) return 0;
        const std::size_t total = keep(pieces, 0);
        if (then == Then::end) half_close();
        return total;
    }
    std::size_t total = 0;
    for (const iovec& piece : pieces) total += piece.iov_len;
    if (total != 0) {
        ++counts_.writes;
        const ssize_t done = send(pieces, total, then);
        if (done < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
            sending_ = Sending::broken;
            return 0;
        }
        const auto taken = done > 0 ? static_cast<std::size_t>(done) : 0;
        sent_ += taken;
        if (taken != total) {
            keep(pieces, taken);
            if (!send_kept()) return taken;
        }
    }
    if (then == Then::end) half_close();
    return total;
}

// By send(2), for write(2) takes the long way through the kernel's file layer; and few bytes in one
// piece, for the kernel gathers them slower than we do.
ssize_t Tcp::send(std::span<const iovec> pieces, std::size_t total, Then then) const noexcept {
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (then == Then::end ? MSG_MORE : 0);
    if (pieces.size() == 1)
        return ::send(descriptor(), pieces[0].iov_base, pieces[0].iov_len, flags);
    if (total > Loop::write_size) {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(pieces.data());  // only read
        message.msg_iovlen = pieces.size();
        return ::sendmsg(descriptor(), &message, flags);
    }
    char* const flat = Loop::of(handle_->loop).write_buffer().data();
    char* end = flat;
    for (const iovec& piece : pieces) {
        std::memcpy(end, piece.iov_base, piece.iov_len);
        end += piece.iov_len;
    }
    return ::send(descriptor(), flat, total, flags);
}

int Tcp::descriptor() const noexcept {
    int fd = -1;
    uv_fileno(reinterpret_cast<const uv_handle_t*>(handle_.get()), &fd);
    return fd;
}

// Copies what lies behind the first `skip` bytes; returns how many that are.
std::size_t Tcp::keep(std::span<const iovec> pieces, std::size_t skip) {
    if (!kept_) kept_ = std::make_unique<Write>();
    const std::size_t before = unsent_;
    for (const iovec& piece : pieces) {
        const std::size_t passed = std::min(skip, piece.iov_len);
        skip -= passed;
        kept_->bytes.append(static_cast<const char*>(piece.iov_base) + passed,
                            piece.iov_len - passed);
        unsent_ += piece.iov_len - passed;
    }
    return unsent_ - before;
}

// False if it cannot be sent at all.
bool Tcp::send_kept() {
    ++counts_.writes;
    const uv_buf_t buffer =
        uv_buf_init(kept_->bytes.data(), static_cast<unsigned>(kept_->bytes.size()));
    const int error =
        uv_write(&kept_->request, reinterpret_cast<uv_stream_t*>(handle_.get()), &buffer, 1, wrote);
    if (error != 0) {
        sending_ = Sending::broken;
        unsent_ = 0;
        return false;
    }
    kept_.release();  // the callback's, which always comes
    if (sending_ == Sending::open) sending_ = Sending::flushing;
    return true;
}

void Tcp::wrote(uv_write_t* request, int status) {
    static_assert(std::is_standard_layout_v<Write> && offsetof(Write, request) == 0);
    const std::unique_ptr<Write> write{reinterpret_cast<Write*>(request)};
    auto* tcp = owner_of<Tcp>(request->handle);
    if (tcp == nullptr) return;
    if (status < 0) return tcp->broke(status);
    tcp->sent_ += write->bytes.size();
    tcp->unsent_ -= write->bytes.size();
    if (tcp->kept_) {
        if (!tcp->send_kept()) tcp->broke(UV_EPIPE);
        return;
    }
    if (std::exchange(tcp->sending_, Sending::open) == Sending::half_closing) tcp->half_close();
    tcp->events_->flushed(tcp->holder_);
}

// While reading is on, that side tells: what the peer sent before it left is still to be read.
void Tcp::broke(int uv_error) {
    sending_ = Sending::broken;
    unsent_ = 0;
    if (reading_ != Reading::on) events_->ended(holder_, StreamEnd::failed(uv_error));
}

void Tcp::half_close() noexcept {
    if (sending_ == Sending::flushing) sending_ = Sending::half_closing;
    if (sending_ != Sending::open) return;
    sending_ = Sending::half_closed;
    ::shutdown(descriptor(), SHUT_WR);
}

}  // namespace baton
