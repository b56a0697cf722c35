// As in a release, where the standard library's assert is compiled out.
#ifndef NDEBUG
#define NDEBUG
#endif

#include "net/check.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "net/http/head_guard.h"
#include "net/http/http_parser.h"
#include "net/result.h"

namespace baton {

namespace {

// What a process that does `broken` leaves: the signal that ended it, 0 if none did, and its words.
struct Death {
    int signal = 0;
    std::string words;
};

template <class Broken>
Death death_of(Broken broken) {
    int pipe_ends[2];
    REQUIRE(::pipe(pipe_ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGABRT, SIG_DFL);  // the test runner's own handler writes a report
        ::dup2(pipe_ends[1], STDERR_FILENO);
        broken();
        ::_exit(0);
    }
    ::close(pipe_ends[1]);
    Death death;
    char byte = 0;
    while (::read(pipe_ends[0], &byte, 1) == 1) death.words += byte;
    ::close(pipe_ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    death.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return death;
}

// A type of this file alone: its Result is compiled here, without assert.
struct Local {
    int value = 0;
};

const HeadLimits limits;

}  // namespace

TEST_CASE("F:asserts a check that fails stops a release, and says what is broken") {
    const Death failed = death_of([] { check(false, "the floor is gone"); });
    CHECK(failed.signal == SIGABRT);
    CHECK(failed.words == "baton: the floor is gone\n");
    CHECK(death_of([] { check(true, "the floor is gone"); }).signal == 0);
    CHECK(death_of([] { die("no floor", "EFLOOR"); }).words == "baton: no floor: EFLOOR\n");
}

TEST_CASE("F:asserts what a result does not hold is not read") {
    Result<Local> bad{Error{Fault::no_route}};
    const Result<Local>& constant = bad;
    const Result<Local> good{Local{1}};
    volatile int seen = 0;
    CHECK(death_of([&] { seen = (*bad).value; }).signal == SIGABRT);
    CHECK(death_of([&] { seen = (*constant).value; }).signal == SIGABRT);
    CHECK(death_of([&] { seen = bad->value; }).signal == SIGABRT);
    CHECK(death_of([&] { seen = good.error().code; }).signal == SIGABRT);
    CHECK(death_of([&] { seen = (*good).value + bad.error().code; }).signal == 0);
}

TEST_CASE("F:asserts a parser is not asked for a head twice, nor for a body before its head") {
    HttpParser parser{HeadGuard::Kind::request, limits};
    Head head;
    Pieces pieces;
    std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(death_of([&] { static_cast<void>(parser.read_body(bytes, pieces)); }).signal == SIGABRT);
    REQUIRE(parser.read_head(bytes, head));
    CHECK(death_of([&] { static_cast<void>(parser.read_head(bytes, head)); }).signal == SIGABRT);

    HeadGuard guard{HeadGuard::Kind::request, limits};
    REQUIRE(guard.walk(bytes, head));
    CHECK(death_of([&] { static_cast<void>(guard.walk(bytes, head)); }).signal == SIGABRT);
}

}  // namespace baton
