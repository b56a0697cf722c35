#include "net/connect.h"

namespace baton {

bool is_exhausted(int uv_error) noexcept {
    switch (uv_error) {
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOBUFS:
    case UV_ENOMEM: return true;
    default: return false;
    }
}

bool is_local(int uv_error) noexcept {
    switch (uv_error) {
    case UV_EADDRNOTAVAIL:  // no port is left for this peer
    case UV_EADDRINUSE:
    case UV_EAGAIN:
    case UV_EACCES:  // a firewall on this machine
    case UV_EPERM:
    case UV_EAFNOSUPPORT: return true;
    default: return is_exhausted(uv_error);
    }
}

bool Connect::has_next() const noexcept {
    return tried_ == 0 || (tried_ == 1 && to_.second.raw()->sa_family != AF_UNSPEC);
}

// Begins at the next address at which that is possible.
int Connect::begin() {
    while (has_next()) {
        ++tried_;
        int error = 0;
        tcp_ = Tcp::connect(
            loop_, address(), this,
            [](void* self, int uv_error) { static_cast<Connect*>(self)->ended(uv_error); }, counts_,
            &error);
        if (tcp_) return 0;
        if (first_error_ == 0) first_error_ = error;
    }
    return first_error_;
}

StreamPtr Connect::take() {
    return to_.layer == nullptr ? std::move(tcp_) : to_.layer(loop_, std::move(tcp_));
}

void Connect::ended(int uv_error) {
    if (uv_error == 0) {
        if (to_.notices_vanished_peer) tcp_->notice_vanished_peer();
        return connected_(holder_, 0);
    }
    if (first_error_ == 0) first_error_ = uv_error;
    tcp_.reset();
    if (const int error = begin(); error != 0) connected_(holder_, error);
}

}  // namespace baton
