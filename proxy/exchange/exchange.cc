#include "proxy/exchange/exchange.h"

#include <utility>

#include "proxy/context/lane.h"
#include "proxy/http1/http1_client.h"

namespace baton {

Exchange::~Exchange() { forget_answer(); }

void Exchange::store_answered(StoreAnswer answer) {
    answer_ = std::move(answer);
    client_.turn();
}

StoreTicket Exchange::ticket() noexcept {
    if (ticket_ == 0) ticket_ = ++lane_.last_ticket;
    return ticket_;
}

void Exchange::await_answer() { lane_.waiting.emplace(ticket_, this); }

bool Exchange::awaits_answer() const noexcept { return lane_.waiting.contains(ticket_); }

void Exchange::forget_answer() noexcept {
    if (ticket_ != 0 && lane_.waiting.erase(ticket_) > 0) lane_.store->forget(ticket_);
}

std::optional<StoreAnswer> Exchange::take_answer() noexcept {
    return std::exchange(answer_, std::nullopt);
}

}  // namespace baton
