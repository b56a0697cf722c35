#include "net/log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace baton::log {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// A folder for one test, removed with what the tests put there.
class TempDir {
public:
    TempDir() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
    ~TempDir() {
        for (const char* name : {"/log", "/log.1", "/fifo", "/err"}) {
            ::unlink((path_ + name).c_str());
        }
        ::rmdir((path_ + "/log").c_str());
        ::rmdir(path_.c_str());
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    std::string operator/(const char* name) const { return path_ + "/" + name; }

private:
    std::string path_ = "/tmp/baton-log-test-XXXXXX";
};

// Puts another file in the place of stdout or stderr while a test runs.
class Redirect {
public:
    Redirect(int fd, int to) : fd_(fd), saved_(::dup(fd)) { ::dup2(to, fd); }
    ~Redirect() {
        ::dup2(saved_, fd_);
        ::close(saved_);
    }
    Redirect(const Redirect&) = delete;
    Redirect& operator=(const Redirect&) = delete;

private:
    int fd_;
    int saved_;
};

// stderr in a file for the length of a test.
class StderrFile {
public:
    StderrFile() : fd_(::open((dir_ / "err").c_str(), O_RDWR | O_CREAT | O_APPEND, 0600)) {}
    ~StderrFile() { ::close(fd_); }
    StderrFile(const StderrFile&) = delete;
    StderrFile& operator=(const StderrFile&) = delete;
    std::string text() const {
        std::string bytes(1 << 20, '\0');
        const ssize_t size = ::pread(fd_, bytes.data(), bytes.size(), 0);
        bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
        return bytes;
    }

private:
    TempDir dir_;
    int fd_;
    Redirect redirect_{STDERR_FILENO, fd_};
};

std::string contents(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

template <class Condition>
bool eventually(Condition condition) {
    for (int i = 0; i < 1000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(5ms);
    }
    return false;
}

std::size_t count_of(std::string_view text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos;
         at = text.find(part, at + part.size())) {
        ++count;
    }
    return count;
}

// Reads what is there now.
std::string read_now(int fd) {
    std::string all;
    std::array<char, 65536> bytes{};
    pollfd poll_fd{fd, POLLIN, 0};
    while (::poll(&poll_fd, 1, 0) > 0) {
        const ssize_t size = ::read(fd, bytes.data(), bytes.size());
        if (size <= 0) break;
        all.append(bytes.data(), static_cast<std::size_t>(size));
    }
    return all;
}

std::string line_of(std::size_t size, char fill) { return std::string(size - 1, fill) + "\n"; }

std::string lines_of(std::size_t count, std::size_t size, char fill) {
    std::string block;
    for (std::size_t i = 0; i < count; ++i) block += line_of(size, fill);
    return block;
}

}  // namespace

TEST_CASE("an event's line has its time, level, event and fields") {
    CHECK(format_line("T", Level::debug, "listening", {}) == "ts=T level=debug event=listening\n");
    CHECK(format_line("2026-03-01T10:00:00.123Z", Level::warn, "server down",
                      {{"server", "127.0.0.1:9001"}, {"tries", 3}, {"left", -1}}) ==
          "ts=2026-03-01T10:00:00.123Z level=warn event=\"server down\" "
          "server=127.0.0.1:9001 tries=3 left=-1\n");
    CHECK(format_line("T", Level::info, "a", {{"b", std::string{"c"}}}) ==
          "ts=T level=info event=a b=c\n");
    CHECK(format_line("T", Level::error, "a", {}) == "ts=T level=error event=a\n");
}

TEST_CASE("a value that could be read wrongly is quoted and escaped") {
    const auto value = [](std::string_view text) {
        const std::string line = format_line("T", Level::info, "e", {{"k", text}});
        return line.substr(std::string_view{"ts=T level=info event=e k="}.size());
    };
    CHECK(value("") == "\"\"\n");
    CHECK(value("a b") == "\"a b\"\n");
    CHECK(value("a=b") == "\"a=b\"\n");
    CHECK(value("a\"b") == "\"a\\\"b\"\n");
    CHECK(value("a\\b") == "\"a\\\\b\"\n");
    CHECK(value("a\r\nb") == "\"a\\x0d\\x0ab\"\n");
    CHECK(value(std::string_view{"\0", 1}) == "\"\\x00\"\n");
    CHECK(value("\x1b[31m") == "\"\\x1b[31m\"\n");
    CHECK(value("\xff\x7f") == "\"\\xff\\x7f\"\n");
    CHECK(value("!~") == "!~\n");
}

