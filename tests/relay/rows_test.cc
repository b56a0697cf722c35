// Every row of http_rows.txt through a whole proxy, whole and cut: what passes arrives rebuilt and
// decodes to the same, what is refused reaches nobody.
//
//     relay-rows [--junit=PATH] [doctest's options] ROWS
//
// One test a row, called "H:NAME through the proxy". doctest's cases are fixed when it is compiled,
// so main registers one case for each row; the case finds its row by its line number.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/text.h"
#include "tests/relay/wire.h"
#include "tests/unit/http_reader.h"
#include "tests/unit/http_rows.h"

namespace baton::test {
namespace {

constexpr int settle_turns = 6;  // of the loop: enough for whatever can happen without new bytes

HeadLimits default_limits() {
    HeadLimits limits;
    limits.body_max = std::uint64_t{64} << 20;
    return limits;
}

bool names(std::string_view field, std::string_view name) {
    return field.size() > name.size() && field[name.size()] == ':' &&
           equal_fold(field.substr(0, name.size()), name);
}

bool has_name(const std::vector<std::string>& fields, std::string_view name) {
    return std::any_of(fields.begin(), fields.end(),
                       [&](const std::string& field) { return names(field, name); });
}

bool has(const std::vector<std::string>& fields, const std::string& field) {
    return std::find(fields.begin(), fields.end(), field) != fields.end();
}

std::string target_of(const std::string& gives) {
    const std::size_t begin = gives.find(' ') + 1;
    return gives.substr(begin, gives.find(' ', begin) - begin);
}

// A message as the server is to see it: an absolute target in origin form (RFC 9112, 3.2.1).
std::string forwarded(const std::string& gives) {
    const std::string target = target_of(gives);
    const std::size_t scheme = target.find("://");
    if (target.starts_with('/') || scheme == target.npos) return gives;
    const std::string path = target.substr(target.find('/', scheme + 3));
    return std::string{gives}.replace(gives.find(' ') + 1, target.size(), path);
}

// The places where a row is cut: not at all, and everywhere; a large row only behind its first byte,
// in the middle and before its last.
std::vector<std::size_t> cuts(std::size_t size) {
    constexpr std::size_t small_max = 4096;
    if (size > small_max) return {size, 1, size / 2, size - 1};
    std::vector<std::size_t> places{size};
    for (std::size_t i = 1; i < size; ++i) places.push_back(i);
    return places;
}

// A proxy, its only server and one client; nothing waits for anything it is not told to.
class Stage {
public:
    // The server is told to answer, or its connections are read only.
    bool server_answers = true;

    Proxy& proxy() noexcept { return proxy_; }
    ServerPort& port() noexcept { return port_; }
    Wire connect() {
        client_.emplace(proxy_.connect_client());
        return Wire{proxy_, ::dup(client_->fd())};
    }
    void hang_up() { client_.reset(); }

    // What the server was sent, over all its connections.
    Outcome at_server() const {
        Outcome all;
        for (const Wire& wire : port_.wires) {
            const Outcome one = read(wire);
            all.messages.insert(all.messages.end(), one.messages.begin(), one.messages.end());
            if (!one.ends.empty()) all.ends = one.ends;
        }
        return all;
    }

    // One look at everything that is there.
    void pump(Wire& client) {
        port_.look(proxy_);
        if (server_answers) {
            for (Wire& wire : port_.wires) answer(wire);
        }
        while (client.look()) {
        }
    }
    void settle(Wire& client) {
        for (int i = 0; i < settle_turns; ++i) {
            proxy_.turn(1);
            pump(client);
        }
    }
    void until(Wire& client, const std::function<bool()>& condition, const char* what) {
        proxy_.turn_until(
            [&] {
                pump(client);
                return condition();
            },
            what);
    }
    // Ready for the next cut.
    void clear() {
        port_.wires.clear();
        server_answers = true;
        proxy_.turn(1);
        proxy_.turn(1);
    }

private:
    static Outcome read(const Wire& wire) {
        const HeadLimits limits = default_limits();
        HttpReader reader{HeadGuard::Kind::request, limits};
        reader.feed(wire.got);
        return reader.finish();
    }
    static void answer(Wire& wire) {
        if (wire.got.empty()) return;
        const Outcome outcome = read(wire);
        while (wire.answered < outcome.messages.size()) {
            const std::string target = target_of(outcome.messages[wire.answered++].gives);
            wire.sends("HTTP/1.1 200 OK\r\nX-Answer-To: " + target +
                       "\r\nContent-Length: 0\r\n\r\n");
        }
    }

