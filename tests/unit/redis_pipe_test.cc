// A connection to Redis: answers in order, in any split; and each way it ends, told once.

#include "session/redis/redis_pipe.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/unit/redis_peer.h"

namespace baton {
namespace {

using namespace test;
using namespace std::chrono_literals;
using End = RedisPipe::End;

// Long enough that they never end anything by themselves.
constexpr RedisPipe::Times patient{20s, 20s};

std::string command(std::initializer_list<std::string_view> words) {
    std::string bytes;
    append_command(bytes, words);
    return bytes;
}

std::string texts_of(const RedisReply& reply) {
    if (reply.is_too_large()) return "too large";
    if (!reply.is_array())
        return reply.type == RedisReply::Type::integer ? std::to_string(reply.integer) : reply.text;
    std::string text;
    for (const RedisReply& element : reply.elements)
        text += (text.empty() ? "" : " ") + texts_of(element);
    return "[" + text + "]";
}

// A pipe and what it tells: "connected", "7: a, b", "pushed [message c x]", "ended lost".
struct Holder {
    Loop loop;
    TcpCounts counts;
    std::vector<std::string> told;
    std::function<void()> on_event;  // during each
    std::unique_ptr<RedisPipe> pipe;

    void open(const Endpoint& to, RedisPipe::Times times = patient, const Address& known = {}) {
        pipe = std::make_unique<RedisPipe>(loop, to, known, times, this, events, counts);
    }
    void tell(std::string what) {
        told.push_back(std::move(what));
        if (on_event) on_event();
    }
    bool is_told(std::string_view what) const {
        for (const std::string& line : told)
            if (line == what) return true;
        return false;
    }
    bool waits_for(std::string_view what) {
        return turns_until(loop, [&] { return is_told(what); });
    }
    bool waits_for_end() {
        return turns_until(loop, [&] { return !told.empty() && told.back().starts_with("ended"); });
    }

    static const RedisPipe::Events events;
};

const RedisPipe::Events Holder::events = {
    .connected = [](void* holder) { static_cast<Holder*>(holder)->tell("connected"); },
    .answered =
        [](void* holder, std::uint64_t tag, std::span<RedisReply> replies) {
            std::string line = std::to_string(tag) + ":";
            for (const RedisReply& reply : replies) line += " " + texts_of(reply);
            static_cast<Holder*>(holder)->tell(line);
        },
    .pushed =
        [](void* holder, RedisReply& message) {
            static_cast<Holder*>(holder)->tell("pushed " + texts_of(message));
        },
    .ended =
        [](void* holder, End end, std::string_view text) {
            std::string line = "ended: " + std::string{text_of(end)};
            if (end == End::turned_away) line.append(": ").append(text);
            static_cast<Holder*>(holder)->tell(line);
        },
};

using Told = std::vector<std::string>;

TEST_CASE("questions are answered in order, each with its replies") {
    Holder holder;
    RedisPeer peer{holder.loop};
    peer.on("GET", [](RedisPeer::Connection& connection, const RedisPeer::Command& asked) {
        connection.send(resp_text("<" + asked[1] + ">"));
    });
    for (const bool dribbled : {false, true}) {
        CAPTURE(dribbled);
        peer.dribble(dribbled);
        holder.told.clear();
        holder.open(peer.endpoint());
        CHECK(holder.pipe->address().raw()->sa_family != 0);
        holder.pipe->ask(7, command({"GET", "a"}));
        holder.pipe->ask(7, command({"PING"}) + command({"GET", "b"}) + command({"NO"}), 3);
        for (const char* key : {"c", "d", "e"}) holder.pipe->ask(9, command({"GET", key}));
        CHECK(holder.pipe->asked() == 5);
        REQUIRE(holder.waits_for("9: <e>"));
        CHECK(holder.told ==
              Told{"connected", "7: <a>",
                   "7: PONG <b> ERR unknown command 'NO', with args beginning with: ", "9: <c>",
                   "9: <d>", "9: <e>"});
        CHECK(holder.pipe->asked() == 0);
        CHECK(holder.pipe->address() == peer.address());
    }
}

TEST_CASE("what is asked in one turn leaves in one write") {
    Holder holder;
    RedisPeer peer{holder.loop};
    holder.open(peer.endpoint());
    for (std::uint64_t tag = 0; tag < 50; ++tag) holder.pipe->ask(tag, command({"PING"}));
    REQUIRE(holder.waits_for("49: PONG"));
    CHECK(holder.counts.writes == 1);
    for (std::uint64_t tag = 100; tag < 150; ++tag) holder.pipe->ask(tag, command({"PING"}));
    CHECK(holder.counts.writes == 1);  // not before the turn ends
    REQUIRE(holder.waits_for("149: PONG"));
    CHECK(holder.counts.writes == 2);
    // In an event, too.
    std::uint64_t tag = 200;
    holder.on_event = [&] {
        if (tag < 210) holder.pipe->ask(tag++, command({"PING"}));
    };
    for (std::uint64_t first = 190; first < 195; ++first)
        holder.pipe->ask(first, command({"PING"}));
    REQUIRE(holder.waits_for("209: PONG"));
    CHECK(holder.told.back() == "209: PONG");
}

TEST_CASE("a name is looked up, and one that is not found has its known address") {
    Holder holder;
    RedisPeer peer{holder.loop};
    holder.open({"localhost", peer.address().port()});
    CHECK(holder.waits_for("connected"));

    // Names of more than 63 letters between two dots do not exist (RFC 1035, 2.3.4): no server is
    // asked.
    const Endpoint nowhere{std::string(64, 'x') + ".test", peer.address().port()};
    holder.told.clear();
    holder.open(nowhere);
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"ended: name not found"});

