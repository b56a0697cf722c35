#pragma once

// Whether a request may be sent again.

#include "net/http/http_head.h"
#include "net/result.h"

namespace baton {

struct RetryFacts {
    Method method = Method::unknown;
    bool answer_begun = false;  // a byte of an answer came
    bool body_at_hand = true;   // everything received of the body so far can be written again
    unsigned tries_left = 0;    // requests of which a byte may still be written
};

// A request of which bytes were written is sent again only where doing it twice does no harm (RFC
// 9110, 9.2.2) and where nothing was answered (RFC 9112, 9.3.1).
constexpr bool may_retry(Fault fault, const RetryFacts& facts) noexcept {
    if (fault != Fault::server_gone || facts.answer_begun || facts.tries_left == 0) return false;
    return is_idempotent(facts.method) && facts.body_at_hand;
}

}  // namespace baton
