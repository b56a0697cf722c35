// The clients: each connection asks, takes the whole answer, checks it and asks again; or, at a fixed
// rate, asks when it is time, and the wait for a free connection counts.

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <vector>

#include "tests/bench/traffic.h"

namespace traffic {
namespace {

// What there is to be done.
struct Work {
    std::string request;
    std::size_t answer_size = 0;
    bool close = false;       // a connection for each request
    std::size_t upload = 0;   // bytes of the request's body
    std::size_t message = 0;  // of a tunnel
    bool session = false;     // keeps the cookie it is given
    bool writes = false;      // and each tenth request changes the session
    bool idle = false;        // one request, then nothing
};

std::string get(const std::string& target, const std::string& fields = {}) {
    return "GET " + target + " HTTP/1.1\r\nHost: bench.example\r\n" + fields + "\r\n";
}

constexpr const char* browser_fields =
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: "
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://bench.example/catalogue/outdoor/tents?sort=price&page=3\r\n"
    "Cookie: theme=dark; consent=2026-11-22T10%3A00%3A00Z; "
    "basket=8f14e45fceea167a5a36dedd4bea2543\r\n"
    "Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n";

Work work_of(const std::string& name) {
    if (name == "small") return {.request = get("/small"), .answer_size = small_size};
    if (name == "heads")
        return {.request = get("/small", browser_fields), .answer_size = small_size};
    if (name == "large") return {.request = get("/large"), .answer_size = large_size};
    if (name == "chunked") return {.request = get("/chunked"), .answer_size = chunked_size};
    if (name == "close")
        return {.request = get("/small", "Connection: close\r\n"),
                .answer_size = small_size,
                .close = true};
    if (name == "upload")
        return {.request = "POST /upload HTTP/1.1\r\nHost: bench.example\r\nContent-Length: " +
                           std::to_string(upload_size) + "\r\n\r\n",
                .upload = upload_size};
    if (name == "tunnel-128" || name == "tunnel-16k")
        return {.request =
                    get("/tunnel",
                        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
                .message = name == "tunnel-128" ? std::size_t{128} : std::size_t{16} << 10};
    if (name == "session")
        return {.request = get("/session"), .answer_size = small_size, .session = true};
    if (name == "write")
        return {
            .request = get("/session"), .answer_size = small_size, .session = true, .writes = true};
    if (name == "idle") return {.request = get("/small"), .answer_size = small_size, .idle = true};
    errno = EINVAL;
    die("no work: " + name);
}

// Microseconds, in classes that are an eighth of a power of two wide.
class Histogram {
public:
    void add(std::int64_t us) {
        const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(us, 0));
        const int bits = value < 16 ? 0 : 60 - __builtin_clzll(value);
        const auto at = static_cast<std::size_t>(bits) * 16 + (value >> bits);
        ++counts_[std::min(at, counts_.size() - 1)];
        ++total_;
    }
    std::uint64_t percentile(double share) const {
        auto left = static_cast<std::uint64_t>(static_cast<double>(total_) * share);
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            if (counts_[i] > left) return i < 16 ? i : (i % 16) << (i / 16);
            left -= counts_[i];
        }
        return 0;
    }

private:
    std::array<std::uint64_t, 16 * 64> counts_{};
    std::uint64_t total_ = 0;
};

// Reads one answer, from any pieces of it; what is wrong is said once.
class Answer {
public:
    void begin(bool upgrade) {
        head_.clear();
        taken_ = left_ = 0;
        state_ = State::head;
        upgrade_ = upgrade;
        cookie_.clear();
    }
    // Takes bytes; true once the answer is whole. What is left of them belongs to nobody.
    bool take(std::string_view& bytes) {
        while (!bytes.empty() && state_ != State::whole) {
            switch (state_) {
            case State::head: take_head(bytes); break;
            case State::sized:
            case State::chunk: take_data(bytes); break;
            case State::chunk_size: take_size(bytes); break;
            case State::chunk_end: skip(bytes, State::chunk_size); break;
            case State::last_end: skip(bytes, State::whole); break;
            case State::whole: break;
            }
        }
        return state_ == State::whole;
    }
    const char* wrong() const { return wrong_; }
    std::size_t size() const { return taken_; }
    const std::string& cookie() const { return cookie_; }

private:
    enum class State { head, sized, chunk_size, chunk, chunk_end, last_end, whole };