    holder.told.clear();
    holder.open(nowhere, patient, peer.address());
    CHECK(holder.waits_for("connected"));
    CHECK(holder.pipe->address() == peer.address());
}

TEST_CASE("a refused connection is told") {
    Holder holder;
    RedisPeer peer{holder.loop};
    peer.refuse();
    holder.open(peer.endpoint());
    holder.pipe->ask(1, command({"PING"}));
    CHECK(holder.told.empty());
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"ended: no connection"});
    peer.listen();
    holder.told.clear();
    holder.open(peer.endpoint());
    CHECK(holder.waits_for("connected"));
}

TEST_CASE("an address that cannot be connected to is told, later") {
    Holder holder;
    holder.open({"255.255.255.255", 1});
    CHECK(holder.told.empty());
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"ended: no connection"});
}

// Listens, and accepts nothing: what connects waits for as long as it likes.
class FullPort {
public:
    FullPort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        REQUIRE(::bind(fd_, address_.raw(), address_.size()) == 0);
        REQUIRE(::listen(fd_, 0) == 0);
        socklen_t size = address_.size();
        REQUIRE(::getsockname(fd_, address_.raw(), &size) == 0);
        for (int& fd : fillers_) {
            fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            ::connect(fd, address_.raw(), address_.size());
        }
    }
    ~FullPort() {
        for (const int fd : fillers_) ::close(fd);
        ::close(fd_);
    }
    FullPort(const FullPort&) = delete;
    FullPort& operator=(const FullPort&) = delete;
    Endpoint endpoint() const { return {"127.0.0.1", address_.port()}; }

private:
    Address address_ = *parse_address("127.0.0.1:0");
    int fd_;
    int fillers_[4] = {};
};

TEST_CASE("a connection that is not made in time is given up") {
    Holder holder;
    const FullPort port;
    holder.open(port.endpoint(), {30ms, 20s});
    holder.pipe->ask(1, command({"PING"}));
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"ended: no connection in time"});
}

TEST_CASE(
    "a question that is not answered in time ends the connection, and its answer reaches nobody") {
    Holder holder;
    RedisPeer peer{holder.loop};
    peer.on("LATE", [](RedisPeer::Connection& c, const RedisPeer::Command&) { c.silent = true; });
    holder.open(peer.endpoint(), {20s, 100ms});
    REQUIRE(holder.waits_for("connected"));
    holder.pipe->ask(1, command({"LATE"}));
    holder.pipe->ask(2, command({"PING"}));
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"connected", "ended: no answer in time"});
    CHECK(holder.pipe->asked() == 0);
    // The peer has seen it end; whatever it says would be taken for the next question's answer.
    CHECK(turns_until(holder.loop, [&] { return peer.connections().empty(); }));
    turns_for(holder.loop, 20ms);
    CHECK(holder.told.size() == 2);
}

