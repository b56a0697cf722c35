// What a Sentinel's replies and messages mean, and that nothing is believed that is not well formed.

#include "session/redis/sentinel_answer.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/redis_peer.h"

namespace baton {
namespace {

using namespace test;
using namespace std::string_literals;
using Kind = SentinelNews::Kind;

std::string number_text(const std::optional<unsigned>& number) {
    return number ? std::to_string(*number) : "-";
}

std::vector<RedisReply> replies_of(std::string_view bytes) {
    RedisReader reader;
    reader.feed(bytes);
    std::vector<RedisReply> replies;
    RedisReply reply;
    while (reader.next(reply) == RedisReader::Read::reply) replies.push_back(std::move(reply));
    return replies;
}

// "10.0.0.1:6379 7 quorum 2 others 1 replicas 3, 10.0.0.2:26379"; "-": not known; "none": no answer.
std::string read(std::string_view bytes) {
    auto replies = replies_of(bytes);
    REQUIRE(replies.size() >= 2);
    replies.insert(replies.begin() + 2, replies_of(resp_text("0a1b"))[0]);
    const auto answer = read_sentinel_answer(replies);
    if (!answer) return "none";
    if (!answer->vote.knows) {
        CHECK(!answer->vote.epoch);
        return "-";
    }
    std::string text = answer->vote.master.text() + " " +
                       (answer->vote.epoch ? std::to_string(*answer->vote.epoch) : "-") +
                       " quorum " + number_text(answer->quorum) + " others " +
                       number_text(answer->others) + " replicas " + number_text(answer->replicas);
    CHECK(answer->identity == "0a1b");
    for (const SentinelAnswer::Other& sentinel : answer->sentinels)
        text +=
            ", " + sentinel.at.text() + (sentinel.identity.empty() ? "" : " " + sentinel.identity);
    return text;
}

const std::string address = resp_texts({"10.0.0.1", "6379"});
const std::string noperm = resp_error("NOPERM this user has no permissions");

std::string state(std::string_view epoch = "7", std::string_view quorum = "2",
                  std::string_view others = "1", std::string_view replicas = "3") {
    return resp_texts({"name", "m", "ip", "10.0.0.1", "port", "6379", "flags", "master",
                       "config-epoch", epoch, "quorum", quorum, "num-other-sentinels", others,
                       "num-slaves", replicas});
}

std::string sentinel(std::string_view ip, std::string_view port) {
    return resp_texts({"name", "x", "ip", ip, "port", port, "flags", "sentinel"});
}

struct Case {
    const char* name;
    std::string bytes;
    std::string gives;
};

TEST_CASE("an answer of a Sentinel is read, and nothing else is one") {
    const std::string good = "10.0.0.1:6379 7 quorum 2 others 1 replicas 3";
    const std::string bare = "10.0.0.1:6379 - quorum - others - replicas -";
    const std::vector<Case> cases = {
        {"whole", state() + address, good},
        {"with no other Sentinels", state() + address + "*0\r\n", good},
        {"with two",
         state() + address + resp_array({sentinel("10.0.0.2", "26379"), sentinel("s-3", "26380")}),
         good + ", 10.0.0.2:26379, s-3:26380"},
        {"with one that has an identity",
         state() + address +
             resp_array({resp_texts({"ip", "10.0.0.2", "port", "26379", "runid", "2c3d"})}),
         good + ", 10.0.0.2:26379 2c3d"},
        {"with one whose identity is too long",
         state() + address +
             resp_array({resp_texts({"ip", "s", "port", "1", "runid", std::string(65, 'f')})}),
         good + ", s:1"},
        {"the state is not allowed", noperm + address, bare},
        {"the others are not allowed", state() + address + noperm, good},
        {"a name", state() + resp_texts({"redis-1.example", "6379"}),
         "redis-1.example:6379 7 quorum 2 others 1 replicas 3"},
        {"IPv6", noperm + resp_texts({"2001:db8::1", "6379"}),
         "[2001:db8::1]:6379 - quorum - others - replicas -"},
        {"another name's master", resp_error("ERR No such master with that name") + "*-1\r\n", "-"},
        {"not known, as a text", resp_error("ERR No such master with that name") + "$-1\r\n", "-"},
        {"epoch 0", state("0") + address, "10.0.0.1:6379 0 quorum 2 others 1 replicas 3"},

        {"a data node",
         resp_error("ERR unknown command 'SENTINEL'") + resp_error("ERR unknown command"), "none"},
        {"address not allowed", noperm + noperm, "none"},
        {"address a status", state() + "+OK\r\n", "none"},
        {"address an integer", state() + ":1\r\n", "none"},
        {"address a text", state() + resp_text("10.0.0.1:6379"), "none"},
        {"address of one", state() + resp_texts({"10.0.0.1"}), "none"},
        {"address of three", state() + resp_texts({"10.0.0.1", "6379", "x"}), "none"},
        {"address empty", state() + "*0\r\n", "none"},
        {"address with an integer", state() + resp_array({resp_text("10.0.0.1"), ":6379\r\n"}),
         "none"},
        {"address with nil", state() + resp_array({"$-1\r\n", resp_text("6379")}), "none"},
        {"address nested", state() + resp_array({address, address}), "none"},
        {"port 0", state() + resp_texts({"10.0.0.1", "0"}), "none"},
        {"port 65536", state() + resp_texts({"10.0.0.1", "65536"}), "none"},
        {"port negative", state() + resp_texts({"10.0.0.1", "-1"}), "none"},
        {"port empty", state() + resp_texts({"10.0.0.1", ""}), "none"},
        {"port x", state() + resp_texts({"10.0.0.1", "x"}), "none"},
        {"port with another", state() + resp_texts({"10.0.0.1", "6379:1"}), "none"},
        {"host empty", state() + resp_texts({"", "6379"}), "none"},
        {"host with a space", state() + resp_texts({"a b", "6379"}), "none"},
        {"host with a line", state() + resp_texts({"a\r\nb", "6379"}), "none"},
        {"host with a zero byte", state() + resp_texts({"10.0.0.1\0"s, "6379"}), "none"},
        {"host with a bracket", state() + resp_texts({"::1]:1[", "6379"}), "none"},
        {"host of 254 letters", state() + resp_texts({std::string(254, 'a'), "6379"}), "none"},

        {"state nil", "*-1\r\n" + address, "none"},
        {"state a status", "+OK\r\n" + address, "none"},
        {"state empty", "*0\r\n" + address, "none"},
        {"state of an odd number", resp_texts({"config-epoch"}) + address, "none"},
        {"state with a name at its end",
         resp_texts({"flags", "master", "config-epoch", "7", "quorum", "2", "num-other-sentinels",
                     "1", "num-slaves", "3", "x"}) +
             address,
         "none"},
        {"state with an integer", resp_array({resp_text("config-epoch"), ":7\r\n"}) + address,
         "none"},
        {"state nested", resp_array({resp_text("config-epoch"), address}) + address, "none"},
        {"state without an epoch",
         resp_texts(
             {"flags", "master", "quorum", "2", "num-other-sentinels", "1", "num-slaves", "3"}) +
             address,
         "none"},
        {"state without a quorum",
         resp_texts({"flags", "master", "config-epoch", "7", "num-other-sentinels", "1",
                     "num-slaves", "3"}) +
             address,
         "none"},
        {"state without others",
         resp_texts({"flags", "master", "config-epoch", "7", "quorum", "2", "num-slaves", "3"}) +
             address,
         "none"},
        {"state without replicas",
         resp_texts(
             {"flags", "master", "config-epoch", "7", "quorum", "2", "num-other-sentinels", "1"}) +
             address,
         "none"},
        {"state without flags",
         resp_texts(
             {"quorum", "2", "config-epoch", "7", "num-other-sentinels", "1", "num-slaves", "3"}) +
             address,
         "none"},
        {"epoch x", state("x") + address, "none"},
        {"epoch negative", state("-1") + address, "none"},
        {"epoch empty", state("") + address, "none"},
        {"epoch too large", state("9223372036854775808") + address, "none"},
        {"quorum negative", state("7", "-2") + address, "none"},
        {"quorum too large", state("7", "4294967296") + address, "none"},
        {"others x", state("7", "2", "x") + address, "none"},
        {"replicas x", state("7", "2", "1", "x") + address, "none"},

        {"others nil", state() + address + "*-1\r\n", "none"},
        {"others a status", state() + address + "+OK\r\n", "none"},
        {"others flat", state() + address + resp_texts({"ip", "10.0.0.2"}), "none"},
        {"one without a port", state() + address + resp_array({resp_texts({"ip", "10.0.0.2"})}),
         "none"},
        {"one without an address", state() + address + resp_array({resp_texts({"port", "1"})}),
         "none"},
        {"one of an odd number", state() + address + resp_array({resp_texts({"ip", "a", "port"})}),
         "none"},
        {"one empty", state() + address + resp_array({"*0\r\n"}), "none"},
    };
    for (const Case& c : cases) {
        CAPTURE(c.name);
        CHECK(read(c.bytes) == c.gives);
    }
}

TEST_CASE("F:sentinels-agree another Sentinel that has no address is passed over") {
    for (const auto& pair : std::vector<std::pair<std::string, std::string>>{
             {"10.0.0.2", "0"}, {"", "1"}, {"a b", "1"}, {"10.0.0.2", "65536"}, {"::1", ""}}) {
        CAPTURE(pair.first);
        CAPTURE(pair.second);
        const auto answer = read_sentinel_answer(
            replies_of(state() + address + resp_text("0a1b") +
                       resp_array({sentinel(pair.first, pair.second), sentinel("10.0.0.3", "1")})));
        REQUIRE(answer);
        CHECK(answer->vote.knows);
        REQUIRE(answer->sentinels.size() == 1);
        CHECK(answer->sentinels[0].at.text() == "10.0.0.3:1");
    }
}

TEST_CASE("an identity is a text, or may not be told") {
    const auto identity = [](std::string_view bytes) -> std::string {
        const auto answer =
            read_sentinel_answer(replies_of(state() + address + std::string{bytes}));
        return answer ? answer->identity : "none";
    };
    CHECK(identity(resp_text("0a1b")) == "0a1b");
    CHECK(identity(noperm).empty());
    CHECK(identity(resp_error("ERR Unknown sentinel subcommand 'myid'")).empty());
    CHECK(identity(resp_text(std::string(65, 'f'))) == "none");
    CHECK(identity(":1\r\n") == "none");
    CHECK(identity("*-1\r\n") == "none");
    CHECK(identity("+OK\r\n") == "none");
}

TEST_CASE("a question asks as many as its replies") {
    for (const bool discover : {false, true}) {
        // A command is an array of texts, as a reply may be.
        const auto commands = replies_of(sentinel_question("m 1", discover));
        CHECK(commands.size() == sentinel_replies(discover));
        for (const RedisReply& command : commands) {
            REQUIRE(command.elements.size() >= 2);
            CHECK(command.elements[0].view() == "SENTINEL");
            if (command.elements[1].view() == "MYID") continue;
            REQUIRE(command.elements.size() == 3);
            CHECK(command.elements[2].view() == "m 1");
        }
    }
}

TEST_CASE("a refusal is known by its words") {
    const auto refusal = [](std::string_view text) {
        RedisReply reply;
        reply.type = RedisReply::Type::error;
        reply.text = text;
        return text_of(refusal_of(reply));
    };
    CHECK(refusal("WRONGPASS invalid username-password pair or user is disabled.") ==
          "wrong password");
    CHECK(refusal("NOAUTH Authentication required.") == "password wanted");
    CHECK(
        refusal("ERR AUTH <password> called without any password configured for the default user. "
                "Are you sure your configuration is correct?") == "no password set");
    CHECK(refusal("ERR Client sent AUTH, but no password is set") == "no password set");
    CHECK(refusal("ERR unknown command 'SENTINEL', with args beginning with: 'MASTER' ") ==
          "no sentinel");
    CHECK(refusal("NOPERM this user has no permissions") == "not allowed");
    CHECK(refusal("secret") == "bad answer");
    CHECK(refusal("") == "bad answer");
    RedisReply status;
    status.type = RedisReply::Type::status;
    status.text = "NOAUTH";
    CHECK(refusal_of(status) == SentinelRefusal::other);
}

TEST_CASE("messages count if they are of our master") {
    struct Row {
        std::string_view channel;
        std::string_view text;
        Kind kind;
    };
    const std::vector<Row> rows = {
        {"+switch-master", "m 10.0.0.1 6379 10.0.0.2 6380", Kind::switched},
        {"+switch-master", "m a 6379 b 6380", Kind::switched},
        {"+switch-master", "m ::1 6379 ::2 6380", Kind::switched},
        {"+switch-master", "mm 10.0.0.1 6379 10.0.0.2 6380", Kind::nothing},
        {"+switch-master", "M 10.0.0.1 6379 10.0.0.2 6380", Kind::nothing},
        {"+switch-master", "x 10.0.0.1 6379 m 6380", Kind::nothing},
        {"+switch-master", "m 10.0.0.1 6379 10.0.0.2", Kind::nothing},
        {"+switch-master", "m 10.0.0.1 6379 10.0.0.2 6380 x", Kind::nothing},
        {"+switch-master", "m  10.0.0.1 6379 10.0.0.2 6380", Kind::nothing},
        {"+switch-master", "m 10.0.0.1 0 10.0.0.2 6380", Kind::nothing},
        {"+switch-master", "m 10.0.0.1 6379 10.0.0.2 65536", Kind::nothing},
        {"+switch-master", "m 10.0.0.1 6379 10.0.0.2 6380\r\n", Kind::nothing},
        {"+switch-master", "m", Kind::nothing},
        {"+switch-master", "", Kind::nothing},
        {"+switch-master", " ", Kind::nothing},
        {"+reset-master", "master m 10.0.0.1 6379", Kind::changed},
        {"+reset-master", "master x 10.0.0.1 6379", Kind::nothing},
        {"+reset-master", "slave m 10.0.0.1 6379", Kind::nothing},
        {"+reset-master", "master m", Kind::nothing},
        {"+monitor", "master m 10.0.0.1 6379 quorum 2", Kind::changed},
        {"+monitor", "master x 10.0.0.1 6379 quorum 2", Kind::nothing},
        {"+sentinel", "sentinel 0a1b 10.0.0.5 26379 @ m 10.0.0.1 6379", Kind::changed},
        {"+sentinel", "sentinel 0a1b 10.0.0.5 26379 @ x 10.0.0.1 6379", Kind::nothing},
        {"+sentinel", "sentinel m 10.0.0.5 26379", Kind::nothing},
        {"+sentinel", "sentinel 0a1b 10.0.0.5 26379 @", Kind::nothing},
        {"+promoted-slave", "slave 10.0.0.2:1 10.0.0.2 1 @ m 10.0.0.1 6379", Kind::promoting},
        {"+promoted-slave", "slave 10.0.0.2:1 10.0.0.2 1 @ x 10.0.0.1 6379", Kind::nothing},
        {"+promoted-slave", "slave 10.0.0.2:1 10.0.0.2 1 @ m 10.0.0.1", Kind::nothing},
        {"+promoted-slave", "slave 10.0.0.2:1 10.0.0.2 1 @ m 10.0.0.1 6379 x", Kind::nothing},
        {"+promoted-slave", "slave 10.0.0.2:1 10.0.0.2 0 @ m 10.0.0.1 6379", Kind::nothing},
        {"+promoted-slave", "slave 10.0.0.2:1 10.0.0.2 1 @ m 10.0.0.1 0", Kind::nothing},
        {"+promoted-slave", "master m 10.0.0.1 6379", Kind::nothing},
        {"+promoted-slave", "", Kind::nothing},
        {"+failover-state-send-slaveof-noone", "slave a:1 a 1 @ m b 2", Kind::promoting},
        {"+failover-state-send-slaveof-noone", "slave a:1 a 1 @ x b 2", Kind::nothing},
        {"-failover-abort-slave-timeout", "master m 10.0.0.1 6379", Kind::aborted},
        {"-failover-abort-slave-timeout", "master x 10.0.0.1 6379", Kind::nothing},
        {"+sdown", "master m 10.0.0.1 6379", Kind::state},
        {"-sdown", "master m 10.0.0.1 6379", Kind::state},
        {"+odown", "master m 10.0.0.1 6379 #quorum 2/2", Kind::state},
        {"-odown", "master m 10.0.0.1 6379", Kind::state},
        {"+sdown", "slave 10.0.0.2:6379 10.0.0.2 6379 @ m 10.0.0.1 6379", Kind::nothing},
        {"+sdown", "master x 10.0.0.1 6379", Kind::nothing},
        {"+tilt", "master m 10.0.0.1 6379", Kind::nothing},
        {"", "master m 10.0.0.1 6379", Kind::nothing},
    };
    for (const Row& row : rows) {
        CAPTURE(row.channel);
        CAPTURE(row.text);
        const auto messages = replies_of(resp_message(row.channel, row.text));
        const SentinelNews news = read_sentinel_news(messages.at(0), "m");
        CHECK(news.kind == row.kind);
        if (row.kind == Kind::state) CHECK(news.word == row.channel);
    }
    const auto message = replies_of(resp_message("+switch-master", "m 10.0.0.1 6379 b 6380"));
    const SentinelNews news = read_sentinel_news(message.at(0), "m");
    CHECK(news.from == Endpoint{"10.0.0.1", 6379});
    CHECK(news.to == Endpoint{"b", 6380});
}

TEST_CASE("messages of another shape count for nothing") {
    for (const std::string& bytes :
         {"*1\r\n$7\r\nmessage\r\n"s, resp_texts({"message", "+sdown"}),
          resp_texts({"message", "+sdown", "master m a 1", "x"}),
          resp_array({resp_text("message"), ":1\r\n", resp_text("master m a 1")}),
          resp_array({resp_text("message"), resp_text("+sdown"), "$-1\r\n"}),
          resp_array({resp_text("message"), resp_text("+sdown"), resp_texts({"master m a 1"})})}) {
        CAPTURE(bytes);
        CHECK(read_sentinel_news(replies_of(bytes).at(0), "m").kind == Kind::nothing);
    }
}

}  // namespace
}  // namespace baton
