#include "session/redis/store_queue.h"

#include <algorithm>
#include <iterator>

namespace baton {

bool StoreQueue::make_room(const StoreCommand& command, Commands& dropped) {
    if (commands_.size() < size_max_) return true;
    if (!command.known) return false;
    const auto newest = std::find_if(commands_.rbegin(), commands_.rend(),
                                     [](const StoreCommand& one) { return !one.known; });
    if (newest == commands_.rend()) return false;
    dropped.push_back(std::move(*newest));
    commands_.erase(std::next(newest).base());
    return true;
}

void StoreQueue::drop_excess(Commands& dropped) {
    for (const bool known : {false, true}) {
        if (commands_.size() <= size_max_) return;
        std::size_t excess = commands_.size() - size_max_;
        Commands kept;
        Commands going;
        for (; !commands_.empty(); commands_.pop_back()) {
            const bool goes = excess > 0 && commands_.back().known == known;
            if (goes) --excess;
            (goes ? going : kept).push_front(std::move(commands_.back()));
        }
        commands_ = std::move(kept);
        std::move(going.begin(), going.end(), std::back_inserter(dropped));
    }
}

void StoreQueue::forget(StoreTicket ticket) {
    std::erase_if(commands_, [&](StoreCommand& command) {
        if (command.ticket != ticket) return false;
        command.ticket = 0;
        return command.kind == StoreCommand::Kind::load;
    });
}

}  // namespace baton
