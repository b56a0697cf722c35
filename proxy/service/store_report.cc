#include "proxy/service/store_report.h"

#include <algorithm>
#include <utility>

#include "net/wall_clock.h"
#include "proxy/service/json_reply.h"

namespace baton {
namespace {

template <class T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json();
}

Json describe(const SentinelView& sentinel, std::int64_t now_ms) {
    Json age;  // null: never
    if (sentinel.answered_at_ms != 0)
        age = std::max<std::int64_t>(now_ms - sentinel.answered_at_ms, 0);
    return {{"address", sentinel.address},
            {"configured", sentinel.configured},
            {"answers", sentinel.answers},
            {"answered_ms_ago", age},
            {"master", sentinel.master},
            {"epoch", or_null(sentinel.epoch)},
            {"quorum", or_null(sentinel.quorum)},
            {"other_sentinels", or_null(sentinel.others)},
            {"replicas", or_null(sentinel.replicas)}};
}

// What is not as it should be, though the store may serve.
Json degraded(const StoreView& store) {
    Json reasons = Json::array();
    const auto silent = std::count_if(store.sentinels.begin(), store.sentinels.end(),
                                      [](const SentinelView& one) { return !one.answers; });
    if (!store.sentinels.empty() && static_cast<std::size_t>(silent) == store.sentinels.size())
        reasons.push_back("no sentinel answers");
    else if (silent > 0)
        reasons.push_back("a sentinel does not answer");
    if (store.dissent)
        reasons.push_back(store.dissent->is_majority() ? "most sentinels name another master"
                                                       : "a sentinel names another master");
    if (!store.other_trouble.empty())
        reasons.push_back("the master that sentinels name cannot be used: " + store.other_trouble);
    if (store.state == StoreState::read_only) reasons.push_back("writes are refused");
    if (!store.missing_rights.empty())
        reasons.push_back("the user lacks rights: " + store.missing_rights);
    if (store.revocations > 0) reasons.push_back("logouts not yet repeated to this master");
    for (const StoreView::Replica& replica : store.replicas) {
        if (replica.state == "online") continue;
        reasons.push_back("a replica is not online");
        break;
    }
    return reasons;
}

Json counted(const SessionStores& stores) {
    const auto sum = [&](auto RedisCounters::*counter) {
        std::uint64_t total = 0;
        for (const RedisCounters* one : stores.counters()) total += (one->*counter).read();
        return total;
    };
    return {{"commands", sum(&RedisCounters::commands)},
            {"retries", sum(&RedisCounters::retries)},
            {"refused_writes", sum(&RedisCounters::refusals)},
            {"waiting", sum(&RedisCounters::waiting)},
            {"waited", sum(&RedisCounters::waited)},
            {"unavailable", sum(&RedisCounters::unavailable)},
            {"touches_dropped", sum(&RedisCounters::touches_dropped)}};
}

}  // namespace

Reply store_page(const ProcessView& view) {
    if (view.stores == nullptr)
        return json_reply(200, {{"store", "memory"},
                                {"state", "ready"},
                                {"sessions", view.table->sessions()},
                                {"memory", view.table->memory()}});
    const StoreView store = view.stores->guide()->view();
    const std::int64_t now_ms = wall_now_ms();
    Json replicas = Json::array();
    for (const StoreView::Replica& one : store.replicas)
        replicas.push_back({{"address", one.address}, {"state", one.state}, {"lag", one.lag}});
    Json sentinels = Json::array();
    for (const SentinelView& one : store.sentinels) sentinels.push_back(describe(one, now_ms));
    Json failover;  // null: none
    if (store.last_failover_ms != 0) {
        const auto now = static_cast<std::int64_t>(uv_hrtime() / 1'000'000);
        failover =
            std::max<std::int64_t>(now - static_cast<std::int64_t>(store.last_failover_ms), 0);
    }
    return json_reply(200, {{"store", "redis"},
                            {"state", text_of(store.state)},
                            {"trouble", store.trouble.empty() ? Json() : Json(store.trouble)},
                            {"degraded", degraded(store)},
                            {"master", store.master},
                            {"epoch", or_null(store.epoch)},
                            {"replicas", std::move(replicas)},
                            {"sentinels", std::move(sentinels)},
                            {"failovers", store.failovers},
                            {"last_failover_ms_ago", failover},
                            {"losses", store.losses},
                            {"data_losses", store.data_losses},
                            {"counters", counted(*view.stores)}});
}

}  // namespace baton
