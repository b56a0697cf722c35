#pragma once

// What Sentinels and servers tell of themselves, read from their answers.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/resolve.h"
#include "proxy/command/redis_probe.h"

namespace baton {

// A Sentinel's (https://redis.io/docs/management/sentinel/#sentinel-api).
struct SentinelFacts {
    bool is_sentinel = false;
    bool knows = false;  // a master of that name
    Endpoint master;
    std::string no_address;  // what it names in place of one
    std::string flags;       // of the master: "master", "master,s_down"
    std::optional<std::int64_t> epoch, quorum, others, replicas;
    std::optional<std::int64_t> down_after_ms;
    std::string quorum_verdict;  // of SENTINEL CKQUORUM
    bool quorum_told = false;
    bool quorum_reached = false;
    std::string missing_rights;           // of our user: "+sentinel|myid +subscribe"
    std::vector<Endpoint> replica_nodes;  // the master's
};
void ask_sentinel(RedisProbe& probe, std::string_view master);
inline constexpr std::size_t address_reply_number = 1;  // of what is asked then
SentinelFacts read_sentinel(const RedisProbe& probe);

// A server's, by INFO (https://redis.io/commands/info/) and CONFIG GET.
struct NodeFacts {
    bool answers = false;
    std::string refusal;         // of INFO, in the server's words
    std::string missing_rights;  // of our user: "+hdel +rename"
    bool is_sentinel = false;
    std::string version;
    bool is_master = false;
    // Of a master.
    std::vector<Endpoint> replica_nodes;
    // Of a replica.
    Endpoint master;
    bool link_up = false;
    std::int64_t link_down_s = -1;  // -1: never was up, or it is
    std::int64_t priority = 100;    // 0: never becomes master

    std::string info;                                           // all of it
    std::vector<std::pair<std::string, std::string>> settings;  // those that may be asked

    std::string_view value(std::string_view name) const;  // in `info`
    std::int64_t number(std::string_view name, std::int64_t otherwise) const;
    std::optional<std::string> setting(std::string_view name) const;
};
void ask_node(RedisProbe& probe, std::string_view prefix);
NodeFacts read_node(const RedisProbe& probe, std::string_view prefix);

}  // namespace baton
