#pragma once

// The event log (stderr, `key=value` lines) and the one thread that writes every log of the
// process.
//
// A loop never waits for a disk, a pipe or a terminal: it hands a block of whole lines to the
// writer, and when the writer's queue is full the block is dropped and its lines are counted.

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <variant>

namespace baton::log {

enum class Level : std::uint8_t { debug, info, warn, error };

// One datum of an event. Values are escaped and quoted where they need it; bytes outside printable
// ASCII as \xHH.
struct Field {
    std::string_view key;
    std::variant<std::string_view, std::int64_t> value;

    Field(std::string_view k, std::string_view v) : key(k), value(v) {}
    Field(std::string_view k, const char* v) : key(k), value(std::string_view{v}) {}
    Field(std::string_view k, const std::string& v) : key(k), value(std::string_view{v}) {}
    template <std::integral Int>
    Field(std::string_view k, Int v) : key(k), value(static_cast<std::int64_t>(v)) {}
};

using Fields = std::initializer_list<Field>;

// Any thread. `event` is a constant phrase in lower case, without data; data are fields. A line is
// at most 4 KiB.
//     ts=2026-03-01T10:00:00.123Z level=warn event="server down" server=127.0.0.1:9001
void debug(std::string_view event, Fields fields = {});
void info(std::string_view event, Fields fields = {});
void warn(std::string_view event, Fields fields = {});
void error(std::string_view event, Fields fields = {});

// Lines below `level` are not written. Any thread; the process has one level.
void set_level(Level level) noexcept;
bool enabled(Level level) noexcept;

// The line an event makes, with its newline. Pure; `ts` is what stands behind "ts=".
std::string format_line(std::string_view ts, Level level, std::string_view event, Fields fields);

// The line of an event that happens now.
std::string line_now(Level level, std::string_view event, Fields fields);

// "2026-03-01T10:00:00.123Z" of milliseconds since 1970, UTC (RFC 3339). Writes exactly 24 bytes to
// `out`.
void format_time(std::int64_t epoch_ms, char* out) noexcept;

// At most one "yes" in so many milliseconds, from any thread: for warnings that a flood of requests
// would repeat.
template <std::uint64_t interval_ms>
class OncePer {
public:
    // `now_ms` is any monotonic clock in milliseconds.
    bool due(std::uint64_t now_ms) noexcept {
        std::uint64_t next = next_.load(std::memory_order_relaxed);
        if (now_ms < next) return false;
        return next_.compare_exchange_strong(next, now_ms + interval_ms, std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> next_{0};
};
using OncePerMinute = OncePer<60'000>;
using OncePerSecond = OncePer<1'000>;

// The writer thread. Made once by the process, before any loop runs; it outlives all loops.
class Writer {
public:
    // Where lines go. Opened by `open`, valid as long as the writer.
    using Sink = int;
    static constexpr Sink stderr_sink = 0;

    Writer();
    // Writes what is queued, but waits at most a second for a reader that is stuck. Its events go
    // straight to stderr again.
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    // A sink that appends to `target`: "stdout" or a path (made with mode 0640). -1 with errno if
    // it cannot be opened. The same target is the same sink.
    Sink open(const std::string& target);

    // Any thread. Takes a block of whole lines. Never waits; false if the sink's queue (4 MiB) was
    // full and the lines are lost (they are counted).
    bool write(Sink sink, std::string block, std::size_t lines);

    // Any thread. An empty block for `write`, with the room of one that was written before if there
    // is one.
    std::string spare();

    // Any thread. Every file is closed and opened anew by its path, after what is queued before it
    // was written. No line is lost or torn. A path that cannot be opened keeps its old file and
    // says so on stderr.
    void reopen();

    // Lines that never reached their file: the queue was full, or the file could not be written.
    std::uint64_t lines_dropped() const noexcept;

    // Events of this process go through `writer` (stderr sink) from now on; null: straight to
    // stderr, as before.
    static void carry_events(Writer* writer) noexcept;

private:
    void leave_events() noexcept;

    struct State;
    std::shared_ptr<State> state_;  // the thread has a share: a stuck write may outlive the writer
    std::thread thread_;
};

}  // namespace baton::log
