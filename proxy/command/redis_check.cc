#include "proxy/command/redis_check.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "proxy/command/exit_status.h"
#include "proxy/command/redis_check_server.h"
#include "proxy/command/redis_facts.h"
#include "proxy/command/redis_probe.h"
#include "proxy/command/redis_trial.h"
#include "proxy/config/toml_value.h"
#include "proxy/config/units.h"
#include "session/redis/master_choice.h"
#include "session/redis/sentinel_answer.h"

namespace baton {
namespace {

// What a failover takes beyond the time after which a Sentinel gives the master up.
constexpr std::chrono::milliseconds failover_takes = 2s;

std::string number_or(const std::optional<std::int64_t>& number) {
    return number ? std::to_string(*number) : "not told";
}

class RedisCheck {
public:
    RedisCheck(const Config& config, const std::vector<Endpoint>& nodes)
        : config_(config), redis_(config.redis), asked_for_(nodes) {}
    int run();

private:
    struct Sentinel {
        std::unique_ptr<RedisProbe> probe;
        SentinelFacts facts;
    };
    using Node = CheckedServer;
    using Probes = std::vector<std::unique_ptr<RedisProbe>>;

    void ask_sentinels();
    void show_sentinel(const Sentinel& sentinel);
    void check_data_node(const Sentinel& sentinel);
    void compare_sentinels();
    void compare_counts(const Sentinel& sentinel);
    void choose_master();
    void check_wait();

    std::vector<Endpoint> named_nodes() const;
    void ask_nodes(const std::vector<Endpoint>& nodes);
    const Node* find(const Endpoint& at) const;
    bool is_master(const Endpoint& endpoint) const;
    void show_master();
    void check_rights(const Node& node, const std::string& who);
    void check_refusal(const Node& node, const std::string& who);
    void show_node(const Node& node);
    ServerCheck server_check();

