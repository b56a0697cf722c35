// The count of client connections over all workers.

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>

#include "proxy/process/listener.h"
#include "tests/threads/together.h"

namespace baton::test {

TEST_CASE("eight workers that take places at once never have more than there are") {
    constexpr std::size_t places = 3;
    ConnectionGate gate;
    gate.max = places;
    std::atomic<std::size_t> taken = 0;
    std::atomic<std::size_t> most = 0;
    std::atomic<std::size_t> refused = 0;
    in_threads(8, [&](unsigned) {
        for (int i = 0; i < 50'000; ++i) {
            if (!gate.take()) {
                refused.fetch_add(1);
                continue;
            }
            const std::size_t now = taken.fetch_add(1) + 1;
            std::size_t seen = most.load();
            while (seen < now && !most.compare_exchange_weak(seen, now)) {
            }
            if (i % 16 == 0) std::this_thread::yield();  // the others find it full
            taken.fetch_sub(1);
            gate.give_back();
        }
    });
    CHECK(most.load() <= places);
    CHECK(refused.load() > 0);
    CHECK(gate.open.load() == 0);
}

}  // namespace baton::test
