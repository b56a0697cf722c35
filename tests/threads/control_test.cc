// The whole program but its command line, in this process: signals, rotation and the end, under
// load. Signals are the process's, so there is one of it at a time.

#include "proxy/process/control.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
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

}  // namespace baton::test
