// The page of numbers: its form, and that each number is what happened.

#include "proxy/service/metrics.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/relay/proxy.h"

namespace baton::test {

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

bool is_name(std::string_view text) {
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    if (text.empty() || !is_letter(text[0])) return false;
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

// The text format, version 0.0.4, as strictly as it is written: each family has its HELP, its TYPE
// and its samples, in this order and together. A sample is known as `name{label=value,…}`, its
// values as they were before they were escaped.
struct Page {
    std::map<std::string, std::uint64_t> samples;
    std::map<std::string, std::string> families;  // name and type
    std::string fault;                            // the first line that is wrong

    explicit Page(std::string_view text) {
        if (!text.ends_with('\n')) fault = "no newline at the end";
        std::string expected_type;
        std::string family;
        while (!text.empty() && fault.empty()) {
            const std::string_view line = text.substr(0, text.find('\n'));
            text.remove_prefix(std::min(line.size() + 1, text.size()));
            bool good = false;
            if (line.starts_with("# HELP ")) {
                good = help(line.substr(7), expected_type) && family != expected_type;
            } else if (line.starts_with("# TYPE ")) {
                good = type(line.substr(7), std::exchange(expected_type, {}), family);
            } else {
                good = expected_type.empty() && sample(line, family);
            }
            if (!good) fault = line.empty() ? "an empty line" : std::string{line};
        }
        if (!expected_type.empty()) fault = "no TYPE of " + expected_type;
    }

    std::uint64_t operator[](const std::string& name) const {
        const auto found = samples.find(name);
        if (found == samples.end()) FAIL("there is no " << name);
        return found->second;
    }

private:
    bool help(std::string_view line, std::string& name) {
        const std::size_t blank = line.find(' ');
        if (!name.empty() || blank == std::string_view::npos) return false;
        name = line.substr(0, blank);
        const std::string_view text = line.substr(blank + 1);
        return is_name(name) && !families.contains(name) && !text.empty() && text.back() != ' ' &&
               text.find('\\') == std::string_view::npos;
    }

    bool type(std::string_view line, const std::string& name, std::string& family) {
        family = name;
        if (name.empty() || !line.starts_with(name + " ")) return false;
        const std::string_view type = line.substr(name.size() + 1);
        families[name] = type;
        if (type == "counter") return name.ends_with("_total");
        return type == "gauge" && !name.ends_with("_total");
    }

    bool sample(std::string_view line, const std::string& family) {
        if (family.empty() || !line.starts_with(family)) return false;
        line.remove_prefix(family.size());
        std::string name = family;
        if (line.starts_with('{')) {
            const auto labels = read_labels(line);
            if (!labels) return false;
            name += *labels;
        }
        if (line.size() < 2 || line[0] != ' ' || line.size() > 21) return false;
        line.remove_prefix(1);
        if (!std::all_of(line.begin(), line.end(), [](char c) { return c >= '0' && c <= '9'; }))
            return false;
        return samples.emplace(name, std::stoull(std::string{line})).second;
    }

    static std::optional<std::string> read_labels(std::string_view& line) {
        std::string labels;
        std::set<std::string_view> names;
        do {
            line.remove_prefix(1);
            const std::size_t equal = line.find("=\"");
            if (equal == std::string_view::npos || !is_name(line.substr(0, equal))) return {};
            if (!names.insert(line.substr(0, equal)).second) return {};
            labels.append(labels.empty() ? "{" : ",").append(line.substr(0, equal + 1));
            line.remove_prefix(equal + 2);
            for (; !line.empty() && line[0] != '"'; line.remove_prefix(1)) {
                if (line[0] == '\\') {
                    line.remove_prefix(1);
                    if (line.empty() || (line[0] != '\\' && line[0] != '"')) return {};
                }
                labels += line[0];
            }
            if (line.empty()) return {};
            line.remove_prefix(1);
        } while (line.starts_with(','));
        if (!line.starts_with('}')) return {};
        line.remove_prefix(1);
        return labels + "}";
    }
};

ProcessView view_of(Proxy& proxy) {
    return {proxy.snapshot(),
            &proxy.registry(),
            {&std::as_const(proxy.worker()).lane()},
            &proxy.gate(),
            &proxy.table(),
            nullptr,
            &proxy.writer(),
            false};
}

Page page_of(const ProcessView& view) {
    Page page{metrics_text(view)};
    REQUIRE(page.fault == "");
    return page;
}

Page page_of(Proxy& proxy) { return page_of(view_of(proxy)); }

// What differs, `name: before -> after` each, in order.
std::string changes(const Page& before, const Page& after) {
    std::string out;
    for (const auto& now : after.samples) {
        const auto old = before.samples.find(now.first);
        if (old == before.samples.end() || old->second == now.second) continue;
        out += now.first + ": " + std::to_string(old->second) + " -> " +
               std::to_string(now.second) + "\n";
    }
    return out;
}

// Waits until the proxy has noticed the end of each client.
void until_alone(Proxy& proxy) {
    proxy.turn_until([&] { return proxy.worker().clients() == 0; }, "the end of the clients");
}

std::string of_server(const Proxy& proxy, std::size_t index, const std::string& more = {}) {
    return "{upstream=app,server=" + proxy.server_text(index) + more + "}";
}

void two_hosts(Config& config) {
    config.routes[0].name = "first";
    config.routes[0].hosts = {"h"};
    RouteConfig second = config.routes[0];
    second.name = "second";
    second.hosts = {"second"};
    config.routes.push_back(second);
}

std::string value_of(const std::string& head, const std::string& name) {
    const auto at = head.find(name);
    if (at == std::string::npos) return "(none)";
    const auto from = at + name.size();
    return head.substr(from, head.find_first_of(";\r", from) - from);
}

}  // namespace

TEST_CASE("metrics: every number is there from the beginning, once, in its family") {
    Proxy proxy{{.servers = 2, .change = two_hosts}};
    const Page page = page_of(proxy);
    const std::map<std::string, std::string> families = {
        {"baton_requests_total", "counter"},
        {"baton_requests_in_flight", "gauge"},
        {"baton_request_retries_total", "counter"},
        {"baton_faults_total", "counter"},
        {"baton_connections", "gauge"},
        {"baton_connection_evictions_total", "counter"},
        {"baton_connections_refused_total", "counter"},
        {"baton_server_requests_total", "counter"},
        {"baton_server_requests_in_flight", "gauge"},
        {"baton_server_faults_total", "counter"},
        {"baton_sessions", "gauge"},
        {"baton_session_memory_bytes", "gauge"},
        {"baton_session_unknown_total", "counter"},
        {"baton_session_evictions_total", "counter"},
        {"baton_session_overwrites_total", "counter"},
        {"baton_session_replays_total", "counter"},
        {"baton_session_use_ignored_total", "counter"},
        {"baton_session_second_live_total", "counter"},
        {"baton_session_omitted_total", "counter"},
        {"baton_session_cookies_passed_over_total", "counter"},
        {"baton_session_fields_dropped_total", "counter"},
        {"baton_session_cookies_dropped_total", "counter"},
        {"baton_session_changes_dropped_total", "counter"},
        {"baton_log_lines_dropped_total", "counter"},
        {"baton_build_info", "gauge"},
    };
    CHECK(page.families == families);

    std::set<std::string> names = {"baton_requests_in_flight",
                                   "baton_request_retries_total",
                                   "baton_connections{side=client}",
                                   "baton_connection_evictions_total",
                                   "baton_connections_refused_total",
                                   "baton_connections{side=server}",
                                   "baton_sessions",
                                   "baton_session_memory_bytes",
                                   "baton_session_unknown_total{reason=malformed}",
                                   "baton_session_unknown_total{reason=absent}",
                                   "baton_session_unknown_total{reason=dead}",
                                   "baton_session_evictions_total{confirmed=false}",
                                   "baton_session_evictions_total{confirmed=true}",
                                   "baton_session_overwrites_total",
                                   "baton_session_replays_total",
                                   "baton_session_use_ignored_total",
                                   "baton_session_second_live_total",
                                   "baton_session_omitted_total",
                                   "baton_session_cookies_passed_over_total",
                                   "baton_session_fields_dropped_total",
                                   "baton_session_cookies_dropped_total",
                                   "baton_session_changes_dropped_total",
                                   "baton_log_lines_dropped_total"};
    for (const std::string route : {"first", "second", ""})
        for (const char digit : {'1', '2', '3', '4', '5'})
            names.insert("baton_requests_total{route=" + route + ",class=" + digit + "xx}");
    for (int i = 0; i < fault_count; ++i)
        names.insert("baton_faults_total{fault=" + std::string{name(static_cast<Fault>(i))} + "}");
    for (const std::size_t server : {0U, 1U}) {
        names.insert("baton_server_requests_total" + of_server(proxy, server));
        names.insert("baton_server_requests_in_flight" + of_server(proxy, server));
        for (const std::string fault :
             {"connect_failed", "connect_slow", "server_gone", "server_slow", "bad_response"})
            names.insert("baton_server_faults_total" + of_server(proxy, server, ",fault=" + fault));
    }
    std::set<std::string> found;
    std::size_t versions = 0;
    for (const auto& sample : page.samples) {
        CAPTURE(sample.first);
        if (sample.first.starts_with("baton_build_info{version=")) {
            ++versions;
            CHECK(sample.second == 1);
        } else {
            CHECK(sample.second == 0);
            found.insert(sample.first);
        }
    }
    CHECK(versions == 1);
    CHECK(found == names);
    CHECK(metrics_content_type == "text/plain; version=0.0.4; charset=utf-8");
}

TEST_CASE("metrics: the reader of this test refuses what is no such page") {
    const std::string good = "# HELP a A thing.\n# TYPE a gauge\na{b=\"c\\\\\\\"d\"} 1\n";
    CHECK(Page{good}.fault == "");
    CHECK(Page{good}["a{b=c\\\"d}"] == 1);
    for (const std::string bad :
         {"# HELP a A thing.\n# TYPE a gauge\na 1", "a 1\n", "# TYPE a gauge\na 1\n",
          "# HELP a A thing.\n# TYPE a counter\na 1\n", "# HELP a A thing.\n# TYPE a gauge\nb 1\n",
          "# HELP a A thing.\n# TYPE a gauge\na 1\na 2\n", "# HELP a A.\n# TYPE a gauge\n\na 1\n",
          "# HELP a A.\n# TYPE a gauge\na{b=\"\\c\"} 1\n", "# HELP a A.\n# TYPE a gauge\na -1\n",
          "# HELP a A.\n# TYPE a gauge\na{b=c} 1\n", "# HELP a A.\n# HELP a A.\n",
          "# HELP a A.\n# TYPE a gauge\na{b=\"\",b=\"\"} 1\n", "# HELP a A.\n# TYPE b gauge\n"}) {
        CAPTURE(bad);
        CHECK(Page{bad}.fault != "");
    }
    CHECK(Page{good + good}.fault != "");
}

TEST_CASE("metrics: a label holds any text") {
    // Long enough to live on the heap.
    Proxy proxy{{.change = [](Config& config) {
        config.routes[0].name = R"(*/a\b"c/and-so-on-and-so-on\)";
        config.upstreams[0].name = config.routes[0].upstream = R"(\"up\)";
    }}};
    const std::string text = metrics_text(view_of(proxy));
    CHECK(text.find(
              R"(baton_requests_total{route="*/a\\b\"c/and-so-on-and-so-on\\",class="2xx"} 0)") !=
          std::string::npos);
    const Page page = page_of(proxy);
    CHECK(page[R"(baton_requests_total{route=*/a\b"c/and-so-on-and-so-on\,class=2xx})"] == 0);
    CHECK(page[R"(baton_server_requests_total{upstream=\"up\,server=)" + proxy.server_text(0) +
               "}"] == 0);
}

