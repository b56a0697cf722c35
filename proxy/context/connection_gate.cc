#include "proxy/context/connection_gate.h"

namespace baton {

bool ClientCounts::take(const Address& listener, const Address& client, std::size_t max) {
    const std::lock_guard lock{mutex_};
    const auto [entry, is_new] = open_.try_emplace({listener.text(), client.customer()}, 0);
    if (entry->second >= max) return false;
    ++entry->second;
    return true;
}

void ClientCounts::give_back(const Address& listener, const Address& client) noexcept {
    const std::lock_guard lock{mutex_};
    const auto entry = open_.find({listener.text(), client.customer()});
    if (entry != open_.end() && --entry->second == 0) open_.erase(entry);
}

}  // namespace baton
