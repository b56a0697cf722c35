// Turns among servers, what a pool counts, the pieces of a write, and when a request may be sent again.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/exchange/retry.h"
#include "proxy/http1/write_list.h"
#include "upstream/pool.h"
#include "upstream/server.h"

namespace baton {
namespace {

// "aabacaa" for the indices 0 0 1 0 2 0 0.
std::string letters(const std::vector<std::uint16_t>& sequence) {
    std::string text;
    for (const std::uint16_t index : sequence) text += static_cast<char>('a' + index);
    return text;
}

std::string turns(const std::vector<unsigned>& weights) {
    return letters(smooth_sequence(weights));
}

std::vector<Server> servers_with(const std::vector<unsigned>& weights) {
    std::vector<Server> servers;
    for (const unsigned weight : weights) {
        Server server;
        server.weight = weight;
        server.index = servers.size();
        servers.push_back(server);
    }
    return servers;
}

Upstream upstream_of(const std::vector<unsigned>& weights) {
    return {"u", "u", servers_with(weights), {}, std::make_shared<UpstreamState>()};
}

std::string picks(const Upstream& upstream, std::size_t count, const ServerSet& tried = {}) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        const Server* server = upstream.pick(tried);
        text += server == nullptr ? '-' : static_cast<char>('a' + server->index);
    }
    return text;
}

std::string written(const WriteList& list) {
    std::string text;
    for (const iovec& piece : list.view())
        text.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    return text;
}

// A connection whose other end is the test.
class FakeStream final : public Stream {
public:
    explicit FakeStream(int& open) : open_(open) { ++open_; }
    ~FakeStream() override { --open_; }
    FakeStream(const FakeStream&) = delete;
    FakeStream& operator=(const FakeStream&) = delete;

    void attach(void* holder, const StreamEvents& events) noexcept override {
        holder_ = holder;
        events_ = &events;
    }
    std::size_t write(std::span<const iovec> /*pieces*/, Then /*then*/) override { return 0; }
    std::size_t unsent() const noexcept override { return 0; }
    std::uint64_t sent() const noexcept override { return 0; }
    bool broken() const noexcept override { return false; }
    Unread peek() const noexcept override { return unread; }
    Address local_address() const noexcept override { return {}; }
    void read(bool on) noexcept override { reading = on; }
    void half_close() noexcept override {}
    void reset_on_close() noexcept override {}

    void arrives() {
        char byte = 'x';
        events_->arrived(holder_, {&byte, 1});
    }
    void ends() { events_->ended(holder_, StreamEnd::failed(-1)); }

    bool reading = false;
    Unread unread = Unread::nothing;

private:
    int& open_;
    void* holder_ = nullptr;
    const StreamEvents* events_ = nullptr;
};

// A pool, and the connections made for it.
struct Pooled {
    explicit Pooled(const PoolOptions& options = {})
        : pool(std::make_shared<ServerState>("u", "s", 0, 1), 0, options) {}

    Lease lend(std::uint64_t now_ms = 0) {
        auto stream = std::make_unique<FakeStream>(open);
        streams.push_back(stream.get());
        return pool.lend(std::move(stream), now_ms);
    }
    // So many idle ones.
    void idle(std::size_t count, std::uint64_t now_ms = 0) {
        std::vector<Lease> leases;
        for (std::size_t i = 0; i < count; ++i) leases.push_back(lend(now_ms));
        for (Lease& lease : leases) pool.give_back(std::move(lease), now_ms);
    }
    // "2 busy, 3 idle"; the connections that are open must be as many.
    std::string counts() const {
        const std::uint64_t busy = pool.counters.in_flight.read();
        const std::uint64_t idle = pool.counters.idle.read();
        CHECK(busy + idle == static_cast<std::uint64_t>(open));
        CHECK(idle == pool.idle());
        return std::to_string(busy) + " busy, " + std::to_string(idle) + " idle";
    }

    int open = 0;
    std::vector<FakeStream*> streams;  // of all that were made; those that are closed dangle
    Pool pool;
};

