#include "proxy/command/redis_check.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "proxy/command/redis_facts.h"
#include "proxy/command/redis_probe.h"
#include "proxy/command/redis_trial.h"
#include "proxy/config/toml_value.h"
#include "proxy/config/units.h"
#include "session/redis/master_choice.h"
#include "session/redis/redis_info.h"
#include "session/redis/sentinel_answer.h"

namespace baton {
namespace {

constexpr int exit_usage = 2;
// What a failover takes beyond the time after which a Sentinel gives the master up.
constexpr std::chrono::milliseconds failover_takes = 2s;

std::string count(std::int64_t n, const std::string& one, const std::string& more) {
    return std::to_string(n) + " " + (n == 1 ? one : more);
}

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
    struct Node {
        Endpoint at;
        std::unique_ptr<RedisProbe> probe;
        NodeFacts facts;
    };
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
    void check_writes(const Node& master);
    void check_settings(const Node& master);
    void show_node(const Node& node);
    void show_replica(const Node& node, const std::string& who);
    std::string why_link_is_down(const Node& node) const;
    bool points_to_itself(const Node& node) const;

    void line(const std::string& text) { std::printf("%s\n", text.c_str()); }
    void problem(const std::string& text) {
        ++problems_;
        line("PROBLEM " + text);
    }
    void warning(const std::string& text) { line("WARNING " + text); }

    const Config& config_;
    const RedisConfig& redis_;
    const std::vector<Endpoint>& asked_for_;
    Loop loop_;
    std::vector<Sentinel> sentinels_;
    std::optional<Endpoint> master_;
    std::vector<Node> nodes_;
    int problems_ = 0;
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
        line("no Sentinels configured: nobody takes over when the master is gone");
        master_ = redis_.address;
    }
    ask_nodes(named_nodes());
    ask_nodes(named_nodes());  // those that the servers named
    show_master();
    for (const Node& node : nodes_)
        if (!is_master(node.at)) show_node(node);
    line(problems_ == 0 ? "ok" : count(problems_, "problem", "problems"));
    return problems_ == 0 ? 0 : 1;
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
        return problem(who + ": names " + quoted(facts.no_address) +
                       " as the master, which is no address");
    if (!facts.knows)
        return problem(who + ": answers, but knows no master called \"" + redis_.master +
                       "\": see `sentinel monitor` in its file");
    line(who + ": answers, names master " + facts.master.text() + ", epoch " +
         number_or(facts.epoch) + ", quorum " + number_or(facts.quorum) + ", other sentinels " +
         number_or(facts.others) + ", replicas " + number_or(facts.replicas));
    if (facts.flags.find("_down") != std::string::npos)
        problem(who + ": reports the master as down (" + facts.flags +
                "); if it is not: is `sentinel auth-pass` the master's password?");
    // No Sentinel says so of its own accord: it needs the votes of the others.
    if (!facts.quorum_told)
        line("  quorum: not known, SENTINEL CKQUORUM is not allowed");
    else if (!facts.quorum_reached)
        problem(who + ": there would be no failover: " + facts.quorum_verdict);
    else
        line("  quorum: " + facts.quorum_verdict);
    if (!facts.missing_rights.empty())
        warning(who + ": its ACL does not allow all that baton asks: add " + facts.missing_rights);
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
        return problem(who +
                       ": a Redis data node and no Sentinel; Sentinels usually listen on 26379");
    nodes_.pop_back();  // what was asked of it as a server is nobody's business any more
    const std::string& trouble = sentinel.probe->trouble();
    problem(who + ": " + (trouble.empty() ? "does not know the master: " + told.text : trouble));
}