TEST_CASE("each of the 256 byte values makes one printable line") {
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const std::string line = format_line("T", Level::info, "e", {{"k", std::string(1, c)}});
        REQUIRE(line.back() == '\n');
        for (std::size_t i = 0; i + 1 < line.size(); ++i) {
            CHECK(line[i] >= 0x20);
            CHECK(line[i] <= 0x7e);
        }
    }
}

TEST_CASE("an event's line is at most 4 KiB, whatever its fields hold") {
    // "ts=T level=info event=e k=" are 26 bytes; 8 are kept for the end of a line that is cut.
    const auto line = [](std::size_t size, char fill) {
        return format_line("T", Level::info, "e", {{"k", std::string(size, fill)}, {"z", 1}});
    };
    const std::size_t most = 4096 - 8 - 26;
    CHECK(line(most - 20, 'x').ends_with("x z=1\n"));
    CHECK(line(most, 'x').ends_with("x ...\n"));
    CHECK(line(most + 1, 'x').ends_with("x...\n"));
    CHECK(count_of(line(most + 1, 'x'), "x") == most);
    for (const char fill : {'x', ' ', '"', '\n', '\xff'}) {
        for (std::size_t size = 800; size < 4200; ++size) {
            const std::string text = line(size, fill);
            REQUIRE(text.size() <= 4096);
            REQUIRE(text.back() == '\n');
        }
        CHECK(line(100'000, fill).size() <= 4096);
        CHECK(line(100'000, fill).size() > 4080);
    }
    // A cut falls between two escapes, and the quotes are closed.
    CHECK(line(100'000, '\n').ends_with("\\x0a...\"\n"));
    const std::string key(5000, 'k');
    CHECK(format_line("T", Level::info, "e", {{key, 1}}) == "ts=T level=info event=e ...\n");
}

TEST_CASE("times are RFC 3339 in UTC with milliseconds") {
    const auto text = [](std::int64_t ms) {
        std::array<char, 26> out;
        out.fill('#');
        format_time(ms, out.data());
        CHECK(out[24] == '#');  // exactly 24 bytes
        return std::string(out.data(), 24);
    };
    CHECK(text(0) == "1970-01-01T00:00:00.000Z");
    CHECK(text(1772359200123) == "2026-03-01T10:00:00.123Z");
    CHECK(text(951782399999) == "2000-02-28T23:59:59.999Z");
    CHECK(text(951782400000) == "2000-02-29T00:00:00.000Z");
    CHECK(text(-1) == "1969-12-31T23:59:59.999Z");
    CHECK(text(253'402'300'799'999) == "9999-12-31T23:59:59.999Z");
    CHECK(text(253'402'300'800'000) == "9999-12-31T23:59:59.999Z");
    CHECK(text(-62'167'219'200'001) == "0000-01-01T00:00:00.000Z");
}

TEST_CASE("a warning that is due once a minute is due once a minute") {
    OncePerMinute once;
    CHECK(once.due(1'000));
    CHECK(!once.due(1'000));
    CHECK(!once.due(60'999));
    CHECK(once.due(61'000));
    CHECK(!once.due(61'001));
    CHECK(OncePerMinute{}.due(0));
}

TEST_CASE("events below the level are not written") {
    const StderrFile err;
    set_level(Level::warn);
    debug("one");
    info("two");
    warn("three", {{"n", 3}});
    error("four");
    set_level(Level::debug);
    CHECK(enabled(Level::debug));
    debug("five");
    set_level(Level::info);
    CHECK(!enabled(Level::debug));
    CHECK(enabled(Level::info));
    CHECK(count_of(err.text(), "\n") == 3);
    CHECK(count_of(err.text(), "level=warn event=three n=3\n") == 1);
    CHECK(count_of(err.text(), "level=error event=four\n") == 1);
    CHECK(count_of(err.text(), "level=debug event=five\n") == 1);
}

TEST_CASE("events go through the writer while it carries them, and straight to stderr after it") {
    const StderrFile err;
    {
        Writer writer;
        Writer::carry_events(&writer);
        for (int i = 0; i < 1000; ++i) info("carried", {{"i", i}});
        error("fatal");
    }
    // All of it is there when the writer is gone: this is how the last words of the process are
    // heard.
    CHECK(count_of(err.text(), "event=carried") == 1000);
    CHECK(err.text().ends_with("event=fatal\n"));
    info("after");
    CHECK(err.text().ends_with("event=after\n"));
}

TEST_CASE("a file gets every line, whole and in order, from many threads") {
    const TempDir dir;
    {
        Writer writer;
        const Writer::Sink sink = writer.open(dir / "log");
        REQUIRE(sink > 0);
        CHECK(writer.open(dir / "log") == sink);
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&writer, sink, t] {
                for (int i = 0; i < 500; ++i) {
                    const std::string line = std::to_string(t) + " " + std::to_string(i) + "\n";
                    CHECK(writer.write(sink, line, 1));
                }
            });
        }
        for (auto& thread : threads) thread.join();
        CHECK(writer.lines_dropped() == 0);
    }
    std::ifstream file{dir / "log"};
    std::array<int, 4> next{};
    int t = 0;
    int i = 0;
    while (file >> t >> i) CHECK(next.at(static_cast<std::size_t>(t))++ == i);
    CHECK(next == std::array<int, 4>{500, 500, 500, 500});
    struct stat status {};
    REQUIRE(::stat((dir / "log").c_str(), &status) == 0);
    CHECK((status.st_mode & 07137) == 0);  // no more than 0640
}

TEST_CASE("a file is appended to") {
    const TempDir dir;
    std::ofstream{dir / "log"} << "before\n";
    {
        Writer writer;
        writer.write(writer.open(dir / "log"), "after\n", 1);
    }
    CHECK(contents(dir / "log") == "before\nafter\n");
}

TEST_CASE("a sink that cannot be opened is -1 with errno, and takes nothing") {
    const StderrFile err;
    Writer writer;
    CHECK(writer.open("/nonexistent/baton.log") == -1);
    CHECK(errno == ENOENT);
    CHECK(!writer.write(-1, "a\nb\n", 2));
    CHECK(!writer.write(1, "c\n", 1));
    CHECK(writer.lines_dropped() == 3);
}

TEST_CASE(
    "reopen: what was queued goes to the old file, the rest to the new one, nothing is lost") {
    const TempDir dir;
    {
        Writer writer;
        const Writer::Sink sink = writer.open(dir / "log");
        for (int i = 0; i < 1000; ++i) writer.write(sink, "old\n", 1);
        REQUIRE(::rename((dir / "log").c_str(), (dir / "log.1").c_str()) == 0);
        for (int i = 0; i < 1000; ++i) writer.write(sink, "old\n", 1);
        writer.reopen();
        for (int i = 0; i < 1000; ++i) writer.write(sink, "new\n", 1);
        writer.reopen();
        writer.reopen();
        writer.write(sink, "end\n", 1);
    }
    CHECK(count_of(contents(dir / "log.1"), "old\n") == 2000);
    CHECK(contents(dir / "log.1").size() == 8000);
    CHECK(count_of(contents(dir / "log"), "new\n") == 1000);
    CHECK(contents(dir / "log").size() == 4004);
}

TEST_CASE("reopen of a path that cannot be opened keeps the old file and says so") {
    const TempDir dir;
    const StderrFile err;
    {
        Writer writer;
        const Writer::Sink sink = writer.open(dir / "log");
        writer.write(sink, "one\n", 1);
        REQUIRE(eventually([&] { return contents(dir / "log") == "one\n"; }));
        REQUIRE(::rename((dir / "log").c_str(), (dir / "log.1").c_str()) == 0);
        REQUIRE(::mkdir((dir / "log").c_str(), 0700) == 0);
        writer.reopen();
        writer.write(sink, "two\n", 1);
        CHECK(eventually([&] { return count_of(err.text(), "log file not reopened") == 1; }));
        CHECK(writer.lines_dropped() == 0);
    }
    CHECK(contents(dir / "log.1") == "one\ntwo\n");
    CHECK(count_of(err.text(), "error=\"Is a directory\"\n") == 1);
}

TEST_CASE("a stuck reader: producers never wait, the queue ends at 4 MiB, the rest is counted") {
    const TempDir dir;
    const StderrFile err;
    REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
    const int reader = ::open((dir / "fifo").c_str(), O_RDONLY | O_NONBLOCK);
    ::fcntl(reader, F_SETPIPE_SZ, 65536);
    const auto start = Clock::now();
    {
        Writer writer;
        const Writer::Sink sink = writer.open(dir / "fifo");
        // Fill the pipe: 64 KiB that leave the queue. They have left it when their block can be
        // used again.
        CHECK(writer.write(sink, lines_of(64, 1024, 'a'), 64));
        REQUIRE(eventually([&] { return writer.spare().capacity() >= 65536; }));
        // What the thread has taken over and cannot write counts as well.
        for (int i = 0; i < 64; ++i) CHECK(writer.write(sink, lines_of(64, 1024, 'b'), 64));
        CHECK(writer.lines_dropped() == 0);
        CHECK(!writer.write(sink, "c\n", 1));
        CHECK(!writer.write(sink, lines_of(10, 10, 'c'), 10));
        CHECK(writer.lines_dropped() == 11);
        CHECK(Clock::now() - start < 5s);

        // The others are not in the same jam.
        const Writer::Sink file = writer.open(dir / "log");
        CHECK(writer.write(file, "free\n", 1));
        CHECK(eventually([&] { return contents(dir / "log") == "free\n"; }));
        CHECK(eventually([&] { return count_of(err.text(), "log lines dropped") == 1; }));

        // When the reader comes back it goes on where it stopped.
        std::string got;
        CHECK(eventually([&] {
            got += read_now(reader);
            return got.size() >= 65536 + 64 * 65536;
        }));
        CHECK((got == lines_of(64, 1024, 'a') + lines_of(std::size_t{64} * 64, 1024, 'b')));
        CHECK(writer.write(sink, "d\n", 1));
        CHECK(eventually([&] { return read_now(reader) == "d\n"; }));
        CHECK(writer.lines_dropped() == 11);
    }
    CHECK(count_of(err.text(), "event=\"log lines dropped\" lines=") == 1);
    ::close(reader);
}

TEST_CASE("a stuck reader does not hold the exit for more than a second") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const StderrFile err;
    const Redirect out{STDOUT_FILENO, ends[1]};
    auto writer = std::make_unique<Writer>();
    const Writer::Sink sink = writer->open("stdout");
    for (int i = 0; i < 32; ++i) writer->write(sink, lines_of(64, 1024, 'a'), 64);
    // The thread meets the full pipe, and must not be caught in a write to it.
    int size = 0;
    REQUIRE(eventually([&] { return ::ioctl(ends[0], FIONREAD, &size) == 0 && size >= 65536; }));
    std::this_thread::sleep_for(50ms);
    Writer::carry_events(writer.get());
    error("last words");
    const auto start = Clock::now();
    writer.reset();
    const auto took = Clock::now() - start;
    CHECK(took > 900ms);
    CHECK(took < 5s);
    // The reader got whole lines only, and stderr was not in the jam.
    const std::string got = read_now(ends[0]);
    CHECK(!got.empty());
    CHECK(got.size() % 1024 == 0);
    CHECK(count_of(err.text(), "last words") == 1);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("a pipe is written in pieces of whole lines that fit PIPE_BUF") {
    // A pipe with O_DIRECT shows where one write ends and the next begins.
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_DIRECT) == 0);
    const Redirect out{STDOUT_FILENO, ends[1]};
    std::vector<std::size_t> sizes;
    {
        Writer writer;
        // 1000-byte lines: four to a piece; then a line of exactly PIPE_BUF, then one beyond it.
        const Writer::Sink sink = writer.open("stdout");
        writer.write(sink, lines_of(6, 1000, 'a') + line_of(4096, 'b') + line_of(4097, 'c'), 8);
        std::array<char, 8192> bytes{};
        std::size_t total = 0;
        while (total < 6000 + 4096 + 4097) {
            const ssize_t size = ::read(ends[0], bytes.data(), bytes.size());
            REQUIRE(size > 0);
            sizes.push_back(static_cast<std::size_t>(size));
            total += sizes.back();
        }
    }
    CHECK(sizes == std::vector<std::size_t>{4000, 2000, 4096, 4096, 1});
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("a socket is written as far as it goes, without waiting") {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
    const Redirect out{STDOUT_FILENO, ends[1]};
    const std::string block = lines_of(1024, 1000, 's');
    std::string got;
    {
        Writer writer;
        const Writer::Sink sink = writer.open("stdout");
        writer.write(sink, block, 1024);
        CHECK(eventually([&] { return (got += read_now(ends[0])).size() >= block.size(); }));
        CHECK(writer.lines_dropped() == 0);
    }
    CHECK((got == block));
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("a reader that has gone costs the lines, not the process") {
    const StderrFile err;
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const Redirect out{STDOUT_FILENO, ends[1]};
    ::close(ends[0]);
    Writer writer;
    const Writer::Sink sink = writer.open("stdout");
    CHECK(writer.write(sink, "a\nb\n", 2));
    CHECK(eventually([&] { return writer.lines_dropped() == 2; }));
    CHECK(eventually(
        [&] { return count_of(err.text(), "lines=2 target=stdout error=\"Broken pipe\"") == 1; }));
    // Once a minute: the next loss is counted and not told.
    CHECK(writer.write(sink, "c\n", 1));
    CHECK(eventually([&] { return writer.lines_dropped() == 3; }));
    std::this_thread::sleep_for(50ms);
    CHECK(count_of(err.text(), "log lines dropped") == 1);
    ::close(ends[1]);
}

TEST_CASE("a full disk costs the lines and is told") {
    const StderrFile err;
    Writer writer;
    const Writer::Sink sink = writer.open("/dev/full");
    REQUIRE(sink > 0);
    CHECK(writer.write(sink, "a\nb\nc\n", 3));
    CHECK(eventually([&] { return writer.lines_dropped() == 3; }));
    CHECK(eventually([&] {
        return count_of(err.text(), "lines=3 target=/dev/full error=\"No space left on device\"") ==
               1;
    }));
}

TEST_CASE("a file that is full in the middle of a line goes on with a new line") {
    const TempDir dir;
    // The limit below is the whole process': stderr is no file here.
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const Redirect err{STDERR_FILENO, ends[1]};
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    Writer writer;
    const Writer::Sink sink = writer.open(dir / "log");
    const auto limit = [&before](rlim_t size) {
        const rlimit with{size, before.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &with);
    };
    // The limit stands for a disk: the write that crosses it is short, the next one fails.
    limit(25);
    writer.write(sink, "0123456789\n0123456789\n0123456789\n0123456789\n", 4);
    CHECK(eventually([&] { return writer.lines_dropped() == 2; }));
    writer.write(sink, "lost too\n", 1);
    CHECK(eventually([&] { return writer.lines_dropped() == 3; }));
    limit(before.rlim_cur);
    writer.write(sink, "again\n", 1);
    writer.write(sink, "and again\n", 1);
    const std::string expected = "0123456789\n0123456789\n012\nagain\nand again\n";
    CHECK(eventually([&] { return contents(dir / "log") == expected; }));
    CHECK(writer.lines_dropped() == 3);
    CHECK(count_of(read_now(ends[0]), "error=\"File too large\"") == 1);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("a FIFO nobody reads yet keeps what fits for the reader to come") {
    const TempDir dir;
    REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
    Writer writer;
    const Writer::Sink sink = writer.open(dir / "fifo");
    REQUIRE(sink > 0);
    CHECK(writer.write(sink, "early\n", 1));
    const int reader = ::open((dir / "fifo").c_str(), O_RDONLY | O_NONBLOCK);
    CHECK(eventually([&] { return read_now(reader) == "early\n"; }));
    ::close(reader);
}

TEST_CASE("written blocks are used again") {
    const TempDir dir;
    Writer writer;
    CHECK(writer.spare().capacity() < 1024);
    const Writer::Sink sink = writer.open(dir / "log");
    std::string block;
    block.reserve(65536);
    block = "line\n";
    const char* const memory = block.data();
    writer.write(sink, std::move(block), 1);
    REQUIRE(eventually([&] { return contents(dir / "log") == "line\n"; }));
    std::string again;
    CHECK(eventually([&] { return (again = writer.spare()).capacity() >= 65536; }));
    CHECK(again.data() == memory);
    CHECK(again.empty());
}

TEST_CASE("signals are left to the main thread") {
    // A signal for the process that the main thread blocks must stay pending: the writer's thread
    // may not take it.
    Writer writer;
    sigset_t usr1;
    sigset_t before;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, &before);
    ::kill(::getpid(), SIGUSR1);
    int taken = 0;
    CHECK(sigwait(&usr1, &taken) == 0);
    CHECK(taken == SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    CHECK(sigismember(&before, SIGTERM) == 0);  // the mask of who made the writer is as it was
}

}  // namespace baton::log