// A body of these pieces, framed, and its end.
std::string body(const std::vector<std::string_view>& pieces, Framing framing, bool end) {
    std::size_t bytes = 0;
    for (const std::string_view piece : pieces) bytes += piece.size();
    WriteList list;
    list.add_body(pieces, bytes, framing);
    if (end) list.add_end(framing);
    std::string text = written(list);
    CHECK(list.bytes() == text.size());
    CHECK(list.empty() == text.empty());
    for (const iovec& piece : list.view()) CHECK(piece.iov_len > 0);
    return text;
}

}  // namespace

TEST_CASE("F:peek what cannot be sent twice is given a connection on which nothing has arrived") {
    using Unread = Stream::Unread;
    Pooled pooled;
    pooled.idle(5);
    pooled.streams[0]->unread = Unread::nothing;
    pooled.streams[1]->unread = Unread::broken;
    pooled.streams[2]->unread = Unread::unknown;
    pooled.streams[3]->unread = Unread::bytes;
    pooled.streams[4]->unread = Unread::end;
    const Lease lease = pooled.pool.take_silent(0);
    CHECK(lease->stream.get() == pooled.streams[0]);
    // One of which nobody can tell is not thrown away for that, and waits for its event.
    CHECK(pooled.counts() == "1 busy, 1 idle");
    CHECK(pooled.pool.take_silent(0) == nullptr);
    CHECK(pooled.pool.take(0)->stream.get() == pooled.streams[2]);
}

TEST_CASE("F:peek a connection that has idled too long is closed, whatever has arrived on it") {
    using Unread = Stream::Unread;
    for (const Unread unread : {Unread::nothing, Unread::unknown, Unread::bytes}) {
        Pooled pooled{{.idle_timeout = std::chrono::milliseconds{100}}};
        pooled.idle(1);
        pooled.streams[0]->unread = unread;
        CHECK(pooled.pool.take_silent(100) == nullptr);
        CHECK(pooled.counts() == "0 busy, 0 idle");
    }
}

TEST_CASE("the smooth sequence") {
    CHECK(turns({5, 1, 1}) == "aabacaa");
    CHECK(turns({1}) == "a");
    CHECK(turns({7}) == "a");
    CHECK(turns({1, 1, 1}) == "abc");
    CHECK(turns({4, 4}) == "ab");
    CHECK(turns({1, 2}) == "bab");
    CHECK(turns({}) == "");
}

TEST_CASE("weights are divided by their greatest common divisor") {
    CHECK(turns({10, 2, 2}) == turns({5, 1, 1}));
    CHECK(turns({256, 128}) == turns({2, 1}));
    CHECK(smooth_sequence({6, 4}).size() == 5);
}

TEST_CASE("every server has its share, spread as evenly as can be") {
    const std::vector<unsigned> weights = {13, 5, 1, 8, 3};
    const auto sequence = smooth_sequence(weights);
    REQUIRE(sequence.size() == 30);
    for (std::size_t server = 0; server < weights.size(); ++server) {
        CAPTURE(server);
        CHECK(std::count(sequence.begin(), sequence.end(), server) == weights[server]);
        // At each place the share is at most a turn or so off the exact one.
        long had = 0;
        for (std::size_t i = 0; i < sequence.size(); ++i) {
            had += sequence[i] == server ? 1 : 0;
            const double exact = static_cast<double>((i + 1) * weights[server]) / 30.0;
            CHECK(std::abs(static_cast<double>(had) - exact) < 1.5);
        }
    }
}

