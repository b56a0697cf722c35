#include "proxy/context/session_stores.h"

#include <unistd.h>

#include <array>
#include <string>
#include <utility>

namespace baton {
namespace {

TableLimits table_limits(const SessionConfig& session) {
    return {.sessions_max = session.sessions_max,
            .memory_max = session.memory_max,
            .attributes_max = session.attributes_max,
            .data_max = session.data_max};
}

// "baton-<host>-<process>-<who>", as CLIENT LIST shows it. It has no blanks: those are refused.
std::string client_name(const std::string& who) {
    std::array<char, 256> host{};
    if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
    std::string name =
        "baton-" + std::string{host.data()} + "-" + std::to_string(getpid()) + "-" + who;
    for (char& c : name)
        if (c <= ' ' || c > '~') c = '_';
    return name;
}

RedisAccess access(const RedisConfig& redis, const std::string& who) {
    return {.username = redis.username,
            .password = redis.password,
            .database = redis.database,
            .client_name = client_name(who),
            .times = {redis.connect_timeout, redis.command_timeout}};
}

}  // namespace

SessionStores::SessionStores(Loop& control, const Config& config)
    : control_(control),
      redis_(config.redis),
      session_(config.session),
      table_(table_limits(config.session)) {
    if (config.session.store != SessionStore::redis) return;
    const RedisConfig& redis = config.redis;
    RedisGuide::Needs needs;
    needs.access = access(redis, "control");
    needs.prefix = redis.prefix;
    needs.address = redis.address;
    needs.sentinels = redis.sentinels;
    needs.master = redis.master;
    needs.sentinel_username = redis.sentinel_username;
    needs.sentinel_password = redis.sentinel_password;
    needs.discover = redis.discover;
    needs.last_known = redis.last_known;
    needs.failover_wait_ms = config.session.failover_wait.count();
    needs.lead = [this](const RedisMaster& master) {
        for (const Follower& one : followers_)
            one.loop->post([store = one.store, master] { store->follow(master); });
    };
    guide_ = std::make_unique<RedisGuide>(control, std::move(needs));
}

std::unique_ptr<Store> SessionStores::make(Loop& loop) {
    if (guide_ == nullptr) {
        auto store = std::make_unique<MemoryStore>(table_);
        store->share(&ended_);
        return store;
    }
    RedisStore::Needs needs;
    needs.access = access(redis_, std::to_string(followers_.size()));
    needs.prefix = redis_.prefix;
    needs.limits = {session_.attributes_max, session_.data_max};
    needs.wait_queue_max = session_.wait_queue_max;
    needs.report = [this](const RedisReport& report) {
        control_.post([this, report] { guide_->reported(report); });
    };
    auto store = std::make_unique<RedisStore>(loop, std::move(needs));
    store->share(&ended_);
    followers_.push_back({&loop, store.get()});
    counters_.push_back(&store->counters());
    return store;
}

void SessionStores::start() {
    if (guide_ != nullptr) guide_->start();
}

}  // namespace baton
