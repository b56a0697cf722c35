#include "tests/bench/session_bench.h"

#include <unistd.h>

#include <cstdint>
#include <ctime>
#include <fstream>
#include <string>
#include <utility>

#include "session/memory/memory_table.h"

namespace baton::bench {

namespace {

using Kind = StoreAnswer::Kind;

constexpr std::int64_t idle_ms = 30 * 60 * 1000;
constexpr std::int64_t slack_ms = 60 * 1000;
constexpr std::int64_t now_ms = 1'800'000'000'000;
constexpr std::size_t batch = 64;  // operations between two looks at the clock

// Nanoseconds of this thread: what others do on the machine is not measured.
std::int64_t cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

std::size_t resident_bytes() {
    std::ifstream in{"/proc/self/statm"};
    std::size_t total = 0;
    std::size_t resident = 0;
    in >> total >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// What an ordinary login leaves: a name, some ids, a token.
Attributes attributes_of(std::size_t number) {
    return {{"cart", "item-" + std::to_string(100'000 + number) + ",item-7"},
            {"token", "0123456789abcdef0123456789abcdef"},
            {"user", "user" + std::to_string(number)}};
}

SessionKey key_of(const SessionId& id) { return session_key("shop", "JSESSIONID", id); }

class Bench {
public:
    explicit Bench(const SessionOptions& options) : options_(options), table_(limits()) {
        for (std::size_t i = 0; i < options_.sessions; ++i)
            keys_.push_back(key_of(mint_session_id()));
        // Ids are random: this order is none that the table knows.
        order_.reserve(options_.sessions);
        for (std::size_t i = 0; i < options_.sessions; ++i)
            order_.push_back(i * 7'919 % options_.sessions);
    }

    SessionReport run() {
        fill();
        operate("load",
                [&](std::size_t i) { return table_.load(key(i), now_ms).kind == Kind::live; });
        operate("load and touch", [&](std::size_t i) {
            const std::int64_t now = next_ms();
            const bool live = table_.load(key(i), now).kind == Kind::live;
            return table_.touch(key(i), slack_ms, now).kind == Kind::done && live;
        });
        operate("commit, one attribute", [&](std::size_t i) {
            return table_.commit(key(i), change("cart"), now_ms).kind == Kind::committed;
        });
        operate("commit, one increment", [&](std::size_t i) {
            SessionChange hit = change({});
            hit.increments.push_back(Increment{"hits", 1});
            return table_.commit(key(i), hit, now_ms).kind == Kind::committed;
        });
        operate("commit, conflict", [&](std::size_t i) {
            SessionChange late = change("cart");
            late.base = 0;  // before the session was made
            return table_.commit(key(i), late, now_ms).kind == Kind::conflict;
        });
        operate("rotate", [&](std::size_t i) {
            const SessionKey fresh = next_key();
            SessionChange move = change({});
            move.rotation = Rotation{fresh, {}};
            const bool moved = table_.commit(key(i), move, now_ms).kind == Kind::committed;
            keys_[order_[i]] = fresh;
            return moved;
        });
        operate("an id and its key",
                [&](std::size_t) { return key_of(mint_session_id()).bytes != SessionKey{}.bytes; });
        return std::move(report_);
    }

private:
    // Never full: what is measured is the operations, not evictions.
    static TableLimits limits() {
        return {.sessions_max = 100'000'000, .memory_max = std::size_t{1} << 40};
    }

    const SessionKey& key(std::size_t i) const { return keys_[order_[i]]; }

    // Later each time a session has its turn again, so that a touch has something to move.
    std::int64_t next_ms() noexcept { return now_ms + static_cast<std::int64_t>(++touched_ / 64); }

    // A key that costs no hash.
    SessionKey next_key() {
        SessionKey key = keys_[0];
        ++minted_;
        for (std::size_t byte = 0; byte < sizeof(minted_); ++byte) {
            key.bytes[byte] = static_cast<std::uint8_t>(minted_ * 0x9E3779B97F4A7C15u >> 8 * byte);
            key.bytes[31 - byte] = static_cast<std::uint8_t>(minted_ >> 8 * byte);
        }
        return key;
    }

    SessionChange change(std::string_view attribute) {
        SessionChange change;
        if (!attribute.empty())
            change.set = {{std::string{attribute}, "item-" + std::to_string(++written_)}};
        change.slack_ms = slack_ms;
        change.transaction = {1, ++written_};
        return change;
    }

    void fill() {
        Operation operation{"create, three attributes"};
        const std::size_t resident = resident_bytes();
        const std::int64_t begun = cpu_ns();
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            NewSession session;
            session.idle_ms = idle_ms;
            session.slack_ms = slack_ms;
            session.attributes = attributes_of(i);
            count(operation,
                  table_.create(keys_[i], std::move(session), now_ms).kind == Kind::created);
        }
        finish(operation, begun);
        const std::size_t now = resident_bytes();
        report_.bytes_counted = table_.memory() / keys_.size();
        report_.bytes_resident = (now > resident ? now - resident : 0) / keys_.size();
        // Their cookies come back, which changes their place once.
        for (const SessionKey& key : keys_) table_.load(key, now_ms);
    }

    // All sessions in turn until the time is over.
    template <class Operate>
    void operate(std::string_view name, Operate one) {
        Operation operation{name};
        const std::int64_t begun = cpu_ns();
        const std::int64_t end =
            begun + std::chrono::duration_cast<std::chrono::nanoseconds>(options_.each).count();
        for (std::size_t i = 0; cpu_ns() < end || operation.right + operation.wrong == 0;)
            for (std::size_t in_batch = 0; in_batch < batch; ++in_batch, ++i)
                count(operation, one(i % keys_.size()));
        finish(operation, begun);
    }

    static void count(Operation& operation, bool right) {
        ++(right ? operation.right : operation.wrong);
    }

    void finish(Operation& operation, std::int64_t begun) {
        const double seconds = static_cast<double>(cpu_ns() - begun) / 1e9;
        operation.per_second = static_cast<double>(operation.right + operation.wrong) / seconds;
        report_.operations.push_back(operation);
    }

    const SessionOptions options_;
    MemoryTable table_;
    std::vector<SessionKey> keys_;
    std::vector<std::size_t> order_;
    std::uint64_t minted_ = 0;
    std::uint64_t written_ = 0;
    std::uint64_t touched_ = 0;
    SessionReport report_;
};

}  // namespace

SessionReport measure_sessions(const SessionOptions& options) { return Bench{options}.run(); }

}  // namespace baton::bench