TEST_CASE("256 servers") {
    constexpr std::size_t count = 256;
    SUBCASE("of equal weight take turns in their order") {
        const auto sequence = smooth_sequence(std::vector<unsigned>(count, 256));
        REQUIRE(sequence.size() == count);
        for (std::size_t i = 0; i < sequence.size(); ++i) CHECK(sequence[i] == i);
    }
    SUBCASE("of weights 1 to 256") {
        std::vector<unsigned> weights(count);
        std::iota(weights.begin(), weights.end(), 1U);
        const auto sequence = smooth_sequence(weights);
        REQUIRE(sequence.size() == 256 * 257 / 2);
        std::vector<unsigned> had(count, 0);
        for (const std::uint16_t index : sequence) ++had[index];
        CHECK(had == weights);
    }
    SUBCASE("the last one is picked when all others were tried, and none when it was too") {
        const Upstream upstream = upstream_of(std::vector<unsigned>(count, 1));
        ServerSet tried;
        for (std::size_t i = 0; i < 255; ++i) tried.add(i);
        const Server* server = upstream.pick(tried);
        REQUIRE(server != nullptr);
        CHECK(server->index == 255);
        tried.add(255);
        CHECK(upstream.pick(tried) == nullptr);
    }
}

namespace {

// The rule as it is written down: each turn everybody is looked at.
std::vector<std::uint16_t> plain_sequence(const std::vector<unsigned>& weights) {
    unsigned divisor = 0;
    for (const unsigned weight : weights) divisor = std::gcd(divisor, weight);
    std::vector<long> current(weights.size(), 0);
    const long total = std::accumulate(weights.begin(), weights.end(), 0L) / divisor;
    std::vector<std::uint16_t> sequence;
    for (long turn = 0; turn < total; ++turn) {
        std::size_t best = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            current[i] += static_cast<long>(weights[i] / divisor);
            if (current[i] > current[best]) best = i;
        }
        current[best] -= total;
        sequence.push_back(static_cast<std::uint16_t>(best));
    }
    return sequence;
}

// All but these of `count` servers.
ServerSet all_but(std::size_t count, const std::vector<std::size_t>& left) {
    ServerSet tried;
    for (std::size_t i = 0; i < count; ++i)
        if (std::find(left.begin(), left.end(), i) == left.end()) tried.add(i);
    return tried;
}

}  // namespace

TEST_CASE("F:no-abort the sequence is the plain rule's, however many share a weight") {
    std::uint64_t state = 1;
    const auto random = [&](unsigned below) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return static_cast<unsigned>((state >> 33) % below);
    };
    for (int round = 0; round < 300; ++round) {
        std::vector<unsigned> weights(1 + random(40));
        const unsigned most = round % 3 == 0 ? 3 : 256;
        for (unsigned& weight : weights) weight = 1 + random(most);
        CAPTURE(round);
        REQUIRE(smooth_sequence(weights) == plain_sequence(weights));
    }
}

TEST_CASE("F:no-abort 5,000 servers of many weights: each has its share, in no time") {
    std::vector<unsigned> weights(servers_max);
    for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = 256 - static_cast<unsigned>(i % 256);
    const auto begun = std::chrono::steady_clock::now();
    const auto sequence = smooth_sequence(weights);
    // The plain rule would take minutes.
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds{20});
    std::vector<unsigned> had(servers_max, 0);
    for (const std::uint16_t index : sequence) ++had[index];
    CHECK(had == weights);
}

TEST_CASE("F:no-abort a set of servers grows, and knows who is not in it") {
    for (const std::size_t index :
         {0U, 1U, 63U, 64U, 65U, 127U, 128U, 255U, 256U, 257U, 299U, 4999U}) {
        CAPTURE(index);
        ServerSet set;
        CHECK(!set.contains(index));
        set.remove(index);
        CHECK(set.size() == 0);
        set.add(index);
        set.add(index);
        CHECK(set.size() == 1);
        CHECK(set.contains(index));
        CHECK(!set.contains(index + 1));
        CHECK(!set.contains(index + 64));
        CHECK(!set.contains(1'000'000));
        CHECK(set.next_absent(0, 5000) == (index == 0 ? 1 : 0));
        CHECK(set.next_absent(index, 5000) == index + 1);
        CHECK(set.next_absent(index, index + 1) == index + 1);
        ServerSet other = set;
        CHECK(other == set);
        other.add(index + 1);
        CHECK(other != set);
        other.remove(index + 1);
        CHECK(other == set);  // though it has more room
        set.remove(index);
        CHECK(set == ServerSet{});
        CHECK(set.size() == 0);
    }
    for (const std::size_t count : {64U, 65U, 300U, 5000U}) {
        CAPTURE(count);
        CHECK(all_but(count, {}).next_absent(0, count) == count);
        CHECK(all_but(count, {count - 1}).next_absent(0, count) == count - 1);
        CHECK(all_but(count, {0}).next_absent(1, count) == count);
    }
}

