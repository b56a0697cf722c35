#pragma once

// What is wrong with a Redis server, by what it tells of itself; and the lines that say so.

#include <cstdint>
#include <memory>
#include <string>

#include "net/resolve.h"
#include "proxy/command/redis_facts.h"
#include "proxy/command/redis_probe.h"
#include "proxy/config/config.h"

namespace baton {

// The lines of a check, printed as they come.
class CheckReport {
public:
    void line(const std::string& text);
    void problem(const std::string& text);
    void warning(const std::string& text);
    int problems() const noexcept { return problems_; }

private:
    int problems_ = 0;
};

// "1 replica", "2 replicas".
std::string count(std::int64_t n, const std::string& one, const std::string& more);

struct CheckedServer {
    Endpoint at;
    std::unique_ptr<RedisProbe> probe;
    NodeFacts facts;
};

// For the length of a call: what is handed over outlives it.
class ServerCheck {
public:
    // `master`: the one that the Sentinels name, or that is configured; null if nobody knows.
    // `master_server`: the same, once it was asked.
    ServerCheck(const RedisConfig& redis, const Endpoint* master,
                const CheckedServer* master_server, CheckReport& report)
        : redis_(redis), master_(master), master_server_(master_server), report_(report) {}

    void check_writes(const CheckedServer& master);
    void check_settings(const CheckedServer& master);
    void show_replica(const CheckedServer& node, const std::string& who);

private:
    std::string why_link_is_down(const CheckedServer& node) const;
    bool points_to_itself(const CheckedServer& node) const;

    const RedisConfig& redis_;
    const Endpoint* master_;
    const CheckedServer* master_server_;
    CheckReport& report_;
};

}  // namespace baton
