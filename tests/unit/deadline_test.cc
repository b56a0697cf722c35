#include "proxy/exchange/deadline.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "net/connect.h"

namespace baton {

namespace {

using Phase = Progress::Phase;

const ClientTimeouts client{
    .body_idle = 7ms, .send = 11ms, .tunnel_idle = 13ms, .client_gone = 17ms};
const UpstreamConfig::Timeouts server{
    .connect = 2ms, .response = 3ms, .idle = 5ms, .total = 1000ms};

const UploadRate any_rate{.min = 0};

Deadline of(const Progress& progress) {
    return next_deadline(progress, {.client = client, .upload = any_rate, .server = &server});
}

}  // namespace

TEST_CASE("each phase has its own deadline, from its own stamp") {
    struct Case {
        Progress progress;
        std::uint64_t when;
        Fault fault;
    };
    const Stamps at{.begun = 100,
                    .connect_began = 200,
                    .request_progress = 300,
                    .response_progress = 400,
                    .client_progress = 350,
                    .client_input = 250};
    const Case cases[] = {
        {{.phase = Phase::before, .at = at}, 1100, Fault::store_unavailable},
        {{.phase = Phase::connecting, .at = at}, 202, Fault::no_server},
        {{.phase = Phase::uploading, .server_reached = true, .at = at}, 307, Fault::client_slow},
        {{.phase = Phase::overlapping, .server_reached = true, .at = at}, 307, Fault::client_slow},
        {{.phase = Phase::sent, .server_reached = true, .at = at}, 303, Fault::server_slow},
        {{.phase = Phase::committing, .server_reached = true, .at = at},
         1100,
         Fault::store_unavailable},
        {{.phase = Phase::answering, .server_reached = true, .at = at}, 405, Fault::server_slow},
        {{.phase = Phase::replying, .server_reached = true, .at = at}, 0, Fault::server_slow},
    };
    for (const Case& c : cases) {
        CAPTURE(static_cast<int>(c.progress.phase));
        const Deadline due = of(c.progress);
        CHECK(due.when == c.when);
        CHECK(due.fault == c.fault);
    }
}

TEST_CASE("a full client side is the client's fault, not the server's") {
    Progress progress{.phase = Phase::answering, .server_reached = true, .answer_begun = true};
    progress.at = {.begun = 1, .response_progress = 100, .client_progress = 50, .unsent_since = 90};
    CHECK(of(progress).when == 101);
    CHECK(of(progress).fault == Fault::client_slow);
    progress.at.client_progress = 95;
    CHECK(of(progress).when == 106);
    progress.phase = Phase::replying;
    CHECK(of(progress).when == 106);
}

TEST_CASE("client_gone bounds the wait for an answer and nothing after it") {
    Progress progress{.phase = Phase::answering, .server_reached = true};
    progress.at = {.begun = 1, .response_progress = 100, .half_closed = 60};
    CHECK(of(progress).when == 77);
    CHECK(of(progress).fault == Fault::client_gone);
    progress.answer_begun = true;
    CHECK(of(progress).when == 105);
}

TEST_CASE("a tunnel may be silent for so long, whoever is") {
    const Stamps at{.request_progress = 100,
                    .response_progress = 90,
                    .client_progress = 80,
                    .client_input = 70};
    CHECK(tunnel_deadline(at, 13ms).when == 113);
    CHECK(tunnel_deadline(at, 13ms).fault == Fault::client_slow);
    CHECK(tunnel_deadline({.client_input = 70}, 13ms).when == 83);
    CHECK(tunnel_deadline({.client_progress = 80}, 13ms).when == 93);
    CHECK(tunnel_deadline({.response_progress = 90}, 13ms).when == 103);
    CHECK(tunnel_deadline(at, 0ms).when == 0);
}

TEST_CASE("a client that takes nothing of what is left for it") {
    CHECK(send_deadline({.client_progress = 50, .unsent_since = 90}, 11ms).when == 101);
    CHECK(send_deadline({.client_progress = 95, .unsent_since = 90}, 11ms).when == 106);
    CHECK(send_deadline({.client_progress = 95, .unsent_since = 90}, 11ms).fault ==
          Fault::client_slow);
    CHECK(send_deadline({.client_progress = 95}, 11ms).when == 0);
    CHECK(send_deadline({.client_progress = 95, .unsent_since = 90}, 0ms).when == 0);
}

TEST_CASE("a limit of 0 is none") {
    const ClientTimeouts none{
        .body_idle = 0ms, .send = 0ms, .tunnel_idle = 0ms, .client_gone = 0ms};
    const UpstreamConfig::Timeouts no_server{
        .connect = 0ms, .response = 0ms, .idle = 0ms, .total = 0ms};
    for (const Phase phase :
         {Phase::before, Phase::connecting, Phase::uploading, Phase::sent, Phase::committing,
          Phase::overlapping, Phase::answering, Phase::replying}) {
        Progress progress{.phase = phase};
        progress.at = {.begun = 1, .unsent_since = 2, .half_closed = 3};
        CHECK(next_deadline(progress, {.client = none, .upload = any_rate, .server = &no_server})
                  .when == 0);
        CHECK(
            next_deadline(progress, {.client = none, .upload = any_rate, .server = nullptr}).when ==
            0);
    }
}

TEST_CASE("F:origin total running out is the fault of whoever is awaited at that moment") {
    struct Case {
        const char* what;
        Progress progress;
        Fault fault;
        Origin origin;
    };
    const Stamps at{.begun = 1, .request_progress = 500, .response_progress = 500};
    Stamps unread = at;
    unread.unsent_since = 600;
    const Case cases[] = {
        {"the store", {.phase = Phase::before, .at = at}, Fault::store_unavailable, Origin::local},
        {"a connect", {.phase = Phase::connecting, .at = at}, Fault::no_server, Origin::server},
        {"an upload", {.phase = Phase::uploading, .at = at}, Fault::client_slow, Origin::client},
        {"an upload that has reached a server",
         {.phase = Phase::uploading, .server_reached = true, .at = at},
         Fault::client_slow,
         Origin::client},
        {"an upload whose answer has begun",
         {.phase = Phase::overlapping, .server_reached = true, .at = at},
         Fault::client_slow,
         Origin::client},
        {"an answer",
         {.phase = Phase::sent, .server_reached = true, .at = at},
         Fault::server_slow,
         Origin::server},
        {"the rest of an answer",
         {.phase = Phase::answering, .server_reached = true, .at = at},
         Fault::server_slow,
         Origin::server},
        {"a reader",
         {.phase = Phase::answering, .server_reached = true, .at = unread},
         Fault::client_slow,
         Origin::client},
        {"the commit",
         {.phase = Phase::committing, .server_reached = true, .at = at},
         Fault::store_unavailable,
         Origin::local},
    };
    const ClientTimeouts none{
        .body_idle = 0ms, .send = 0ms, .tunnel_idle = 0ms, .client_gone = 0ms};
    const UpstreamConfig::Timeouts total{
        .connect = 0ms, .response = 0ms, .idle = 0ms, .total = 1000ms};
    for (const Case& c : cases) {
        CAPTURE(c.what);
        const Deadline due =
            next_deadline(c.progress, {.client = none, .upload = any_rate, .server = &total});
        CHECK(due.when == 1001);
        CHECK(due.fault == c.fault);
        CHECK(origin_of(due.fault) == c.origin);
    }
}

TEST_CASE("F:origin idle is not the server's while the upload runs or the client does not read") {
    const ClientTimeouts none{
        .body_idle = 0ms, .send = 0ms, .tunnel_idle = 0ms, .client_gone = 0ms};
    Progress progress{.phase = Phase::overlapping, .server_reached = true, .answer_begun = true};
    progress.at = {.begun = 1, .request_progress = 700, .response_progress = 500};
    const UpstreamConfig::Timeouts idle{.connect = 0ms, .response = 0ms, .idle = 5ms, .total = 0ms};
    CHECK(next_deadline(progress, {.client = none, .upload = any_rate, .server = &idle}).when == 0);
    progress.phase = Phase::answering;
    CHECK(next_deadline(progress, {.client = none, .upload = any_rate, .server = &idle}).when ==
          705);  // from the end of the upload
    progress.at.unsent_since = 600;
    CHECK(next_deadline(progress, {.client = none, .upload = any_rate, .server = &idle}).when == 0);
    progress.at.unsent_since = 0;
    progress.at.client_progress = 900;
    CHECK(next_deadline(progress, {.client = none, .upload = any_rate, .server = &idle}).when ==
          905);  // from the last byte the client took
}

TEST_CASE("F:origin a body that waited for the server is not late the moment the server goes on") {
    Progress progress{.phase = Phase::uploading, .server_reached = true};
    progress.at = {.begun = 1, .request_progress = 300, .client_input = 100};
    CHECK(of(progress).when == 307);
}

TEST_CASE("F:origin a server that closes on a client that kept it waiting is not to blame") {
    struct Case {
        const char* what;
        Phase phase;
        std::uint64_t unsent_since;
        int uv_error;
        std::uint64_t now;
        Origin origin;
        std::uint64_t unsent_longest = 0;
    };
    const Case cases[] = {
        {"an upload that flows", Phase::uploading, 0, UV_EOF, 1499, Origin::server},
        {"a slow upload", Phase::uploading, 0, UV_EOF, 1500, Origin::client},
        {"a slow upload, reset", Phase::uploading, 0, UV_ECONNRESET, 9000, Origin::client},
        {"a slow upload, answered", Phase::overlapping, 0, UV_EOF, 1500, Origin::client},
        {"no answer", Phase::sent, 0, UV_EOF, 9000, Origin::server},
        {"half an answer", Phase::answering, 0, UV_EOF, 9000, Origin::server},
        {"a reader", Phase::answering, 8001, UV_EOF, 9000, Origin::server},
        {"a slow reader", Phase::answering, 8000, UV_EOF, 9000, Origin::client},
        {"a reader that paused", Phase::answering, 0, UV_ECONNRESET, 9000, Origin::server, 999},
        {"a reader that was slow", Phase::answering, 0, UV_ECONNRESET, 9000, Origin::client, 1000},
        {"it pauses again", Phase::answering, 8990, UV_EOF, 9000, Origin::client, 1000},
        {"it was slow, and uploads", Phase::overlapping, 0, UV_EOF, 1000, Origin::client, 1000},
        {"it is slow, and uploads", Phase::overlapping, 100, UV_EOF, 1100, Origin::client},
        {"an answer to come", Phase::sent, 0, UV_EOF, 9000, Origin::server, 1000},
        {"our memory", Phase::sent, 0, UV_ENOMEM, 600, Origin::local},
        {"our buffers", Phase::answering, 0, UV_ENOBUFS, 600, Origin::local},
    };
    for (const Case& c : cases) {
        CAPTURE(c.what);
        Progress progress{.phase = c.phase, .server_reached = true};
        progress.at = {.begun = 1, .request_progress = 1400, .response_progress = 500};
        progress.at.unsent_since = c.unsent_since;
        progress.at.unsent_longest = c.unsent_longest;
        CHECK(origin_of_loss(progress, c.uv_error, c.now) == c.origin);
    }
}

TEST_CASE("F:origin what we lack for a connect is no server's fault") {
    for (const int error : {UV_EMFILE, UV_ENFILE, UV_ENOBUFS, UV_ENOMEM}) {
        CHECK(is_local(error));
        CHECK(is_exhausted(error));
    }
    for (const int error : {UV_EADDRNOTAVAIL, UV_EACCES, UV_EPERM}) {
        CHECK(is_local(error));
        CHECK_FALSE(is_exhausted(error));
    }
    for (const int error :
         std::initializer_list<int>{UV_ECONNREFUSED, UV_ETIMEDOUT, UV_EHOSTUNREACH, UV_ENETUNREACH,
                                    UV_ECONNRESET, UV_EOF, 0})
        CHECK_FALSE(is_local(error));
}

TEST_CASE("F:slow-post a body must come at the least rate, beyond its grace") {
    const ClientTimeouts none{
        .body_idle = 0ms, .send = 0ms, .tunnel_idle = 0ms, .client_gone = 0ms};
    const UploadRate rate{.min = 500, .grace = 30s};
    const auto due = [&](const Stamps& at, Phase phase) {
        const Progress progress{.phase = phase, .at = at};
        return next_deadline(progress, {.client = none, .upload = rate}).when;
    };
    Stamps at{.begun = 1};
    see_upload(at, Phase::uploading, 0, 1000);
    CHECK(due(at, Phase::uploading) == 31'000);
    see_upload(at, Phase::uploading, 5000, 9000);  // 10 s at 500 bytes a second
    CHECK(due(at, Phase::uploading) == 41'000);
    CHECK(due(at, Phase::overlapping) == 41'000);
    // While the server, or the store, is awaited the client need not send.
    see_upload(at, Phase::sent, 5000, 11'000);
    for (const Phase phase :
         {Phase::before, Phase::connecting, Phase::sent, Phase::committing, Phase::answering})
        CHECK(due(at, phase) == 0);
    see_upload(at, Phase::uploading, 5000, 61'000);
    CHECK(due(at, Phase::uploading) == 61'000 + 30'000);  // 10 s of 40 s are used up
    // What it has used up and more: at once, not never.
    see_upload(at, Phase::sent, 5000, 161'000);
    see_upload(at, Phase::uploading, 5000, 162'000);
    CHECK(due(at, Phase::uploading) == 162'001);
    const Progress progress{.phase = Phase::uploading, .at = at};
    CHECK(next_deadline(progress, {.client = none, .upload = {.min = 0}}).when == 0);
    CHECK(next_deadline(progress, {.client = none, .upload = rate}).fault == Fault::client_slow);
}

}  // namespace baton
