#include "proxy/process/clients.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace baton {

namespace {

// The guard refuses a declared length over the limit at its place in the order of refusals.
HeadLimits head_limits(const LimitsConfig& limits) {
    HeadLimits head = limits.head;
    head.body_max = limits.body_max;
    return head;
}

// So many idle connections are looked at for one that can be closed: the others have just sent
// something, and will be read next.
constexpr int looked_at_max = 16;

void close_by_reset(int fd) noexcept {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    ::close(fd);
}

// Trusted proxies bring many clients each.
bool is_counted(const ListenerConfig& listener, const Peer& peer) noexcept {
    return listener.connections_per_client_max > 0 && !peer.trusted;
}

}  // namespace

const Listener::Events Clients::listener_events{
    .accepted =
        [](void* holder, Listener& listener, int fd, const Address& peer) {
            static_cast<Clients*>(holder)->adopt(listener, fd, peer);
        },
    .full = [](void* holder,
               Listener::Lack lack) { return static_cast<Clients*>(holder)->make_room(lack); },
};

Clients::Clients(Lane& lane, ConnectionGate& gate, void* holder, Emptied emptied)
    : lane_(lane),
      gate_(gate),
      holder_(holder),
      emptied_(emptied),
      place_(gate.holders.size()),
      blocks_(lane) {
    gate.holders.push_back(this);
}

void Clients::listen(int fd, const Address& address, const ListenerConfig& config,
                     LocalService* service) {
    listeners_.push_back(std::make_unique<Listener>(lane_.loop, fd, address, config, service, gate_,
                                                    this, listener_events));
}

// Two listeners of one configured address, which has a port of 0 then, are told apart by their order.
void Clients::take(const LimitsConfig& limits, std::span<const ListenerConfig> terms) {
    blocks_.use(head_limits(limits));
    std::vector<bool> taken(terms.size());
    for (const auto& listener : listeners_) {
        for (std::size_t i = 0; i < terms.size(); ++i) {
            if (taken[i] || !(terms[i].address == listener->configured())) continue;
            taken[i] = true;
            listener->take_terms(terms[i]);
            break;
        }
    }
}

void Clients::adopt(Listener& listener, int fd, const Address& address) {
    Peer peer;
    peer.address = address;
    peer.host = address.host();
    peer.local_port = listener.address().port();
    const auto& trusted = listener.terms()->trusted_proxies;
    peer.trusted = std::any_of(trusted.begin(), trusted.end(),
                               [&](const Network& network) { return network.contains(address); });
    if (!admit(listener, peer)) {
        close_by_reset(fd);
        return gate_.give_back();
    }
    StreamPtr stream = Tcp::adopt(lane_.loop, fd, lane_.tcp);
    if (stream && lane_.client_layer != nullptr)
        stream = lane_.client_layer(lane_.loop, std::move(stream));
    if (!stream) {
        if (is_counted(*listener.terms(), peer))
            gate_.per_client.give_back(listener.address(), address);
        return gate_.give_back();
    }
    auto client =
        std::make_unique<Http1Client>(lane_, blocks_, *this, std::move(stream), std::move(peer),
                                      listener.terms(), listener.service());
    client->index = clients_.size();
    clients_.push_back(std::move(client));
}

// Unless its client has as many as it may have.
bool Clients::admit(const Listener& listener, const Peer& peer) {
    const ListenerConfig& config = *listener.terms();
    if (!is_counted(config, peer)) return true;
    if (gate_.per_client.take(config.address, peer.address, config.connections_per_client_max))
        return true;
    lane_.counters.connections_refused.add();
    if (refusal_warning_.due(lane_.loop.now()))
        log::warn("connection refused, its client has too many",
                  {{"client", peer.host},
                   {"address", listener.address().text()},
                   {"connections_per_client_max", config.connections_per_client_max}});
    return false;
}

