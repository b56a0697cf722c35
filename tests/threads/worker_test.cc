// Four workers with real sockets under the load of eight clients: stopped in its middle, cut off in
// its middle, and with a log that nobody reads. Servers, clients and logs are held against each
// other.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "net/result.h"
#include "tests/threads/peers.h"
#include "tests/threads/site.h"

namespace baton::test {

namespace {

constexpr std::size_t held_count = 4;

// The value of a text field of an access line.
std::string value(const std::string& line, const std::string& name) {
    const std::string opening = "\"" + name + "\":\"";
    const std::size_t at = line.find(opening);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + opening.size();
    return line.substr(begin, line.find('"', begin) - begin);
}

// An access log: its lines are whole, and no request has two.
struct AccessFile {
    explicit AccessFile(const std::string& text) {
        CHECK((text.empty() || text.back() == '\n'));
        for (const std::string& line : lines_of(text)) {
            if (!line.starts_with("{\"time\":\"") || !line.ends_with("}")) FAIL_CHECK(line);
            ++lines;
            workers.insert(value(line, "id").substr(0, 16));
            const std::string fault = value(line, "fault");
            if (!fault.empty()) ++faults[fault];
            if (!targets.insert(value(line, "target")).second) FAIL_CHECK(line);
        }
    }
    std::size_t lines = 0;
    std::set<std::string> workers;  // an id begins with bytes of its worker
    std::set<std::string> targets;
    std::map<std::string, std::uint64_t> faults;
};

// Servers, one of which refuses connections, and a site in front of them.
struct Stage {
    explicit Stage(const std::string& access_log) {
        std::vector<Address> addresses{refused.address()};
        for (int i = 0; i < 3; ++i) {
            servers.push_back(std::make_unique<AppServer>(gate));
            addresses.push_back(servers.back()->address());
        }
        site = std::make_unique<Site>(addresses, access_log);
    }

    // What the servers were asked. None was asked anything twice.
    std::set<std::string> received() const {
        std::set<std::string> targets;
        for (const auto& server : servers)
            for (const auto& [target, times] : server->received())
                if (times != 1 || !targets.insert(target).second) FAIL_CHECK(target);
        return targets;
    }

