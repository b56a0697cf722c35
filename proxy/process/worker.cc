#include "proxy/process/worker.h"

#include <utility>

namespace baton {

namespace {

// How long an access line may wait for its block to fill.
constexpr std::chrono::milliseconds flush_every{200};

}  // namespace

Worker::Worker(Needs needs)
    : lane_(loop_, needs.index, needs.make_store(loop_), *needs.unknown_limit, needs.writer,
            needs.access_sink),
      clients_(lane_, *needs.gate, this,
               [](void* worker) { static_cast<Worker*>(worker)->on_emptied(); }),
      api_(lane_),
      api_clients_(lane_, *needs.api_gate, this,
                   [](void* worker) { static_cast<Worker*>(worker)->on_api_emptied(); }),
      on_traffic_over_(std::move(needs.on_traffic_over)),
      on_stopped_(std::move(needs.on_stopped)),
      second_(loop_, *this),
      flush_(loop_, *this) {
    lane_.lost_rotations = needs.lost_rotations;
    second_.repeat(std::chrono::seconds{1});
    if (lane_.access_log.enabled()) flush_.repeat(flush_every);
}

Worker::~Worker() {
    join();
    clients_.abort();
    api_clients_.abort();
}

void Worker::listen(int fd, const Address& address, const ListenerConfig& config) {
    clients_.listen(fd, address, config);
}

void Worker::listen_for_api(int fd, const Address& address, const ListenerConfig& config) {
    api_clients_.listen(fd, address, config, &api_);
}

void Worker::take(std::shared_ptr<const Snapshot> newest) {
    const Config& config = newest->config();
    lane_.take(newest);
    clients_.take(config.limits, config.listeners);
    api_clients_.take(config.limits, {&config.session_api.listener, 1});
}

void Worker::publish(std::shared_ptr<const Snapshot> newest, std::function<void()> taken) {
    loop_.post([this, newest = std::move(newest), taken = std::move(taken)]() mutable {
        take(std::move(newest));
        taken();
    });
}

void Worker::start() {
    thread_ = std::thread{[this] { loop_.run(); }};
}

void Worker::join() {
    if (thread_.joinable()) thread_.join();
}

void Worker::on_second() {
    lane_.pools.sweep(loop_.now());
    lane_.pools.drop_unused();
}

void Worker::on_flush() { lane_.access_log.flush(); }

void Worker::drain() {
    loop_.post([this] { clients_.drain(); });
}

void Worker::stop() {
    loop_.post([this] { stop_now(); });
}

void Worker::stop_api() {
    loop_.post([this] { api_clients_.stop(); });
}

void Worker::abort() {
    loop_.post([this] { abort_now(); });
}

// Both let their addresses go at the same time, to a successor.
void Worker::stop_now() {
    api_clients_.finish();
    clients_.stop();
}

void Worker::abort_now() {
    clients_.abort();
    api_clients_.abort();
}

void Worker::on_emptied() {
    if (std::exchange(traffic_over_, true)) return;
    if (on_traffic_over_)
        on_traffic_over_();
    else
        api_clients_.stop();
}

void Worker::on_api_emptied() {
    lane_.access_log.flush();
    lane_.pools.clear();
    loop_.stop();
    if (on_stopped_) std::exchange(on_stopped_, nullptr)();
}

}  // namespace baton
