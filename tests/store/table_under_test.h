#pragma once

// The session table as the tests in this folder see it: one that answers at once, with time as an argument. They are
// compiled twice, for the table in memory and for the one in Redis, and both must pass the same lines.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "session/memory/memory_table.h"
#include "session/store.h"

namespace baton {

// What differs: how exact time is, and how much may be done in a test.
struct TableTraits {
    // The shortest time that the table tells apart. All times of a test are multiples of it, and so are those it is
    // told: in memory each is exact.
    std::int64_t grain_ms;
    // A session whose expiry is this much nearer than its absolute deadline may count as capped.
    std::int64_t capped_within_ms;
    // Random times are multiples of it: none is just so capped.
    std::int64_t model_step_ms;
    std::size_t model_runs;
    int race_rounds;
};
extern const TableTraits traits;

class TableUnderTest;

// The table as one thread has it. Time stands still.
class TableUser {
public:
    explicit TableUser(TableUnderTest& table);
    ~TableUser();
    TableUser(const TableUser&) = delete;
    TableUser& operator=(const TableUser&) = delete;

    StoreAnswer load(const SessionKey& key, ShownBy shown_by = ShownBy::client);
    StoreAnswer create(const SessionKey& key, NewSession session);
    StoreAnswer commit(const SessionKey& key, const SessionChange& change);
    StoreAnswer kill(const SessionKey& key);
    // Nobody is told what became of it.
    void touch(const SessionKey& key, std::int64_t slack_ms);

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

// A new table, and the test's own way to it.
class TableUnderTest {
public:
    // Of the limits those of one session count, the table's own have no meaning here.
    explicit TableUnderTest(TableLimits limits);
    ~TableUnderTest();
    TableUnderTest(const TableUnderTest&) = delete;
    TableUnderTest& operator=(const TableUnderTest&) = delete;

    // Time may go back for a question: a table with a clock of its own stays where it is then.
    StoreAnswer load(const SessionKey& key, std::int64_t now_ms,
                     ShownBy shown_by = ShownBy::client) {
        pass_to(now_ms);
        return told(user_->load(key, shown_by));
    }
    StoreAnswer create(const SessionKey& key, NewSession session, std::int64_t now_ms) {
        pass_to(now_ms);
        return told(user_->create(key, std::move(session)));
    }
    StoreAnswer commit(const SessionKey& key, const SessionChange& change, std::int64_t now_ms) {
        pass_to(now_ms);
        return told(user_->commit(key, change));
    }
    StoreAnswer kill(const SessionKey& key, std::int64_t now_ms) {
        pass_to(now_ms);
        return told(user_->kill(key));
    }
    void touch(const SessionKey& key, std::int64_t slack_ms, std::int64_t now_ms) {
        pass_to(now_ms);
        user_->touch(key, slack_ms);
    }

    // Live ones; may count expired ones that nobody has asked for since.
    std::size_t sessions();
    // All that it holds but times, as a text: the same again if nothing was written.
    std::string holds();
    bool is_empty();
    // For a table that is to drop what has expired.
    void sweep(std::int64_t now_ms);
    // The bytes that all of it takes, and that a session or a tombstone takes; 0 where nobody counts them.
    std::size_t memory();
    static std::size_t memory_of(const Attributes& attributes);

private:
    friend class TableUser;
    void pass_to(std::int64_t now_ms);
    // With the times that the test reckons in.
    StoreAnswer told(StoreAnswer answer) const;

    struct Parts;
    std::unique_ptr<Parts> parts_;
    std::unique_ptr<TableUser> user_;
};

}  // namespace baton