    Gate gate;
    RefusedPort refused;
    std::vector<std::unique_ptr<AppServer>> servers;
    std::unique_ptr<Site> site;
};

std::string held_target(std::size_t i) { return "/held/" + std::to_string(i); }

// Requests that wait in a server.
std::vector<Wire> hold_requests(Stage& stage) {
    std::vector<Wire> held;
    for (std::size_t i = 0; i < held_count; ++i) {
        held.push_back(Wire::to(stage.site->address()));
        held.back().send("GET " + held_target(i) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    stage.gate.await_waiting(held_count);
    return held;
}

// Reads what the workers count, as the control thread may at any time, until it is told to end.
class Watcher {
public:
    explicit Watcher(const Site& site) : thread_{[this, &site] { run(site); }} {}
    void end() {
        over_ = true;
        thread_.join();
    }
    std::string faults() const { return faults_.text(); }

private:
    void run(const Site& site) {
        Site::Counted before;
        while (!over_) {
            const Site::Counted now = site.counted();
            if (now.answers < before.answers || now.to_servers < before.to_servers ||
                now.connects_failed < before.connects_failed)
                faults_.add("a counter went back");
            before = now;
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
    }

    std::atomic<bool> over_ = false;
    Faults faults_;
    std::thread thread_;
};

}  // namespace

TEST_CASE(
    "four workers stop under load: what a server was asked is answered, counted and logged once") {
    const TempDir dir;
    const EventFile events;
    Stage stage{dir / "access.log"};
    Site& site = *stage.site;
    Watcher watcher{site};
    Load load{site.address(), site.stopping(), {}};
    constexpr int ticks = 1000;
    std::thread talkers{[] {
        in_threads(3, [](unsigned thread) {
            for (int i = 0; i < ticks; ++i) log::info("tick", {{"of", thread}, {"n", i}});
        });
    }};
    std::vector<Wire> held = hold_requests(stage);
    CHECK(load.reaches(1000));
    CHECK(site.counted().in_flight >= held_count);

    talkers.join();
    site.stop();
    CHECK(eventually([&] { return refuses(site.address()); }));
    stage.gate.open();
    for (std::size_t i = 0; i < held_count; ++i) {
        Message answer;
        CHECK(held[i].receive(answer) == Wire::End::whole);
        CHECK(answer.body == held_target(i) + " 1");
        CHECK(answer.field("Connection") == "close");
        CHECK(held[i].receive(answer) == Wire::End::none);
    }
    watcher.end();
    site.join();
    load.join();
    CHECK(load.faults() == "");
    CHECK(watcher.faults() == "");
    CHECK(site.connections() == 0);
    const Site::Counted counted = site.counted();
    CHECK(counted.others == 0);
    CHECK(counted.faults == std::vector<std::uint64_t>(fault_count, 0));
    CHECK(counted.in_flight == 0);
    CHECK(counted.in_flight_to_servers == 0);
    CHECK(counted.connects_failed > 0);
    CHECK(site.table().sessions() == 8 + held_count);
    CHECK(site.writer().lines_dropped() == 0);
    site.close_log();

    std::set<std::string> answered = load.targets();
    for (std::size_t i = 0; i < held_count; ++i) answered.insert(held_target(i));
    CHECK(counted.answers == answered.size());
    CHECK(counted.to_servers == answered.size());
    CHECK(stage.received() == answered);
    const AccessFile log{contents(dir / "access.log")};
    CHECK(log.targets == answered);
    CHECK(log.faults.empty());
    CHECK(log.workers.size() == Site::workers);

    std::size_t told = 0;
    for (const std::string& line : lines_of(events.text())) {
        if (!line.starts_with("ts=2")) FAIL_CHECK(line);
        told += line.find(" event=tick of=") != std::string::npos ? 1 : 0;
    }
    CHECK(told == 3 * ticks);
    CHECK(events.text().find("cannot connect to a server") != std::string::npos);
}

TEST_CASE(
    "four workers are cut off under load: they end, and each request they began has its line") {
    const TempDir dir;
    const EventFile events;
    Stage stage{dir / "access.log"};
    Site& site = *stage.site;
    Load load{site.address(), site.stopping(), {.may_tear = true}};
    std::vector<Wire> held = hold_requests(stage);
    CHECK(load.reaches(500));
    site.stop();
    site.abort();
    // Not before the servers let them go: they wait still.
    for (Wire& wire : held) {
        Message answer;
        CHECK(wire.receive(answer) != Wire::End::whole);
    }
    load.join();
    site.join();
    CHECK(load.faults() == "");
    CHECK(site.connections() == 0);
    const Site::Counted counted = site.counted();
    CHECK(counted.in_flight == 0);
    CHECK(counted.in_flight_to_servers == 0);
    CHECK(site.writer().lines_dropped() == 0);
    site.close_log();

    const std::set<std::string> received = stage.received();
    const std::set<std::string> answered = load.targets();
    CHECK(std::includes(received.begin(), received.end(), answered.begin(), answered.end()));
    AccessFile log{contents(dir / "access.log")};
    CHECK(std::includes(log.targets.begin(), log.targets.end(), received.begin(), received.end()));
    CHECK(log.faults["stopping"] >= held_count);
    for (int i = 0; i < fault_count; ++i) {
        const std::string fault{name(static_cast<Fault>(i))};
        if (log.faults[fault] != counted.faults[static_cast<std::size_t>(i)]) FAIL_CHECK(fault);
    }
    CHECK(log.lines - answered.size() <= log.faults["stopping"] + log.faults["client_gone"]);
}

TEST_CASE(
    "nobody reads the access log: requests go on, and each line is read in the end or counted") {
    const TempDir dir;
    const EventFile events;
    const std::string path = dir / "access.fifo";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    Stage stage{path};
    Site& site = *stage.site;
    Load load{site.address(), site.stopping(), {.tail = "?" + std::string(2000, 'x')}};
    // The queue and the pipe hold fewer than 2,000 of these lines.
    CHECK(load.reaches(2000));
    CHECK(eventually([&] { return site.writer().lines_dropped() > 0; }));
    CHECK(load.reaches(load.answered() + 200));
    site.stop();
    load.join();
    site.join();
    CHECK(load.faults() == "");

    // Now somebody reads it.
    const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(fd >= 0);
    std::string text;
    std::uint64_t lines = 0;
    const auto read_some = [&] {
        std::array<char, 65536> room;
        pollfd poll_fd{fd, POLLIN, 0};
        ::poll(&poll_fd, 1, 10);
        const ssize_t size = ::read(fd, room.data(), room.size());
        if (size <= 0) return false;
        const std::string_view piece{room.data(), static_cast<std::size_t>(size)};
        lines += static_cast<std::uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
        text += piece;
        return true;
    };
    CHECK(eventually([&] {
        read_some();
        return lines + site.writer().lines_dropped() >= load.answered();
    }));
    const std::uint64_t dropped = site.writer().lines_dropped();
    site.close_log();
    while (read_some()) {
    }
    ::close(fd);
    CHECK(dropped > 0);
    CHECK(lines > 1000);
    CHECK(lines + dropped == load.answered());
    CHECK(AccessFile{text}.lines == lines);
    CHECK(events.text().find("log lines dropped") != std::string::npos);
}

}  // namespace baton::test