void RedisCheck::compare_counts(const Sentinel& sentinel) {
    const SentinelFacts& facts = sentinel.facts;
    const std::string who = "sentinel " + sentinel.probe->at().text();
    const auto configured = static_cast<std::int64_t>(redis_.sentinels.size());
    const std::string here = count(configured - 1, "other is", "others are") + " configured here";
    if (facts.others && *facts.others + 1 < configured)
        problem(who + ": knows " + count(*facts.others, "other Sentinel", "other Sentinels") +
                ", " + here +
                ": do they all watch the same master, and does each have its own "
                "identity (`sentinel myid`)?");
    if (facts.others && *facts.others + 1 > configured)
        warning(who + ": knows " + count(*facts.others, "other Sentinel", "other Sentinels") +
                ", only " + here);
    if (facts.replicas && *facts.replicas == 0)
        problem(who +
                ": knows no replica: none could take the master's place; look at `replicaof` "
                "and `masterauth` in the replicas' files");
    if (facts.quorum && *facts.quorum < 2)
        warning(who + ": quorum 1: a single Sentinel that is cut off starts a failover");
}

void RedisCheck::compare_sentinels() {
    const auto knowing = std::count_if(sentinels_.begin(), sentinels_.end(),
                                       [](const Sentinel& one) { return one.facts.knows; });
    if (knowing == 0) return problem("no Sentinel knows where the master is");
    if (redis_.sentinels.size() < 3)
        warning(count(static_cast<std::int64_t>(redis_.sentinels.size()), "Sentinel is",
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
    if (masters.size() > 1) problem("the Sentinels name different masters: " + named);
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
    line("failover: the Sentinels wait " + duration_text(Milliseconds{longest}) +
         " (down-after-milliseconds), requests wait " +
         duration_text(config_.session.failover_wait) + " (failover_wait)");
    if (!anybody_waits || config_.session.failover_wait >= takes) return;
    warning("failover_wait = " + quoted(duration_text(config_.session.failover_wait)) +
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
    if (!facts.answers) return problem(who + ": " + node.probe->trouble());
    check_rights(node, who);
    if (!facts.refusal.empty()) return check_refusal(node, who);
    line(who + ": role " + std::string{facts.value("role")} + ", redis " + facts.version + ", " +
         count(static_cast<std::int64_t>(facts.replica_nodes.size()), "replica", "replicas") +
         " connected, offset " + std::string{facts.value("master_repl_offset")});
    if (!facts.is_master) {
        problem(who + ": is not a master but a replica of " + facts.master.text());
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
        if (!complaint.empty()) problem(who + ": baton cannot work with it: " + complaint);
        check_writes(node);
    }
    check_settings(node);
}

void RedisCheck::check_rights(const Node& node, const std::string& who) {
    if (node.facts.missing_rights.empty() || node.facts.is_sentinel) return;
    const std::string user = redis_.username.empty() ? "default" : redis_.username;
    problem(who + ": the user " + quoted(user) + " lacks rights: add " + node.facts.missing_rights +
            " to its ACL");
}

void RedisCheck::check_refusal(const Node& node, const std::string& who) {
    if (node.facts.missing_rights.empty())
        problem(who + ": INFO is refused: " + node.facts.refusal);
}

void RedisCheck::check_writes(const Node& master) {
    const std::string who = "master " + master.at.text();
    const auto wanted = master.facts.setting("min-replicas-to-write");
    const std::int64_t good = master.facts.number("min_slaves_good_slaves", -1);
    if (wanted && good >= 0 && std::to_string(good) != *wanted &&
        good < std::atoll(wanted->c_str()))
        problem(who + ": refuses writes: min-replicas-to-write is " + *wanted + ", and " +
                count(good, "replica is", "replicas are") + " up to date");
    const std::int64_t used = master.facts.number("used_memory", 0);
    const std::int64_t most = master.facts.number("maxmemory", 0);
    if (most > 0 && used >= most)
        problem(who + ": its memory is full: it refuses writes");
    else if (most > 0 && used >= most / 10 * 9)
        warning(who + ": more than nine tenths of its maxmemory are used");
    for (const std::string_view name : {"rdb_last_bgsave_status", "aof_last_write_status"})
        if (master.facts.value(name) == "err")
            problem(who + ": could not write to its disk (" + std::string{name} + ":err)");
}

void RedisCheck::check_settings(const Node& master) {
    const std::string who = "master " + master.at.text();
    const NodeFacts& facts = master.facts;
    if (facts.settings.empty()) line("  its settings are not checked, CONFIG GET is not allowed");
    for (const std::string& text : setting_warnings(
             [&](std::string_view name) { return facts.setting(name); }, !redis_.sentinels.empty()))
        warning(std::string{who}.append(": ").append(text));
    const auto masterauth = facts.setting("masterauth");
    if (!redis_.sentinels.empty() && masterauth && masterauth->empty() && !redis_.password.empty())
        warning(who + ": `masterauth` is not set: it could not be a replica after a failover");
}

void RedisCheck::show_node(const Node& node) {
    const std::string who = node.at.text();
    const NodeFacts& facts = node.facts;
    if (!facts.answers)
        return problem("server " + who + ": " + node.probe->trouble() +
                       "; baton could not use it after a failover");
    check_rights(node, "server " + who);
    if (!facts.refusal.empty()) return check_refusal(node, "server " + who);
    if (facts.is_sentinel) return problem("server " + who + ": a Sentinel, not a data node");
    if (facts.is_master) {
        line("server " + who + ": role master, redis " + facts.version);
        if (master_) problem("server " + who + ": another master besides " + master_->text());
        return;
    }
    show_replica(node, "replica " + who);
}

void RedisCheck::show_replica(const Node& node, const std::string& who) {
    const NodeFacts& facts = node.facts;
    const Node* master = master_ ? find(*master_) : nullptr;
    std::string text = who + ": of " + facts.master.text() + " (master_host:master_port), link " +
                       std::string{facts.value("master_link_status")} + ", offset " +
                       std::string{facts.value("slave_repl_offset")};
    if (facts.link_up && master != nullptr && master->facts.is_master) {
        const std::int64_t bytes =
            master->facts.number("master_repl_offset", 0) - facts.number("slave_repl_offset", 0);
        text += ", " + count(std::max<std::int64_t>(bytes, 0), "byte", "bytes") + " behind";
    }
    if (facts.link_up)
        text +=
            ", last contact " + std::string{facts.value("master_last_io_seconds_ago")} + " s ago";
    line(text + ", redis " + facts.version);
    if (!facts.link_up)
        problem(who + ": " + why_link_is_down(node));
    else if (master_ && facts.master.port != master_->port)
        warning(who + ": it copies from " + facts.master.text() + ", not from the master " +
                master_->text());
    if (facts.priority == 0) warning(who + ": replica-priority 0: it never becomes master");
    if (facts.value("slave_read_only") == "0")
        warning(who + ": replica-read-only is off: what is written to it is lost");
}

bool RedisCheck::points_to_itself(const Node& node) const {
    const Endpoint& master = node.facts.master;
    if (master.port != node.at.port) return false;
    return master.host == node.at.host || master.host == node.probe->address().host() ||
           master.host == "localhost" || master.host.starts_with("127.");
}

std::string RedisCheck::why_link_is_down(const Node& node) const {
    const Endpoint& master = node.facts.master;
    const std::string told = "`replicaof " + master.host + " " + std::to_string(master.port) + "`";
    if (points_to_itself(node)) return told + " makes it a replica of itself; it has no data";
    if (master_ && (master.port != master_->port))
        return told + " is not the master, which is " + master_->text() + "; the link is down";
    const std::string down = node.facts.link_down_s >= 0
                                 ? "the link to its master has been down for " +
                                       count(node.facts.link_down_s, "second", "seconds")
                                 : "there is no link to its master";
    const auto masterauth = node.facts.setting("masterauth");
    if (masterauth && masterauth->empty() && !redis_.password.empty())
        return down + "; `masterauth` is not set";
    if (masterauth && redis_.username.empty() && *masterauth != redis_.password)
        return down + "; its `masterauth` is not the password that is configured here";
    return down + "; is " + told + " right, and its `masterauth` the master's password?";
}

}  // namespace

int check_redis(const Config& config, const std::vector<Endpoint>& nodes) {
    if (config.session.store == SessionStore::redis) return RedisCheck{config, nodes}.run();
    std::fprintf(stderr,
                 "baton: the sessions are in memory: expected store = \"redis\" in [session]\n");
    return exit_usage;
}

}  // namespace baton
