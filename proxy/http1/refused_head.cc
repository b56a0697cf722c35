#include "proxy/http1/refused_head.h"

#include "net/wall_clock.h"

namespace baton {

void note_refused(Lane& lane, const RefusedHead& refused) {
    const Error& error = refused.error;
    lane.counters.unrouted.add(status_of(error.fault));
    lane.counters.faults[static_cast<std::size_t>(error.fault)].add();
    if (!lane.access_log.enabled()) return;
    AccessLine line;
    line.time_ms = wall_now_ms();
    line.id = refused.id;
    line.client = refused.client;
    // The request line is known once it was whole; its bytes are still where they were read.
    if (const Head& head = *refused.head; head.bytes != nullptr && head.target.size > 0) {
        line.method = head.text(head.method_text);
        line.target = logged_target(head, lane.snapshot->config().log.query);
    }
    line.status = status_of(error.fault);
    line.in = refused.bytes_in;
    line.out = refused.bytes_out;
    line.session = "off";
    if (refused.begun_us != 0)
        line.total_us = static_cast<std::int64_t>(now_us() - refused.begun_us);
    else
        line.total_us = 0;
    line.fault = name(error.fault);
    line.reason = name(error.reason);
    line.detail = error.detail;
    lane.access_log.write(line);
}

}  // namespace baton
