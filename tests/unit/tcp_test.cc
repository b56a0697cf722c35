// The contract of net/stream.h, as TCP keeps it.

#include "net/tcp.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/loop.h"

namespace baton {

namespace {

// A stream under test, and the plain socket at its other end, which reads when the test says so.
class Pair {
public:
    Pair() {
        const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
        Address address = *parse_address("127.0.0.1:0");
        socklen_t size = sizeof(address.v4);
        REQUIRE(::bind(listener, address.raw(), size) == 0);
        REQUIRE(::listen(listener, 1) == 0);
        REQUIRE(::getsockname(listener, address.raw(), &size) == 0);
        peer_ = ::socket(AF_INET, SOCK_STREAM, 0);
        REQUIRE(::connect(peer_, address.raw(), size) == 0);
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        REQUIRE(fd >= 0);
        ::close(listener);
        stream_ = Tcp::adopt(loop_, fd, counts_);
        static constexpr StreamEvents events{
            .arrived = [](void*, std::span<char>) {},
            .flushed = [](void* pair) { static_cast<Pair*>(pair)->on_flushed(); },
            .ended = [](void* pair, StreamEnd its) { static_cast<Pair*>(pair)->end = its; },
        };
        stream_->attach(this, events);
    }
    ~Pair() {
        if (peer_ >= 0) ::close(peer_);
        stream_.reset();
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    Tcp& stream() { return *stream_; }
    std::size_t write(const std::string& bytes, Stream::Then then = Stream::Then::more) {
        const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
        return stream_->write({&piece, 1}, then);
    }
    // Until it holds; the other end reads up to `most` bytes each turn.
    void turn_until(const std::function<bool()>& holds, std::size_t most) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{10};
        std::string room(most, ' ');
        while (!holds()) {
            REQUIRE(std::chrono::steady_clock::now() < limit);
            if (most > 0) {
                const ssize_t size = ::recv(peer_, room.data(), room.size(), MSG_DONTWAIT);
                if (size > 0) received += static_cast<std::size_t>(size);
                peer_ended = size == 0;
            }
            loop_.turn();
        }
    }
    void leave(bool by_reset) {
        if (by_reset) {
            const linger now{.l_onoff = 1, .l_linger = 0};
            ::setsockopt(peer_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        }
        ::close(std::exchange(peer_, -1));
    }
    int peer() const { return peer_; }

    std::size_t received = 0;
    bool peer_ended = false;
    std::vector<std::size_t> unsent_when_flushed;
    std::optional<StreamEnd> end;
    std::function<void()> on_flush = [] {};

private:
    void on_flushed() {
        unsent_when_flushed.push_back(stream_->unsent());
        on_flush();
    }

    Loop loop_;
    TcpCounts counts_;
    int peer_ = -1;
    std::unique_ptr<Tcp> stream_;
};

}  // namespace

TEST_CASE("F:flushed is told once, when everything written has left") {
    std::size_t first = 0;
    std::vector<std::size_t> more;
    SUBCASE("one write") { first = 20'000'000; }
    SUBCASE("what was written while the first was leaving counts, too") {
        first = 20'000'000;
        more = {1, 5'000'000, 70'000};
    }
    for (const std::size_t most : {1'000'000U, 65'536U}) {
        CAPTURE(most);
        Pair pair;
        pair.write(std::string(first, 'a'));
        REQUIRE(pair.stream().unsent() > 0);
        std::size_t total = first;
        for (const std::size_t size : more) {
            pair.write(std::string(size, 'b'));
            total += size;
        }
        pair.turn_until([&] { return pair.received == total; }, most);
        CHECK(pair.unsent_when_flushed == std::vector<std::size_t>{0});
        CHECK(pair.stream().sent() == total);
        CHECK(pair.stream().unsent() == 0);
    }
}

TEST_CASE("F:flushed is told again for what is written during the event") {
    Pair pair;
    int rounds = 0;
    pair.on_flush = [&] {
        if (++rounds < 3) pair.write(std::string(20'000'000, 'c'));
    };
    pair.write(std::string(20'000'000, 'a'));
    pair.turn_until([&] { return pair.received == 60'000'000; }, 1'000'000);
    CHECK(pair.unsent_when_flushed == std::vector<std::size_t>(3, 0));
}

TEST_CASE("F:flushed is not told where the peer takes nothing, or has left") {
    Pair pair;
    pair.write(std::string(20'000'000, 'a'));
    pair.write(std::string(1'000, 'b'));
    pair.leave(true);
    pair.turn_until([&] { return pair.end.has_value(); }, 0);
    CHECK(pair.unsent_when_flushed.empty());
    CHECK(pair.stream().broken());
    CHECK(pair.stream().unsent() == 0);
}

TEST_CASE("F:pipelined-end an end of sending is told from a connection that is gone") {
    Pair pair;
    CHECK(pair.stream().peek() == Stream::Unread::nothing);
    SUBCASE("its end") {
        REQUIRE(::shutdown(pair.peer(), SHUT_WR) == 0);
        CHECK(pair.stream().peek() == Stream::Unread::end);
        CHECK(pair.stream().peek() == Stream::Unread::end);
        pair.leave(true);
        CHECK(pair.stream().peek() == Stream::Unread::broken);
        CHECK(pair.stream().peek() == Stream::Unread::broken);
    }
    SUBCASE("a reset") {
        pair.leave(true);
        CHECK(pair.stream().peek() == Stream::Unread::broken);
        CHECK(pair.stream().peek() == Stream::Unread::broken);
    }
    SUBCASE("bytes before its end") {
        REQUIRE(::send(pair.peer(), "x", 1, 0) == 1);
        pair.leave(false);
        CHECK(pair.stream().peek() == Stream::Unread::bytes);
    }
}

TEST_CASE("F:half-close the last write of a stream ends it, behind all that was written") {
    std::size_t size = 0;
    bool waits = false;
    SUBCASE("which leaves at once") { size = 100; }
    SUBCASE("which waits for the peer") { size = 20'000'000; }
    SUBCASE("behind one that waits for the peer") {
        size = 20'000'000;
        waits = true;
    }
    Pair pair;
    std::size_t total = size;
    if (waits) {
        CHECK(pair.write(std::string(size, 'a')) == size);
        CHECK(pair.write("z", Stream::Then::end) == 1);
        total += 1;
    } else {
        CHECK(pair.write(std::string(size, 'a'), Stream::Then::end) == size);
    }
    CHECK(pair.write("lost") == 0);
    pair.turn_until([&] { return pair.peer_ended; }, 1'000'000);
    CHECK(pair.received == total);
    CHECK(pair.stream().sent() == total);
    CHECK(pair.write("lost") == 0);
    CHECK_FALSE(pair.stream().broken());
}

TEST_CASE("F:written a write says how much of it was taken: nothing if the peer has left") {
    Pair pair;
    CHECK(pair.write("") == 0);
    CHECK(pair.write("abc") == 3);
    pair.leave(true);
    CHECK(pair.write("def") == 0);
    CHECK(pair.stream().broken());
    CHECK(pair.write("ghi") == 0);
    CHECK(pair.stream().sent() == 3);
}

TEST_CASE("F:end the end of what the peer sends has a kind") {
    Pair pair;
    pair.stream().read(true);
    StreamEnd::Kind kind = StreamEnd::Kind::orderly;
    int error = UV_EOF;
    SUBCASE("TCP's own is orderly") { REQUIRE(::shutdown(pair.peer(), SHUT_WR) == 0); }
    SUBCASE("a reset is none") {
        kind = StreamEnd::Kind::failed;
        error = UV_ECONNRESET;
        pair.leave(true);
    }
    pair.turn_until([&] { return pair.end.has_value(); }, 0);
    CHECK(pair.end->kind == kind);
    CHECK(pair.end->error == error);
}

}  // namespace baton