    void take_head(std::string_view& bytes) {
        const std::size_t before = head_.size();
        std::string_view head = bytes;
        if (before > 0) {
            head_ += bytes;
            head = head_;
        }
        const std::size_t end = head.find("\r\n\r\n");
        if (end == head.npos) {
            if (before == 0) head_ = bytes;
            bytes = {};
            return;
        }
        bytes.remove_prefix(end + 4 - before);
        judge(head.substr(0, end + 4));
    }

    void judge(std::string_view head) {
        const int status = static_cast<int>(load::to_number(head.substr(9)));
        if (status != (upgrade_ ? 101 : 200)) wrong_ = "status";
        const std::string_view line = load::field(head, "Set-Cookie");
        if (line.starts_with("JSESSIONID=")) cookie_ = line.substr(0, line.find(';'));
        if (upgrade_) {
            state_ = State::whole;
        } else if (head.find("\r\nTransfer-Encoding: chunked\r\n") != head.npos ||
                   head.find("\r\ntransfer-encoding: chunked\r\n") != head.npos) {
            state_ = State::chunk_size;
            left_ = 0;
        } else {
            std::string_view size = load::field(head, "Content-Length");
            if (size.empty()) size = load::field(head, "content-length");
            left_ = load::to_number(size);
            state_ = left_ == 0 ? State::whole : State::sized;
        }
    }

    void take_data(std::string_view& bytes) {
        const std::size_t part = std::min(left_, bytes.size());
        if (taken_ + part > body_max ||
            std::memcmp(bytes.data(), body().data() + taken_, part) != 0)
            wrong_ = "body";
        taken_ += part;
        left_ -= part;
        bytes.remove_prefix(part);
        if (left_ > 0) return;
        state_ = state_ == State::sized ? State::whole : State::chunk_end;
        ends_ = 0;
    }

    void take_size(std::string_view& bytes) {
        const char c = bytes.front();
        bytes.remove_prefix(1);
        if (c >= '0' && c <= '9') left_ = left_ * 16 + static_cast<std::size_t>(c - '0');
        if (c >= 'a' && c <= 'f') left_ = left_ * 16 + static_cast<std::size_t>(c - 'a' + 10);
        if (c >= 'A' && c <= 'F') left_ = left_ * 16 + static_cast<std::size_t>(c - 'A' + 10);
        if (c != '\n') return;
        ends_ = 0;
        state_ = left_ > 0 ? State::chunk : State::last_end;
    }

    // CR LF.
    void skip(std::string_view& bytes, State next) {
        const std::size_t part = std::min<std::size_t>(2 - ends_, bytes.size());
        ends_ += part;
        bytes.remove_prefix(part);
        if (ends_ < 2) return;
        state_ = next;
        left_ = 0;
    }

    State state_ = State::head;
    bool upgrade_ = false;
    std::string head_;  // while it is not whole
    std::string cookie_;
    std::size_t taken_ = 0;
    std::size_t left_ = 0;
    std::size_t ends_ = 0;
    const char* wrong_ = nullptr;
};

struct Connection {
    int fd = -1;
    bool ready = false;  // connected
    bool upgraded = false;
    bool busy = false;
    bool writable_awaited = false;
    std::int64_t asked_us = 0;
    std::string request;
    std::size_t sent = 0;     // of the request, then of the body
    std::size_t to_send = 0;  // of both
    std::size_t echoed = 0;
    std::uint64_t asked = 0;  // requests
    std::string cookie;
    Answer answer;
};

class Clients {
public:
    explicit Clients(const Options& options)
        : work_(work_of(options.text("work"))),
          port_(options.number("port", 0)),
          congestion_(options.text("congestion")),
          rate_(options.number("rate", 0)),
          milliseconds_(options.number("milliseconds", 4000)),
          requests_(options.number("requests", 0)),
          connections_(options.number("connections", 64)) {}

