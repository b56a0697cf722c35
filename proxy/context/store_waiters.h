#pragma once

// Who waits for a late answer of the store, by ticket.

#include <unordered_map>
#include <utility>

#include "session/store.h"

namespace baton {

// One loop's thread.
class StoreWaiters {
public:
    using Answered = void (*)(void* asker, StoreAnswer answer);

    StoreTicket new_ticket() noexcept { return ++last_; }
    // `asker` is told once, from outside of any operation of the store.
    void add(StoreTicket ticket, void* asker, Answered answered) {
        waiting_.insert_or_assign(ticket, Waiter{asker, answered});
    }
    // False if it did not wait.
    bool remove(StoreTicket ticket) noexcept { return waiting_.erase(ticket) > 0; }
    bool contains(StoreTicket ticket) const noexcept { return waiting_.contains(ticket); }
    // An answer whose asker is gone finds nobody.
    void answer(StoreTicket ticket, StoreAnswer answer) {
        const auto found = waiting_.find(ticket);
        if (found == waiting_.end()) return;
        const Waiter waiter = found->second;
        waiting_.erase(found);
        waiter.answered(waiter.asker, std::move(answer));
    }

private:
    struct Waiter {
        void* asker;
        Answered answered;
    };
    StoreTicket last_ = 0;
    std::unordered_map<StoreTicket, Waiter> waiting_;
};

}  // namespace baton
