#pragma once

// Four workers in threads of their own, made, told and ended as Control does it; and files for their logs.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "proxy/process/listener.h"
#include "proxy/process/worker.h"
#include "proxy/route/snapshot.h"
#include "session/memory/memory_table.h"

namespace baton::test {

// A folder for one test, removed with what is in it.
class TempDir {
public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_ = "/tmp/baton-threads-XXXXXX";
};

std::string contents(const std::string& path);
std::vector<std::string> lines_of(const std::string& text);

// stderr in a file, for as long as it lives, and the event log at level info. A sanitizer's report
// would go there too: give it a `log_path`.
class EventFile {
public:
    EventFile();
    ~EventFile();
    EventFile(const EventFile&) = delete;
    EventFile& operator=(const EventFile&) = delete;
    std::string text() const { return contents(dir_ / "events"); }

private:
    TempDir dir_;
    int saved_;
};

class Site {
public:
    static constexpr unsigned workers = 4;

    // `access_log`: a path.
    Site(const std::vector<Address>& servers, const std::string& access_log);
    ~Site();
    Site(const Site&) = delete;
    Site& operator=(const Site&) = delete;

    const Address& address() const noexcept { return address_; }
    // Set before the workers are told to stop.
    const std::atomic<bool>& stopping() const noexcept { return stopping_; }

    // As at SIGTERM, and when the grace is over.
    void stop();
    void abort();
    // Until all workers have stopped. Their last lines are with the writer then.
    void join();
    // After `join`: until all lines that can be written are.
    void close_log();

    log::Writer& writer() noexcept { return *writer_; }
    MemoryTable& table() noexcept { return table_; }
    std::size_t connections() const noexcept { return gate_.open.load(std::memory_order_relaxed); }

    // What all workers have counted so far. Any thread, until `close_log`.
    struct Counted {
        std::uint64_t answers = 0;  // that were 200
        std::uint64_t others = 0;
        std::uint64_t in_flight = 0;
        std::uint64_t to_servers = 0;
        std::uint64_t in_flight_to_servers = 0;
        std::uint64_t connects_failed = 0;
        std::vector<std::uint64_t> faults = std::vector<std::uint64_t>(fault_count, 0);
    };
    Counted counted() const;

private:
    void on_tick();

    std::unique_ptr<log::Writer> writer_;
    Loop loop_;
    Registry registry_{workers};
    std::shared_ptr<const Snapshot> snapshot_;
    MemoryTable table_;
    UnknownLimit unknown_limit_;
    ConnectionGate gate_;
    Address address_;
    std::vector<std::unique_ptr<Worker>> workers_;
    Timer<&Site::on_tick> tick_;
    std::size_t working_ = workers;
    std::atomic<bool> stopping_ = false;
    std::thread control_;
};

}  // namespace baton::test
