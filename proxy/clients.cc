#include "proxy/clients.h"

#include <algorithm>
#include <utility>

namespace baton {

void Clients::listen(int fd, const Address& address, const ListenerConfig& config,
                     LocalService* service) {
    listeners_.push_back(std::make_unique<Listener>(
        lane_.loop, fd, address, config, service, gate_, this,
        [](void* holder, Listener& listener, int accepted, const Address& peer) {
            static_cast<Clients*>(holder)->adopt(listener, accepted, peer);
        }));
}

void Clients::adopt(Listener& listener, int fd, const Address& address) {
    auto stream = Tcp::adopt(lane_.loop, fd, lane_.tcp);
    if (!stream) return gate_.give_back();
    Peer peer;
    peer.address = address;
    peer.host = address.host();
    peer.local_port = listener.address().port();
    const auto& trusted = listener.config().trusted_proxies;
    peer.trusted = std::any_of(trusted.begin(), trusted.end(),
                               [&](const Network& network) { return network.contains(address); });
    auto client = std::make_unique<Http1Client>(lane_, *this, std::move(stream), std::move(peer),
                                                listener.config(), listener.service());
    client->place = clients_.size();
    clients_.push_back(std::move(client));
}

void Clients::retire(std::size_t place) noexcept {
    const std::unique_ptr<Http1Client> gone = std::exchange(clients_[place], nullptr);
    if (place + 1 != clients_.size()) {
        clients_[place] = std::move(clients_.back());
        clients_[place]->place = place;
    }
    clients_.pop_back();
    gate_.give_back();
    for (const auto& listener : listeners_) listener->resume();
    tell_if_empty();
}

void Clients::stop() {
    if (std::exchange(stopping_, true)) return;
    lane_.stopping = true;
    for (const auto& listener : listeners_) listener->drain();
    listeners_.clear();
    // Backwards: one that ends gives its place to the last.
    for (std::size_t i = clients_.size(); i-- > 0;) clients_[i]->stop();
    tell_if_empty();
}

void Clients::abort() {
    for (std::size_t i = clients_.size(); i-- > 0;) clients_[i]->abort();
}

void Clients::tell_if_empty() {
    if (stopping_ && clients_.empty()) emptied_(holder_);
}

}  // namespace baton
