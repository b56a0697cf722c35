#include "upstream/server.h"

#include <numeric>
#include <utility>

namespace baton {

std::vector<std::uint16_t> smooth_sequence(const std::vector<unsigned>& weights) {
    unsigned divisor = 0;
    for (const unsigned weight : weights) divisor = std::gcd(divisor, weight);
    if (divisor == 0) return {};
    std::vector<long> current(weights.size(), 0);
    const long total =
        std::accumulate(weights.begin(), weights.end(), 0L) / static_cast<long>(divisor);
    std::vector<std::uint16_t> sequence;
    sequence.reserve(static_cast<std::size_t>(total));
    for (long turn = 0; turn < total; ++turn) {
        std::size_t best = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            current[i] += static_cast<long>(weights[i] / divisor);
            if (current[i] > current[best]) best = i;
        }
        current[best] -= total;
        sequence.push_back(static_cast<std::uint16_t>(best));
    }
    return sequence;
}

namespace {

std::vector<unsigned> weights_of(const std::vector<Server>& servers) {
    std::vector<unsigned> weights;
    for (const Server& server : servers) weights.push_back(server.weight);
    return weights;
}

}  // namespace

Upstream::Upstream(std::string name, std::string scope, std::vector<Server> servers,
                   PoolOptions pool)
    : name_(std::move(name)),
      scope_(std::move(scope)),
      servers_(std::move(servers)),
      pool_(pool),
      sequence_(smooth_sequence(weights_of(servers_))) {}

const Server* Upstream::pick(const ServerSet& tried) const noexcept {
    if (sequence_.empty()) return nullptr;
    // Relaxed: the cursor orders nothing but itself.
    const std::size_t turn = cursor_.fetch_add(1, std::memory_order_relaxed);
    for (std::size_t i = 0; i < sequence_.size(); ++i) {
        const std::uint16_t index = sequence_[(turn + i) % sequence_.size()];
        if (!tried.test(index)) return &servers_[index];
    }
    return nullptr;
}

}  // namespace baton
