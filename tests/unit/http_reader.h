#pragma once

// One direction of a connection, read as the proxy reads it: message after message, in whatever
// pieces the bytes come.

#include <cstddef>
#include <string>
#include <string_view>

#include "net/http/http_parser.h"
#include "tests/unit/http_rows.h"

namespace baton::test {

class HttpReader {
public:
    HttpReader(HeadGuard::Kind kind, const HeadLimits& limits)
        : kind_(kind), parser_(kind, limits) {}

    void feed(std::string_view piece);
    // The peer has finished sending.
    Outcome finish();
    // Where the guard and llhttp alone read a head differently; empty if nowhere.
    const std::string& difference() const noexcept { return difference_; }

private:
    enum class State { head, body, closed, failed };

    bool read_head();
    bool read_body();
    void message_done();
    bool fail(const Error& error);
    bool closes() const;

    HeadGuard::Kind kind_;
    HttpParser parser_;
    State state_ = State::head;
    Head head_;
    bool closes_ = false;  // the connection, behind this message
    int interims_ = 0;     // 1xx answers
    std::string pending_;  // not yet read
    std::string body_;     // decoded
    Message message_;      // being read
    Outcome outcome_;
    std::string difference_;
};

}  // namespace baton::test
