// Random sequences of operations on a few keys, in the table and in the model of it. Where the two
// differ, the sequence is cut down as long as they still do, and printed.
//
//     BATON_SEED=N store-memory -tc='*as in the model*'     begins with another seed

#include <doctest/doctest.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/store/table_fixture.h"
#include "tests/store/table_model.h"
#include "tests/store/table_under_test.h"
#include "tests/unit/store_text.h"

namespace baton {
namespace {

constexpr int steps = 60;
constexpr int keys = 4;
// So low that they are met.
constexpr std::size_t attributes_max = 4;
constexpr std::size_t data_max = 40;

struct Operation {
    enum class What : std::uint8_t { load, create, commit, touch, kill, wait, sweep };
    What what = What::load;
    int key = 0;
    std::int64_t ms = 0;  // to wait; of a touch its slack
    ShownBy shown_by = ShownBy::client;
    NewSession session;
    SessionChange change;
    std::optional<int> to;        // the key of `change.rotation`
    std::optional<int> replaced;  // of `session`
};
using What = Operation::What;
using Operations = std::vector<Operation>;

SessionId id_of(int key) {
    return *parse_session_id(std::string(32, static_cast<char>('A' + key)));
}
// Two keys in one shard, two in others.
SessionKey table_key(int key) {
    const auto number = static_cast<std::uint64_t>(key);
    return key < 2 ? neighbour_of(number) : key_of(number);
}

// The next time that the table can tell.
std::int64_t time_of(std::int64_t ms) {
    return (ms + traits.model_step_ms - 1) / traits.model_step_ms * traits.model_step_ms;
}

class Dice {
public:
    explicit Dice(std::uint64_t seed) : state_(seed * 0x9E37'79B9'7F4A'7C15 + 1) {}
    // 0 to `sides` - 1.
    int roll(int sides) {
        return static_cast<int>(next_random(state_) % static_cast<std::uint64_t>(sides));
    }
    template <class T>
    T one_of(std::initializer_list<T> all) {
        return all.begin()[roll(static_cast<int>(all.size()))];
    }
    std::int64_t time_of(std::initializer_list<std::int64_t> all) {
        return baton::time_of(one_of(all));
    }

private:
    std::uint64_t state_;
};

NewSession random_session(Dice& dice) {
    NewSession session;
    session.idle_ms = dice.time_of({5'000, 20'000, 90'000});
    session.slack_ms = time_of(touch_slack_ms(session.idle_ms));
    session.absolute_ms = dice.time_of({0, 0, 15'000, 100'000});
    for (const char* name : {"a", "b", "c"}) {
        if (dice.roll(3) == 0)
            session.attributes.emplace_back(name, dice.one_of<const char*>({"1", "x", "-7"}));
    }
    return session;
}

SessionChange random_change(Dice& dice) {
    SessionChange change;
    for (const char* name : {"a", "b", "c", "d", "e"}) {
        switch (dice.roll(9)) {
        case 0: change.set.emplace_back(name, std::to_string(dice.roll(100))); break;
        case 1: change.set.emplace_back(name, std::string(12, 'x')); break;
        case 2: change.unset.emplace_back(name); break;
        case 3:
            change.increments.push_back(
                {name, dice.one_of<std::int64_t>({1, -1, 50, integer_max, -integer_max})});
            break;
        default: break;
        }
    }
    if (dice.roll(2) == 0) change.base = static_cast<std::uint64_t>(dice.roll(8));
    if (dice.roll(8) == 0) change.idle_ms = dice.time_of({2'000, 40'000, 200'000});
    change.slack_ms = dice.time_of({0, 1'000, 6'000});
    if (dice.roll(2) == 0) change.transaction = {1, static_cast<std::uint64_t>(dice.roll(5))};
    return change;
}

Operation random_operation(Dice& dice) {
    Operation one;
    one.key = dice.roll(keys);
    one.what = dice.one_of({What::load, What::load, What::create, What::create, What::commit,
                            What::commit, What::commit, What::commit, What::touch, What::kill,
                            What::wait, What::wait, What::wait, What::sweep});
    one.shown_by = dice.one_of({ShownBy::client, ShownBy::server});
    one.ms = one.what == What::touch ? dice.time_of({0, 1'000, 6'000})
                                     : dice.time_of({1, 999, 4'000, 10'000, 30'000});
    one.session = random_session(dice);
    one.change = random_change(dice);
    if (dice.roll(3) == 0) {
        one.replaced = dice.roll(keys);
        one.session.replaces = table_key(*one.replaced);
    }
    if (dice.roll(4) == 0) {
        one.to = dice.roll(keys);
        one.change.rotation = Rotation{table_key(*one.to), {}};
        if (dice.roll(2) == 0) one.change.rotation->alias = id_of(*one.to);
    }
    return one;
}

Operations random_operations(std::uint64_t seed) {
    Dice dice{seed};
    Operations all;
    for (int i = 0; i < steps; ++i) all.push_back(random_operation(dice));
    return all;
}

std::string line_of(const SessionChange& change, std::optional<int> to) {
    std::string text;
    if (!change.set.empty()) text += " set" + text_of(change.set);
    for (const std::string& name : change.unset) text += " unset " + name;
    for (const auto& [name, delta] : change.increments)
        text += " incr " + name + "=" + std::to_string(delta);
    if (change.base) text += " base " + std::to_string(*change.base);
    if (change.idle_ms != 0) text += " idle " + std::to_string(change.idle_ms);
    text += " slack " + std::to_string(change.slack_ms);
    if (change.transaction != TransactionId{})
        text += " as " + std::to_string(change.transaction.count);
    if (to) text += " to " + std::to_string(*to) + (change.rotation->alias ? " led on" : "");
    return text;
}

std::string line_of(const Operation& one) {
    const std::string key = " " + std::to_string(one.key);
    switch (one.what) {
    case What::load: return "load" + key + (one.shown_by == ShownBy::client ? "" : " by a server");
    case What::create:
        return "create" + key + " idle " + std::to_string(one.session.idle_ms) + " absolute " +
               std::to_string(one.session.absolute_ms) + text_of(one.session.attributes) +
               (one.replaced ? " in place of " + std::to_string(*one.replaced) : "");
    case What::commit: return "commit" + key + line_of(one.change, one.to);
    case What::touch: return "touch" + key + " slack " + std::to_string(one.ms);
    case What::kill: return "kill" + key;
    case What::wait: return "wait " + std::to_string(one.ms);
    case What::sweep: return "sweep";
    }
    return {};
}

// One operation in both. Empty if they answer alike, else what they answer.
std::string compare(TableUnderTest& table, TableModel& model, const Operation& one,
                    std::int64_t now) {
    const SessionKey key = table_key(one.key);
    StoreAnswer expected;
    StoreAnswer got;
    switch (one.what) {
    case What::load:
        expected = model.load(one.key, now);
        got = table.load(key, now, one.shown_by);
        break;
    case What::create:
        expected = model.create(one.key, one.session, one.replaced, now);
        got = table.create(key, one.session, now);
        break;
    case What::commit:
        expected = model.commit(one.key, one.change, one.to, now);
        got = table.commit(key, one.change, now);
        break;
    case What::touch:
        model.touch(one.key, one.ms, now);
        table.touch(key, one.ms, now);
        expected = model.load(one.key, now);
        got = table.load(key, now, ShownBy::server);
        break;
    case What::kill:
        expected = model.kill(one.key, now);
        got = table.kill(key, now);
        break;
    case What::wait: return {};
    case What::sweep: table.sweep(now); return {};
    }
    if (text_of(expected) == text_of(got)) return {};
    return "    expected: " + text_of(expected) + "\n    got:      " + text_of(got) + "\n";
}

// What the table counts, when everything that has expired is dropped.
std::string compare_totals(TableUnderTest& table, TableModel& model, std::int64_t now) {
    table.sweep(now);
    std::size_t sessions = 0;
    std::size_t memory = 0;
    for (int key = 0; key < keys; ++key) {
        const StoreAnswer answer = model.load(key, now);
        if (answer.kind == Kind::none) continue;
        memory += TableUnderTest::memory_of(answer.record.attributes);
        if (answer.kind == Kind::live) ++sessions;
    }
    if (table.sessions() == sessions && table.memory() == memory) return {};
    return "    expected: " + std::to_string(sessions) + " in " + std::to_string(memory) +
           "\n    got:      " + std::to_string(table.sessions()) + " in " +
           std::to_string(table.memory()) + "\n";
}

// The sequence as far as the first difference, or nothing if there is none.
std::optional<std::string> difference(const Operations& operations) {
    TableUnderTest table({.attributes_max = attributes_max, .data_max = data_max});
    TableModel model({attributes_max, data_max});
    std::int64_t now = start;
    std::string text;
    for (const Operation& one : operations) {
        if (one.what == What::wait) now += one.ms;
        text += line_of(one) + "\n";
        if (const std::string found = compare(table, model, one, now); !found.empty())
            return text + found;
    }
    if (const std::string found = compare_totals(table, model, now); !found.empty())
        return text + "in the end\n" + found;
    return std::nullopt;
}

// Takes what `less` can take away of it as long as there is a difference. True if anything went.
bool shrink(Operations& operations, const std::function<bool(Operations&)>& less) {
    Operations smaller = operations;
    if (!less(smaller) || !difference(smaller)) return false;
    operations = std::move(smaller);
    return true;
}

void drop_operations(Operations& operations) {
    for (std::size_t size = operations.size(); size > 0; size /= 2) {
        for (std::size_t at = 0; at + size <= operations.size();) {
            const auto from = static_cast<std::ptrdiff_t>(at);
            const auto to = static_cast<std::ptrdiff_t>(at + size);
            const bool dropped = shrink(operations, [&](Operations& all) {
                all.erase(all.begin() + from, all.begin() + to);
                return true;
            });
            if (!dropped) ++at;
        }
    }
}

// True if there was something to empty.
template <class T>
bool emptied(T& what) {
    const bool was = what != T{};
    what = T{};
    return was;
}

template <class T>
bool emptied(std::optional<T>& what) {
    const bool was = what.has_value();
    what.reset();
    return was;
}

void drop_details(Operations& operations) {
    for (std::size_t i = 0; i < operations.size(); ++i) {
        for (std::size_t k = 0; k < 5; ++k) {
            const auto without_one = [k](auto& list) {
                if (k >= list.size()) return false;
                list.erase(list.begin() + static_cast<std::ptrdiff_t>(k));
                return true;
            };
            shrink(operations, [&](auto& all) { return without_one(all[i].change.set); });
            shrink(operations, [&](auto& all) { return without_one(all[i].change.unset); });
            shrink(operations, [&](auto& all) { return without_one(all[i].change.increments); });
            shrink(operations, [&](auto& all) { return without_one(all[i].session.attributes); });
        }
        shrink(operations, [&](auto& all) { return emptied(all[i].change.base); });
        shrink(operations, [&](auto& all) { return emptied(all[i].change.idle_ms); });
        shrink(operations, [&](auto& all) { return emptied(all[i].change.slack_ms); });
        shrink(operations, [&](auto& all) { return emptied(all[i].change.transaction); });
        shrink(operations, [&](auto& all) { return emptied(all[i].session.absolute_ms); });
        shrink(operations, [&](auto& all) {
            all[i].session.replaces.reset();
            return emptied(all[i].replaced);
        });
        shrink(operations, [&](auto& all) {
            all[i].change.rotation.reset();
            return emptied(all[i].to);
        });
    }
}

std::uint64_t first_seed() {
    const char* given = std::getenv("BATON_SEED");
    return given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
}

}  // namespace

TEST_CASE("S18 whatever is done in whatever order, the table answers as in the model") {
    const std::uint64_t seed = first_seed();
    MESSAGE("seeds " << seed << " to " << seed + traits.model_runs - 1);
    for (std::uint64_t run = seed; run < seed + traits.model_runs; ++run) {
        Operations operations = random_operations(run);
        if (!difference(operations)) continue;
        drop_operations(operations);
        drop_details(operations);
        drop_operations(operations);
        FAIL("seed " << run << ", " << operations.size() << " operations:\n"
                     << difference(operations).value_or("no difference"));
    }
}

TEST_CASE("the sequences that are compared meet every answer of the table") {
    std::vector<std::size_t> seen(static_cast<std::size_t>(Kind::unavailable) + 1);
    for (std::uint64_t run = 1; run <= 300; ++run) {
        TableUnderTest table({.attributes_max = attributes_max, .data_max = data_max});
        std::int64_t now = start;
        for (const Operation& one : random_operations(run)) {
            const SessionKey key = table_key(one.key);
            const auto see = [&](const StoreAnswer& answer) {
                ++seen[static_cast<std::size_t>(answer.kind)];
            };
            if (one.what == What::wait) now += one.ms;
            if (one.what == What::load) see(table.load(key, now, one.shown_by));
            if (one.what == What::create) see(table.create(key, one.session, now));
            if (one.what == What::commit) see(table.commit(key, one.change, now));
            if (one.what == What::kill) see(table.kill(key, now));
        }
    }
    for (const Kind kind :
         {Kind::live, Kind::none, Kind::dead, Kind::moved, Kind::created, Kind::exists, Kind::limit,
          Kind::conflict, Kind::not_integer, Kind::committed, Kind::gone, Kind::done}) {
        CAPTURE(name_of(kind));
        CHECK(seen[static_cast<std::size_t>(kind)] >= 20);
    }
}

}  // namespace baton