TEST_CASE("metrics: answers count for their route and class, in flight while they run") {
    Proxy proxy{{.change = two_hosts}};
    Page before = page_of(proxy);
    const auto news = [&] {
        const Page after = page_of(proxy);
        std::string text = changes(std::exchange(before, after), after);
        return text;
    };
    Peer client = proxy.connect_client();
    proxy.turn_until([&] { return proxy.worker().clients() == 1; }, "the client");
    CHECK(news() == "baton_connections{side=client}: 0 -> 1\n");
    client.sends(get);
    Peer server = proxy.accept_at_server();
    server.head();
    CHECK(news() ==
          "baton_connections{side=server}: 0 -> 1\n"
          "baton_requests_in_flight: 0 -> 1\n"
          "baton_server_requests_in_flight" +
              of_server(proxy, 0) +
              ": 0 -> 1\n"
              "baton_server_requests_total" +
              of_server(proxy, 0) + ": 0 -> 1\n");
    server.sends(ok);
    client.expects("ok");
    // The connection to the server idles, and is open all the same.
    CHECK(news() ==
          "baton_requests_in_flight: 1 -> 0\n"
          "baton_requests_total{route=first,class=2xx}: 0 -> 1\n"
          "baton_server_requests_in_flight" +
              of_server(proxy, 0) + ": 1 -> 0\n");
    const std::pair<std::string, std::string> answers[] = {
        {"304 Not Modified", "3xx"}, {"404 Not Found", "4xx"}, {"500 Oh", "5xx"}};
    for (const auto& answer : answers) {
        client.sends("GET / HTTP/1.1\r\nHost: second\r\n\r\n");
        server.head();
        server.sends("HTTP/1.1 " + answer.first + "\r\nContent-Length: 0\r\n\r\n");
        client.head();
        CHECK(news().find("baton_requests_total{route=second,class=" + answer.second +
                          "}: 0 -> 1\n") != std::string::npos);
    }
    CHECK(before["baton_server_requests_total" + of_server(proxy, 0)] == 4);
    server.closes();
    client.closes();
    until_alone(proxy);
    proxy.turn_until([&] { return page_of(proxy)["baton_connections{side=server}"] == 0; },
                     "the end of the idle connection");
    CHECK(news() ==
          "baton_connections{side=client}: 1 -> 0\nbaton_connections{side=server}: 1 -> 0\n");
}

