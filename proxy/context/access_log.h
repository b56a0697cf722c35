#pragma once

// The access log: one JSON line a request, put together in a worker's block and handed to the log's
// writer.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/log.h"

namespace baton {

// What is told of one request. What is absent (an empty text, a number below its least) is left out
// of the line.
struct AccessLine {
    std::int64_t time_ms = 0;  // since 1970: when the request ended
    std::string_view id;
    std::string_view client;
    std::string_view method;
    std::string_view host;
    std::string_view target;
    int status = 0;         // 0: absent
    std::uint64_t in = 0;   // bytes from the client, always told
    std::uint64_t out = 0;  // bytes to the client, always told
    std::string_view route;
    std::string_view server;
    unsigned tries = 0;        // 0: absent
    std::string_view session;  // as told to the server
    std::string_view token;    // tells sessions apart without naming them
    // Microseconds; shown as milliseconds with three decimals. Below 0: absent.
    std::int64_t wait_us = -1;
    std::int64_t connect_us = -1;
    std::int64_t first_us = -1;
    std::int64_t total_us = -1;
    std::string_view fault;
    std::string_view reason;  // a word of ours
    std::string_view detail;  // the name of a field or an attribute that the reason is about
};

// A line whose texts it owns.
class KeptAccessLine {
public:
    KeptAccessLine() = default;
    explicit KeptAccessLine(const AccessLine& line);
    // Its texts live as long as this object, or the one that it is moved to.
    AccessLine& line() noexcept { return line_; }

private:
    std::unique_ptr<char[]> texts_;
    AccessLine line_;
};

// No line is longer, its newline included, so that it goes into a pipe in one piece.
inline constexpr std::size_t access_line_max = 4096;

// Appends the line. It is valid JSON and printable ASCII whatever bytes a client sends: `"`, `\`
// and every byte outside 0x20 to 0x7e become \u00HH. Texts that are too long (a target: 2 KiB as
// written) end in "...".
void append_access_line(std::string& block, const AccessLine& line);

// A worker's part of the access log. One thread.
class AccessLog {
public:
    // Both outlive it. A null writer or a sink of -1: the log is off.
    AccessLog(log::Writer* writer, log::Writer::Sink sink) : writer_(writer), sink_(sink) {}
    ~AccessLog() { flush(); }
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;

    bool enabled() const noexcept { return writer_ != nullptr && sink_ >= 0; }

    // Hands the block over if the next line might not fit: a line is never split.
    void write(const AccessLine& line);

    // Hands over what there is; the worker's timer calls this, so that no line waits long.
    void flush();

private:
    static constexpr std::size_t block_size = std::size_t{64} * 1024;

    log::Writer* writer_;
    log::Writer::Sink sink_;
    std::string block_;
    std::size_t lines_ = 0;
};

}  // namespace baton
