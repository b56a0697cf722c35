#pragma once

// Commands of a store, and the bounded queue of those that cannot be sent now. Its places are for those
// who have something to lose: if it is full, the newest command about a session that this loop has not
// met alive lately gives way to one about a session that it has. So nobody fills it with invented ids.
// One loop's thread; times are the loop's, in ms.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "session/redis/redis_scripts.h"
#include "session/store.h"

namespace baton {

// An id that is no session's any more once a change is done.
struct EndedId {
    SessionKey key{};
    enum class As : std::uint8_t {
        dead,
        redirect,  // not dead yet: it leads to the new one
    } as = As::dead;
};

struct StoreCommand {
    enum class Kind : std::uint8_t { load, create, commit, kill, touch, script };

    Kind kind = Kind::load;
    unsigned sends = 0;               // so often
    std::uint8_t scripts_loaded = 0;  // for it, as the server did not know them
    std::uint8_t came_late = 0;       // so often
    std::uint8_t bad_replies = 0;     // that ended its connection
    StoreTicket ticket = 0;           // 0: nobody waits for the answer
    SessionKey key{};
    std::uint64_t give_up_at_ms = 0;
    std::uint64_t not_before_ms = 0;
    // Of a change: from then on the server does not carry out what was sent.
    std::uint64_t late_at_ms = 0;
    std::uint64_t unsure_until_ms = 0;    // the same, of a change whose answer was lost
    std::string bytes;                    // of all but one `load`
    std::vector<SessionKey> several;      // of `load`, if it is for more than `key`
    std::unique_ptr<NewSession> session;  // of `create`
    RedisScript script = RedisScript::create;
    bool known = false;  // about a session that was met alive lately
    std::optional<EndedId> ends;
};

class StoreQueue {
public:
    using Commands = std::deque<StoreCommand>;

    explicit StoreQueue(std::size_t size_max) noexcept : size_max_(size_max) {}

    // Whether there is a place for `command`, after another one gave way to it if need be: that one goes
    // to `dropped`. Nobody is answered from here.
    bool make_room(const StoreCommand& command, Commands& dropped);
    // The caller has made room.
    void add(StoreCommand command) { commands_.push_back(std::move(command)); }
    // Before all others, even beyond the bound: `drop_excess` follows.
    void add_first(StoreCommand command) { commands_.push_front(std::move(command)); }
    // The newest unknown ones go, then the newest of the others.
    void drop_excess(Commands& dropped);
    // Nobody waits for the answer any more. What a server has asked for is done all the same.
    void forget(StoreTicket ticket);
    Commands take_all() noexcept { return std::exchange(commands_, {}); }

    bool empty() const noexcept { return commands_.empty(); }
    std::size_t size() const noexcept { return commands_.size(); }

private:
    std::size_t size_max_;
    Commands commands_;
};

}  // namespace baton
