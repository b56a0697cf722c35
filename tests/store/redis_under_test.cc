// The table in Redis: a real server with a clock of its own, which nobody can turn. So the world is moved instead:
// when time is to pass, everything in it is made to have been earlier by as much. Time that passed meanwhile is taken
// off, and what was written a moment after its time is moved back to it, so that no moment adds up.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

#include "net/loop.h"
#include "session/redis/redis_store.h"
#include "tests/store/redis_process.h"
#include "tests/store/table_fixture.h"
#include "tests/store/table_under_test.h"

namespace baton {

using test::RedisProcess;

const TableTraits traits = {.grain_ms = 1000,
                            .capped_within_ms = 1000,
                            .model_step_ms = 2000,
                            .model_runs = 300,
                            .race_rounds = 40};

namespace {

// KEYS of the table; ARGV: the test's time at the last pass, the server's then, the test's time now, the grain.
// Answers the server's time now.
constexpr std::string_view pass_text = R"lua(
local t=redis.call('TIME')
local real=t[1]*1000+math.floor(t[2]/1000)
local last,last_real,now,grain=tonumber(ARGV[1]),tonumber(ARGV[2]),tonumber(ARGV[3]),tonumber(ARGV[4])
local function moved(at)
  local tests=math.floor((at-last_real+last)/grain+0.5)*grain
  return string.format('%.0f',tests-now+real)
end
for _,k in ipairs(redis.call('KEYS',ARGV[5])) do
  for _,name in ipairs({'_c','_x','_r'}) do
    local at=redis.call('HGET',k,name)
    if at and at~='0' then redis.call('HSET',k,name,moved(tonumber(at))) end
  end
  local ends=redis.call('PEXPIRETIME',k)
  if ends<0 then return redis.error_reply('ERR '..k..' never expires') end
  redis.call('PEXPIREAT',k,moved(ends))
end
return real
)lua";

// How many keys are sessions.
constexpr std::string_view count_text = R"lua(
local count=0
for _,k in ipairs(redis.call('KEYS',ARGV[1])) do count=count+redis.call('HEXISTS',k,'_v') end
return count
)lua";

// Every key with its fields but times, in order.
constexpr std::string_view holds_text = R"lua(
local all=redis.call('KEYS',ARGV[1])
table.sort(all)
local text=''
for _,k in ipairs(all) do
  local fields=redis.call('HGETALL',k)
  local lines={}
  for i=1,#fields,2 do
    local name=fields[i]
    if name~='_c' and name~='_x' and name~='_r' then lines[#lines+1]=name..'='..fields[i+1] end
  end
  table.sort(lines)
  text=text..k..':'..table.concat(lines,' ')..'\n'
end
return text
)lua";

[[noreturn]] void give_up(const char* why) {
    std::cerr << "redis: " << why << std::endl;
    std::abort();
}

}  // namespace

struct TableUnderTest::Parts {
    std::string prefix;
    TableLimits limits;
    std::int64_t now_ms = start;
    std::int64_t server_ms = 0;  // when it was `now_ms`

    std::string pattern() const { return prefix + ":*"; }
};

struct TableUser::Parts {
    Loop loop;
    RedisStore store;
    std::optional<StoreAnswer> answer;
    bool late = false;
    void on_late() { late = true; }
    Timer<&Parts::on_late> guard{loop, *this};

    explicit Parts(const TableUnderTest::Parts& table) : store(loop, needs(table)) {
        store.attach(this, {[](void* parts, StoreTicket, StoreAnswer told) {
                         static_cast<Parts*>(parts)->answer = std::move(told);
                     }});
        store.follow({RedisProcess::running().endpoint(), 0});
        turn_until([this] { return store.is_ready(); });
    }

    static RedisStore::Needs needs(const TableUnderTest::Parts& table) {
        RedisStore::Needs needs;
        needs.access.client_name = "test";
        needs.access.times.answer = std::chrono::seconds{20};
        needs.prefix = table.prefix;
        needs.limits = {table.limits.attributes_max, table.limits.data_max};
        needs.report = [](const RedisReport&) {};
        return needs;
    }

