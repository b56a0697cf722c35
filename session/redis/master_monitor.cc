#include "session/redis/master_monitor.h"

#include <iterator>
#include <optional>
#include <utility>

#include "net/loop.h"
#include "session/redis/redis_command.h"
#include "session/redis/redis_info.h"
#include "session/redis/redis_rights.h"
#include "session/redis/redis_scripts.h"

namespace baton {
namespace {

// A write of our own: a session of no attributes, which has expired before the next one is tried.
constexpr std::int64_t probe_life_ms = 500;
// More denials may follow that no store tells of.
constexpr std::uint64_t ask_rights_for_ms = 2000;

enum Tag : std::uint64_t {
    tag_replication = MasterMonitor::first_tag,
    tag_settings,
    tag_rights,
    tag_script,
    tag_probe,
};

}  // namespace

MasterMonitor::MasterMonitor(const RedisAccess& access, const std::string& prefix,
                             bool with_sentinel)
    : access_(access), prefix_(prefix), with_sentinel_(with_sentinel) {
    last_probe_.lane = now_us();
}

void MasterMonitor::begin(RedisLink& master, Beginning how) {
    end();
    if (how.is_another) ask_settings(master);
    // A master that comes back empty has lost them, too.
    if (how.was_away_long) keys_ = 0;
    probe_sent_ = false;
    ask_replication(master);
    ask_rights(master);
    if (refuses_writes_) probe_writes(master);
}

void MasterMonitor::on_second(RedisLink& master, std::uint64_t now_ms) {
    ask_replication(master);
    // Whether they are there now, or are missing.
    if (!missing_rights_.empty() || now_ms < ask_rights_until_ms_) ask_rights(master);
    if (refuses_writes_) probe_writes(master);
}

void MasterMonitor::on_answered(RedisLink& master, std::uint64_t tag, std::span<RedisReply> replies,
                                std::uint64_t now_ms) {
    switch (tag) {
    case tag_replication: return on_replication(master, replies);
    case tag_settings: return on_settings(master, replies);
    case tag_rights: return on_rights(master, replies, now_ms);
    case tag_probe: return on_probed(replies[0]);
    default: return;
    }
}

void MasterMonitor::end() {
    replicas_.clear();
    missing_rights_.clear();
}

void MasterMonitor::on_denied(RedisLink* master, std::uint64_t now_ms) {
    ask_rights_until_ms_ = now_ms + ask_rights_for_ms;
    if (master != nullptr) ask_rights(*master);
}

void MasterMonitor::ask_replication(RedisLink& master) {
    master.ask(tag_replication,
               redis_command({"INFO", "replication", "stats"}) + redis_command({"DBSIZE"}), 2);
}

void MasterMonitor::ask_settings(RedisLink& master) {
    std::string commands;
    for (const std::string_view name : risky_settings)
        append_command(commands, {"CONFIG", "GET", name});
    master.ask(tag_settings, commands, std::size(risky_settings));
}

void MasterMonitor::ask_rights(RedisLink& master) {
    std::string commands;
    append_rights_probes(commands, prefix_);
    master.ask(tag_rights, commands, static_cast<unsigned>(redis_rights().size()));
}

// Nobody may write for a while, and the worker whose write was refused may be another one than that
// whose next write is not. So we write ourselves, with what a worker needs for its sessions.
void MasterMonitor::probe_writes(RedisLink& master) {
    if (std::exchange(probe_sent_, true)) return;
    ++last_probe_.count;
    std::string commands;
    append_create(commands, prefix_ + ":s:probe-" + access_.client_name, {},
                  {.idle_ms = probe_life_ms, .slack_ms = 0, .absolute_ms = 0, .attributes = {}},
                  last_probe_);
    master.ask(tag_script, redis_command({"SCRIPT", "LOAD", text_of(RedisScript::create)}));
    master.ask(tag_probe, commands);
}

void MasterMonitor::on_replication(const RedisLink& master, std::span<const RedisReply> replies) {
    const std::string_view info = replies[0].view();
    replicas_.clear();
    for (const ReplicaLine& line : replica_lines(info))
        replicas_.push_back({std::string{line.host}.append(":").append(line.port),
                             std::string{line.state}, line.lag});
    if (replies[0].is_error() || replies[1].is_error()) return;  // of keys it says nothing
    on_keys(master, replies[1].number(0), read_dropped_keys(info));
}

// A flush, or a master that came back empty: nothing breaks, but everybody is logged out. What the
// server has dropped by itself is not gone: sessions that were made together expire together. Its count
// begins anew when somebody resets it.
void MasterMonitor::on_keys(const RedisLink& master, std::int64_t keys, std::int64_t dropped) {
    constexpr std::int64_t worth_a_word = 100;
    const std::int64_t since = dropped >= dropped_ ? dropped - dropped_ : dropped;
    dropped_ = dropped;
    if (keys_ >= worth_a_word && keys_ - keys - since > keys_ / 2) {
        ++data_losses_;
        log::error("session store: most keys are gone",
                   {{"master", master.peer().text()}, {"keys", keys}, {"before", keys_}});
    }
    keys_ = keys;
}

// Once for each master. A user that may not ask them is no trouble.
void MasterMonitor::on_settings(const RedisLink& master, std::span<const RedisReply> replies) {
    const auto value = [&](std::string_view name) -> std::optional<std::string> {
        for (const RedisReply& reply : replies)
            if (reply.elements.size() == 2 && reply.elements[0].view() == name)
                return std::string{reply.elements[1].view()};
        return std::nullopt;
    };
    for (const std::string& warning : setting_warnings(value, with_sentinel_))
        log::warn("session store: risky setting",
                  {{"master", master.peer().text()}, {"setting", warning}});
}

void MasterMonitor::on_rights(const RedisLink& master, std::span<const RedisReply> replies,
                              std::uint64_t now_ms) {
    const std::string before =
        std::exchange(missing_rights_, baton::missing_rights(replies, prefix_));
    if (missing_rights_.empty()) return;
    if (missing_rights_ == before && !rights_warning_.due(now_ms)) return;
    const std::string_view user = access_.username;
    log::error("session store: the user lacks rights", {{"master", master.peer().text()},
                                                        {"user", user.empty() ? "default" : user},
                                                        {"rights", missing_rights_}});
}

// Nothing else is a proof.
void MasterMonitor::on_probed(const RedisReply& reply) {
    probe_sent_ = false;
    const auto told = read_create(reply, {});
    if (told && told->kind == StoreAnswer::Kind::created) refuses_writes_ = false;
}

}  // namespace baton
