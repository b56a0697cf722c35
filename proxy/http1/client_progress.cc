#include "proxy/http1/client_progress.h"

namespace baton {
namespace {

// How long what a client still sends is read and dropped after a last answer (RFC 9112, 9.6): a
// client that writes its whole body before it reads would have its answer destroyed by a reset. The
// numbers are those of nginx: without a byte, and in all.
constexpr std::uint64_t linger_idle_ms = 5'000;
constexpr std::uint64_t linger_idles = 6;

}  // namespace

std::uint64_t ClientProgress::lingering(const ClientTimeouts& timeouts) const noexcept {
    const auto body_idle = static_cast<std::uint64_t>(timeouts.body_idle.count());
    const std::uint64_t idle =
        body_idle == 0 ? linger_idle_ms : std::min(linger_idle_ms, body_idle);
    return std::min(std::max(entered_, received_) + idle, entered_ + linger_idles * idle);
}

}  // namespace baton