    template <class So>
    void turn_until(So so) {
        guard.arm(std::chrono::seconds{20});
        while (!so()) {
            loop.turn(true);
            if (late) give_up("no answer");
        }
        guard.disarm();
    }
    StoreAnswer wait(std::optional<StoreAnswer> told) {
        if (told) return std::move(*told);
        turn_until([this] { return answer.has_value(); });
        return *std::exchange(answer, std::nullopt);
    }
    static StoreAsk ask() { return {.ticket = 1, .now_ms = 0, .wait_ms = 20'000}; }
};

TableUser::TableUser(TableUnderTest& table) : parts_(std::make_unique<Parts>(*table.parts_)) {}
TableUser::~TableUser() = default;

StoreAnswer TableUser::load(const SessionKey& key, ShownBy shown_by) {
    return parts_->wait(parts_->store.load(key, shown_by, Parts::ask()));
}

StoreAnswer TableUser::create(const SessionKey& key, NewSession session) {
    return parts_->wait(parts_->store.create(key, std::move(session), Parts::ask()));
}

StoreAnswer TableUser::commit(const SessionKey& key, const SessionChange& change) {
    return parts_->wait(parts_->store.commit(key, change, Parts::ask()));
}

StoreAnswer TableUser::kill(const SessionKey& key) {
    return parts_->wait(parts_->store.kill(key, Parts::ask()));
}

void TableUser::touch(const SessionKey& key, std::int64_t slack_ms) {
    parts_->store.touch(key, slack_ms, 0);
    // Answers come in order: once this one is there the touch was answered, too.
    load(key);
}

TableUnderTest::TableUnderTest(TableLimits limits) : parts_(std::make_unique<Parts>()) {
    static int tables = 0;
    parts_->prefix = "table" + std::to_string(++tables);
    parts_->limits = limits;
    user_ = std::make_unique<TableUser>(*this);
    pass_to(start);
}

TableUnderTest::~TableUnderTest() {
    RedisProcess::running().ask(
        {"EVAL", "for _,k in ipairs(redis.call('KEYS',ARGV[1])) do redis.call('DEL',k) end", "0",
         parts_->pattern()});
}

void TableUnderTest::pass_to(std::int64_t now_ms) {
    const std::int64_t now = std::max(now_ms, parts_->now_ms);
    const RedisReply real = RedisProcess::running().ask(
        {"EVAL", pass_text, "0", std::to_string(parts_->now_ms), std::to_string(parts_->server_ms),
         std::to_string(now), std::to_string(traits.grain_ms), parts_->pattern()});
    parts_->server_ms = real.integer;
    parts_->now_ms = now;
}

StoreAnswer TableUnderTest::told(StoreAnswer answer) const {
    const auto exact = [](std::int64_t ms) {
        return (ms + traits.grain_ms / 2) / traits.grain_ms * traits.grain_ms;
    };
    SessionRecord& record = answer.record;
    if (record.created_ms != 0)
        record.created_ms = exact(record.created_ms - parts_->server_ms + parts_->now_ms);
    record.id_age_ms = exact(record.id_age_ms);
    record.ttl_ms = exact(record.ttl_ms);
    return answer;
}

std::size_t TableUnderTest::sessions() {
    return static_cast<std::size_t>(
        RedisProcess::running().ask({"EVAL", count_text, "0", parts_->pattern()}).integer);
}

std::string TableUnderTest::holds() {
    return RedisProcess::running().ask({"EVAL", holds_text, "0", parts_->pattern()}).text;
}

bool TableUnderTest::is_empty() { return holds().empty(); }

void TableUnderTest::sweep(std::int64_t now_ms) { pass_to(now_ms); }

std::size_t TableUnderTest::memory() { return 0; }

std::size_t TableUnderTest::memory_of(const Attributes&) { return 0; }

}  // namespace baton
