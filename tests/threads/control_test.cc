// The whole program but its command line, in this process: signals, rotation, snapshots and the end,
// under load. Signals are the process's, so there is one of it at a time.

#include "proxy/process/control.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/config/config_load.h"
#include "tests/threads/peers.h"
#include "tests/threads/site.h"

namespace baton::test {

namespace {

constexpr int rotations = 3;

std::string file_of(const std::vector<std::unique_ptr<AppServer>>& servers,
                    const std::string& log) {
    std::string text =
        "workers = 4\n[admin]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = "
        "\"127.0.0.1:0\"\n";
    text += "[[upstream]]\nname = \"app\"\nservers = [";
    for (const auto& server : servers)
        text += "{ address = \"" + server->address().text() + "\" },";
    return text + "]\n[[route]]\nupstream = \"app\"\n[log]\naccess = \"" + log + "\"\n";
}

// Where it listens for requests and for an operator, once it does.
struct Addresses {
    explicit Addresses(const EventFile& events) {
        eventually([&] { return events.text().find("event=ready") != std::string::npos; });
        const std::string before = "event=listening address=";
        for (const std::string& line : lines_of(events.text())) {
            const std::size_t at = line.find(before);
            if (at == std::string::npos) continue;
            const std::size_t begin = at + before.size();
            const bool is_admin = line.find("serves=admin") != std::string::npos;
            (is_admin ? admin : requests) =
                parse_address(line.substr(begin, line.find(' ', begin) - begin))
                    .value_or(Address{});
        }
    }
    Address requests;
    Address admin;
};

// An operator's tool: asks for all that the workers count, again and again, until it is told that
// the process stops.
void scrape(const Address& admin, const std::atomic<bool>& stopping, Faults& faults) {
    Wire wire = Wire::to(admin);
    while (!stopping) {
        for (const char* path : {"/metrics", "/v1/upstreams", "/readyz"}) {
            wire.send("GET " + std::string{path} + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
            Message answer;
            if (wire.receive(answer) == Wire::End::whole && answer.word(1) == "200") continue;
            if (!stopping) faults.add(path + (" was answered with " + answer.head));
            return;
        }
    }
}

// Snapshots of one process: each differs from the last in its routes, servers, limits, and its listener's
// terms. The first server is in all of them, and what clients see of them is the same.
class Snapshots {
public:
    explicit Snapshots(Config first) : first_(std::move(first)) {}

    // The control thread.
    void publish_next(Control& control) {
        auto next = control.snapshot_of(config(++published_));
        for (const Route& route : next->routes()) keep(routes_, route.state->name(), route.state);
        for (const Server& server : next->upstreams()[0]->servers())
            keep(servers_, server.text, server.state);
        for (const auto& upstream : next->upstreams())
            for (const Server& server : upstream->servers())
                slot_max_ = std::max(slot_max_, server.slot);
        published_ones_.push_back(next);
        control.publish(std::move(next));
    }
    // Any thread, while nothing is being published.
    std::size_t live() const {
        return static_cast<std::size_t>(
            std::count_if(published_ones_.begin(), published_ones_.end(),
                          [](const auto& one) { return !one.expired(); }));
    }
    std::uint64_t requests(std::size_t status_class) const {
        std::uint64_t sum = 0;
        for (const auto& route : routes_) sum += route.second->requests(status_class);
        return sum;
    }
    std::uint64_t to_servers() const {
        return sum([](const ServerCounters& one) { return one.requests.read(); });
    }
    std::uint64_t connections() const {
        return sum(
            [](const ServerCounters& one) { return one.in_flight.read() + one.idle.read(); });
    }
    std::size_t routes() const { return routes_.size(); }
    std::size_t slot_max() const { return slot_max_; }
    const std::string& changed() const { return changed_; }

private:
    Config config(std::size_t n) const {
        Config next = first_;
        for (std::size_t i = 0; i < n % 7; ++i) {
            RouteConfig route = first_.routes[0];
            route.name = "more-" + std::to_string((n + i) % 16);
            route.path = "/c" + std::to_string((n + i) % 16) + "/";
            next.routes.push_back(std::move(route));
        }
        auto& servers = next.upstreams[0].servers;
        // One after the other is away for a while.
        servers.erase(servers.begin() +
                      static_cast<std::ptrdiff_t>(1 + n / 3 % (servers.size() - 1)));
        next.upstreams[0].keepalive.idle_max = 1 + n % 5;
        // Servers that were never there before, and never are again.
        UpstreamConfig passing = first_.upstreams[0];
        passing.name = "passing";
        for (std::size_t i = 0; i < passing.servers.size(); ++i)
            passing.servers[i].text = "passing-" + std::to_string(n) + "-" + std::to_string(i);
        next.upstreams.push_back(std::move(passing));
        next.limits.head.fields = 50 + n % 2;
        next.listeners[0].connections_per_client_max = n % 3 == 0 ? 0 : 1000 + n;
        next.listeners[0].defer_accept = n % 2 == 0;
        if (n % 4 == 0) next.listeners[0].trusted_proxies.push_back(*parse_network("10.0.0.0/8"));
        return next;
    }
    template <class State>
    void keep(std::map<std::string, std::shared_ptr<State>>& all, const std::string& name,
              const std::shared_ptr<State>& state) {
        if (all.emplace(name, state).first->second != state) changed_ = name;
    }
    template <class Read>
    std::uint64_t sum(Read read) const {
        std::uint64_t total = 0;
        for (const auto& server : servers_) total += server.second->sum(read);
        return total;
    }

    const Config first_;
    std::size_t published_ = 0;
    std::vector<std::weak_ptr<const Snapshot>> published_ones_;
    // Their numbers are asked for in the end.
    std::map<std::string, std::shared_ptr<RouteState>> routes_;
    std::map<std::string, std::shared_ptr<ServerState>> servers_;
    std::size_t slot_max_ = 0;
    std::string changed_;  // an identity that was not found again
};

// Runs the task on the control thread, and waits for it.
template <class Task>
void on_control(Control& control, Task task) {
    std::promise<void> done;
    control.loop().post([&] {
        task();
        done.set_value();
    });
    done.get_future().wait();
}

// A message there and back.
std::string body_of(Wire& wire, const std::string& request) {
    wire.send(request + "\r\nHost: a\r\n\r\n");
    Message answer;
    return wire.receive(answer) == Wire::End::whole ? answer.body : "";
}

}  // namespace

TEST_CASE("a process of four workers rotates its log and stops under load, and loses nothing") {
    const TempDir dir;
    const EventFile events;
    const std::string path = dir / "access.log";
    Gate gate;
    std::vector<std::unique_ptr<AppServer>> servers;
    for (int i = 0; i < 3; ++i) servers.push_back(std::make_unique<AppServer>(gate));
    Loaded loaded = load_config(file_of(servers, path));
    for (const Complaint& complaint : loaded.complaints) FAIL_CHECK(complaint.text);
    REQUIRE(loaded.complaints.empty());

    std::atomic<bool> stopping = false;
    std::set<std::string> answered;
    Faults faults;
    std::thread operating{[&] {
        const Addresses addresses{events};
        Load load{addresses.requests, stopping, {}};
        std::thread scraping{[&] { scrape(addresses.admin, stopping, faults); }};
        for (int turn = 0; turn < rotations; ++turn) {
            const std::size_t then = load.answered();
            bool good = load.reaches(then + 200);
            std::rename(path.c_str(), (path + "." + std::to_string(turn)).c_str());
            ::kill(::getpid(), SIGUSR1);
            good = eventually([&] { return ::access(path.c_str(), F_OK) == 0; }) && good;
            if (!good) faults.add("no answers, or no new file");
        }
        stopping = true;
        ::kill(::getpid(), SIGTERM);
        load.join();
        scraping.join();
        if (!load.faults().empty()) faults.add(load.faults());
        answered = load.targets();
    }};
    {
        Control control{std::move(loaded.config)};
        CHECK(control.run() == 0);
        operating.join();
    }
    CHECK(faults.text() == "");
    CHECK(answered.size() > rotations * 200);
    std::set<std::string> received;
    for (const auto& server : servers)
        for (const auto& [target, times] : server->received())
            if (times != 1 || !received.insert(target).second) FAIL_CHECK(target);
    CHECK(received == answered);

    std::size_t lines = lines_of(contents(path)).size();
    for (int turn = 0; turn < rotations; ++turn)
        lines += lines_of(contents(path + "." + std::to_string(turn))).size();
    CHECK(lines == answered.size());
    for (const char* event : {"event=\"logs reopened\"", "event=stopping", "event=stopped"})
        CHECK(events.text().find(event) != std::string::npos);
}

TEST_CASE("five hundred snapshots in a row, under load: no request notices, and nothing is kept") {
    constexpr int snapshots = 500;
    constexpr std::size_t held_count = 6;
    const TempDir dir;
    const EventFile events;
    Gate gate;
    std::vector<std::unique_ptr<AppServer>> servers;
    for (int i = 0; i < 4; ++i) servers.push_back(std::make_unique<AppServer>(gate));
    Loaded loaded = load_config(file_of(servers, dir / "access.log"));
    REQUIRE(loaded.complaints.empty());
    Snapshots published{loaded.config};
    std::atomic<bool> stopping = false;
    std::set<std::string> answered;
    Faults faults;
    Control control{std::move(loaded.config)};
    std::thread operating{[&] {
        const Addresses addresses{events};
        on_control(control, [&] { published.publish_next(control); });
        std::vector<Wire> tunnels;
        std::vector<Wire> held;
        for (std::size_t i = 0; i < held_count; ++i) {
            const std::string name = std::to_string(i);
            tunnels.push_back(Wire::to(addresses.requests));
            body_of(tunnels.back(), "GET /tunnel/" + name +
                                        " HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket");
            held.push_back(Wire::to(addresses.requests));
            held.back().send("GET /held/" + name + " HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        gate.await_waiting(held_count);
        Load load{addresses.requests, stopping, {}};
        std::thread scraping{[&] { scrape(addresses.admin, stopping, faults); }};
        for (int i = 1; i < snapshots; ++i) {
            on_control(control, [&] { published.publish_next(control); });
            // Some together, some with requests in between.
            if (i % 4 == 0 && !load.reaches(load.answered() + 2)) faults.add("no answers");
        }
        // Those that began with the first one have it still.
        if (published.live() < 2) faults.add("a request lost its snapshot");
        gate.open();
        for (std::size_t i = 0; i < held_count; ++i) {
            Message answer;
            if (held[i].receive(answer) != Wire::End::whole ||
                answer.body != "/held/" + std::to_string(i) + " 1")
                faults.add("a held request had no answer");
        }
        if (!eventually([&] { return published.live() == 1; }))
            faults.add(std::to_string(published.live()) + " snapshots are kept");
        for (std::size_t i = 0; i < held_count; ++i)
            if (body_of(tunnels[i], "GET /within/" + std::to_string(i) + " HTTP/1.1") !=
                "/within/" + std::to_string(i) + " 1")
                faults.add("a tunnel ended");
        tunnels.clear();
        if (!load.reaches(load.answered() + 100)) faults.add("no answers in the end");
        stopping = true;
        ::kill(::getpid(), SIGTERM);
        load.join();
        scraping.join();
        if (!load.faults().empty()) faults.add(load.faults());
        answered = load.targets();
    }};
    CHECK(control.run() == 0);
    operating.join();
    CHECK(faults.text() == "");
    CHECK(published.changed() == "");
    CHECK(published.routes() == 17);
    CHECK(published.requests(0) == held_count);
    CHECK(published.requests(1) == answered.size() + held_count);
    for (std::size_t i = 2; i < StatusCounters::classes.size(); ++i)
        CHECK(published.requests(i) == 0);
    CHECK(published.to_servers() == answered.size() + 2 * held_count);
    CHECK(published.connections() == 0);
    std::size_t received = 0;
    for (const auto& server : servers) received += server->received().size();
    CHECK(received == answered.size() + 3 * held_count);
    // Of 2,000 servers that came and went, each had a slot that another one had left.
    CHECK(published.slot_max() < 500);
}

}  // namespace baton::test
