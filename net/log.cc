#include "net/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "net/text.h"
#include "net/wall_clock.h"

namespace baton::log {

namespace {

constexpr std::size_t line_max = 4096;
// What is left for the end of a line that had to be cut: the mark, a quote, a newline.
constexpr std::size_t line_tail = 8;
constexpr std::string_view cut_mark = "...";
// The process has one event log, as it has one stderr: its level and the writer that carries it.
constinit std::atomic<Level> least_level{Level::info};
constinit std::atomic<Writer*> carrier{nullptr};

std::string_view name(Level level) noexcept {
    switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warn";
    case Level::error: return "error";
    }
    return "unknown";
}

constexpr bool printable(char c) noexcept { return c >= 0x20 && c <= 0x7e; }

// Whether a value can stand without quotes and still end where it ends.
bool is_plain(std::string_view value) noexcept {
    return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
        return printable(c) && c != ' ' && c != '"' && c != '\\' && c != '=';
    });
}

// One byte as it stands in quotes: at most four bytes.
std::size_t escape(char c, char* out) noexcept {
    constexpr std::string_view digits = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = c;
        return 2;
    }
    if (printable(c)) {
        out[0] = c;
        return 1;
    }
    const auto byte = static_cast<unsigned char>(c);
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[byte >> 4U];
    out[3] = digits[byte & 0x0fU];
    return 4;
}

// False if the value had to be cut: then the line is full.
bool append_value(std::string& line, std::string_view value) {
    const bool quoted = !is_plain(value);
    if (quoted) line += '"';
    bool whole = true;
    for (const char c : value) {
        std::array<char, 4> bytes{};
        const std::size_t size = escape(c, bytes.data());
        if (line.size() + size > line_max - line_tail) {
            line += cut_mark;
            whole = false;
            break;
        }
        line.append(bytes.data(), size);
    }
    if (quoted) line += '"';
    return whole;
}

bool append_field(std::string& line, std::string_view key, std::string_view value) {
    // Room for the key, `=`, a quote and at least one byte, however it is escaped.
    if (line.size() + key.size() + 7 > line_max - line_tail) {
        line += " ...";
        return false;
    }
    line += ' ';
    line += key;
    line += '=';
    return append_value(line, value);
}

bool append_field(std::string& line, const Field& field) {
    if (const auto* text = std::get_if<std::string_view>(&field.value)) {
        return append_field(line, field.key, *text);
    }
    return append_field(line, field.key, Decimal{*std::get_if<std::int64_t>(&field.value)}.view());
}

// As far as it goes, waiting for the reader: before a writer is there, and after it has gone.
void write_to_stderr(std::string_view line) noexcept {
    while (!line.empty()) {
        const ssize_t size = ::write(STDERR_FILENO, line.data(), line.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return;
        line.remove_prefix(static_cast<std::size_t>(size));
    }
}

void emit(Level level, std::string_view event, Fields fields) {
    if (!enabled(level)) return;
    std::string line = line_now(level, event, fields);
    if (Writer* writer = carrier.load(std::memory_order_acquire)) {
        writer->write(Writer::stderr_sink, std::move(line), 1);
    } else {
        write_to_stderr(line);
    }
}

}  // namespace

void debug(std::string_view event, Fields fields) { emit(Level::debug, event, fields); }
void info(std::string_view event, Fields fields) { emit(Level::info, event, fields); }
void warn(std::string_view event, Fields fields) { emit(Level::warn, event, fields); }
void error(std::string_view event, Fields fields) { emit(Level::error, event, fields); }

void set_level(Level level) noexcept { least_level.store(level, std::memory_order_relaxed); }

bool enabled(Level level) noexcept { return level >= least_level.load(std::memory_order_relaxed); }

std::string format_line(std::string_view ts, Level level, std::string_view event, Fields fields) {
    std::string line = "ts=";
    line += ts;
    line += " level=";
    line += name(level);
    bool room = append_field(line, "event", event);
    for (const Field& field : fields) {
        if (!room) break;
        room = append_field(line, field);
    }
    line += '\n';
    return line;
}

std::string line_now(Level level, std::string_view event, Fields fields) {
    std::array<char, 24> ts{};
    format_time(wall_now_ms(), ts.data());
    return format_line({ts.data(), ts.size()}, level, event, fields);
}

void format_time(std::int64_t epoch_ms, char* out) noexcept {
    // Four digits are what the format has for a year; a clock that is further out is wrong anyway.
    constexpr std::int64_t first = -62'167'219'200'000;  // 0000-01-01
    constexpr std::int64_t last = 253'402'300'799'999;   // 9999-12-31T23:59:59.999Z
    const std::chrono::sys_time<std::chrono::milliseconds> time{
        std::chrono::milliseconds{std::clamp(epoch_ms, first, last)}};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};

    const auto digits = [&out](unsigned value, int count, char after) {
        for (int i = count - 1; i >= 0; --i, value /= 10) {
            out[i] = static_cast<char>('0' + value % 10);
        }
        out[count] = after;
        out += count + 1;
    };
    digits(static_cast<unsigned>(static_cast<int>(date.year())), 4, '-');
    digits(static_cast<unsigned>(date.month()), 2, '-');
    digits(static_cast<unsigned>(date.day()), 2, 'T');
    digits(static_cast<unsigned>(clock.hours().count()), 2, ':');
    digits(static_cast<unsigned>(clock.minutes().count()), 2, ':');
    digits(static_cast<unsigned>(clock.seconds().count()), 2, '.');
    digits(static_cast<unsigned>(clock.subseconds().count()), 3, 'Z');
}

void Writer::carry_events(Writer* writer) noexcept {
    carrier.store(writer, std::memory_order_release);
}

void Writer::leave_events() noexcept {
    Writer* self = this;
    carrier.compare_exchange_strong(self, nullptr);
}

}  // namespace baton::log
