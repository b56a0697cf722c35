#pragma once

// A stream that behaves like TLS 1.3 and encrypts nothing: records of odd sizes, an end of its own (without
// it, the connection's is a truncated one), records that carry no data, and bytes that arrive late. The relay
// tests run over it with BATON_RECORDS set.

#include <cstddef>
#include <string>
#include <string_view>

#include "net/loop.h"
#include "net/stream.h"

namespace baton::test {

// Whether this run's connections speak records.
bool speaks_records() noexcept;
// The same, for a test that says something about TCP alone and is left out: why is said at the end.
bool only_tcp(std::string_view reason);

// A `StreamLayer`.
StreamPtr over_records(Loop& loop, StreamPtr below);

// As long as one lives, no stream of records can tell by a peek whether something has arrived.
class CannotTell {
public:
    CannotTell() { ++alive; }
    ~CannotTell() { --alive; }
    CannotTell(const CannotTell&) = delete;
    CannotTell& operator=(const CannotTell&) = delete;
    static inline int alive = 0;
};

std::string as_records(std::string_view bytes);
std::string_view end_record() noexcept;

// What has been read of one direction.
class RecordReader {
public:
    void feed(std::string_view wire);
    std::string plain;   // to be taken out
    bool ended = false;  // in an orderly way

private:
    std::string partial_;
};

}  // namespace baton::test
