// The table in memory: every time is exact.

#include <string>
#include <utility>

#include "tests/store/table_under_test.h"
#include "tests/unit/memory_table_fixture.h"

namespace baton {

const TableTraits traits = {.grain_ms = 1,
                            .capped_within_ms = 0,
                            .model_step_ms = 1,
                            .model_runs = 3'000,
                            .race_rounds = 500};

struct TableUnderTest::Parts {
    explicit Parts(TableLimits limits) : table(limits) {}
    MemoryTable table;
    std::int64_t now_ms = start;
};

struct TableUser::Parts {
    MemoryTable& table;
    const std::int64_t& now_ms;
};

TableUser::TableUser(TableUnderTest& table)
    : parts_(new Parts{table.parts_->table, table.parts_->now_ms}) {}
TableUser::~TableUser() = default;

StoreAnswer TableUser::load(const SessionKey& key, ShownBy shown_by) {
    return parts_->table.load(key, parts_->now_ms, shown_by);
}

StoreAnswer TableUser::create(const SessionKey& key, NewSession session) {
    return parts_->table.create(key, std::move(session), parts_->now_ms);
}

StoreAnswer TableUser::commit(const SessionKey& key, const SessionChange& change) {
    return parts_->table.commit(key, change, parts_->now_ms);
}

StoreAnswer TableUser::kill(const SessionKey& key) {
    return parts_->table.kill(key, parts_->now_ms);
}

void TableUser::touch(const SessionKey& key, std::int64_t slack_ms) {
    parts_->table.touch(key, slack_ms, parts_->now_ms);
}

TableUnderTest::TableUnderTest(TableLimits limits)
    : parts_(std::make_unique<Parts>(limits)), user_(std::make_unique<TableUser>(*this)) {}
TableUnderTest::~TableUnderTest() = default;

void TableUnderTest::pass_to(std::int64_t now_ms) { parts_->now_ms = now_ms; }

StoreAnswer TableUnderTest::told(StoreAnswer answer) const { return answer; }

std::size_t TableUnderTest::sessions() { return parts_->table.sessions(); }

std::string TableUnderTest::holds() {
    return std::to_string(parts_->table.sessions()) + " in " +
           std::to_string(parts_->table.memory());
}

bool TableUnderTest::is_empty() {
    return parts_->table.sessions() == 0 && parts_->table.memory() == 0;
}

void TableUnderTest::sweep(std::int64_t now_ms) { sweep_all(parts_->table, now_ms); }

std::size_t TableUnderTest::memory() { return parts_->table.memory(); }

std::size_t TableUnderTest::memory_of(const Attributes& attributes) { return bytes_of(attributes); }

}  // namespace baton