    int run() {
        const std::size_t first = work_.idle ? idle_at_once : connections_.size();
        while (opened_ < std::min(first, connections_.size())) open(connections_[opened_++]);
        if (work_.idle) return hold();
        begin_us_ = next_us_ = now_us();
        if (requests_ == 0) {
            drive(begin_us_ + warm_up_us);
            latencies_ = Histogram{};
            done_ = released_ = 0;
            due_.clear();
            begin_us_ = next_us_ = now_us();
            std::puts("begin");
            std::fflush(stdout);
        }
        drive(begin_us_ + static_cast<std::int64_t>(milliseconds_) * 1000);
        report(now_us() - begin_us_);
        return errors_ == 0 && done_ > 0 ? 0 : 1;
    }

private:
    static constexpr std::int64_t warm_up_us = 300'000;
    // What a proxy needs for requests that run together is not what an idle connection costs it.
    static constexpr std::size_t idle_at_once = 16;

    bool paced() const { return rate_ > 0; }

    void drive(std::int64_t until_us) {
        for (;;) {
            const std::int64_t now = now_us();
            if (now >= until_us || (requests_ != 0 && done_ + errors_ >= requests_)) return;
            if (paced()) release(now);
            poll_.turn(paced() ? std::min(next_us_, until_us) : until_us,
                       [this](std::uint64_t who, std::uint32_t events) {
                           go_on(connections_[who], events);
                       });
        }
    }

    // Requests whose time has come.
    void release(std::int64_t now) {
        while (next_us_ <= now) {
            due_.push_back(next_us_);
            ++released_;
            next_us_ = begin_us_ + static_cast<std::int64_t>(released_ * 1'000'000 / rate_);
        }
        while (!due_.empty() && !free_.empty()) {
            Connection& connection = *free_.back();
            free_.pop_back();
            ask(connection, due_.front());
            due_.pop_front();
        }
    }

    std::uint64_t number_of(const Connection& connection) const {
        return static_cast<std::uint64_t>(&connection - connections_.data());
    }

    void open(Connection& connection) {
        connection.fd = begin_to_connect(port_, congestion_);
        if (connection.fd < 0) die("connect");
        connection.ready = connection.upgraded = false;
        connection.writable_awaited = true;
        poll_.watch(connection.fd, number_of(connection), EPOLLIN | EPOLLOUT);
    }

