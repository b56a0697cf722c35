#pragma once

// The face of the session table: one handle per loop. The in-memory table answers at once; a table
// across the network will answer later. Who asks must be ready for both.
//
// The store answers now or later, never both: each operation gives its answer, or nothing and then
// exactly one call of `StoreEvents::answered` with the ticket that came with the question. It never
// calls back before the operation has returned.

#include <cstdint>
#include <optional>
#include <span>
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
    std::uint64_t version = 0;    // 1 when made, +1 with each commit and each new id
    std::int64_t created_ms = 0;  // since 1970, by the store's clock
    std::int64_t id_age_ms = 0;   // since it has its id: made, or rotated
    std::int64_t idle_ms = 0;
    std::int64_t ttl_ms = 0;  // until it expires if nothing happens
    bool capped = false;      // it expires at its absolute deadline: a touch moves nothing
    Attributes attributes;
};

// How long an ended session's id stays known as such: longer than a request that began before the
// logout usually runs.
inline constexpr std::int64_t tombstone_ms = 30'000;
// How long an old id leads to the new one: longer than a page takes to fetch all it needs, for each
// of those requests may still show the old id.
inline constexpr std::int64_t alias_ms = 60'000;

// How long attributes are as one form-encoded text, "a=1&b=2".
std::size_t encoded_size(const Attributes& attributes) noexcept;

// A session lives up to this much longer than its idle time, so that it needs a touch only once in
// as long: a tenth of it, 1 s to 60 s.
std::int64_t touch_slack_ms(std::int64_t idle_ms) noexcept;

struct NewSession {
    std::int64_t idle_ms = 0;
    // It lives idle + slack: a touch is needed only every `slack`. Below 0 it lives less than its idle
    // time until it is used for the first time.
    std::int64_t slack_ms = 0;
    std::int64_t absolute_ms = 0;  // 0: no absolute deadline
    Attributes attributes;
    // A session that it takes the place of: that one ends as by `kill`, in the same step. If the new
    // one cannot be made the old one lives on.
    std::optional<SessionKey> replaces;
};

// To be added to an attribute that is an integer; an absent one counts from 0.
struct Increment {
    std::string name;
    std::int64_t delta = 0;
};
// The largest integer, and with a minus the smallest: what a double holds exactly, in which many
// languages reckon, and the Lua of Redis.
inline constexpr std::int64_t integer_max = 9'007'199'254'740'991;
// The integer that `text` is: an optional minus and digits, within the limits above.
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

// Names one commit, over all processes and for ever: asked a second time, after its answer was
// lost, it is not carried out twice. All 0: none.
struct TransactionId {
    std::uint64_t lane = 0;
    std::uint64_t count = 0;
    bool operator==(const TransactionId&) const = default;
};
// The name as a session keeps it, so that eight of them take no more room than one. No two of one
// lane are alike; of two lanes some are, by the chance of 64 random bits. 0: none.
std::uint64_t short_name(const TransactionId& transaction) noexcept;
// The changes that a session knows by name: its last ones. As each change makes one version, they
// also tell which version each of them made.
inline constexpr std::size_t known_changes_max = 8;

// A new id for the session, in the same step as the change. The old one is dead from then on and
// leaves a tombstone; or, for a minute, it leads to the new id.
struct Rotation {
    SessionKey to;
    // Where the old id is to lead to the new one: the id of `to`, `veiled` by the old id.
    std::optional<SessionId> alias;
};

// What one response changes. A name stands in one of the three only (the caller checks).
struct SessionChange {
    Attributes set;
    std::vector<std::string> unset;
    std::vector<Increment> increments;
    // The version the change was made for: it is a conflict if one of the names in `set` or `unset`
    // has changed since (an absent one: if any attribute was removed since). Nothing: the last one
    // wins, attribute by attribute.
    std::optional<std::uint64_t> base;
    std::int64_t idle_ms = 0;  // a new idle time; 0: as it is
    std::int64_t slack_ms = 0;
    // How long the attributes may be as `encoded_size` counts, if the change makes that more; 0: no
    // matter.
    std::size_t encoded_max = 0;
    TransactionId transaction;
    std::optional<Rotation> rotation;
};

// How many attributes an answer names: a person reads the first few, and an answer stays short
// however many names were asked about.
inline constexpr std::size_t names_max = 64;

