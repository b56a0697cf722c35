#include "upstream/connecting.h"

namespace baton {

Connecting::Connecting(Loop& loop, TcpCounts& counts, const Server& server, Pool& pool,
                       void* holder, Tcp::Connected connected) noexcept
    : loop_(loop),
      counts_(counts),
      server_(server),
      pool_(pool),
      holder_(holder),
      connected_(connected),
      left_(server.has_other() ? 2 : 1),
      at_other_(!pool.other_first) {}

int Connecting::begin() { return try_next(); }

// Begins at the next address at which that is possible. What is told is the error of the first one: the
// other family may be missing on this host.
int Connecting::try_next() {
    while (left_ > 0) {
        --left_;
        at_other_ = server_.has_other() && !at_other_;
        int error = 0;
        tcp_ = Tcp::connect(
            loop_, at_other_ ? server_.other : server_.address, this,
            [](void* self, int uv_error) { static_cast<Connecting*>(self)->ended(uv_error); },
            counts_, &error);
        if (tcp_) return 0;
        if (first_error_ == 0) first_error_ = error;
    }
    return first_error_;
}

void Connecting::ended(int uv_error) {
    if (uv_error == 0) {
        pool_.other_first = at_other_;
        return connected_(holder_, 0);
    }
    if (first_error_ == 0) first_error_ = uv_error;
    tcp_.reset();
    if (const int error = try_next(); error != 0) connected_(holder_, error);
}

}  // namespace baton