TEST_CASE("each question has its own time") {
    Holder holder;
    RedisPeer peer{holder.loop};
    std::vector<RedisPeer::Connection*> waiting;
    peer.on("WAIT", [&](RedisPeer::Connection& connection, const RedisPeer::Command&) {
        waiting.push_back(&connection);
    });
    holder.open(peer.endpoint(), {20s, 1s});
    // For longer than the time of one: each is asked when the one before it is answered late.
    for (std::uint64_t tag = 0; tag < 4; ++tag) {
        holder.pipe->ask(tag, command({"WAIT"}));
        REQUIRE(turns_until(holder.loop, [&] { return waiting.size() == 1; }));
        turns_for(holder.loop, 300ms);
        waiting[0]->send(resp_ok);
        waiting.clear();
        REQUIRE(holder.waits_for(std::to_string(tag) + ": OK"));
    }
    CHECK(holder.told.size() == 5);
}

TEST_CASE("a process that was slow itself does not blame the peer") {
    Holder holder;
    RedisPeer peer{holder.loop};
    holder.open(peer.endpoint(), {20s, 300ms});
    REQUIRE(holder.waits_for("connected"));
    SUBCASE("the answer has arrived and was not read") {
        holder.pipe->ask(1, command({"PING"}));
        REQUIRE(turns_until(holder.loop, [&] { return peer.heard("PING") == 1; }));
        if (holder.told.size() == 1) std::this_thread::sleep_for(400ms);
        CHECK(holder.waits_for("1: PONG"));
    }
    SUBCASE("the question had not left") {
        std::this_thread::sleep_for(400ms);  // the turn's clock stands
        holder.pipe->ask(1, command({"PING"}));
        CHECK(holder.waits_for("1: PONG"));
    }
    SUBCASE("others are behind it") {
        holder.pipe->ask(1, command({"PING"}));
        std::this_thread::sleep_for(400ms);
        holder.pipe->ask(2, command({"PING"}));
        CHECK(holder.waits_for("2: PONG"));
    }
    CHECK_FALSE(holder.told.back().starts_with("ended"));
}

TEST_CASE("a connection that ends is told once, whatever was asked") {
    Holder holder;
    RedisPeer peer{holder.loop};
    holder.open(peer.endpoint());
    SUBCASE("closed") {
        peer.on("END", [](RedisPeer::Connection& c, const RedisPeer::Command&) { c.close(); });
    }
    SUBCASE("reset") {
        peer.on("END", [](RedisPeer::Connection& c, const RedisPeer::Command&) { c.reset(); });
    }
    SUBCASE("closed within an answer") {
        peer.on("END", [](RedisPeer::Connection& c, const RedisPeer::Command&) {
            c.send("$10\r\nabc");
            c.close();
        });
    }
    holder.pipe->ask(1, command({"PING"}));
    holder.pipe->ask(2, command({"END"}));
    holder.pipe->ask(3, command({"PING"}));
    CHECK(holder.waits_for_end());
    turns_for(holder.loop, 20ms);
    CHECK(holder.told.back() == "ended: connection lost");
    CHECK(holder.told.size() <= 3);  // a reset may overtake the first answer
}

TEST_CASE("closed while idle") {
    Holder holder;
    RedisPeer peer{holder.loop};
    holder.open(peer.endpoint());
    REQUIRE(turns_until(holder.loop,
                        [&] { return !peer.connections().empty() && !holder.told.empty(); }));
    peer.close_all();
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"connected", "ended: connection lost"});
}

