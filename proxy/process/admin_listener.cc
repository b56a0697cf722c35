#include "proxy/process/admin_listener.h"

#include <utility>

namespace baton {

AdminListener::AdminListener(Loop& loop, std::size_t index, const ProcessView& view,
                             std::unique_ptr<Store> store, UnknownLimit& unknown_limit,
                             void* holder, Clients::Emptied emptied)
    : lane_(loop, index, std::move(store), unknown_limit, nullptr, -1),
      service_(view),
      clients_(lane_, gate_, holder, emptied) {
    gate_.max = connections_max;
}

void AdminListener::take(std::shared_ptr<const Snapshot> newest) {
    const Config& config = newest->config();
    lane_.take(newest);
    clients_.take(config.limits, {&config.admin, 1});
}

void AdminListener::listen(int fd, const Address& address, const ListenerConfig& config) {
    address_ = address;
    clients_.listen(fd, address, config, &service_);
}

}  // namespace baton
