#pragma once

// One thread, one loop: accepts connections and owns everything they need.

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>

#include "net/loop.h"
#include "proxy/context/lane.h"
#include "proxy/process/clients.h"
#include "proxy/route/snapshot.h"
#include "proxy/service/session_api.h"

namespace baton {

class Worker {
public:
    struct Needs {
        std::size_t index = 0;                                         // among the registry's loops
        std::function<std::unique_ptr<Store>(Loop& loop)> make_store;  // of this worker's loop
        UnknownLimit* unknown_limit = nullptr;
        LostRotations* lost_rotations = nullptr;  // or none
        ConnectionGate* gate = nullptr;
        ConnectionGate* api_gate = nullptr;  // of the session API
        log::Writer* writer = nullptr;
        log::Writer::Sink access_sink = -1;
        // Called on this worker's thread when the traffic's last connection is gone: other workers may
        // still have some, whose servers need the session API here. `stop_api` is to follow. Without
        // it the API stops then.
        std::function<void()> on_traffic_over;
        std::function<void()>
            on_stopped;  // called on this worker's thread when its last connection is gone
    };
    explicit Worker(Needs needs);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Before `start`: a listening socket of this worker's own.
    void listen(int fd, const Address& address, const ListenerConfig& config);
    // The same, of the session API.
    void listen_for_api(int fd, const Address& address, const ListenerConfig& config);

    // This worker's thread, between two iterations, or before `start`: needed once before that.
    void take(std::shared_ptr<const Snapshot> newest);
    // Any thread. The same later on this worker's thread, which then calls `taken`.
    void publish(std::shared_ptr<const Snapshot> newest, std::function<void()> taken);

    void start();  // a thread that runs the loop until the worker has stopped
    void join();

    // Any thread. The end will come: answers of the traffic say that their connection ends.
    void drain();
    // Any thread. No new connections, idle ones close, requests finish. The session API is served on
    // to those who are connected.
    void stop();
    // Any thread. No worker has any traffic left: the session API ends, and then this worker.
    void stop_api();
    // Any thread. The grace is over: what is left is cut.
    void abort();

    // This worker's thread; tests turn the loop themselves.
    Loop& loop() noexcept { return loop_; }
    Lane& lane() noexcept { return lane_; }
    // Of the lane, any thread may read the counters, the pools' too.
    const Lane& lane() const noexcept { return lane_; }
    std::size_t clients() const noexcept { return clients_.count(); }
    void stop_now();
    void abort_now();

private:
    void on_second();
    void on_flush();
    void on_emptied();
    void on_api_emptied();

    Loop loop_;
    Lane lane_;
    Clients clients_;
    SessionApi api_;
    Clients api_clients_;
    std::function<void()> on_traffic_over_;
    std::function<void()> on_stopped_;
    Timer<&Worker::on_second> second_;
    Timer<&Worker::on_flush> flush_;
    std::thread thread_;
    bool traffic_over_ = false;
};

}  // namespace baton
