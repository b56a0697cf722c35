#include "proxy/command/redis_facts.h"

#include <algorithm>
#include <utility>

#include "session/redis/redis_command.h"
#include "session/redis/redis_info.h"
#include "session/redis/redis_rights.h"
#include "session/redis/sentinel_answer.h"

namespace baton {
namespace {

// By the order in which they are asked.
enum SentinelQuestion : std::size_t {
    of_master,
    of_address = address_reply_number,
    of_sentinels,
    of_replicas,
    of_quorum,
    of_identity,
    of_ping,
    of_subscription
};

// What is asked of a Sentinel, and the right that baton itself needs for it.
struct SentinelRight {
    SentinelQuestion question;
    std::string_view name;
};
constexpr SentinelRight sentinel_rights[] = {{of_master, "+sentinel|master"},
                                             {of_sentinels, "+sentinel|sentinels"},
                                             {of_identity, "+sentinel|myid"},
                                             {of_ping, "+ping"},
                                             {of_subscription, "+subscribe"}};

enum NodeQuestion : std::size_t { of_info, of_first_setting };

constexpr std::string_view settings_asked[] = {"maxmemory-policy", "min-replicas-to-write",
                                               "appendonly", "save", "masterauth"};

std::vector<Endpoint> endpoints(const RedisReply& list) {
    std::vector<Endpoint> found;
    for (const RedisReply& one : list.elements)
        if (const auto fields = SentinelFields::of(one))
            if (auto at = fields->endpoint()) found.push_back(std::move(*at));
    return found;
}

std::vector<Endpoint> replicas_in(std::string_view info) {
    std::vector<Endpoint> found;
    for (const ReplicaLine& line : replica_lines(info))
        if (auto node = endpoint_of(line.host, line.port)) found.push_back(std::move(*node));
    return found;
}

}  // namespace

void ask_sentinel(RedisProbe& probe, std::string_view master) {
    probe.ask({"SENTINEL", "MASTER", master});
    probe.ask({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", master});
    probe.ask({"SENTINEL", "SENTINELS", master});
    probe.ask({"SENTINEL", "REPLICAS", master});
    probe.ask({"SENTINEL", "CKQUORUM", master});
    probe.ask({"SENTINEL", "MYID"});
    probe.ask({"PING"});
    probe.ask({"SUBSCRIBE", "+switch-master"});
}

SentinelFacts read_sentinel(const RedisProbe& probe) {
    SentinelFacts facts;
    const RedisReply& address = probe.reply(of_address);
    facts.is_sentinel = probe.trouble().empty() && !address.is_error();
    if (address.elements.size() != 2) return facts;
    auto master = endpoint_of(address.elements[0].view(), address.elements[1].view());
    facts.knows = master.has_value();
    if (!facts.knows) {
        facts.no_address = address.elements[0].text + ":" + address.elements[1].text;
        return facts;
    }
    facts.master = std::move(*master);
    if (const auto state = SentinelFields::of(probe.reply(of_master))) {
        facts.flags = state->find("flags").value_or("");
        facts.epoch = state->number("config-epoch");
        facts.quorum = state->number("quorum");
        facts.others = state->number("num-other-sentinels");
        facts.replicas = state->number("num-slaves");
        facts.down_after_ms = state->number("down-after-milliseconds");
    }
    const RedisReply& quorum = probe.reply(of_quorum);
    facts.quorum_verdict = quorum.view();
    facts.quorum_told = refusal_of(quorum) != SentinelRefusal::not_allowed;
    facts.quorum_reached = !quorum.is_error();
    for (const SentinelRight& right : sentinel_rights) {
        const RedisReply& reply = probe.reply(right.question);
        if (refusal_of(reply) != SentinelRefusal::not_allowed) continue;
        const bool channels = reply.view().find("channel") != std::string_view::npos;
        facts.missing_rights.append(facts.missing_rights.empty() ? "" : " ")
            .append(channels ? std::string_view{"allchannels"} : right.name);
    }
    facts.replica_nodes = endpoints(probe.reply(of_replicas));
    return facts;
}

void ask_node(RedisProbe& probe, std::string_view prefix) {
    probe.ask({"INFO"});
    for (const std::string_view name : settings_asked) probe.ask({"CONFIG", "GET", name});
    const std::string key = redis_key(prefix, SessionKey{});  // of no session
    for (const std::string_view right : redis_rights()) probe.ask(rights_probe(right, key));
}

NodeFacts read_node(const RedisProbe& probe, std::string_view prefix) {
    NodeFacts facts;
    const RedisReply& info = probe.reply(of_info);
    if (!probe.trouble().empty()) return facts;
    facts.answers = true;
    std::vector<RedisReply> rights;
    for (std::size_t i = 0; i < redis_rights().size(); ++i)
        rights.push_back(probe.reply(of_first_setting + std::size(settings_asked) + i));
    facts.missing_rights = missing_rights(rights, prefix);
    if (info.is_error()) {
        facts.refusal = info.view();
        return facts;
    }
    facts.info = info.view();
    facts.is_sentinel = facts.value("redis_mode") == "sentinel";
    facts.version = facts.value("redis_version");
    facts.is_master = facts.value("role") == "master";
    facts.replica_nodes = replicas_in(facts.info);
    facts.master =
        endpoint_of(facts.value("master_host"), facts.value("master_port")).value_or(Endpoint{});
    facts.link_up = facts.value("master_link_status") == "up";
    facts.link_down_s = facts.number("master_link_down_since_seconds", -1);
    facts.priority = facts.number("slave_priority", 100);
    for (std::size_t i = 0; i < std::size(settings_asked); ++i) {
        const RedisReply& reply = probe.reply(of_first_setting + i);
        if (reply.elements.size() == 2)
            facts.settings.emplace_back(settings_asked[i], reply.elements[1].view());
    }
    return facts;
}

std::optional<std::string> NodeFacts::setting(std::string_view name) const {
    for (const auto& [key, text] : settings)
        if (key == name) return text;
    return std::nullopt;
}

std::string_view NodeFacts::value(std::string_view name) const { return info_value(info, name); }

std::int64_t NodeFacts::number(std::string_view name, std::int64_t otherwise) const {
    return info_number(info, name, otherwise);
}

}  // namespace baton
