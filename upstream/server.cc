#include "upstream/server.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace baton {

namespace {

// So many turns are looked at for a server that was not tried; where nearly all were, the next by
// its index is as good, and found at once.
constexpr std::size_t turns_looked_at = 64;

// The servers of one weight. They take their turns in the order of their indices, for what they lag
// behind their share differs by nothing else.
struct Equals {
    long weight = 0;
    std::vector<std::uint16_t> servers;
    std::size_t next = 0;  // in `servers`
    long owed = 0;         // of that one: what it lags behind its share, in turns times the total
};

std::vector<Equals> by_weight(const std::vector<unsigned>& weights, unsigned divisor) {
    std::map<unsigned, Equals> groups;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        Equals& group = groups[weights[i]];
        group.weight = static_cast<long>(weights[i] / divisor);
        group.servers.push_back(static_cast<std::uint16_t>(i));
    }
    std::vector<Equals> all;
    for (auto& group : groups)
        if (group.first > 0) all.push_back(std::move(group.second));
    return all;
}

std::vector<unsigned> weights_of(const std::vector<Server>& servers) {
    std::vector<unsigned> weights;
    for (const Server& server : servers) weights.push_back(server.weight);
    return weights;
}

}  // namespace

// At each turn the server that lags behind its share the most, the first of several, which then owes
// a whole round (the rule of nginx and LVS). Looks at one server of each weight only.
std::vector<std::uint16_t> smooth_sequence(const std::vector<unsigned>& weights) {
    unsigned divisor = 0;
    long total = 0;
    for (const unsigned weight : weights) {
        divisor = std::gcd(divisor, weight);
        total += static_cast<long>(weight);
    }
    if (divisor == 0) return {};
    total /= static_cast<long>(divisor);
    std::vector<Equals> groups = by_weight(weights, divisor);
    std::vector<std::uint16_t> sequence;
    sequence.reserve(static_cast<std::size_t>(total));
    for (long turn = 0; turn < total; ++turn) {
        Equals* best = nullptr;
        for (Equals& group : groups) {
            group.owed += group.weight;
            if (best == nullptr || group.owed > best->owed ||
                (group.owed == best->owed && group.servers[group.next] < best->servers[best->next]))
                best = &group;
        }
        sequence.push_back(best->servers[best->next]);
        // The next of them had as many turns less, unless this was the last of a round.
        if (++best->next == best->servers.size()) {
            best->next = 0;
            best->owed -= total;
        }
    }
    return sequence;
}

Upstream::Upstream(std::string name, std::string scope, std::vector<Server> servers,
                   PoolOptions pool, std::shared_ptr<UpstreamState> state)
    : name_(std::move(name)),
      scope_(std::move(scope)),
      servers_(std::move(servers)),
      pool_(pool),
      sequence_(smooth_sequence(weights_of(servers_))),
      state_(std::move(state)) {}

const Server* Upstream::pick(const ServerSet& tried) const noexcept {
    if (sequence_.empty()) return nullptr;
    // Relaxed: the cursor orders nothing but itself.
    const std::size_t turn = state_->cursor.fetch_add(1, std::memory_order_relaxed);
    if (tried.size() >= servers_.size()) return nullptr;
    const std::size_t looked_at = std::min(sequence_.size(), turns_looked_at);
    for (std::size_t i = 0; i < looked_at; ++i) {
        const std::uint16_t index = sequence_[(turn + i) % sequence_.size()];
        if (!tried.contains(index)) return &servers_[index];
    }
    const std::size_t count = servers_.size();
    std::size_t index = tried.next_absent(turn % count, count);
    if (index == count) index = tried.next_absent(0, count);
    return index < count ? &servers_[index] : nullptr;
}

}  // namespace baton
