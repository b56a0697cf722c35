#pragma once

// A scripted server that says that it is a master, and answers each question as if all had gone well.

#include <cstddef>
#include <string>
#include <string_view>

#include "session/redis/redis_scripts.h"
#include "tests/unit/redis_peer.h"

namespace baton::test {

inline std::string resp_created() {
    return resp_array({resp_text("OK"), resp_integer(1'700'000'000'000)});
}
inline std::string resp_committed() { return resp_array({resp_text("OK"), resp_integer(2)}); }
inline std::string resp_killed() { return resp_texts({"MOVED", ""}); }
inline std::string resp_session() {
    return resp_texts({"_v", "1", "_dv", "0", "_c", "1700000000000", "_i", "60000", "_x", "0", "_r",
                       "1700000000000", "_w", "x", "_n", "2", "a:a", "1:1"});
}

struct FakeMaster {
    using Connection = RedisPeer::Connection;
    using Command = RedisPeer::Command;

    RedisPeer peer;
    std::string role = "master";

    explicit FakeMaster(Loop& loop) : peer(loop) {
        peer.on("CLIENT", resp_ok);
        peer.on("AUTH", resp_ok);
        peer.on("SELECT", resp_ok);
        peer.on("INFO SERVER", resp_text("# Server\r\nredis_version:7.0.15\r\n"));
        peer.on("INFO REPLICATION", resp_text("# Replication\r\nrole:master\r\n"));
        peer.on("ROLE", [this](Connection& connection, const Command&) {
            connection.send(resp_array({resp_text(role), resp_integer(0), "*0\r\n"}));
        });
        peer.on("TIME", resp_texts({"1700000000", "0"}));
        peer.on("SCRIPT", resp_text("0000000000000000000000000000000000000000"));
        peer.on("DBSIZE", resp_integer(0));
        peer.on("CONFIG", std::string_view{"*0\r\n"});
        peer.on("HGETALL", resp_session());
        peer.on("PTTL", resp_integer(60'000));
        peer.on("EVALSHA", answer);
    }
    Endpoint endpoint() const { return peer.endpoint(); }

    static bool is(const Command& command, RedisScript script) {
        return command.size() > 1 && command[0] == "EVALSHA" && command[1] == sha1_of(script);
    }
    static void answer(Connection& connection, const Command& command) {
        if (is(command, RedisScript::create)) return connection.send(resp_created());
        if (is(command, RedisScript::commit)) return connection.send(resp_committed());
        if (is(command, RedisScript::kill)) return connection.send(resp_killed());
        connection.send(resp_integer(1));
    }
    // To the script the bytes, to the others as always.
    void on_script(RedisScript script, std::string bytes) {
        on_script(script,
                  [bytes](Connection& connection, const Command&) { connection.send(bytes); });
    }
    void on_script(RedisScript script, RedisPeer::Answer own) {
        peer.on("EVALSHA", [script, own](Connection& connection, const Command& command) {
            is(command, script) ? own(connection, command) : answer(connection, command);
        });
    }
    std::size_t heard(RedisScript script) const {
        return peer.heard("EVALSHA " + std::string{sha1_of(script)});
    }
};

}  // namespace baton::test