    const Config& config_;
    const RedisConfig& redis_;
    const std::vector<Endpoint>& asked_for_;
    Loop loop_;
    std::vector<Sentinel> sentinels_;
    std::optional<Endpoint> master_;
    std::vector<Node> nodes_;
    CheckReport report_;
};

int RedisCheck::run() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what is known is shown while the rest is asked
    if (!redis_.sentinels.empty()) {
        ask_sentinels();
        for (const Sentinel& sentinel : sentinels_) show_sentinel(sentinel);
        compare_sentinels();
        choose_master();
        check_wait();
    } else {
        report_.line("no Sentinels configured: nobody takes over when the master is gone");
        master_ = redis_.address;
    }
    ask_nodes(named_nodes());
    ask_nodes(named_nodes());  // those that the servers named
    show_master();
    for (const Node& node : nodes_)
        if (!is_master(node.at)) show_node(node);
    const int problems = report_.problems();
    report_.line(problems == 0 ? "ok" : count(problems, "problem", "problems"));
    return problems == 0 ? 0 : 1;
}

// ------------------------------------------------------------ Sentinels

void RedisCheck::ask_sentinels() {
    Probes probes;
    for (const Endpoint& at : redis_.sentinels) {
        probes.push_back(std::make_unique<RedisProbe>(
            loop_, RedisProbe::Needs{at,
                                     redis_.sentinel_username,
                                     redis_.sentinel_password,
                                     {redis_.connect_timeout, redis_.command_timeout}}));
        ask_sentinel(*probes.back(), redis_.master);
    }
    baton::run(loop_, probes);
    for (auto& probe : probes) {
        SentinelFacts facts = read_sentinel(*probe);
        sentinels_.push_back({std::move(probe), std::move(facts)});
    }
}

void RedisCheck::show_sentinel(const Sentinel& sentinel) {
    const SentinelFacts& facts = sentinel.facts;
    const std::string who = "sentinel " + sentinel.probe->at().text();
    if (!facts.is_sentinel) return check_data_node(sentinel);
    if (!facts.no_address.empty())
        return report_.problem(who + ": names " + quoted(facts.no_address) +
                               " as the master, which is no address");
    if (!facts.knows)
        return report_.problem(who + ": answers, but knows no master called \"" + redis_.master +
                               "\": see `sentinel monitor` in its file");
    report_.line(who + ": answers, names master " + facts.master.text() + ", epoch " +
                 number_or(facts.epoch) + ", quorum " + number_or(facts.quorum) +
                 ", other sentinels " + number_or(facts.others) + ", replicas " +
                 number_or(facts.replicas));
    if (facts.flags.find("_down") != std::string::npos)
        report_.problem(who + ": reports the master as down (" + facts.flags +
                        "); if it is not: is `sentinel auth-pass` the master's password?");
    // No Sentinel says so of its own accord: it needs the votes of the others.
    if (!facts.quorum_told)
        report_.line("  quorum: not known, SENTINEL CKQUORUM is not allowed");
    else if (!facts.quorum_reached)
        report_.problem(who + ": there would be no failover: " + facts.quorum_verdict);
    else
        report_.line("  quorum: " + facts.quorum_verdict);
    if (!facts.missing_rights.empty())
        report_.warning(who + ": its ACL does not allow all that baton asks: add " +
                        facts.missing_rights);
    compare_counts(sentinel);
}

// One that does not answer as a Sentinel is asked as if it were a server, for that is a common slip.
void RedisCheck::check_data_node(const Sentinel& sentinel) {
    const std::string who = "sentinel " + sentinel.probe->at().text();
    ask_nodes({sentinel.probe->at()});
    const Node* node = find(sentinel.probe->at());
    const bool is_server = node->facts.answers && !node->facts.is_sentinel;
    const RedisReply& told = sentinel.probe->reply(address_reply_number);
    if (is_server || refusal_of(told) == SentinelRefusal::no_sentinel)
        return report_.problem(
            who + ": a Redis data node and no Sentinel; Sentinels usually listen on 26379");
    nodes_.pop_back();  // what was asked of it as a server is nobody's business any more
    const std::string& trouble = sentinel.probe->trouble();
    report_.problem(who + ": " +
                    (trouble.empty() ? "does not know the master: " + told.text : trouble));
}

void RedisCheck::compare_counts(const Sentinel& sentinel) {
    const SentinelFacts& facts = sentinel.facts;
    const std::string who = "sentinel " + sentinel.probe->at().text();
    const auto configured = static_cast<std::int64_t>(redis_.sentinels.size());
    const std::string here = count(configured - 1, "other is", "others are") + " configured here";
    if (facts.others && *facts.others + 1 < configured)
        report_.problem(who + ": knows " +
                        count(*facts.others, "other Sentinel", "other Sentinels") + ", " + here +
                        ": do they all watch the same master, and does each have its own "
                        "identity (`sentinel myid`)?");
    if (facts.others && *facts.others + 1 > configured)
        report_.warning(who + ": knows " +
                        count(*facts.others, "other Sentinel", "other Sentinels") + ", only " +
                        here);
    if (facts.replicas && *facts.replicas == 0)
        report_.problem(
            who +
            ": knows no replica: none could take the master's place; look at `replicaof` "
            "and `masterauth` in the replicas' files");
    if (facts.quorum && *facts.quorum < 2)
        report_.warning(who + ": quorum 1: a single Sentinel that is cut off starts a failover");
}

void RedisCheck::compare_sentinels() {
    const auto knowing = std::count_if(sentinels_.begin(), sentinels_.end(),
                                       [](const Sentinel& one) { return one.facts.knows; });
    if (knowing == 0) return report_.problem("no Sentinel knows where the master is");
    if (redis_.sentinels.size() < 3)
        report_.warning(count(static_cast<std::int64_t>(redis_.sentinels.size()), "Sentinel is",
                              "Sentinels are") +
                        " configured: it takes three for a majority that survives the loss of one");
    std::string named;
    std::vector<Endpoint> masters;
    for (const Sentinel& one : sentinels_) {
        if (!one.facts.knows ||
            std::find(masters.begin(), masters.end(), one.facts.master) != masters.end())
            continue;
        masters.push_back(one.facts.master);
        named += (named.empty() ? "" : ", ") + one.facts.master.text();
    }
    if (masters.size() > 1) report_.problem("the Sentinels name different masters: " + named);
}

void RedisCheck::choose_master() {
    std::vector<MasterVote> votes;
    for (const Sentinel& one : sentinels_) {
        if (!one.facts.is_sentinel) continue;
        MasterVote vote;
        vote.knows = one.facts.knows;
        vote.master = one.facts.master;
        if (one.facts.epoch) vote.epoch = static_cast<std::uint64_t>(*one.facts.epoch);
        votes.push_back(vote);
    }
    const auto candidates =
        master_candidates(votes, sentinels_.size(), std::nullopt, Agreement::fresh);
    if (!candidates.empty()) master_ = candidates[0].master;
}

// Requests that wait are answered by the new master only if they wait as long as a failover takes.
void RedisCheck::check_wait() {
    const bool anybody_waits =
        std::any_of(config_.routes.begin(), config_.routes.end(), [](const RouteConfig& route) {
            return route.session == SessionMode::managed && waits(route.on_unavailable);
        });
    std::int64_t longest = -1;
    for (const Sentinel& one : sentinels_)
        longest = std::max(longest, one.facts.down_after_ms.value_or(-1));
    if (longest < 0) return;
    const Milliseconds takes = Milliseconds{longest} + failover_takes;
    report_.line("failover: the Sentinels wait " + duration_text(Milliseconds{longest}) +
                 " (down-after-milliseconds), requests wait " +
                 duration_text(config_.session.failover_wait) + " (failover_wait)");
    if (!anybody_waits || config_.session.failover_wait >= takes) return;
    report_.warning("failover_wait = " + quoted(duration_text(config_.session.failover_wait)) +
                    " is shorter than a failover, about " + duration_text(takes) +
                    ": set it to that, or down-after-milliseconds to less");
}

// ------------------------------------------------------------ servers

std::vector<Endpoint> RedisCheck::named_nodes() const {
    std::vector<Endpoint> named;
    if (master_) named.push_back(*master_);
    named.insert(named.end(), asked_for_.begin(), asked_for_.end());
    for (const Sentinel& one : sentinels_) {
        const auto& found = one.facts.replica_nodes;
        named.insert(named.end(), found.begin(), found.end());
    }
    for (const Node& node : nodes_)
        named.insert(named.end(), node.facts.replica_nodes.begin(), node.facts.replica_nodes.end());
    return named;
}

// Those that were not asked yet.
void RedisCheck::ask_nodes(const std::vector<Endpoint>& nodes) {
    const std::size_t before = nodes_.size();
    Probes probes;
    for (const Endpoint& at : nodes) {
        if (at.port == 0 || find(at) != nullptr) continue;
        probes.push_back(std::make_unique<RedisProbe>(
            loop_, RedisProbe::Needs{at,
                                     redis_.username,
                                     redis_.password,
                                     {redis_.connect_timeout, redis_.command_timeout}}));
        ask_node(*probes.back(), redis_.prefix);
        nodes_.push_back({at, nullptr, {}});
    }
    baton::run(loop_, probes);
    for (std::size_t i = 0; i < probes.size(); ++i) {
        nodes_[before + i].facts = read_node(*probes[i], redis_.prefix);
        nodes_[before + i].probe = std::move(probes[i]);
    }
}

const RedisCheck::Node* RedisCheck::find(const Endpoint& at) const {
    for (const Node& node : nodes_)
        if (node.at == at) return &node;
    return nullptr;
}

bool RedisCheck::is_master(const Endpoint& endpoint) const {
    return master_ && *master_ == endpoint;
}

void RedisCheck::show_master() {
    if (!master_) return;
    const Node& node = *find(*master_);
    const std::string who = "master " + node.at.text();
    const NodeFacts& facts = node.facts;
    if (!facts.answers) return report_.problem(who + ": " + node.probe->trouble());
    check_rights(node, who);
    if (!facts.refusal.empty()) return check_refusal(node, who);
    report_.line(
        who + ": role " + std::string{facts.value("role")} + ", redis " + facts.version + ", " +
        count(static_cast<std::int64_t>(facts.replica_nodes.size()), "replica", "replicas") +
        " connected, offset " + std::string{facts.value("master_repl_offset")});
    if (!facts.is_master) {
        report_.problem(who + ": is not a master but a replica of " + facts.master.text());
    } else {
        const RedisAccess access = {.username = redis_.username,
                                    .password = redis_.password,
                                    .database = redis_.database,
                                    .client_name = "baton-redis-check",
                                    .times = {redis_.connect_timeout, redis_.command_timeout}};
        // Without its rights it would be refused for these.
        const std::string complaint = facts.missing_rights.empty()
                                          ? try_master(loop_, access, redis_.prefix, *master_)
                                          : std::string{};
        if (!complaint.empty()) report_.problem(who + ": baton cannot work with it: " + complaint);
        server_check().check_writes(node);
    }
    server_check().check_settings(node);
}

void RedisCheck::check_rights(const Node& node, const std::string& who) {
    if (node.facts.missing_rights.empty() || node.facts.is_sentinel) return;
    const std::string user = redis_.username.empty() ? "default" : redis_.username;
    report_.problem(who + ": the user " + quoted(user) + " lacks rights: add " +
                    node.facts.missing_rights + " to its ACL");
}

void RedisCheck::check_refusal(const Node& node, const std::string& who) {
    if (node.facts.missing_rights.empty())
        report_.problem(who + ": INFO is refused: " + node.facts.refusal);
}

ServerCheck RedisCheck::server_check() {
    return {redis_, master_ ? &*master_ : nullptr, master_ ? find(*master_) : nullptr, report_};
}

void RedisCheck::show_node(const Node& node) {
    const std::string who = node.at.text();
    const NodeFacts& facts = node.facts;
    if (!facts.answers)
        return report_.problem("server " + who + ": " + node.probe->trouble() +
                               "; baton could not use it after a failover");
    check_rights(node, "server " + who);
    if (!facts.refusal.empty()) return check_refusal(node, "server " + who);
    if (facts.is_sentinel)
        return report_.problem("server " + who + ": a Sentinel, not a data node");
    if (facts.is_master) {
        report_.line("server " + who + ": role master, redis " + facts.version);
        if (master_)
            report_.problem("server " + who + ": another master besides " + master_->text());
        return;
    }
    server_check().show_replica(node, "replica " + who);
}

}  // namespace

int check_redis(const Config& config, const std::vector<Endpoint>& nodes) {
    if (config.session.store == SessionStore::redis) return RedisCheck{config, nodes}.run();
    std::fprintf(stderr,
                 "baton: the sessions are in memory: expected store = \"redis\" in [session]\n");
    return exit_usage;
}

}  // namespace baton