TEST_CASE("metrics: what comes to no route counts for none") {
    Proxy proxy{{.change = two_hosts}};
    const Page before = page_of(proxy);
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: other\r\n\r\n");
    client.expects("404 Not Found\n");
    client.sends("BAD\r\n\r\n");
    client.expects("400 Bad Request\n");
    client.closes();
    until_alone(proxy);
    Peer late = proxy.connect_client();
    late.sends("GET / HT");
    proxy.turn();
    late.closes();
    until_alone(proxy);
    CHECK(changes(before, page_of(proxy)) ==
          "baton_faults_total{fault=bad_request}: 0 -> 1\n"
          "baton_faults_total{fault=client_gone}: 0 -> 1\n"
          "baton_faults_total{fault=no_route}: 0 -> 1\n"
          "baton_requests_total{route=,class=4xx}: 0 -> 3\n");
}

TEST_CASE("metrics: a server that loses a request, and one that saves it") {
    Proxy proxy{{.servers = 2, .change = two_hosts}};
    Page before = page_of(proxy);
    Peer client = proxy.connect_client();
    std::size_t first = 0;
    SUBCASE("a 502 is the request's fault and the server's") {
        client.sends("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        Peer server = proxy.accept_at_any(&first);
        server.head();
        server.closes();
        client.expects("502 Bad Gateway\n");
        client.closes();
        until_alone(proxy);
        CHECK(changes(before, page_of(proxy)) ==
              "baton_faults_total{fault=server_gone}: 0 -> 1\n"
              "baton_requests_total{route=first,class=5xx}: 0 -> 1\n"
              "baton_server_faults_total" +
                  of_server(proxy, first, ",fault=server_gone") +
                  ": 0 -> 1\n"
                  "baton_server_requests_total" +
                  of_server(proxy, first) + ": 0 -> 1\n");
    }
    SUBCASE("an answer that is none, too") {
        client.sends(get);
        Peer server = proxy.accept_at_any(&first);
        server.head();
        server.sends("SMTP ready\r\n\r\n");
        client.expects("502 Bad Gateway\n");
        const Page page = page_of(proxy);
        CHECK(page["baton_faults_total{fault=bad_response}"] == 1);
        CHECK(page["baton_server_faults_total" + of_server(proxy, first, ",fault=bad_response")] ==
              1);
    }
    SUBCASE("a retry is the server's only") {
        client.sends(get);
        Peer server = proxy.accept_at_any(&first);
        server.head();
        server.closes();
        Peer second = proxy.accept_at_server(1 - first);
        second.head();
        second.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        client.expects("ok");
        client.closes();
        until_alone(proxy);
        std::string expected =
            "baton_request_retries_total: 0 -> 1\n"
            "baton_requests_total{route=first,class=2xx}: 0 -> 1\n"
            "baton_server_faults_total" +
            of_server(proxy, first, ",fault=server_gone") + ": 0 -> 1\n";
        std::string servers[] = {
            "baton_server_requests_total" + of_server(proxy, 0) + ": 0 -> 1\n",
            "baton_server_requests_total" + of_server(proxy, 1) + ": 0 -> 1\n"};
        std::sort(std::begin(servers), std::end(servers));
        CHECK(changes(before, page_of(proxy)) == expected + servers[0] + servers[1]);
    }
    SUBCASE("a connect that is refused, too") {
        proxy.close_server(0);
        for (int i = 0; i < 2; ++i) {  // its turn each time, for passing it over takes one, too
            client.sends(get);
            Peer server = proxy.accept_at_server(1);
            server.head();
            server.sends("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            client.expects("ok");
        }
        client.closes();
        until_alone(proxy);
        CHECK(changes(before, page_of(proxy)) ==
              "baton_requests_total{route=first,class=2xx}: 0 -> 2\n"
              "baton_server_faults_total" +
                  of_server(proxy, 0, ",fault=connect_failed") +
                  ": 0 -> 2\n"
                  "baton_server_requests_total" +
                  of_server(proxy, 1) + ": 0 -> 2\n");
    }
}

TEST_CASE("metrics: a tunnel is in flight as long as it lives") {
    Proxy proxy;
    Peer client = proxy.connect_client();
    client.sends("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    Peer server = proxy.accept_at_server();
    server.head();
    server.sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.head();
    const Page during = page_of(proxy);
    CHECK(during["baton_requests_in_flight"] == 1);
    CHECK(during["baton_server_requests_in_flight" + of_server(proxy, 0)] == 1);
    CHECK(during["baton_connections{side=client}"] == 1);
    CHECK(during["baton_connections{side=server}"] == 1);
    CHECK(during["baton_requests_total{route=all,class=1xx}"] == 0);
    client.closes();
    server.until_end();
    server.closes();
    until_alone(proxy);
    const Page after = page_of(proxy);
    CHECK(after["baton_requests_in_flight"] == 0);
    CHECK(after["baton_server_requests_in_flight" + of_server(proxy, 0)] == 0);
    CHECK(after["baton_connections{side=client}"] == 0);
    CHECK(after["baton_connections{side=server}"] == 0);
    CHECK(after["baton_requests_total{route=all,class=1xx}"] == 1);
}

TEST_CASE("metrics: numbers are sums over all workers") {
    Proxy proxy{{.servers = 2, .change = two_hosts}};
    UnknownLimit no_limit;
    Worker other{{.index = 1,
                  .make_store = [&](Loop&) { return std::make_unique<MemoryStore>(proxy.table()); },
                  .unknown_limit = &no_limit,
                  .gate = &proxy.gate(),
                  .api_gate = &proxy.gate(),
                  .writer = &proxy.writer()}};
    other.take(proxy.snapshot());
    ProcessView view = view_of(proxy);
    view.lanes.push_back(&std::as_const(other).lane());
    std::uint64_t weight = 1;
    for (Lane* lane : {&proxy.worker().lane(), &other.lane()}) {
        Counters& counters = lane->counters;
        const Route& second = proxy.snapshot()->routes()[1];
        second.state->requests_of(lane->index).by_class[2].add(weight);
        counters.unrouted.by_class[0].add(2 * weight);
        for (std::uint64_t i = 0; i < weight; ++i) {
            counters.requests_in_flight.add();
            lane->pools[1].counters.in_flight.add();
            lane->pools[0].counters.idle.add();
            lane->pools[0].counters.idle.add();
        }
        counters.retries.add(3 * weight);
        counters.faults[static_cast<std::size_t>(Fault::stopping)].add(4 * weight);
        counters.session_unknown_malformed.add(5 * weight);
        counters.session_unknown_absent.add(6 * weight);
        counters.session_unknown_dead.add(7 * weight);
        counters.session_second_live.add(8 * weight);
        counters.session_omitted.add(14 * weight);
        counters.session_cookies_passed_over.add(13 * weight);
        counters.session_fields_dropped.add(9 * weight);
        counters.session_cookies_dropped.add(10 * weight);
        counters.session_gone.add(11 * weight);
        lane->pools[0].counters.requests.add(12 * weight);
        lane->pools[1].counters.add(ServerFault::connect_slow, 1);
        weight *= 10;
    }
    const Page page = page_of(view);
    CHECK(page["baton_requests_total{route=second,class=3xx}"] == 11);
    CHECK(page["baton_requests_total{route=,class=1xx}"] == 22);
    CHECK(page["baton_requests_total{route=first,class=3xx}"] == 0);
    CHECK(page["baton_requests_in_flight"] == 11);
    CHECK(page["baton_request_retries_total"] == 33);
    CHECK(page["baton_faults_total{fault=stopping}"] == 44);
    CHECK(page["baton_session_unknown_total{reason=malformed}"] == 55);
    CHECK(page["baton_session_unknown_total{reason=absent}"] == 66);
    CHECK(page["baton_session_unknown_total{reason=dead}"] == 77);
    CHECK(page["baton_session_second_live_total"] == 88);
    CHECK(page["baton_session_omitted_total"] == 154);
    CHECK(page["baton_session_cookies_passed_over_total"] == 143);
    CHECK(page["baton_session_fields_dropped_total"] == 99);
    CHECK(page["baton_session_cookies_dropped_total"] == 110);
    CHECK(page["baton_session_changes_dropped_total"] == 121);
    CHECK(page["baton_server_requests_total" + of_server(proxy, 0)] == 132);
    CHECK(page["baton_server_requests_in_flight" + of_server(proxy, 1)] == 11);
    CHECK(page["baton_server_requests_in_flight" + of_server(proxy, 0)] == 0);
    CHECK(page["baton_connections{side=server}"] == 33);
    CHECK(page["baton_server_faults_total" + of_server(proxy, 1, ",fault=connect_slow")] == 2);
}

TEST_CASE("metrics: sessions") {
    Proxy proxy{{.sessions = true, .change = [](Config& config) {
                     config.session.sessions_max = 3;
                     config.routes[0].create = SessionCreate::always;
                 }}};
    Peer client = proxy.connect_client();
    std::optional<Peer> server;
    // One request, and the id that its answer gives, if any.
    const auto exchange = [&](const std::string& fields, const std::string& answer_fields = {}) {
        client.sends("GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n");
        if (!server) server.emplace(proxy.accept_at_server());
        server->head();
        server->sends("HTTP/1.1 200 OK\r\n" + answer_fields + "Content-Length: 2\r\n\r\nok");
        const std::string head = client.head();
        client.bytes(2);
        return value_of(head, "JSESSIONID=");
    };
    const auto cookies = [](const std::string& one, const std::string& other = {}) {
        return "Cookie: JSESSIONID=" + one + (other.empty() ? "" : "; JSESSIONID=" + other) +
               "\r\n";
    };
    Page before = page_of(proxy);
    const auto news = [&] {
        const Page after = page_of(proxy);
        std::string text = changes(std::exchange(before, after), after);
        std::string kept;
        // What every request moves, and what depends on the machine.
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = text.find('\n', at) + 1;
            const std::string line = text.substr(at, end - at);
            if (line.find("_session") != std::string::npos &&
                line.find("memory") == std::string::npos)
                kept += line;
            at = end;
        }
        return kept;
    };
    const std::string first = exchange("");
    CHECK(page_of(proxy)["baton_session_memory_bytes"] == proxy.table().memory());
    CHECK(proxy.table().memory() > 0);
    CHECK(news() == "baton_sessions: 0 -> 1\n");
    const std::string second = exchange(cookies("no-id"));
    CHECK(news() ==
          "baton_session_unknown_total{reason=malformed}: 0 -> 1\n"
          "baton_sessions: 1 -> 2\n");
    exchange(cookies(first, second));
    CHECK(news() == "baton_session_second_live_total: 0 -> 1\n");
    exchange(cookies(first), "Baton-Session-Destroy: 1\r\n");
    CHECK(news() == "baton_sessions: 2 -> 1\n");
    exchange(cookies(first));  // whose end makes no new session
    CHECK(news() == "baton_session_unknown_total{reason=dead}: 0 -> 1\n");
    const std::string third = exchange(cookies("0123456789ABCDEF0123456789ABCDEF"));
    CHECK(news() ==
          "baton_session_unknown_total{reason=absent}: 0 -> 1\n"
          "baton_sessions: 1 -> 2\n");
    const std::string fourth = exchange("");
    CHECK(news() == "baton_sessions: 2 -> 3\n");
    // Full. The third's cookie has not come back; those of the second and the fourth have.
    exchange(cookies(fourth));
    CHECK(news() == "");
    exchange("");
    CHECK(news() == "baton_session_evictions_total{confirmed=false}: 0 -> 1\n");
    const std::string sixth =
        exchange(cookies(third), "Baton-Session-Nonsense: 1\r\nSet-Cookie: JSESSIONID=mine\r\n");
    CHECK(news() ==
          "baton_session_cookies_dropped_total: 0 -> 1\n"
          "baton_session_evictions_total{confirmed=false}: 1 -> 2\n"
          "baton_session_fields_dropped_total: 0 -> 1\n"
          "baton_session_unknown_total{reason=absent}: 1 -> 2\n");
    exchange(cookies(sixth));
    CHECK(news() == "");
    exchange("");
    CHECK(news() == "baton_session_evictions_total{confirmed=true}: 0 -> 1\n");
    exchange(cookies(sixth) + "Baton-Session-Mine: 1\r\n");
    CHECK(news() == "baton_session_fields_dropped_total: 1 -> 2\n");
    // Ended by one request while another runs, whose change comes too late.
    Peer slow = proxy.connect_client();
    slow.sends("GET / HTTP/1.1\r\nHost: h\r\n" + cookies(sixth) + "\r\n");
    server->head();
    Peer fast = proxy.connect_client();
    fast.sends("GET / HTTP/1.1\r\nHost: h\r\n" + cookies(sixth) + "\r\n");
    Peer busy = proxy.accept_at_server();
    busy.head();
    busy.sends("HTTP/1.1 200 OK\r\nBaton-Session-Destroy: 1\r\nContent-Length: 2\r\n\r\nok");
    fast.expects("ok");
    server->sends("HTTP/1.1 200 OK\r\nBaton-Session-Set: a=1\r\nContent-Length: 2\r\n\r\nok");
    slow.expects("ok");
    CHECK(news() == "baton_session_changes_dropped_total: 0 -> 1\nbaton_sessions: 3 -> 2\n");
}

TEST_CASE("metrics: lost lines of the log") {
    Proxy proxy;
    CHECK_FALSE(proxy.writer().write(99, "one\ntwo\nthree\n", 3));  // no such sink
    CHECK(page_of(proxy)["baton_log_lines_dropped_total"] == 3);
}

}  // namespace baton::test
