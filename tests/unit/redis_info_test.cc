#include "session/redis/redis_info.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

using namespace baton;

TEST_CASE("a value of INFO is that of the whole name") {
    const std::string_view info = "# Server\r\nredis_version:7.0.15\r\nport:6379\r\nlast:x";
    CHECK(info_value(info, "redis_version") == "7.0.15");
    CHECK(info_value(info, "version").empty());
    CHECK(info_value(info, "redis").empty());
    CHECK(info_value(info, "last") == "x");
    CHECK(info_number(info, "port", -1) == 6379);
    CHECK(info_number(info, "last", -1) == -1);
    CHECK(info_number(info, "absent", -1) == -1);
}

TEST_CASE("keys that a server has dropped by itself") {
    CHECK(read_dropped_keys("") == 0);
    CHECK(read_dropped_keys("# Stats\r\nexpired_keys:x\r\nevicted_keys:3") == 3);
    CHECK(read_dropped_keys("# Stats\r\nexpired_keys:4\r\nevicted_keys:3\r\n") == 7);
    CHECK(read_dropped_keys("# Stats\r\nunexpired_keys:5\r\n") == 0);
}

TEST_CASE("what INFO replication tells of replicas") {
    struct Row {
        std::string_view info;
        std::vector<std::string> replicas;
    };
    const std::vector<Row> rows = {
        {"", {}},
        {"# "
         "Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-"
         "failover\r\n",
         {}},
        {"slave0:ip=127.0.0.1,port=6380,state=online,offset=42,lag=0\r\n",
         {"127.0.0.1:6380 online 0"}},
        {"slave0:ip=a,port=1,state=online,offset=4,lag=1\r\n"
         "slave1:ip=b,port=2,state=wait_bgsave,offset=0,lag=12\r\n",
         {"a:1 online 1", "b:2 wait_bgsave 12"}},
        {"slave10:ip=redis-2,port=6379,state=send_bulk,offset=0,lag=3",
         {"redis-2:6379 send_bulk 3"}},
        {"slave0:ip=::1,port=6380,state=online,offset=42,lag=0\n", {"::1:6380 online 0"}},
        // Not told, or no number.
        {"slave0:ip=a,port=1,state=online\r\n", {"a:1 online -1"}},
        {"slave0:ip=a,port=1,state=online,lag=x\r\n", {"a:1 online -1"}},
        {"slave0:\r\n", {":  -1"}},
        {"slave0\r\n", {":  -1"}},
        {"slave0:lagging=5,lag=6,ip=c,port=3,state=online\r\n", {"c:3 online 6"}},
        // Other lines that begin so.
        {"slave_repl_offset:5\r\nslave_priority:100\r\nslaves:1\r\nslave\r\n", {}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.info);
        std::vector<std::string> found;
        for (const ReplicaLine& replica : replica_lines(row.info))
            found.push_back(std::string{replica.host}
                                .append(":")
                                .append(replica.port)
                                .append(" ")
                                .append(replica.state)
                                .append(" ")
                                .append(std::to_string(replica.lag)));
        CHECK(found == row.replicas);
    }
}

TEST_CASE("which settings are unwise") {
    struct Row {
        std::map<std::string, std::string, std::less<>> settings;
        bool with_sentinel;
        std::vector<std::string_view> words;
    };
    const std::vector<Row> rows = {
        {{{"maxmemory-policy", "noeviction"},
          {"min-replicas-to-write", "1"},
          {"appendonly", "yes"},
          {"save", ""}},
         true,
         {}},
        {{{"maxmemory-policy", "volatile-lru"}}, true, {}},
        {{{"maxmemory-policy", "allkeys-lru"}}, true, {"allkeys-lru"}},
        {{{"maxmemory-policy", "allkeys-random"}}, false, {"allkeys-random"}},
        {{{"min-replicas-to-write", "0"}}, true, {"min-replicas-to-write"}},
        {{{"min-replicas-to-write", "0"}}, false, {}},
        {{{"min-replicas-to-write", "2"}}, true, {}},
        {{{"appendonly", "no"}, {"save", ""}}, false, {"no persistence"}},
        {{{"appendonly", "no"}, {"save", "3600 1"}}, false, {}},
        {{{"appendonly", "yes"}, {"save", ""}}, false, {}},
        // What may not be asked is not judged.
        {{{"appendonly", "no"}}, false, {}},
        {{{"save", ""}}, false, {}},
        {{}, true, {}},
        {{{"maxmemory-policy", "allkeys-lfu"},
          {"min-replicas-to-write", "0"},
          {"appendonly", "no"},
          {"save", ""}},
         true,
         {"allkeys-lfu", "min-replicas-to-write", "no persistence"}},
    };
    for (const Row& row : rows) {
        const auto warnings = setting_warnings(
            [&](std::string_view name) -> std::optional<std::string> {
                const auto at = row.settings.find(name);
                if (at == row.settings.end()) return std::nullopt;
                return at->second;
            },
            row.with_sentinel);
        REQUIRE(warnings.size() == row.words.size());
        for (std::size_t i = 0; i < warnings.size(); ++i) {
            CAPTURE(warnings[i]);
            CHECK(warnings[i].find(row.words[i]) != std::string::npos);
        }
    }
}
