#pragma once

// The main thread: makes everything, then waits for signals.

#include <cstddef>
#include <memory>
#include <vector>

#include "net/log.h"
#include "net/loop.h"
#include "proxy/context/session_stores.h"
#include "proxy/process/admin_listener.h"
#include "proxy/process/listener.h"
#include "proxy/process/worker.h"
#include "proxy/route/snapshot.h"
#include "proxy/service/process_view.h"

namespace baton {

class Control {
public:
    explicit Control(Config config);
    ~Control();
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    // Serves until it is told to stop. The process's exit status: 0, or 1 if it could not start.
    int run();

    // The control thread. Every worker takes the snapshot between two iterations of its loop: requests that
    // begin after that have it. When all have, identities that nobody uses any more are forgotten.
    void publish(std::shared_ptr<const Snapshot> newest);
    // A snapshot with this process's identities. The control thread, or before `run`.
    std::shared_ptr<const Snapshot> snapshot_of(Config config);
    Loop& loop() noexcept { return loop_; }

private:
    enum class State : std::uint8_t { serving, draining, stopping };

    bool open_listeners();
    bool open_one(const Address& address, unsigned count, ListenerSockets& sockets);
    bool open_admin();
    bool open_access_log();
    void start_workers();
    void on_signal(int signal);
    void on_second();
    void begin_stop();
    void on_drained();
    void on_grace_over();
    void on_traffic_over();
    void on_worker_stopped();
    void on_admin_grace_over();

    log::Writer writer_;
    Loop loop_;
    const unsigned worker_count_;
    Registry registry_;
    std::shared_ptr<const Snapshot> snapshot_;
    SessionStores stores_;
    UnknownLimit unknown_limit_;
    LostRotations lost_rotations_;
    ConnectionGate gate_;
    ConnectionGate api_gate_;
    log::Writer::Sink access_sink_ = -1;
    std::vector<ListenerSockets> sockets_;
    ListenerSockets api_sockets_;
    std::vector<std::unique_ptr<Worker>> workers_;
    ProcessView view_;
    std::unique_ptr<AdminListener> admin_;  // if there is one
    std::vector<Handle<uv_signal_t>> signals_;
    Timer<&Control::on_second> second_;
    Timer<&Control::on_drained> drained_;
    Timer<&Control::on_grace_over> grace_;
    Timer<&Control::on_admin_grace_over> admin_grace_;
    std::size_t working_ = 0;       // workers
    std::size_t with_traffic_ = 0;  // of them, those that still have some
    State state_ = State::serving;
    std::uint64_t evicted_seen_ = 0;
    log::OncePerMinute eviction_warning_;
    std::int64_t epoch_offset_ms_ = 0;
};

}  // namespace baton