// The one that has been idle the longest (as nginx does when its connections run out). False if there
// is none.
bool Clients::close_idle_one() {
    ClientConnection* client = idle.oldest();
    for (int looked_at = 0; client != nullptr && looked_at < looked_at_max; ++looked_at) {
        ClientConnection* const next = IdleConnections::after(*client);
        const bool relayed = client->is_relayed();
        if (client->close_if_idle()) {
            if (relayed) lane_.counters.connections_evicted.add();
            if (eviction_warning_.due(lane_.loop.now()))
                log::warn("idle connections closed to make room", {{"connections_max", gate_.max}});
            return true;
        }
        client = next;
    }
    return false;
}

// Idle connections to servers keep no client out: each holds a descriptor.
bool Clients::gives_room(Listener::Lack lack) {
    return lack == Listener::Lack::place ? close_idle_one() : lane_.pools.close_one();
}

Listener::Room Clients::make_room(Listener::Lack lack) {
    if (gives_room(lack)) return Listener::Room::made;
    if (asking_) return Listener::Room::awaited;
    const bool elsewhere = lack == Listener::Lack::descriptor && gate_.descriptors_from != nullptr;
    const auto& holders = (elsewhere ? gate_.descriptors_from : &gate_)->holders;
    asking_ = ask_next({.asker = this,
                        .holders = &holders,
                        .lack = lack,
                        .next = place_ + 1,
                        .left = holders.size() - (elsewhere ? 0 : 1)});
    return asking_ ? Listener::Room::awaited : Listener::Room::none;
}

// The question goes round from one holder to the next, until one has room to give or all were asked: at
// most one of each asker's is on its way. False if nobody is left to be asked.
bool Clients::ask_next(Search search) {
    if (search.left == 0) return false;
    --search.left;
    Clients& next = *(*search.holders)[search.next++ % search.holders->size()];
    next.lane_.loop.post([&next, search] { next.asked_for_room(search); });
    return true;
}

void Clients::asked_for_room(const Search& search) {
    const bool room = gives_room(search.lack);
    if (!room && ask_next(search)) return;
    search.asker->lane_.loop.post([asker = search.asker, room] { asker->answered(room); });
}

void Clients::answered(bool room) {
    asking_ = false;
    for (const auto& listener : listeners_) {
        if (room)
            listener->resume();
        else
            listener->tell_full();
    }
}

void Clients::retire(ClientConnection& connection) noexcept {
    const std::size_t index = connection.index;
    const std::unique_ptr<ClientConnection> gone = std::exchange(clients_[index], nullptr);
    if (index + 1 != clients_.size()) {
        clients_[index] = std::move(clients_.back());
        clients_[index]->index = index;
    }
    clients_.pop_back();
    if (is_counted(gone->listener(), gone->peer()))
        gate_.per_client.give_back(gone->listener().address, gone->peer().address);
    gate_.give_back();
    for (const auto& listener : listeners_) listener->resume();
    tell_if_empty();
}

void Clients::drain() noexcept {
    if (phase_ == Phase::serving) phase_ = Phase::draining;
}

void Clients::finish() {
    if (phase_ == Phase::stopping) return;
    phase_ = Phase::finishing;
    close_listeners();
}

void Clients::stop() {
    if (std::exchange(phase_, Phase::stopping) == Phase::stopping) return;
    // Backwards: one that ends gives its place to the last.
    for (std::size_t i = clients_.size(); i-- > 0;) clients_[i]->stop();
    close_listeners();
    for (std::size_t i = clients_.size(); i-- > 0;) clients_[i]->stop();
    tell_if_empty();
}

void Clients::close_listeners() {
    for (const auto& listener : listeners_) listener->drain();
    listeners_.clear();
}

void Clients::abort() {
    for (std::size_t i = clients_.size(); i-- > 0;) clients_[i]->abort();
}

void Clients::tell_if_empty() {
    // While it still listens, others may come.
    if (phase_ == Phase::stopping && clients_.empty() && listeners_.empty()) emptied_(holder_);
}

}  // namespace baton
