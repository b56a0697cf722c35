// The log's writer: rotated and given more files while threads write to it.

#include "net/log.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/threads/site.h"
#include "tests/threads/together.h"

namespace baton::test {

namespace {

constexpr unsigned threads = 6;
constexpr int blocks = 500;  // of each thread, at least
constexpr int rotations = 15;

// A block of three lines, in a spare block's room.
std::string block_of(log::Writer& writer, unsigned thread, int number) {
    std::string block = writer.spare();
    for (int line = 0; line < 3; ++line)
        block += std::to_string(thread) + ' ' + std::to_string(number * 3 + line) + '\n';
    // So large now and then that the writer keeps it for the next.
    if (number % 50 == 0) block.reserve(std::size_t{64} * 1024);
    return block;
}

}  // namespace

TEST_CASE("logs are opened anew while six threads write: no line is lost, torn or written twice") {
    const TempDir dir;
    const EventFile events;
    const std::string path = dir / "log";
    std::size_t files = 0;
    std::array<int, threads> written{};  // blocks
    {
        log::Writer writer;
        log::Writer::carry_events(&writer);
        const log::Writer::Sink rotated = writer.open(path);
        const log::Writer::Sink steady = writer.open(dir / "steady");
        REQUIRE(rotated > 0);
        REQUIRE(steady > 0);
        std::atomic<bool> rotating = true;
        std::atomic<std::size_t> refused = 0;
        std::thread writing{[&] {
            in_threads(threads, [&](unsigned thread) {
                int i = 0;
                for (; i < blocks || rotating; ++i) {
                    if (!writer.write(i % 2 == 0 ? rotated : steady, block_of(writer, thread, i),
                                      3))
                        refused.fetch_add(1);
                    if (i % 100 == 0) log::info("tick", {{"of", thread}});
                    // Not faster than a file takes it.
                    if (i % 20 == 0) std::this_thread::sleep_for(std::chrono::milliseconds{1});
                }
                written[thread] = i;
            });
        }};
        for (int turn = 0; turn < rotations; ++turn) {
            const std::string old = path + "." + std::to_string(turn);
            CHECK(std::rename(path.c_str(), old.c_str()) == 0);
            writer.reopen();
            CHECK(eventually([&] { return ::access(path.c_str(), F_OK) == 0; }));
            ++files;
            // A file more, while all others are in use.
            const log::Writer::Sink more = writer.open(dir / ("more." + std::to_string(turn)));
            CHECK(writer.write(more, "more\n", 1));
        }
        rotating = false;
        writing.join();
        CHECK(refused.load() == 0);
        CHECK(writer.lines_dropped() == 0);
    }
    std::vector<std::string> texts{contents(path), contents(dir / "steady")};
    for (std::size_t i = 0; i < files; ++i)
        texts.push_back(contents(path + "." + std::to_string(i)));
    std::array<std::vector<int>, threads> seen;
    std::size_t ticks = 0;
    for (std::size_t i = 0; i < threads; ++i) {
        const auto count = static_cast<std::size_t>(written[i]);
        seen[i].resize(3 * count, 0);
        ticks += (count + 99) / 100;
    }
    for (const std::string& text : texts) {
        std::array<int, threads> last{};
        for (const std::string& line : lines_of(text)) {
            unsigned thread = threads;
            int number = 0;
            char end = 0;
            REQUIRE(std::sscanf(line.c_str(), "%u %d%c", &thread, &number, &end) == 2);
            REQUIRE(thread < threads);
            ++seen[thread].at(static_cast<std::size_t>(number));
            if (number < last[thread]) FAIL_CHECK("out of order: ", line);
            last[thread] = number;
        }
    }
    for (const auto& of_thread : seen) CHECK(of_thread == std::vector<int>(of_thread.size(), 1));
    for (int turn = 0; turn < rotations; ++turn)
        CHECK(contents(dir / ("more." + std::to_string(turn))) == "more\n");
    CHECK(lines_of(events.text()).size() == ticks);
}

TEST_CASE("of three threads that would warn at the same moment one does so") {
    constexpr unsigned count = 3;
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{300};
    log::OncePerMinute once;
    std::atomic<std::uint64_t> arrived = 0;
    std::atomic<std::uint64_t> warned = 0;
    std::atomic<std::uint64_t> minutes = std::numeric_limits<std::uint64_t>::max();
    in_threads(count, [&](unsigned thread) {
        for (std::uint64_t minute = 0;; ++minute) {
            if (thread == 0 && std::chrono::steady_clock::now() > end) minutes = minute;
            arrived.fetch_add(1);
            for (unsigned looks = 0; arrived.load() < count * (minute + 1); ++looks)
                if (looks > 1000) std::this_thread::yield();
            if (minute >= minutes) return;
            if (once.due(minute * 60'000)) warned.fetch_add(1);
        }
    });
    CHECK(minutes.load() > 0);
    CHECK(warned.load() == minutes.load());
}

}  // namespace baton::test
