#include "proxy/deadline.h"

#include <doctest/doctest.h>

namespace baton {

namespace {

using Phase = Progress::Phase;

const ClientTimeouts client{
    .body_idle = 7ms, .send = 11ms, .tunnel_idle = 13ms, .client_gone = 17ms};
const UpstreamConfig::Timeouts server{
    .connect = 2ms, .response = 3ms, .idle = 5ms, .total = 1000ms};

Deadline of(Progress progress) { return next_deadline(progress, client, &server); }

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
        {{.phase = Phase::uploading, .server_reached = true, .at = at}, 257, Fault::client_slow},
        {{.phase = Phase::sent, .server_reached = true, .at = at}, 303, Fault::server_slow},
        {{.phase = Phase::committing, .server_reached = true, .at = at},
         1100,
         Fault::store_unavailable},
        {{.phase = Phase::answering, .server_reached = true, .at = at}, 405, Fault::server_slow},
        {{.phase = Phase::tunnelling, .server_reached = true, .at = at}, 413, Fault::server_slow},
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
    progress.server_read = false;
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
    progress.phase = Phase::tunnelling;
    progress.answer_begun = false;
    CHECK(of(progress).when == 113);
}

TEST_CASE("a limit of 0 is none") {
    const ClientTimeouts none{
        .body_idle = 0ms, .send = 0ms, .tunnel_idle = 0ms, .client_gone = 0ms};
    const UpstreamConfig::Timeouts no_server{
        .connect = 0ms, .response = 0ms, .idle = 0ms, .total = 0ms};
    for (const Phase phase :
         {Phase::before, Phase::connecting, Phase::uploading, Phase::sent, Phase::committing,
          Phase::answering, Phase::replying, Phase::tunnelling}) {
        Progress progress{.phase = phase};
        progress.at = {.begun = 1, .unsent_since = 2, .half_closed = 3};
        CHECK(next_deadline(progress, none, &no_server).when == 0);
        CHECK(next_deadline(progress, none, nullptr).when == 0);
    }
}

}  // namespace baton