struct StoreAnswer {
    enum class Kind : std::uint8_t {
        several,      // load_several: `each` of them, in the order they were asked for
        live,         // load: `record` is the session
        none,         // load: never existed, or expired
        dead,         // load: ended less than 30 s ago (a tombstone)
        moved,        // load, commit, kill: the session has another id now, `moved_to`; create: the
                      // one to be replaced has
        created,      // create: `record` is the session
        exists,       // create, commit with a rotation: the new id is taken; mint another
        too_large,    // create, commit: beyond what the table can ever hold
        limit,        // create, commit: more attributes or bytes than a session may have
        too_long,     // commit: more than `encoded_max`
        conflict,     // commit: `names` have changed since `base`, the first `names_max` of them
        not_integer,  // commit: an increment of `names`, which is no integer or would be too large;
                      // the first `names_max` of them
        committed,    // commit: `record.version` is the new version
        gone,         // touch, commit: no such session any more
        done,         // touch, kill
        unavailable,  // the store cannot be asked now
    };
    Kind kind = Kind::unavailable;
    SessionRecord record;
    std::vector<std::string> names;
    SessionId moved_to{};  // veiled, as the rotation said it
    std::vector<StoreAnswer> each;

    // One that is nothing but its kind.
    static StoreAnswer of(Kind kind) {
        StoreAnswer answer;
        answer.kind = kind;
        return answer;
    }
};

// Who showed the id. A session whose cookie came back is worth more than one that nobody may know.
enum class ShownBy : std::uint8_t { client, server };

// Opaque to the store: the asker's way to find who asked.
using StoreTicket = std::uint64_t;

// What goes with a question.
struct StoreAsk {
    StoreTicket ticket = 0;
    // Milliseconds since 1970 from a clock that never jumps. A store with a clock of its own ignores
    // it.
    std::int64_t now_ms = 0;
    // How long the answer may be waited for while the store cannot be asked.
    std::int64_t wait_ms = 0;
};

// Where late answers go. The holder outlives the store.
struct StoreEvents {
    void (*answered)(void* holder, StoreTicket ticket, StoreAnswer answer);
};

class EndedSessions;

class Store {
public:
    virtual ~Store() = default;

    // Where the handles of a process write down which sessions they have ended; it outlives them.
    void share(EndedSessions* ended) noexcept { ended_ = ended; }
    const EndedSessions* ended() const noexcept { return ended_; }  // null: nobody knows

    // Before the first question: who gets the answers that come later. A store that always answers
    // at once never calls.
    void attach(void* holder, StoreEvents events) noexcept {
        holder_ = holder;
        events_ = events;
    }

    virtual std::optional<StoreAnswer> load(const SessionKey& key, ShownBy shown_by,
                                            const StoreAsk& ask) = 0;
    // All of them at once, with one wait for all. Answers `several` or `unavailable`.
    virtual std::optional<StoreAnswer> load_several(std::span<const SessionKey> keys,
                                                    ShownBy shown_by, const StoreAsk& ask) = 0;
    virtual std::optional<StoreAnswer> create(const SessionKey& key, NewSession session,
                                              const StoreAsk& ask) = 0;
    // All of the change or, unless the answer is `committed`, nothing of it. After `unavailable` it
    // may have been made, but it will not be from then on; so it is with `create` and `kill`. Asked
    // again, with no more than `known_changes_max` - 1 other changes of the session in between, it
    // is not made twice: the answer is the one that was lost.
    virtual std::optional<StoreAnswer> commit(const SessionKey& key, SessionChange change,
                                              const StoreAsk& ask) = 0;
    // Ends a session and leaves a tombstone for 30 s, so that a slower request can neither commit
    // to it nor make it anew. An unknown key leaves nothing. Answers `done`.
    virtual std::optional<StoreAnswer> kill(const SessionKey& key, const StoreAsk& ask) = 0;
    // Moves the expiry on, never back, never past the absolute deadline. Nobody waits for it: no
    // answer, no ticket.
    virtual void touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t now_ms) = 0;
    // The asker of `ticket` is gone: its answer, if still to come, is not delivered.
    virtual void forget(StoreTicket ticket) noexcept = 0;

protected:
    // The session of this key has no such id any more.
    void note_ended(const SessionKey& key);
    // From the loop, never from within one of the operations above.
    void answer_later(StoreTicket ticket, StoreAnswer answer) {
        events_.answered(holder_, ticket, std::move(answer));
    }

private:
    void* holder_ = nullptr;
    StoreEvents events_{};
    EndedSessions* ended_ = nullptr;
};

}  // namespace baton
