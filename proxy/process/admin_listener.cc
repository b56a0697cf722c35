#include "proxy/process/admin_listener.h"

#include <utility>

namespace baton {

AdminListener::AdminListener(Loop& loop, std::size_t index, const ProcessView& view,
                             std::shared_ptr<const Snapshot> snapshot, std::unique_ptr<Store> store,
                             UnknownLimit& unknown_limit, void* holder, Clients::Emptied emptied)
    : lane_(loop, index, std::move(snapshot), std::move(store), unknown_limit, nullptr, -1),
      service_(view),
      clients_(lane_, gate_, holder, emptied) {
    gate_.max = connections_max;
}

void AdminListener::listen(int fd, const Address& address) {
    address_ = address;
    clients_.listen(fd, address, lane_.snapshot->config().admin, &service_);
}

}  // namespace baton