TEST_CASE("F:poison an answer too large to be kept is told as such, and the next one follows") {
    for (const bool dribbled : {false, true}) {
        CAPTURE(dribbled);
        Holder holder;
        RedisPeer peer{holder.loop};
        peer.dribble(dribbled);
        std::string large = "*4097\r\n";
        for (int i = 0; i < 4097; ++i) large += "+\r\n";
        peer.on("GET", large);
        peer.on("PING", "+b\r\n");
        holder.open(peer.endpoint());
        holder.pipe->ask(1, command({"GET", "k"}));
        holder.pipe->ask(2, command({"PING"}));
        REQUIRE(holder.waits_for("2: b"));
        CHECK(holder.told == Told{"connected", "1: too large", "2: b"});
    }
}

TEST_CASE("bytes that are no answer end the connection") {
    struct Case {
        const char* name;
        std::string bytes;
        Told told;
        const char* end = "ended: bad reply";
    };
    const std::vector<Case> cases = {
        {"garbage", "HTTP/1.1 400 Bad Request\r\n\r\n", {}},
        {"more replies than asked for", "+a\r\n+b\r\n", {"1: a"}},
        {"garbage behind an answer", "+a\r\n?", {"1: a"}},
        {"a message nobody subscribed to", resp_message("c", "x") + "+b\r\n", {"1: [message c x]"}},
        {"too long a text", "$67108865\r\n", {}, "ended: reply too large"},
    };
    for (const Case& c : cases) {
        for (const bool dribbled : {false, true}) {
            CAPTURE(c.name);
            CAPTURE(dribbled);
            Holder holder;
            RedisPeer peer{holder.loop};
            peer.dribble(dribbled);
            peer.on("GET", c.bytes);
            holder.open(peer.endpoint());
            holder.pipe->ask(1, command({"GET", "k"}));
            CHECK(holder.waits_for_end());
            Told told = c.told;
            told.insert(told.begin(), "connected");
            told.emplace_back(c.end);
            CHECK(holder.told == told);
        }
    }
}

TEST_CASE("a reply nobody asked for ends the connection") {
    Holder holder;
    RedisPeer peer{holder.loop};
    holder.open(peer.endpoint());
    REQUIRE(turns_until(holder.loop,
                        [&] { return !peer.connections().empty() && !holder.told.empty(); }));
    peer.connections()[0]->send("+OK\r\n");
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"connected", "ended: bad reply"});
}

TEST_CASE(
    "F:redis-says an error that nobody asked for is why the connection ended, and no answer") {
    const std::vector<std::pair<std::string, std::string>> lines = {
        {"ERR max number of clients reached", "ERR max number of clients reached"},
        {"ERR max number of clients + cluster connections reached",
         "ERR max number of clients + cluster connections reached"},
        {"DENIED Redis is running in protected mode because protected mode is enabled and no "
         "password is set for the default user. In this mode connections are only accepted from "
         "the loopback interface. If you want to connect from external computers",
         "DENIED Redis is running in protected mode because protected mode is enabled and no "
         "password is set for the default user."},
        {"LOADING Redis is loading the dataset in memory",
         "LOADING Redis is loading the dataset in memory"},
        {"MASTERDOWN Link with MASTER is down", "MASTERDOWN Link with MASTER is down"},
        {"NOPERM no", "NOPERM no"},
        {std::string(1000, 'x'), std::string(200, 'x')},
    };
    for (const auto& pair : lines)
        for (const bool dribbled : {false, true}) {
            const std::string& line = pair.first;
            const std::string& text = pair.second;
            CAPTURE(line);
            CAPTURE(dribbled);
            Holder holder;
            RedisPeer peer{holder.loop};
            peer.dribble(dribbled);
            peer.turn_away(resp_error(line));
            holder.open(peer.endpoint());
            // Whether or not the questions leave before it comes.
            for (std::uint64_t tag = 1; tag <= 3; ++tag) holder.pipe->ask(tag, command({"PING"}));
            CHECK(holder.waits_for_end());
            CHECK(holder.told == Told{"connected", "ended: turned away: " + text});
        }
}