    void await_writable(Connection& connection, bool awaited) {
        if (connection.writable_awaited == awaited) return;
        connection.writable_awaited = awaited;
        poll_.change(connection.fd, number_of(connection), awaited ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }

    void go_on(Connection& connection, std::uint32_t events) {
        if ((events & EPOLLOUT) != 0 && !connection.ready) {
            connection.ready = true;
            if (!work_.close) await_writable(connection, false);
            return free(connection);
        }
        if ((events & EPOLLOUT) != 0) send(connection);
        if ((events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive(connection);
    }

    void free(Connection& connection) {
        if (paced())
            free_.push_back(&connection);
        else
            ask(connection, now_us());
    }

    void ask(Connection& connection, std::int64_t at_us) {
        connection.asked_us = at_us;
        connection.busy = true;
        connection.sent = connection.echoed = 0;
        ++connection.asked;
        if (connection.upgraded) {
            connection.request.clear();
            connection.to_send = work_.message;
        } else {
            connection.request = work_.request;
            if (work_.writes && connection.asked % 10 == 0)
                connection.request.replace(4, 8, "/write");
            if (work_.session && !connection.cookie.empty())
                connection.request.insert(connection.request.size() - 2,
                                          "Cookie: " + connection.cookie + "\r\n");
            connection.to_send = connection.request.size() + work_.upload;
            connection.answer.begin(work_.message > 0);
        }
        send(connection);
    }

    void send(Connection& connection) {
        while (connection.sent < connection.to_send) {
            const std::size_t head = connection.request.size();
            const char* const from = connection.sent < head
                                         ? connection.request.data() + connection.sent
                                         : body().data() + (connection.sent - head);
            const std::size_t size = connection.sent < head ? head - connection.sent
                                                            : connection.to_send - connection.sent;
            const ssize_t took = ::send(connection.fd, from, size, MSG_DONTWAIT);
            if (took < 0) {
                if (errno != EAGAIN) return fail(connection, "send");
                return await_writable(connection, true);
            }
            connection.sent += static_cast<std::size_t>(took);
        }
        await_writable(connection, false);
    }

    void receive(Connection& connection) {
        const ssize_t size = ::recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) return connection.busy ? fail(connection, "end") : again(connection);
        std::string_view bytes{buffer_.data(), static_cast<std::size_t>(size)};
        if (connection.upgraded) return echo(connection, bytes);
        if (!connection.busy) return fail(connection, "extra");
        const bool whole = connection.answer.take(bytes);
        if (connection.answer.wrong() != nullptr)
            return fail(connection, connection.answer.wrong());
        if (!whole) return;
        if (!bytes.empty()) return fail(connection, "extra");
        if (connection.answer.size() != work_.answer_size) return fail(connection, "size");
        if (!connection.answer.cookie().empty()) connection.cookie = connection.answer.cookie();
        connection.upgraded = work_.message > 0;
        if (work_.close) {
            done(connection);
            return again(connection);
        }
        if (!connection.upgraded) done(connection);
        next(connection);
    }

    void echo(Connection& connection, std::string_view bytes) {
        if (connection.echoed + bytes.size() > work_.message ||
            std::memcmp(bytes.data(), body().data() + connection.echoed, bytes.size()) != 0)
            return fail(connection, "echo");
        connection.echoed += bytes.size();
        if (connection.echoed < work_.message) return;
        done(connection);
        next(connection);
    }

    void done(Connection& connection) {
        connection.busy = false;
        ++done_;
        latencies_.add(now_us() - connection.asked_us);
    }

    void next(Connection& connection) {
        connection.busy = false;
        if (!work_.idle) return free(connection);
        if (opened_ < connections_.size()) open(connections_[opened_++]);
    }

    void again(Connection& connection) {
        ::close(connection.fd);
        open(connection);
    }

    void fail(Connection& connection, const char* what) {
        if (errors_++ < 5) std::fprintf(stderr, "traffic: wrong: %s\n", what);
        connection.busy = false;
        connection.answer = Answer{};
        again(connection);
    }

    // Until stdin ends; prints when all have had their answer.
    int hold() {
        const std::int64_t until_us = now_us() + 60'000'000;
        while (done_ < connections_.size() && now_us() < until_us)
            poll_.turn(until_us, [this](std::uint64_t who, std::uint32_t events) {
                go_on(connections_[who], events);
            });
        report(1);
        char byte;
        while (::read(STDIN_FILENO, &byte, 1) > 0) continue;
        return errors_ == 0 && done_ == connections_.size() ? 0 : 1;
    }

    void report(std::int64_t us) {
        const double seconds = static_cast<double>(us) / 1e6;
        std::printf(
            "{\"requests\": %llu, \"seconds\": %.3f, \"per_second\": %.1f, \"errors\": %llu, "
            "\"p50\": %llu, \"p99\": %llu, \"p999\": %llu, \"congestion\": \"%s\"}\n",
            static_cast<unsigned long long>(done_), seconds, static_cast<double>(done_) / seconds,
            static_cast<unsigned long long>(errors_),
            static_cast<unsigned long long>(latencies_.percentile(0.5)),
            static_cast<unsigned long long>(latencies_.percentile(0.99)),
            static_cast<unsigned long long>(latencies_.percentile(0.999)),
            congestion_of(connections_[0].fd).c_str());
        std::fflush(stdout);
    }

    const Work work_;
    const std::uint64_t port_;
    const std::string congestion_;
    const std::uint64_t rate_;
    const std::uint64_t milliseconds_;
    const std::uint64_t requests_;  // after which it is over; 0: after the milliseconds
    std::vector<Connection> connections_;
    std::size_t opened_ = 0;
    Poll poll_;
    std::array<char, std::size_t{256} << 10> buffer_;
    Histogram latencies_;
    std::int64_t begin_us_ = 0;
    std::int64_t next_us_ = 0;
    std::uint64_t released_ = 0;
    std::deque<std::int64_t> due_;
    std::vector<Connection*> free_;
    std::uint64_t done_ = 0;
    std::uint64_t errors_ = 0;
};

}  // namespace

int ask(const Options& options) {
    static Clients clients{options};
    return clients.run();
}

}  // namespace traffic