TEST_CASE("F:no-abort the last servers of many are found, and found soon") {
    unsigned heaviest = 1;
    SUBCASE("of equal weight") {}
    SUBCASE("a heavy one was tried") { heaviest = 256; }
    for (const std::size_t count : {257U, 300U, 5000U}) {
        CAPTURE(count);
        std::vector<unsigned> weights(count, 1);
        weights[0] = heaviest;
        const Upstream upstream = upstream_of(weights);
        CHECK(upstream.pick(all_but(count, {})) == nullptr);
        for (const std::size_t left : {std::size_t{1}, std::size_t{200}, count - 1}) {
            const ServerSet tried = all_but(count, {left});
            for (int i = 0; i < 300; ++i) {
                const Server* server = upstream.pick(tried);
                REQUIRE(server != nullptr);
                REQUIRE(server->index == left);
            }
        }
        // A request that finds all of them down tries each once.
        ServerSet tried;
        while (const Server* server = upstream.pick(tried)) {
            REQUIRE(!tried.contains(server->index));
            tried.add(server->index);
        }
        CHECK(tried == all_but(count, {}));
    }
}

TEST_CASE("a pick takes the next turn, round and round") {
    const Upstream upstream{"u", "scope", servers_with({5, 1, 1}), {}, std::make_shared<UpstreamState>()};
    CHECK(picks(upstream, 16) == "aabacaaaabacaaaa");
    CHECK(upstream.name() == "u");
    CHECK(upstream.scope() == "scope");
    CHECK(upstream.servers().size() == 3);
}

TEST_CASE("a pick passes over the servers that were tried") {
    ServerSet tried;
    SUBCASE("the next in the sequence comes in its place") {
        const Upstream upstream = upstream_of({1, 1, 1});
        tried.add(0);
        CHECK(picks(upstream, 4, tried) == "bbcb");  // turns a, b, c, a
    }
    SUBCASE("all but one") {
        const Upstream upstream = upstream_of({5, 1, 1});
        tried.add(0);
        tried.add(1);
        CHECK(picks(upstream, 8, tried) == "cccccccc");
    }
    SUBCASE("all") {
        const Upstream upstream = upstream_of({5, 1, 1});
        tried.add(0);
        tried.add(1);
        tried.add(2);
        CHECK(upstream.pick(tried) == nullptr);
    }
    SUBCASE("of none") {
        const Upstream upstream = upstream_of({});
        CHECK(upstream.pick({}) == nullptr);
    }
    SUBCASE("another attempt takes a turn too") {
        const Upstream upstream = upstream_of({1, 1, 1});
        CHECK(picks(upstream, 1) == "a");
        tried.add(1);
        CHECK(picks(upstream, 1, tried) == "c");  // the turn of b
        CHECK(picks(upstream, 1) == "c");
    }
}