TEST_CASE("F:redis-says and if nothing was asked yet") {
    for (const char* const line : {"DENIED no", "ERR max number of clients reached", "NOPERM x"}) {
        CAPTURE(std::string{line});
        Holder holder;
        RedisPeer peer{holder.loop};
        peer.turn_away(resp_error(line));
        holder.open(peer.endpoint());
        CHECK(holder.waits_for_end());
        CHECK(holder.told == Told{"connected", std::string{"ended: turned away: "} + line});
    }
}

TEST_CASE("F:redis-says and if the peer does not close") {
    Holder holder;
    RedisPeer peer{holder.loop};
    peer.on("GET", resp_error("NOPERM no"));
    peer.on("SET", [](RedisPeer::Connection&, const RedisPeer::Command&) {});
    holder.open(peer.endpoint(), {20s, 50ms});
    holder.pipe->ask(1, command({"GET", "k"}));
    holder.pipe->ask(2, command({"SET", "k"}));
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"connected", "ended: turned away: NOPERM no"});
}

TEST_CASE("F:redis-says an error that is an answer is one, as soon as that is known") {
    for (const bool dribbled : {false, true}) {
        CAPTURE(dribbled);
        Holder holder;
        RedisPeer peer{holder.loop};
        peer.dribble(dribbled);
        peer.on("AUTH", resp_error("WRONGPASS no"));
        holder.open(peer.endpoint());
        SUBCASE("the only one") {
            holder.pipe->ask(1, command({"AUTH", "x"}));
            REQUIRE(holder.waits_for("1: WRONGPASS no"));
        }
        SUBCASE("another one follows, an error too") {
            holder.pipe->ask(1, command({"AUTH", "x"}));
            holder.pipe->ask(2, command({"AUTH", "y"}));
            holder.pipe->ask(3, command({"PING"}));
            REQUIRE(holder.waits_for("3: PONG"));
            CHECK(holder.told ==
                  Told{"connected", "1: WRONGPASS no", "2: WRONGPASS no", "3: PONG"});
        }
        SUBCASE("one of two replies to a question") {
            holder.pipe->ask(1, command({"AUTH", "x"}) + command({"PING"}), 2);
            REQUIRE(holder.waits_for("1: WRONGPASS no PONG"));
        }
        SUBCASE("and the pipe is destroyed") {
            holder.on_event = [&] {
                if (holder.told.back().starts_with("1:")) holder.pipe.reset();
            };
            holder.pipe->ask(1, command({"AUTH", "x"}));
            holder.pipe->ask(2, command({"PING"}));
            REQUIRE(holder.waits_for("1: WRONGPASS no"));
            turns_for(holder.loop, 20ms);
            CHECK(holder.told.size() == 2);
        }
    }
}

TEST_CASE("a reply is never that to a question that has not left") {
    Holder holder;
    RedisPeer peer{holder.loop};
    peer.on("GET", "+a\r\n+b\r\n");
    holder.on_event = [&] {
        if (holder.told.back() == "1: a") holder.pipe->ask(2, command({"PING"}));
    };
    holder.open(peer.endpoint());
    holder.pipe->ask(1, command({"GET", "k"}));
    CHECK(holder.waits_for_end());
    CHECK(holder.told == Told{"connected", "1: a", "ended: bad reply"});
}

TEST_CASE("messages come between the answers of who has subscribed") {
    Holder holder;
    RedisPeer peer{holder.loop};
    for (const bool dribbled : {false, true}) {
        CAPTURE(dribbled);
        peer.dribble(dribbled);
        holder.told.clear();
        holder.open(peer.endpoint());
        holder.pipe->subscribed();
        holder.pipe->ask(1, command({"SUBSCRIBE", "c"}));
        REQUIRE(holder.waits_for("1: [subscribe c 1]"));
        peer.publish("c", "x");
        REQUIRE(holder.waits_for("pushed [message c x]"));
        peer.publish("c", "y");
        holder.pipe->ask(2, command({"PING"}));
        REQUIRE(holder.waits_for("2: [pong ]"));
        CHECK(holder.told == Told{"connected", "1: [subscribe c 1]", "pushed [message c x]",
                                  "pushed [message c y]", "2: [pong ]"});
        // But nothing else does.
        peer.connections().back()->send("+x\r\n");
        CHECK(holder.waits_for_end());
        CHECK(holder.told.back() == "ended: bad reply");
    }
}

