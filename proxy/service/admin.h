#pragma once

// The pages of the admin listener, which answer questions about the process. GET and HEAD only: nothing
// can be changed here.
//
//     /healthz       200 "ok": the process lives
//     /readyz        200 {"ready":true}, or 503 {"ready":false,"reasons":["draining"]}
//     /v1/upstreams  the servers with what is known of them
//     /metrics       numbers for Prometheus
//
// Only loopback addresses are accepted (the configuration sees to it), but a browser on this host
// may be made to ask by any web page: a request with Origin, or one whose Host is a name other than
// localhost (DNS rebinding), is refused with 403.

#include <memory>
#include <string>

#include "proxy/exchange/local_call.h"
#include "proxy/service/process_view.h"

namespace baton {

// What is asked, answered. The control thread.
class AdminService final : public LocalService {
public:
    explicit AdminService(const ProcessView& view) : view_(view) {}
    std::optional<Reply> answer(const LocalRequest& request, StoreTicket,
                                std::unique_ptr<PendingReply>&) override {
        return answer(request);
    }
    Reply answer(const LocalRequest& request);

private:
    const ProcessView& view_;
};

}  // namespace baton
