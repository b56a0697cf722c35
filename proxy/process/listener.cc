#include "proxy/process/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace baton {

namespace {

// So that a burst of connections does not keep the loop from the requests of those that are in.
constexpr unsigned accepts_per_event = 32;
constexpr int backlog = 4096;  // the kernel cuts it to net.core.somaxconn
// Room may come back without this worker noticing: another worker's connection ends, or another
// process closes files.
constexpr std::chrono::milliseconds retry_after{100};
// How long the kernel waits for a client's first bytes, in seconds (tcp(7), TCP_DEFER_ACCEPT).
constexpr int deferred_max = 1;

int make_socket(const Address& address, bool share) {
    const int fd =
        ::socket(address.raw()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (share) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (address.raw()->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // inherited by what is accepted
    if (::bind(fd, address.raw(), address.size()) == 0) return fd;
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
}

// Connections that wait in the kernel, which counts them where else it counts unacknowledged segments
// (ss(8) shows it as Recv-Q). To accept until there is none costs more: what the kernel makes ready for
// a connection it makes before it looks whether there is one.
unsigned waiting_at(int fd) noexcept {
    tcp_info info{};
    socklen_t size = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_unacked : 1;
}

std::shared_ptr<const ListenerConfig> terms_at(const Address& bound, const ListenerConfig& config) {
    auto terms = std::make_shared<ListenerConfig>(config);
    terms->address = bound;
    return terms;
}

bool fail(const Address& address, const char* what, ListenerSockets& out, std::string& complaint) {
    complaint = std::string{"cannot "} + what + " " + address.text() + ": " + bind_error(errno);
    for (const int fd : out.fds) ::close(fd);
    out.fds.clear();
    return false;
}

}  // namespace

std::string bind_error(int error) {
    std::string text = std::strerror(error);
    if (error == EACCES)
        text +=
            "; a port below 1024 needs the capability CAP_NET_BIND_SERVICE, with systemd "
            "AmbientCapabilities=CAP_NET_BIND_SERVICE";
    return text;
}

bool open_listener(const Address& address, unsigned workers, ListenerSockets& out,
                   std::string& complaint) {
    out.address = address;
    for (unsigned i = 0; i < workers; ++i) {
        // The first has the address to itself until it listens: of two processes that start at once
        // one fails here. Then it lets the others of this process in.
        const int fd = make_socket(out.address, i > 0);
        if (fd < 0) return fail(address, "listen on", out, complaint);
        out.fds.push_back(fd);
        if (::listen(fd, backlog) < 0) return fail(address, "listen on", out, complaint);
        const int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
        socklen_t size = sizeof(out.address.v6);
        if (getsockname(fd, out.address.raw(), &size) < 0)
            return fail(address, "listen on", out, complaint);
    }
    return true;
}

Listener::Listener(Loop& loop, int fd, Address address, const ListenerConfig& config,
                   LocalService* service, ConnectionGate& gate, void* holder, const Events& events)
    : loop_(loop),
      fd_(fd),
      configured_(config.address),
      terms_(terms_at(address, config)),
      service_(service),
      gate_(gate),
      holder_(holder),
      events_(events),
      poll_(open_handle<uv_poll_t>(
          this, [&](uv_poll_t& poll) { return uv_poll_init(loop.uv(), &poll, fd); })),
      retry_(loop, *this) {
    if (config.defer_accept)
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &deferred_max, sizeof(deferred_max));
    on_retry();
}

void Listener::take_terms(const ListenerConfig& config) {
    if (config.defer_accept != terms_->defer_accept) {
        const int wait = config.defer_accept ? deferred_max : 0;
        setsockopt(fd_, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait, sizeof(wait));
    }
    terms_ = terms_at(address(), config);
}

Listener::~Listener() {
    poll_.reset();  // stops polling at once; the block follows later
    ::close(fd_);
}

void Listener::on_readable() {
    // At least one: if there is none after all, or nothing was counted, accepting tells.
    const unsigned count = std::clamp(waiting_at(fd_), 1U, accepts_per_event);
    for (unsigned i = 0; i < count && !paused_; ++i)
        if (!enter_gate() || !accept_one()) return;
}

// Before a connection is there, so that all workers together never pass the limit.
bool Listener::enter_gate() {
    do {
        if (gate_.take()) return true;
    } while (make_room(Lack::place, "limits.connections is reached"));
    return false;
}

// False if there is none for now: accepting pauses, or polling for who waits would spin.
bool Listener::make_room(Lack lack, const char* why) {
    const Room room = events_.full(holder_, lack);
    if (room == Room::made) return true;
    paused_ = true;
    paused_why_ = why;
    uv_poll_stop(poll_.get());
    retry_.arm(retry_after);
    if (room == Room::none) warn();
    return false;
}

// Into a place that was taken. False if there is no other one for now.
bool Listener::accept_one() {
    Address peer;
    socklen_t size = sizeof(peer.v6);
    const int fd = ::accept4(fd_, peer.raw(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        events_.accepted(holder_, *this, fd, peer);
        return true;
    }
    const int error = errno;
    gate_.give_back();
    // Out of descriptors or memory: the connection stays queued.
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM)
        return make_room(Lack::descriptor, strerrordesc_np(error));
    return error == EINTR || error == ECONNABORTED;
}

void Listener::tell_full() noexcept {
    if (paused_) warn();
}

void Listener::warn() noexcept {
    if (warning_.due(loop_.now()))
        log::warn("accepting paused", {{"address", address().text()}, {"reason", paused_why_}});
}

void Listener::resume() noexcept {
    if (paused_) on_retry();
}

void Listener::on_retry() {
    paused_ = false;
    uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* poll, int, int) {
        if (auto* listener = owner_of<Listener>(poll)) listener->on_readable();
    });
}

void Listener::drain() {
    do {
        gate_.take_beyond();
    } while (accept_one());
}

}  // namespace baton
