#include "proxy/exchange/exchange.h"

#include <utility>

#include "proxy/context/lane.h"
#include "proxy/exchange/client_side.h"

namespace baton {

Exchange::~Exchange() { forget_answer(); }

void Exchange::store_answered(StoreAnswer answer) {
    answer_ = std::move(answer);
    client_.turn();
}

StoreTicket Exchange::ticket() noexcept {
    if (ticket_ == 0) ticket_ = lane_.waiters.new_ticket();
    return ticket_;
}

void Exchange::await_answer() {
    lane_.waiters.add(ticket_, this, [](void* exchange, StoreAnswer answer) {
        static_cast<Exchange*>(exchange)->store_answered(std::move(answer));
    });
}

bool Exchange::awaits_answer() const noexcept { return lane_.waiters.contains(ticket_); }

void Exchange::forget_answer() noexcept {
    if (ticket_ != 0 && lane_.waiters.remove(ticket_)) lane_.store->forget(ticket_);
}

std::optional<StoreAnswer> Exchange::take_answer() noexcept {
    return std::exchange(answer_, std::nullopt);
}

}  // namespace baton
