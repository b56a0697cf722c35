#include "upstream/pools.h"

#include <algorithm>

namespace baton {

void Pools::begin_use(const Upstreams& upstreams) {
    std::vector<bool> named(pools_.size());
    for (const auto& upstream : upstreams) {
        for (const Server& server : upstream->servers()) {
            if (server.slot >= pools_.size()) pools_.resize(server.slot + 1);
            named.resize(pools_.size());
            named[server.slot] = true;
            std::unique_ptr<Pool>& pool = pools_[server.slot];
            if (!pool) pool = std::make_unique<Pool>(server.state, loop_, upstream->pool());
            pool->begin_use(upstream->pool());
        }
    }
    for (std::size_t slot = 0; slot < pools_.size(); ++slot)
        if (pools_[slot] && !named[slot]) pools_[slot]->retire();
}

void Pools::end_use(const Upstreams& upstreams) noexcept {
    for (const auto& upstream : upstreams)
        for (const Server& server : upstream->servers()) pools_[server.slot]->end_use();
}

void Pools::drop_unused() noexcept {
    for (std::unique_ptr<Pool>& pool : pools_)
        if (pool && pool->is_unused()) pool.reset();
}

void Pools::sweep(std::uint64_t now_ms) {
    for (const auto& pool : pools_)
        if (pool) pool->sweep(now_ms);
}

void Pools::clear() noexcept {
    for (const auto& pool : pools_)
        if (pool) pool->clear();
}

bool Pools::close_one() noexcept {
    return std::any_of(pools_.begin(), pools_.end(),
                       [](const auto& pool) { return pool && pool->close_oldest(); });
}

std::size_t Pools::count() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        pools_.begin(), pools_.end(), [](const auto& pool) { return pool != nullptr; }));
}

}  // namespace baton
