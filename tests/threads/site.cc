#include "tests/threads/site.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace baton::test {

namespace {

Config config_of(const std::vector<Address>& servers) {
    Config config;
    config.workers = Site::workers;
    config.listeners.push_back({*parse_address("127.0.0.1:0"), {}});
    UpstreamConfig upstream;
    upstream.name = "app";
    for (const Address& server : servers) upstream.servers.push_back({server, server.text(), 1});
    config.upstreams.push_back(upstream);
    RouteConfig route;
    route.name = "all";
    route.hosts = {"*"};
    route.upstream = "app";
    config.routes.push_back(route);
    return config;
}

}  // namespace

TempDir::TempDir() {
    if (::mkdtemp(path_.data()) == nullptr) die("no folder for a test");
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string contents(const std::string& path) {
    const std::ifstream file{path, std::ios::binary};
    std::ostringstream text;
    text << file.rdbuf();
    return std::move(text).str();
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in{text};
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

EventFile::EventFile() : saved_(::dup(STDERR_FILENO)) {
    const int fd = ::open((dir_ / "events").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(fd, STDERR_FILENO);
    ::close(fd);
    log::set_level(log::Level::info);
}

EventFile::~EventFile() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
}

Site::Site(const std::vector<Address>& servers, const std::string& access_log)
    : writer_(std::make_unique<log::Writer>()),
      snapshot_(std::make_shared<const Snapshot>(config_of(servers), registry_)),
      table_(TableLimits{}),
      tick_(loop_, *this) {
    signal(SIGPIPE, SIG_IGN);
    gate_.max = 1000;
    const log::Writer::Sink sink = writer_->open(access_log);
    ListenerSockets sockets;
    std::string complaint;
    if (sink < 0 ||
        !open_listener(snapshot_->config().listeners[0].address, workers, sockets, complaint))
        die("no access log, or no port");
    address_ = sockets.address;
    log::Writer::carry_events(writer_.get());
    for (unsigned i = 0; i < workers; ++i) {
        workers_.push_back(std::make_unique<Worker>(Worker::Needs{
            .index = i,
            .make_store = [&](Loop&) { return std::make_unique<MemoryStore>(table_); },
            .unknown_limit = &unknown_limit_,
            .gate = &gate_,
            .api_gate = &gate_,
            .writer = writer_.get(),
            .access_sink = sink,
            .on_stopped =
                [this] {
                    loop_.post([this] {
                        if (--working_ == 0) loop_.stop();
                    });
                }}));
        workers_.back()->take(snapshot_);
        workers_.back()->listen(sockets.fds[i], address_, snapshot_->config().listeners[0]);
    }
    for (const auto& worker : workers_) worker->start();
    tick_.repeat(std::chrono::milliseconds{5});
    control_ = std::thread{[this] { loop_.run(); }};
}

Site::~Site() {
    if (control_.joinable()) {
        stop();
        abort();
        join();
    }
    log::Writer::carry_events(nullptr);
}

// As Control does once a second.
void Site::on_tick() {
    table_.sweep(std::chrono::duration_cast<std::chrono::milliseconds>(
                     std::chrono::system_clock::now().time_since_epoch())
                     .count());
}

void Site::stop() {
    stopping_ = true;
    loop_.post([this] {
        for (const auto& worker : workers_) worker->stop();
    });
}

void Site::abort() {
    loop_.post([this] {
        for (const auto& worker : workers_) worker->abort();
    });
}

void Site::join() {
    control_.join();
    for (const auto& worker : workers_) worker->join();
}

void Site::close_log() {
    workers_.clear();
    writer_.reset();
}

Site::Counted Site::counted() const {
    Counted sum;
    for (const Route& route : snapshot_->routes())
        for (std::size_t i = 0; i < StatusCounters::classes.size(); ++i)
            (i == 1 ? sum.answers : sum.others) += route.state->requests(i);
    for (const Server& server : snapshot_->upstreams()[0]->servers()) {
        for (const ServerCounters& counters : server.state->counters()) {
            sum.to_servers += counters.requests.read();
            sum.in_flight_to_servers += counters.in_flight.read();
            sum.connects_failed += counters.faults(ServerFault::connect_failed);
        }
    }
    for (const auto& worker : workers_) {
        const Lane& lane = std::as_const(*worker).lane();
        for (const Counter& unrouted : lane.counters.unrouted.by_class)
            sum.others += unrouted.read();
        sum.in_flight += lane.counters.requests_in_flight.read();
        for (std::size_t i = 0; i < sum.faults.size(); ++i)
            sum.faults[i] += lane.counters.faults[i].read();
    }
    return sum;
}

}  // namespace baton::test