TEST_CASE("a pipe may be destroyed during each of its events") {
    struct Case {
        const char* name;
        std::string answer;
        bool refuse;
        Told told;
    };
    const std::vector<Case> cases = {
        {"connected", "", false, {"connected"}},
        {"the first of three answers", "+a\r\n", false, {"connected", "1: a"}},
        {"the second of three answers", "+a\r\n", false, {"connected", "1: a", "2: a"}},
        {"a message",
         resp_message("c", "x") + resp_message("c", "y") + "+a\r\n",
         false,
         {"connected", "pushed [message c x]"}},
        {"garbage", "?\r\n", false, {"connected", "ended: bad reply"}},
        {"refused", "", true, {"ended: no connection"}},
    };
    for (const Case& c : cases) {
        CAPTURE(c.name);
        Holder holder;
        RedisPeer peer{holder.loop};
        peer.on("GET", c.answer);
        if (c.refuse) peer.refuse();
        holder.on_event = [&] {
            if (holder.told.size() == c.told.size()) holder.pipe.reset();
        };
        holder.open(peer.endpoint());
        holder.pipe->subscribed();
        for (const std::uint64_t tag : {1U, 2U, 3U}) holder.pipe->ask(tag, command({"GET", "k"}));
        REQUIRE(turns_until(holder.loop, [&] { return holder.pipe == nullptr; }));
        turns_for(holder.loop, 10ms);
        CHECK(holder.told == c.told);
    }
}

TEST_CASE("a pipe may be destroyed during the event of each time-out, and of the peer's end") {
    Holder holder;
    RedisPeer peer{holder.loop};
    const FullPort full;
    holder.on_event = [&] {
        if (holder.told.back().starts_with("ended")) holder.pipe.reset();
    };
    peer.on("LATE", [](RedisPeer::Connection& c, const RedisPeer::Command&) { c.silent = true; });
    peer.on("END", [](RedisPeer::Connection& c, const RedisPeer::Command&) { c.close(); });
    peer.on("RESET", [](RedisPeer::Connection& c, const RedisPeer::Command&) { c.reset(); });
    holder.open(full.endpoint(), {20ms, 20ms});
    CHECK(turns_until(holder.loop, [&] { return holder.pipe == nullptr; }));
    for (const char* const word : {"LATE", "END", "RESET"}) {
        CAPTURE(word);
        holder.open(peer.endpoint(), {20s, 200ms});
        holder.pipe->ask(1, command({word}));
        CHECK(turns_until(holder.loop, [&] { return holder.pipe == nullptr; }));
    }
}

TEST_CASE("a pipe that is destroyed tells nothing more, at whatever point") {
    for (int turns = 0; turns < 6; ++turns) {
        CAPTURE(turns);
        Holder holder;
        RedisPeer peer{holder.loop};
        holder.open(peer.endpoint());
        holder.pipe->ask(1, command({"PING"}));
        for (int i = 0; i < turns; ++i) holder.loop.turn();
        holder.pipe.reset();
        const std::size_t told = holder.told.size();
        turns_for(holder.loop, 10ms);
        CHECK(holder.told.size() == told);
    }
}

TEST_CASE("a loop may end while a name is looked up") {
    for (int i = 0; i < 20; ++i) {
        Holder holder;
        holder.open({std::string(64, 'x') + ".test", 1});
        holder.pipe.reset();
    }
}

TEST_CASE("large questions and answers pass whole") {
    Holder holder;
    RedisPeer peer{holder.loop};
    peer.on("ECHO", [](RedisPeer::Connection& connection, const RedisPeer::Command& asked) {
        connection.send(resp_text(asked[1]));
    });
    holder.open(peer.endpoint());
    const std::string large(RedisReader::text_max, 'x');
    for (const std::uint64_t tag : {1U, 2U, 3U, 4U})
        holder.pipe->ask(tag, command({"ECHO", large}));
    CHECK(holder.waits_for("4: " + large));
    CHECK(holder.told.size() == 5);
}

}  // namespace
}  // namespace baton