    ServerPort port_;
    Proxy proxy_{{.servers = 0, .change = [this](Config& config) {
                      const Address& address = port_.address();
                      config.upstreams[0].servers.push_back({address, address.text(), 1});
                      config.limits.underscores = Underscores::keep;
                  }}};
    std::optional<Peer> client_;
};

// What the proxy owes each request it sends on, whatever the row.
void check_forwarded(const Row& row, const Message& message, const Message& expected) {
    REQUIRE(escape(message.gives) == escape(forwarded(expected.gives)));
    const auto& fields = message.fields;
    for (const std::string& field : expected.fields) {
        CAPTURE(field);
        if (!names(field, "Connection")) REQUIRE(has(fields, field));
    }
    REQUIRE_FALSE((has_name(fields, "Content-Length") && has_name(fields, "Transfer-Encoding")));
    REQUIRE(has_name(fields, "Host"));
    REQUIRE(has(fields, "X-Forwarded-For: 127.0.0.1"));
    for (const char* name : {"Keep-Alive", "Proxy-Connection", "TE", "Trailer"})
        REQUIRE_FALSE(has_name(fields, name));
    const bool websocket = message.gives.starts_with("GET / ") &&
                           row.bytes.find("Upgrade: websocket") != std::string::npos;
    REQUIRE(has(fields, "Connection: Upgrade") == websocket);
    REQUIRE(has(fields, "Upgrade: websocket") == websocket);
    REQUIRE(has_name(fields, "Connection") == websocket);
    REQUIRE(has_name(fields, "Upgrade") == websocket);
}

void check_requests(const Row& row, const Outcome& found) {
    const auto& expected = row.expected.messages;
    REQUIRE(found.messages.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
        check_forwarded(row, found.messages[i], expected[i]);
    // What is refused behind its head may have begun to arrive, but it never looks whole.
    if (found.ends == "cut")
        REQUIRE(row.expected.ends.size() == 3);
    else
        REQUIRE(found.ends == "");
}

bool refused(const Row& row) {
    return !row.expected.ends.empty() && !row.expected.ends.starts_with("left");
}

void check_answers(const Row& row, const Wire& client, const std::vector<bool>& heads) {
    const Answers answers = read_answers(client.got, client.ended, heads);
    const auto& expected = row.expected.messages;
    REQUIRE(escape(answers.rest) == "");
    REQUIRE_FALSE(answers.bad);
    REQUIRE(answers.all.size() == expected.size() + (refused(row) ? 1 : 0));
    REQUIRE(answers.complete() == answers.all.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        REQUIRE(answers.all[i].status == 200);
        REQUIRE(
            has(answers.all[i].fields, "X-Answer-To: " + target_of(forwarded(expected[i].gives))));
    }
    const Answer& last = answers.all.back();
    if (refused(row)) REQUIRE(std::to_string(last.status) == row.expected.ends);
    REQUIRE(has(last.fields, "Connection: close") == !row.expected.ends.empty());
    REQUIRE(client.ended == !row.expected.ends.empty());
}

void run_request(const Row& row, Stage& stage, std::size_t cut) {
    const auto& expected = row.expected.messages;
    std::vector<bool> heads;
    for (const Message& message : expected) heads.push_back(message.gives.starts_with("HEAD "));
    const std::string_view bytes = row.bytes;

    Wire client = stage.connect();
    client.sends(bytes.substr(0, cut));
    stage.settle(client);
    if (cut < bytes.size()) {
        if (cut == bytes.size() - 1 && row.expected.ends.empty())
            REQUIRE(stage.at_server().messages.size() < expected.size());
        client.sends(bytes.substr(cut));
    }
    stage.until(
        client,
        [&] {
            if (!row.expected.ends.empty()) return client.ended;
            return client.ended ||
                   read_answers(client.got, false, heads).complete() >= expected.size();
        },
        "the answers");
    stage.settle(client);
    check_answers(row, client, heads);
    check_requests(row, stage.at_server());
    stage.hang_up();
}

// Whether the fault lies behind a head that is good by itself: then bytes may have gone out.
bool is_body_fault(const Row& row) {
    const HeadLimits limits;
    HttpParser parser{HeadGuard::Kind::response, limits};
    Head head;
    const auto size = parser.read_head(row.bytes, head);
    return size && *size > 0 && head.status >= 200;
}

std::string to_client(std::string gives) {
    const std::size_t at = gives.find("until_close");
    return at == gives.npos ? gives : gives.replace(at, 11, "chunked");
}

void check_passed_answer(const Answer& answer, const Message& expected) {
    REQUIRE(answer.complete);
    REQUIRE(answer.gives == to_client(expected.gives));
    for (const std::string& field : expected.fields) REQUIRE(has(answer.fields, field));
    for (const char* name :
         {"Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Connection"})
        REQUIRE_FALSE(has_name(answer.fields, name));
    REQUIRE_FALSE((has_name(answer.fields, "Content-Length") &&
                   has_name(answer.fields, "Transfer-Encoding")));
    if (answer.status < 200 || answer.status == 204) {
        REQUIRE_FALSE(has_name(answer.fields, "Content-Length"));
        REQUIRE_FALSE(has_name(answer.fields, "Transfer-Encoding"));
    }
}

void check_response(const Row& row, const Wire& client, bool whole) {
    const Answers answers = read_answers(client.got, client.ended, {});
    const auto& expected = row.expected.messages;
    CAPTURE(escape(client.got));
    REQUIRE(escape(answers.rest) == "");
    REQUIRE_FALSE(answers.bad);
    REQUIRE(answers.all.size() == expected.size() + (refused(row) ? 1 : 0));
    for (std::size_t i = 0; i < expected.size(); ++i)
        check_passed_answer(answers.all[i], expected[i]);
    if (!refused(row)) {
        REQUIRE_FALSE(client.ended);
        return;
    }
    const Answer& last = answers.all.back();
    const bool cut_visibly = !last.complete && client.ended;
    const bool is_502 = last.complete && last.status == 502 && !client.ended;
    if (row.expected.ends == "cut")
        REQUIRE((cut_visibly || is_502));
    else if (whole || !is_body_fault(row))
        REQUIRE(is_502);
    else
        REQUIRE((cut_visibly || is_502));
}

void run_response(const Row& row, Stage& stage, std::size_t cut) {
    const auto& expected = row.expected.messages;
    const std::string_view bytes = row.bytes;
    const bool left = row.expected.ends.starts_with("left");

    stage.server_answers = false;
    Wire client = stage.connect();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    stage.until(
        client, [&] { return !stage.at_server().messages.empty(); }, "the request");
    // More connections would move the wires: the others come once this one is done with.
    Wire server = std::move(stage.port().wires[0]);
    stage.port().wires.clear();
    server.sends(bytes.substr(0, cut));
    if (cut < bytes.size()) {
        stage.settle(client);
        server.sends(bytes.substr(cut));
    }
    // Behind its bytes the server closes; of a connection with bytes left over the proxy must rid itself.
    if (left)
        stage.until(
            client, [&] { return !server.look() && server.ended; },
            "the end of a connection with bytes left over");
    else
        server.closes();
    const std::size_t answers = expected.size() + (refused(row) ? 1 : 0);
    stage.until(
        client,
        [&] { return client.ended || read_answers(client.got, false, {}).complete() >= answers; },
        "the answer");
    stage.settle(client);
    check_response(row, client, cut == bytes.size());

    stage.server_answers = true;
    if (!client.ended) {
        client.got.clear();
        client.sends("GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
        stage.until(
            client,
            [&] { return client.ended || read_answers(client.got, false, {}).complete() > 0; },
            "a second answer");
        REQUIRE(client.got.find("\r\nX-Answer-To: /again\r\n") != std::string::npos);
    }
    stage.hang_up();
}

void serves_another(Stage& stage) {
    Wire client = stage.connect();
    client.sends("GET /another HTTP/1.1\r\nHost: h\r\n\r\n");
    stage.until(
        client, [&] { return client.ended || read_answers(client.got, false, {}).complete() > 0; },
        "another client's answer");
    REQUIRE(client.got.starts_with("HTTP/1.1 200 OK\r\nX-Answer-To: /another\r\n"));
    stage.hang_up();
}

// Set by main before the tests run: a doctest case takes no arguments.
const std::vector<Row>*& all_rows() {
    static const std::vector<Row>* rows = nullptr;
    return rows;
}

void run_row() {
    const Row& row = (*all_rows())[doctest::getContextOptions()->currentTest->m_line];
    Stage stage;
    for (const std::size_t cut : cuts(row.bytes.size())) {
        CAPTURE(cut);
        if (row.kind == HeadGuard::Kind::request)
            run_request(row, stage, cut);
        else
            run_response(row, stage, cut);
        stage.clear();
    }
    serves_another(stage);
}

}  // namespace
}  // namespace baton::test

int main(int argc, char** argv) {
    constexpr std::string_view junit = "--junit=";
    std::string rows_path;
    doctest::Context context;
    context.applyCommandLine(argc, argv);
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument{argv[i]};
        if (argument.starts_with(junit)) {
            context.setOption("reporters", "junit");
            context.setOption("out", argv[i] + junit.size());
        } else if (!argument.starts_with('-')) {
            rows_path = argument;
        }
    }
    std::string complaint;
    const auto rows = baton::test::load_rows(rows_path, complaint);
    if (!rows) {
        std::fprintf(stderr, "relay-rows: %s\n", complaint.c_str());
        return 2;
    }
    baton::test::all_rows() = &*rows;
    std::vector<std::string> names;
    for (const auto& row : *rows) names.push_back("H:" + row.name + " through the proxy");
    for (std::size_t i = 0; i < names.size(); ++i) {
        doctest::detail::regTest(
            doctest::detail::TestCase(baton::test::run_row, __FILE__, static_cast<unsigned>(i),
                                      doctest_detail_test_suite_ns::getCurrentTestSuite()) *
            names[i].c_str());
    }
    return context.run();
}
