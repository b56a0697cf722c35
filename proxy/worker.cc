#include "proxy/worker.h"

#include <algorithm>
#include <utility>

namespace baton {

namespace {

// How long an access line may wait for its block to fill.
constexpr std::chrono::milliseconds flush_every{200};

}  // namespace

Worker::Worker(Needs needs)
    : lane_(loop_, std::move(needs.snapshot), std::move(needs.store), needs.writer,
            needs.access_sink),
      gate_(*needs.gate),
      on_stopped_(std::move(needs.on_stopped)),
      second_(loop_, *this),
      flush_(loop_, *this) {
    second_.repeat(std::chrono::seconds{1});
    if (lane_.access_log.enabled()) flush_.repeat(flush_every);
}

Worker::~Worker() {
    join();
    abort_now();
}

void Worker::listen(int fd, const Address& address, const ListenerConfig& config) {
    listeners_.push_back(std::make_unique<Listener>(
        loop_, fd, address, config, gate_, this,
        [](void* holder, Listener& listener, int accepted, const Address& peer) {
            static_cast<Worker*>(holder)->adopt(listener, accepted, peer);
        }));
}

void Worker::start() {
    thread_ = std::thread{[this] { loop_.run(); }};
}

void Worker::join() {
    if (thread_.joinable()) thread_.join();
}

void Worker::adopt(Listener& listener, int fd, const Address& address) {
    auto stream = Tcp::adopt(loop_, fd, lane_.tcp);
    if (!stream) return;
    Peer peer;
    peer.address = address;
    peer.host = address.host();
    peer.local_port = listener.address().port();
    const auto& trusted = listener.config().trusted_proxies;
    peer.trusted = std::any_of(trusted.begin(), trusted.end(),
                               [&](const Network& network) { return network.contains(address); });
    auto client = std::make_unique<Http1Client>(lane_, *this, std::move(stream), std::move(peer),
                                                listener.config());
    client->place = clients_.size();
    clients_.push_back(std::move(client));
    // Relaxed: a count, nothing is ordered by it.
    gate_.open.fetch_add(1, std::memory_order_relaxed);
}

void Worker::retire(std::size_t place) noexcept {
    const std::unique_ptr<Http1Client> gone = std::exchange(clients_[place], nullptr);
    if (place + 1 != clients_.size()) {
        clients_[place] = std::move(clients_.back());
        clients_[place]->place = place;
    }
    clients_.pop_back();
    gate_.open.fetch_sub(1, std::memory_order_relaxed);
    for (const auto& listener : listeners_) listener->resume();
    stopped_if_empty();
}

void Worker::on_second() {
    for (const auto& pool : lane_.pools) pool->sweep(loop_.now());
}

void Worker::on_flush() { lane_.access_log.flush(); }

void Worker::stop() {
    loop_.post([this] { stop_now(); });
}

void Worker::abort() {
    loop_.post([this] { abort_now(); });
}

void Worker::stop_now() {
    if (std::exchange(stopping_, true)) return;
    lane_.stopping = true;
    for (const auto& listener : listeners_) listener->drain();
    listeners_.clear();
    // Backwards: one that ends gives its place to the last.
    for (std::size_t i = clients_.size(); i-- > 0;) clients_[i]->stop();
    stopped_if_empty();
}

void Worker::abort_now() {
    for (std::size_t i = clients_.size(); i-- > 0;) clients_[i]->abort();
}

void Worker::stopped_if_empty() {
    if (!stopping_ || !clients_.empty()) return;
    lane_.access_log.flush();
    for (const auto& pool : lane_.pools) pool->clear();
    loop_.stop();
    if (on_stopped_) std::exchange(on_stopped_, nullptr)();
}

}  // namespace baton
