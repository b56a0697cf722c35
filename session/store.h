#pragma once

// The face of the session table: one handle per loop. The in-memory table answers at once; a table
// across the network will answer later. Who asks must be ready for both.
//
// The store answers now or later, never both: each operation gives its answer, or nothing and then
// exactly one call of `StoreEvents::answered` with the ticket that came with the question. It never
// calls back before the operation has returned.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "session/id.h"

namespace baton {

// Name and value. Sorted by name, names are unique.
using Attributes = std::vector<std::pair<std::string, std::string>>;

// What the table holds of a live session, copied out.
struct SessionRecord {
    std::uint64_t version = 0;    // 1 when made, +1 with each commit
    std::int64_t created_ms = 0;  // since 1970, by the store's clock
    std::int64_t idle_ms = 0;
    std::int64_t ttl_ms = 0;  // until it expires if nothing happens; <= idle_ms: it wants a touch
    Attributes attributes;
};

struct NewSession {
    std::int64_t idle_ms = 0;
    std::int64_t slack_ms = 0;     // it lives idle + slack: a touch is needed only every `slack`
    std::int64_t absolute_ms = 0;  // 0: no absolute deadline
    Attributes attributes;
};

// What one response changes. A name stands in one of the two only (the caller checks).
struct SessionChange {
    Attributes set;
    std::vector<std::string> unset;
    std::int64_t slack_ms = 0;
};

struct StoreAnswer {
    enum class Kind : std::uint8_t {
        live,       // load: `record` is the session
        none,       // load: never existed, or expired
        dead,       // load: ended by `kill` less than 30 s ago (a tombstone)
        created,    // create: `record` is the session
        exists,     // create: the id is taken; mint another
        too_large,  // create, commit: beyond what the table can ever hold
        limit,      // commit: more attributes or bytes than a session may have; nothing was written
        committed,  // commit: `record.version` is the new version
        gone,       // touch, commit: no such session any more; nothing was written
        done,       // touch, kill
        unavailable,  // the store cannot be asked now
    };
    Kind kind = Kind::unavailable;
    SessionRecord record;
};

// Opaque to the store: the asker's way to find who asked.
using StoreTicket = std::uint64_t;

// Where late answers go. The holder outlives the store.
struct StoreEvents {
    void (*answered)(void* holder, StoreTicket ticket, StoreAnswer answer);
};

class Store {
public:
    virtual ~Store() = default;

    // Before the first question: who gets the answers that come later. A store that always answers
    // at once never calls.
    void attach(void* holder, StoreEvents events) noexcept {
        holder_ = holder;
        events_ = events;
    }

    // `now_ms`: milliseconds since 1970 from a clock that never jumps. A store with a clock of its
    // own ignores it.
    virtual std::optional<StoreAnswer> load(const SessionKey& key, std::int64_t now_ms,
                                            StoreTicket ticket) = 0;
    virtual std::optional<StoreAnswer> create(const SessionKey& key, NewSession session,
                                              std::int64_t now_ms, StoreTicket ticket) = 0;
    virtual std::optional<StoreAnswer> commit(const SessionKey& key, SessionChange change,
                                              std::int64_t now_ms, StoreTicket ticket) = 0;
    // Ends a session and leaves a tombstone for 30 s, so that a slower request can neither commit
    // to it nor make it anew. An unknown key leaves nothing. Answers `done`.
    virtual std::optional<StoreAnswer> kill(const SessionKey& key, std::int64_t now_ms,
                                            StoreTicket ticket) = 0;
    // Moves the expiry on, never back, never past the absolute deadline. Nobody waits for it: no
    // answer, no ticket.
    virtual void touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t now_ms) = 0;
    // The asker of `ticket` is gone: its answer, if still to come, is not delivered.
    virtual void forget(StoreTicket ticket) noexcept = 0;

protected:
    // From the loop, never from within one of the operations above.
    void answer_later(StoreTicket ticket, StoreAnswer answer) {
        events_.answered(holder_, ticket, std::move(answer));
    }

private:
    void* holder_ = nullptr;
    StoreEvents events_{};
};

}  // namespace baton
