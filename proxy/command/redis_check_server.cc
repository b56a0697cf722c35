#include "proxy/command/redis_check_server.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "session/redis/redis_info.h"

namespace baton {

void CheckReport::line(const std::string& text) { std::printf("%s\n", text.c_str()); }

void CheckReport::problem(const std::string& text) {
    ++problems_;
    line("PROBLEM " + text);
}

void CheckReport::warning(const std::string& text) { line("WARNING " + text); }

std::string count(std::int64_t n, const std::string& one, const std::string& more) {
    return std::to_string(n) + " " + (n == 1 ? one : more);
}

void ServerCheck::check_writes(const CheckedServer& master) {
    const std::string who = "master " + master.at.text();
    const auto wanted = master.facts.setting("min-replicas-to-write");
    const std::int64_t good = master.facts.number("min_slaves_good_slaves", -1);
    if (wanted && good >= 0 && std::to_string(good) != *wanted &&
        good < std::atoll(wanted->c_str()))
        report_.problem(who + ": refuses writes: min-replicas-to-write is " + *wanted + ", and " +
                        count(good, "replica is", "replicas are") + " up to date");
    const std::int64_t used = master.facts.number("used_memory", 0);
    const std::int64_t most = master.facts.number("maxmemory", 0);
    if (most > 0 && used >= most)
        report_.problem(who + ": its memory is full: it refuses writes");
    else if (most > 0 && used >= most / 10 * 9)
        report_.warning(who + ": more than nine tenths of its maxmemory are used");
    for (const std::string_view name : {"rdb_last_bgsave_status", "aof_last_write_status"})
        if (master.facts.value(name) == "err")
            report_.problem(who + ": could not write to its disk (" + std::string{name} + ":err)");
}

void ServerCheck::check_settings(const CheckedServer& master) {
    const std::string who = "master " + master.at.text();
    const NodeFacts& facts = master.facts;
    if (facts.settings.empty())
        report_.line("  its settings are not checked, CONFIG GET is not allowed");
    for (const std::string& text : setting_warnings(
             [&](std::string_view name) { return facts.setting(name); }, !redis_.sentinels.empty()))
        report_.warning(std::string{who}.append(": ").append(text));
    const auto masterauth = facts.setting("masterauth");
    if (!redis_.sentinels.empty() && masterauth && masterauth->empty() && !redis_.password.empty())
        report_.warning(who +
                        ": `masterauth` is not set: it could not be a replica after a failover");
}

void ServerCheck::show_replica(const CheckedServer& node, const std::string& who) {
    const NodeFacts& facts = node.facts;
    std::string text = who + ": of " + facts.master.text() + " (master_host:master_port), link " +
                       std::string{facts.value("master_link_status")} + ", offset " +
                       std::string{facts.value("slave_repl_offset")};
    if (facts.link_up && master_server_ != nullptr && master_server_->facts.is_master) {
        const std::int64_t bytes = master_server_->facts.number("master_repl_offset", 0) -
                                   facts.number("slave_repl_offset", 0);
        text += ", " + count(std::max<std::int64_t>(bytes, 0), "byte", "bytes") + " behind";
    }
    if (facts.link_up)
        text +=
            ", last contact " + std::string{facts.value("master_last_io_seconds_ago")} + " s ago";
    report_.line(text + ", redis " + facts.version);
    if (!facts.link_up)
        report_.problem(who + ": " + why_link_is_down(node));
    else if (master_ != nullptr && facts.master.port != master_->port)
        report_.warning(who + ": it copies from " + facts.master.text() + ", not from the master " +
                        master_->text());
    if (facts.priority == 0) report_.warning(who + ": replica-priority 0: it never becomes master");
    if (facts.value("slave_read_only") == "0")
        report_.warning(who + ": replica-read-only is off: what is written to it is lost");
}

bool ServerCheck::points_to_itself(const CheckedServer& node) const {
    const Endpoint& master = node.facts.master;
    if (master.port != node.at.port) return false;
    return master.host == node.at.host || master.host == node.probe->address().host() ||
           master.host == "localhost" || master.host.starts_with("127.");
}

std::string ServerCheck::why_link_is_down(const CheckedServer& node) const {
    const Endpoint& master = node.facts.master;
    const std::string told = "`replicaof " + master.host + " " + std::to_string(master.port) + "`";
    if (points_to_itself(node)) return told + " makes it a replica of itself; it has no data";
    if (master_ != nullptr && master.port != master_->port)
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

}  // namespace baton
