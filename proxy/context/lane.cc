#include "proxy/context/lane.h"

#include <utility>

#include "net/wall_clock.h"
#include "proxy/context/pseudonym.h"

namespace baton {

std::string_view logged_target(const Head& head, bool query) noexcept {
    const std::string_view target = head.text(head.target);
    return query ? target : target.substr(0, target.find('?'));
}

namespace {

std::string via_line(char minor) {
    return std::string{"Via: 1."} + minor + " " + std::string{pseudonym()} + "\r\n";
}

}  // namespace

// The time of the wall, not of the loop, which knows no leaps; behind it by less than a second.
void DateLine::write(std::uint64_t now_ms) {
    const std::int64_t wall_ms = wall_now_ms();
    line_.assign("Date: ");
    append_http_date(line_, wall_ms / 1000);
    line_.append("\r\n");
    until_ms_ = now_ms + static_cast<std::uint64_t>(1000 - wall_ms % 1000);
}

Lane::Lane(Loop& the_loop, std::size_t its_index, std::unique_ptr<Store> the_store,
           UnknownLimit& the_unknown_limit, log::Writer* writer, log::Writer::Sink access_sink)
    : loop(the_loop),
      index(its_index),
      store(std::move(the_store)),
      pools(its_index),
      access_log(writer, access_sink),
      via_lines{via_line('0'), via_line('1')},
      unknown_limit(&the_unknown_limit),
      epoch_offset_ms(measure_epoch_offset_ms()) {
    store->attach(this, {[](void* lane, StoreTicket ticket, StoreAnswer answer) {
                      static_cast<Lane*>(lane)->waiters.answer(ticket, std::move(answer));
                  }});
    head_out.reserve(std::size_t{16} << 10);
    lines_out.reserve(std::size_t{8} << 10);
}

void Lane::take(std::shared_ptr<const Snapshot> newest) {
    snapshot = SnapshotRef{std::move(newest), pools};
    pools.drop_unused();
}

}  // namespace baton