TEST_CASE("turns hold over all threads") {
    constexpr int threads = 4;
    constexpr int rounds = 3'500;  // of each thread; 4 × 3500 are 2000 times the 7 turns
    const Upstream upstream = upstream_of({5, 1, 1});
    std::vector<std::vector<int>> had(threads, std::vector<int>(3, 0));
    std::atomic<bool> go{false};
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i) {
        workers.emplace_back([&, i] {
            while (!go) std::this_thread::yield();
            for (int round = 0; round < rounds; ++round)
                ++had[static_cast<std::size_t>(i)][upstream.pick({})->index];
        });
    }
    go = true;
    for (std::thread& worker : workers) worker.join();
    std::vector<int> all(3, 0);
    for (const auto& one : had)
        for (std::size_t server = 0; server < 3; ++server) all[server] += one[server];
    CHECK(all == std::vector<int>{10'000, 2'000, 2'000});
}

TEST_CASE("a write list holds its pieces in order, and no empty one") {
    WriteList list;
    CHECK(list.empty());
    CHECK(list.bytes() == 0);
    list.add("");
    CHECK(list.empty());
    list.add("one");
    list.add("");
    list.add("two");
    CHECK(written(list) == "onetwo");
    CHECK(list.view().size() == 2);
    CHECK(list.bytes() == 6);
    CHECK_FALSE(list.empty());
}

TEST_CASE("a body is written as it is, or as one chunk of all of it") {
    CHECK(body({"hel", "lo"}, Framing::length, true) == "hello");
    CHECK(body({"hel", "lo"}, Framing::until_close, true) == "hello");
    CHECK(body({"hel", "lo"}, Framing::none, true) == "hello");
    CHECK(body({"hel", "lo"}, Framing::chunked, false) == "5\r\nhello\r\n");
    CHECK(body({"hel", "", "lo"}, Framing::chunked, true) == "5\r\nhello\r\n0\r\n\r\n");
}

TEST_CASE("a chunk line is the size in hexadecimal") {
    for (const std::size_t size : {1U, 9U, 10U, 15U, 16U, 255U, 256U, 65536U}) {
        CAPTURE(size);
        char line[20];
        std::snprintf(line, sizeof(line), "%zx\r\n", size);
        const std::string data(size, 'x');
        CHECK(body({data}, Framing::chunked, false) == line + data + "\r\n");
    }
}

TEST_CASE("no data makes no chunk: an empty one would be the end") {
    CHECK(body({}, Framing::chunked, false) == "");
    CHECK(body({""}, Framing::chunked, false) == "");
    CHECK(body({}, Framing::chunked, true) == "0\r\n\r\n");
    CHECK(body({}, Framing::length, true) == "");
}

TEST_CASE("the fullest write: a head, what was held, 20 pieces of one read, and the end") {
    std::vector<std::string> pieces;
    for (char c = 'a'; c < 'a' + 21; ++c) pieces.emplace_back(4096, c);
    const std::vector<std::string_view> views(pieces.begin(), pieces.end());
    std::string data;
    for (const std::string& piece : pieces) data += piece;
    WriteList list;
    list.add("HEAD");
    list.add_body(views, data.size(), Framing::chunked);
    list.add_end(Framing::chunked);
    CHECK(written(list) == "HEAD15000\r\n" + data + "\r\n0\r\n\r\n");
    CHECK(list.view().size() == 25);
    CHECK(list.bytes() == written(list).size());
}

TEST_CASE("a request may be sent again only if all speaks for it") {
    const Method methods[] = {Method::unknown, Method::get,     Method::head,    Method::post,
                              Method::put,     Method::delete_, Method::options, Method::connect,
                              Method::trace,   Method::other};
    const Method twice[] = {Method::get, Method::head, Method::put, Method::delete_,
                            Method::options};
    int yes = 0;
    for (int i = 0; i < fault_count; ++i) {
        const auto fault = static_cast<Fault>(i);
        for (const Method method : methods) {
            for (const bool answer_begun : {false, true}) {
                for (const bool body_at_hand : {false, true}) {
                    for (const unsigned tries_left : {0U, 1U, 2U, 9U}) {
                        const RetryFacts facts{.method = method,
                                               .answer_begun = answer_begun,
                                               .body_at_hand = body_at_hand,
                                               .tries_left = tries_left};
                        const bool harmless = std::find(std::begin(twice), std::end(twice),
                                                        method) != std::end(twice);
                        const bool expected = fault == Fault::server_gone && harmless &&
                                              !answer_begun && body_at_hand && tries_left > 0;
                        yes += expected ? 1 : 0;
                        CAPTURE(name(fault));
                        CAPTURE(static_cast<int>(method));
                        CAPTURE(tries_left);
                        CHECK(may_retry(fault, facts) == expected);
                    }
                }
            }
        }
    }
    CHECK(yes == 15);
    CHECK_FALSE(may_retry(Fault::server_gone, {}));  // who says nothing is told no
}

TEST_CASE("a pool counts each connection once: busy, idle, or closed") {
    Pooled pooled;
    CHECK(pooled.counts() == "0 busy, 0 idle");
    Lease first = pooled.lend();
    Lease second = pooled.lend();
    CHECK(pooled.counts() == "2 busy, 0 idle");
    pooled.pool.give_back(std::move(first), 0);
    CHECK(pooled.counts() == "1 busy, 1 idle");
    CHECK(pooled.streams[0]->reading);
    pooled.pool.give_back(std::move(second), 0);
    CHECK(pooled.counts() == "0 busy, 2 idle");
    Lease taken = pooled.pool.take(0);
    CHECK(taken->stream.get() == pooled.streams[1]);  // the newest
    CHECK(pooled.counts() == "1 busy, 1 idle");
    taken.reset();
    CHECK(pooled.counts() == "0 busy, 1 idle");
    taken = pooled.pool.take(0);
    CHECK(pooled.counts() == "1 busy, 0 idle");
    CHECK(pooled.pool.take(0) == nullptr);
    CHECK(pooled.counts() == "1 busy, 0 idle");
    taken.reset();
    CHECK(pooled.counts() == "0 busy, 0 idle");
}

TEST_CASE("an idle connection that says something, or ends, counts no more") {
    Pooled pooled;
    pooled.idle(4);
    CHECK(pooled.counts() == "0 busy, 4 idle");
    pooled.streams[1]->arrives();
    CHECK(pooled.counts() == "0 busy, 3 idle");
    pooled.streams[3]->ends();
    CHECK(pooled.counts() == "0 busy, 2 idle");
    pooled.streams[0]->ends();
    CHECK(pooled.counts() == "0 busy, 1 idle");
    Lease left = pooled.pool.take(0);
    CHECK(left->stream.get() == pooled.streams[2]);
    CHECK(pooled.counts() == "1 busy, 0 idle");
}

TEST_CASE("connections that a pool does not keep count no more") {
    using namespace std::chrono_literals;
    SUBCASE("there are enough") {
        Pooled pooled{{.idle_max = 2}};
        pooled.idle(5);
        CHECK(pooled.counts() == "0 busy, 2 idle");
    }
    SUBCASE("none are kept") {
        Pooled pooled{{.idle_max = 0}};
        pooled.idle(1);
        CHECK(pooled.counts() == "0 busy, 0 idle");
    }
    SUBCASE("too many requests") {
        Pooled pooled{{.requests_max = 2}};
        pooled.idle(1);
        CHECK(pooled.counts() == "0 busy, 1 idle");
        Lease lease = pooled.pool.take(0);
        CHECK(lease->requests == 1);
        pooled.pool.give_back(std::move(lease), 0);
        CHECK(pooled.counts() == "0 busy, 0 idle");
    }
    SUBCASE("too old when it comes back") {
        Pooled pooled{{.age_max = 10ms}};
        pooled.pool.give_back(pooled.lend(5), 15);
        CHECK(pooled.counts() == "0 busy, 0 idle");
    }
    SUBCASE("too old when it is taken") {
        Pooled pooled{{.age_max = 10ms}};
        pooled.idle(1, 5);
        pooled.idle(2, 0);
        Lease lease = pooled.pool.take(10);  // passes over the newer ones, which were born before
        REQUIRE(lease != nullptr);
        CHECK(lease->stream.get() == pooled.streams[0]);
        CHECK(pooled.counts() == "1 busy, 0 idle");
        CHECK(pooled.pool.take(10) == nullptr);
    }
    SUBCASE("idle for too long when it is taken, before any sweep") {
        Pooled pooled{{.idle_timeout = 10ms}};
        pooled.idle(1, 0);
        pooled.idle(1, 5);
        CHECK(pooled.pool.take(14) != nullptr);
        CHECK(pooled.pool.take(14) == nullptr);
        CHECK(pooled.counts() == "0 busy, 0 idle");
    }
    SUBCASE("all at once") {
        Pooled pooled;
        pooled.idle(3);
        const Lease lease = pooled.lend();
        pooled.pool.clear();
        CHECK(pooled.counts() == "1 busy, 0 idle");
    }
}

TEST_CASE("a sweep closes what has been idle or alive for too long, and counts it no more") {
    using namespace std::chrono_literals;
    Pooled pooled{{.idle_timeout = 10ms, .age_max = 100ms}};
    pooled.idle(1, 0);
    pooled.idle(2, 5);
    Lease busy = pooled.lend(0);
    pooled.pool.sweep(9);
    CHECK(pooled.counts() == "1 busy, 3 idle");
    pooled.pool.sweep(10);
    CHECK(pooled.counts() == "1 busy, 2 idle");
    pooled.pool.give_back(std::move(busy), 12);
    CHECK(pooled.counts() == "0 busy, 3 idle");
    pooled.pool.sweep(15);
    CHECK(pooled.counts() == "0 busy, 1 idle");
    // What was moved to another place still knows it.
    pooled.streams[3]->ends();
    CHECK(pooled.counts() == "0 busy, 0 idle");
    pooled.pool.give_back(pooled.lend(20), 115);
    pooled.pool.sweep(119);
    CHECK(pooled.counts() == "0 busy, 1 idle");
    pooled.pool.sweep(120);
    CHECK(pooled.counts() == "0 busy, 0 idle");
}

TEST_CASE("what a server did wrong is counted by its kind, and the last is known") {
    ServerCounters counters;
    CHECK(counters.last_fault().time_ms == 0);
    for (std::size_t i = 0; i < server_fault_count; ++i) {
        const auto fault = static_cast<ServerFault>(i);
        CAPTURE(name(fault));
        CHECK(counters.faults(fault) == 0);
        counters.add(fault, 1'772'323'200'000 + static_cast<std::int64_t>(i));
        counters.add(fault, 1'772'323'200'001 + static_cast<std::int64_t>(i));
        CHECK(counters.faults(fault) == 2);
        CHECK(counters.last_fault().fault == fault);
        CHECK(counters.last_fault().time_ms == 1'772'323'200'001 + static_cast<std::int64_t>(i));
    }
}

TEST_CASE("F:stale-once a full pool closes its oldest connection, and keeps the newest") {
    Pooled pooled{{.idle_max = 2}};
    pooled.idle(3);
    CHECK(pooled.counts() == "0 busy, 2 idle");
    CHECK(pooled.pool.take(0)->stream.get() == pooled.streams[2]);
    CHECK(pooled.pool.take(0)->stream.get() == pooled.streams[1]);
    CHECK(pooled.pool.take(0) == nullptr);
}

TEST_CASE("F:stale-once a pool gives its connections up in any order") {
    Pooled pooled{{.idle_max = 8}};
    pooled.idle(5);
    pooled.streams[0]->ends();  // the oldest
    pooled.streams[4]->ends();  // the newest
    pooled.streams[2]->ends();  // one between
    CHECK(pooled.counts() == "0 busy, 2 idle");
    pooled.idle(1);
    CHECK(pooled.pool.close_oldest());
    CHECK(pooled.counts() == "0 busy, 2 idle");
    Lease newest = pooled.pool.take(0);
    CHECK(newest->stream.get() == pooled.streams[5]);
    CHECK(pooled.pool.take(0)->stream.get() == pooled.streams[3]);
    CHECK_FALSE(pooled.pool.close_oldest());
    pooled.pool.give_back(std::move(newest), 0);
    CHECK(pooled.counts() == "0 busy, 1 idle");
}

TEST_CASE("F:stale-once all idle connections of a server end at once, and it takes no time") {
    Pooled pooled{{.idle_max = 65'536}};
    pooled.idle(65'536);
    const std::clock_t begun = std::clock();
    for (FakeStream* stream : pooled.streams) stream->ends();
    CHECK(pooled.counts() == "0 busy, 0 idle");
    CHECK((std::clock() - begun) / CLOCKS_PER_SEC < 1);  // what is quadratic takes several
}

}  // namespace baton
