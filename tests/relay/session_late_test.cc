// Every question to the store, and every answer to it, when it comes later: what the server is told,
// what the client gets, and what is asked next.

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/relay/session_fixture.h"

namespace baton::test {

namespace {

const std::string a_id(32, 'A');
const std::string b_id(32, 'B');
const std::string c_id(32, 'C');
const std::string given = "given";  // a cookie with an id that is none of these

constexpr std::int64_t renew_after = 600'000;

struct Answered {
    std::string question;
    StoreAnswer answer;
};
using Answers = std::vector<Answered>;

StoreAnswer of(Kind kind) {
    StoreAnswer answer;
    answer.kind = kind;
    return answer;
}
Answered load(Kind kind) { return {"load", of(kind)}; }
Answered create(Kind kind) {
    Answered answered{"create", of(kind)};
    answered.answer.record.idle_ms = 60'000;
    answered.answer.record.ttl_ms = 66'000;
    return answered;
}
Answered commit(Kind kind) { return {"commit", of(kind)}; }
Answered kills(Kind kind) { return {"kill", of(kind)}; }

Answered live(std::int64_t id_age_ms = 0) {
    Answered answered = load(Kind::live);
    answered.answer.record.version = 3;
    answered.answer.record.id_age_ms = id_age_ms;
    answered.answer.record.idle_ms = 60'000;
    answered.answer.record.ttl_ms = 66'000;
    return answered;
}
// From where it was asked about: the first cookie's id, mostly.
Answered moved(const std::string& question, const std::string& to, const std::string& from = a_id) {
    Answered answered{question, of(Kind::moved)};
    answered.answer.moved_to = veiled(id_in(to), id_in(from));
    return answered;
}
Answered conflict(const std::string& name) {
    Answered answered = commit(Kind::conflict);
    answered.answer.names = {name};
    return answered;
}
Answered no_integer(const std::string& name) {
    Answered answered = commit(Kind::not_integer);
    answered.answer.names = {name};
    return answered;
}

// A request from its look-up to its answer.
struct Path {
    std::string cookies;  // ids
    Answers before;       // the server is asked
    std::string told;     // the state
    std::vector<std::string> fields;
    Answers after;
    std::string status = "200";
    std::string cookie = "none";
    bool always = false;
};

const std::vector<std::string> set = {"Set: a=1"};
const std::vector<std::string> rotate = {"Rotate: login"};
const std::vector<std::string> destroy = {"Destroy: 1"};
const std::vector<std::string> destroy_and_set = {"Destroy: 1", "Set: a=1"};
const std::vector<std::string> use_c = {"Use: " + c_id};

// How the session is found.
std::vector<Path> ways_in() {
    const std::string two = a_id + b_id;
    return {
        {a_id, {live()}, "live", {}, {}},
        {a_id, {load(Kind::none)}, "none", {}, {}},
        {a_id, {load(Kind::dead)}, "none", {}, {}},
        {a_id, {moved("load", b_id), live()}, "live", {}, {live()}, "200", b_id},
        {a_id, {moved("load", b_id), load(Kind::none)}, "none", {}, {}},
        {a_id, {moved("load", b_id), load(Kind::dead)}, "none", {}, {}},
        {a_id,
         {moved("load", b_id), moved("load", c_id, b_id), live()},
         "live",
         {},
         {live()},
         "200",
         c_id},
        {a_id, {moved("load", b_id), load(Kind::unavailable)}, "unavailable", {}, {}},
        {a_id, {load(Kind::unavailable)}, "unavailable", {}, {}},
        {two, {load(Kind::none), live()}, "live", {}, {}},
        {two, {load(Kind::dead), live()}, "live", {}, {}},
        {two, {live(), live()}, "live", {}, {}},
        {two, {live(), load(Kind::none)}, "live", {}, {}},
        {two, {live(), load(Kind::dead)}, "live", {}, {}},
        {two, {live(), load(Kind::unavailable)}, "live", {}, {}},
        {two, {live(), moved("load", c_id, b_id), load(Kind::none)}, "live", {}, {}},
        {two, {load(Kind::none), load(Kind::unavailable)}, "unavailable", {}, {}},
        {two, {moved("load", c_id), live(), load(Kind::none)}, "live", {}, {}},
        {two, {moved("load", b_id), live(), live()}, "live", {}, {live()}, "200", b_id},
        {"", {create(Kind::created)}, "new", {}, {}, "200", given, true},
        {"", {create(Kind::exists), create(Kind::created)}, "new", {}, {}, "200", given, true},
        {a_id, {load(Kind::none), create(Kind::created)}, "new", {}, {}, "200", given, true},
        {a_id, {load(Kind::dead)}, "none", {}, {}, "200", "none", true},
        {two, {load(Kind::dead), load(Kind::none)}, "none", {}, {}, "200", "none", true},
        {"", {create(Kind::too_large)}, "unavailable", {}, {}, "200", "none", true},
        {"", {create(Kind::limit)}, "unavailable", {}, {}, "200", "none", true},
        {"", {create(Kind::unavailable)}, "unavailable", {}, {}, "200", "none", true},
        {a_id, {load(Kind::unavailable)}, "unavailable", {}, {}, "200", "none", true},
    };
}

// What becomes of a change, where there is no session and where nothing is known of it.
std::vector<Path> first_changes() {
    std::vector<Path> paths = {
        {"", {}, "none", set, {create(Kind::created)}, "200", given},
        {"", {}, "none", {"Incr: a=1"}, {create(Kind::created)}, "200", given},
        {"", {}, "none", {"Create: 1"}, {create(Kind::created)}, "200", given},
        {"", {}, "none", set, {create(Kind::exists), create(Kind::created)}, "200", given},
        {"", {}, "none", set, {create(Kind::limit)}, "502"},
        {"", {}, "none", set, {create(Kind::too_large)}, "502"},
        {"", {}, "none", set, {create(Kind::unavailable)}, "503"},
        {a_id, {load(Kind::none)}, "none", destroy, {}, "200", "ended"},
        {"", {}, "none", destroy, {}},
        {"", {}, "none", destroy_and_set, {create(Kind::created)}, "200", given},
        {"", {}, "none", use_c, {live()}, "200", c_id},
        {"", {}, "none", use_c, {live(60'000)}, "200", c_id},
        {"", {}, "none", use_c, {live(60'001)}},
        {"", {}, "none", use_c, {load(Kind::none)}},
        {"", {}, "none", use_c, {load(Kind::dead)}},
        {"", {}, "none", use_c, {moved("load", a_id)}},
        {"", {}, "none", use_c, {load(Kind::unavailable)}, "503"},
    };
    for (const char* nothing : {"Unset: a", "Rotate: 1", "Base: 1", "Idle: 60", "Incr: "})
        paths.push_back({"", {}, "none", {nothing}, {}});
    for (const auto& dropped : {set, rotate, destroy, destroy_and_set, use_c}) {
        paths.push_back({a_id, {load(Kind::unavailable)}, "unavailable", dropped, {}});
        // Of a session that has just ended: whoever did that has given, or taken, the cookie.
        for (const bool always : {false, true})
            paths.push_back({a_id, {load(Kind::dead)}, "none", dropped, {}, "200", "none", always});
    }
    return paths;
}

// What becomes of a change of session A, whose id is old enough for a new one if `renewed`.
std::vector<Path> changes() {
    std::vector<Path> paths;
    const auto add = [&](const std::vector<std::string>& fields, const Answers& after,
                         const std::string& status = "200", const std::string& cookie = "none",
                         bool renewed = false) {
        paths.push_back({a_id,
                         {live(renewed ? renew_after : renew_after - 1)},
                         "live",
                         fields,
                         after,
                         status,
                         cookie});
    };
    const Answers done = {commit(Kind::committed)};
    for (const char* one : {"Set: a=1", "Unset: a", "Incr: a=1", "Idle: 60"}) add({one}, done);
    add({"Create: 1"}, {});
    add({"Base: 3"}, {});
    add(set, {conflict("a"), commit(Kind::committed)});
    add(set, {conflict("a"), commit(Kind::gone)});
    add(set, {conflict("a"), commit(Kind::unavailable)}, "503");
    add(set, {commit(Kind::gone)});
    add(set, {commit(Kind::limit)}, "502");
    add(set, {commit(Kind::too_large)}, "502");
    add(set, {commit(Kind::unavailable)}, "503");
    add({"Incr: a=1"}, {no_integer("a")}, "502");
    add(set, {moved("commit", b_id), commit(Kind::committed)}, "200", b_id);
    add(set, {moved("commit", b_id), commit(Kind::gone)});
    add(set, {moved("commit", b_id), moved("commit", c_id, b_id), commit(Kind::committed)}, "200",
        c_id);
    add(set, {moved("commit", b_id), conflict("a"), commit(Kind::committed)}, "200", b_id);
    add(set, {moved("commit", b_id), commit(Kind::unavailable)}, "503");
    add(rotate, done, "200", given);
    add(rotate, {commit(Kind::exists), commit(Kind::committed)}, "200", given);
    add(rotate, {moved("commit", b_id), commit(Kind::committed)}, "200", given);
    add(rotate, {commit(Kind::gone)});
    add(rotate, {commit(Kind::too_large)}, "502");
    add(rotate, {commit(Kind::unavailable)}, "503");
    add({"Rotate: 1", "Set: a=1"}, {conflict("a"), commit(Kind::committed)}, "200", given);
    add(destroy, {kills(Kind::done)}, "200", "ended");
    add(destroy, {moved("kill", b_id), kills(Kind::done)}, "200", "ended");
    add(destroy, {kills(Kind::unavailable)}, "503");
    add(destroy, {moved("kill", b_id), kills(Kind::unavailable)}, "503");
    for (const char* more : {"Set: a=1", "Create: 1"}) {
        const std::vector<std::string> replaced = {"Destroy: 1", more};
        add(replaced, {create(Kind::created)}, "200", given);
        add(replaced, {moved("create", b_id), create(Kind::created)}, "200", given);
        add(replaced, {create(Kind::exists), create(Kind::created)}, "200", given);
        add(replaced, {create(Kind::limit)}, "502");
        add(replaced, {create(Kind::too_large)}, "502");
        add(replaced, {create(Kind::unavailable)}, "503");
        add(replaced, {moved("create", b_id), create(Kind::unavailable)}, "503");
    }
    add(use_c, {live()}, "200", c_id);
    add(use_c, {load(Kind::none)});
    add({"Use: " + a_id}, {});
    for (const std::vector<std::string>& nothing :
         {std::vector<std::string>{}, std::vector<std::string>{"Create: 1"},
          std::vector<std::string>{"Unset: "}}) {
        add(nothing, done, "200", given, true);
        add(nothing, {moved("commit", b_id), live()}, "200", b_id, true);
        add(nothing, {moved("commit", b_id), moved("load", c_id, b_id), live()}, "200", c_id, true);
        for (const Kind kind : {Kind::none, Kind::dead, Kind::unavailable})
            add(nothing, {moved("commit", b_id), load(kind)}, "200", "none", true);
        for (const Kind kind : {Kind::gone, Kind::exists, Kind::unavailable, Kind::too_large})
            add(nothing, {commit(kind)}, "200", "none", true);
    }
    add(set, done, "200", given, true);
    add(set, {moved("commit", b_id), commit(Kind::committed)}, "200", b_id, true);
    add(set, {commit(Kind::gone)}, "200", "none", true);
    add(rotate, done, "200", given, true);
    add(destroy, {kills(Kind::done)}, "200", "ended", true);
    return paths;
}

std::string cookies_of(const Path& path) {
    std::string cookies;
    for (std::size_t at = 0; at < path.cookies.size(); at += 32)
        cookies += (cookies.empty() ? "" : "; ") + cookie_of(path.cookies.substr(at, 32));
    return cookies;
}

std::string text_of(const Path& path) {
    std::string text = path.cookies.substr(0, 1) + path.cookies.substr(path.cookies.size() / 2, 1);
    const auto add = [&](const Answers& answers) {
        for (const Answered& one : answers)
            text += " " + one.question + "=" + std::to_string(static_cast<int>(one.answer.kind));
    };
    add(path.before);
    text += " -> " + path.told;
    for (const std::string& one : path.fields) text += " " + one;
    add(path.after);
    return text + " -> " + path.status + " " + path.cookie;
}

class Walk {
public:
    explicit Walk(const Path& path)
        : proxy({.sessions = true,
                 .late_store = true,
                 .change =
                     [&](Config& config) {
                         if (path.always) config.routes[0].create = SessionCreate::always;
                         config.session.renew_after = Milliseconds{renew_after};
                     }}),
          visit(proxy, cookies_of(path)) {}

    // With several ids all are asked about at once, and the answers are given together.
    void answer_several(const Answers& all) {
        REQUIRE(asked(proxy).what == "load several");
        visit.client.expects_nothing();
        StoreAnswer together = of(Kind::several);
        for (const Answered& one : all) together.each.push_back(one.answer);
        proxy.store_answers(together);
    }
    void answer(const Answered& one) {
        REQUIRE(asked(proxy).what == one.question);
        visit.client.expects_nothing();
        proxy.store_answers(one.answer);
    }
    // The first `steps` answers; true if the store is to be asked for one more.
    bool goes(const Path& path, std::size_t steps) {
        Answers before = path.before;
        if (path.cookies.size() > a_id.size()) {
            if (steps < 2) return true;
            answer_several({before[0], before[1]});
            before.erase(before.begin(), before.begin() + 2);
            steps -= 2;
        }
        for (const Answered& one : before) {
            if (steps-- == 0) return true;
            answer(one);
        }
        visit.answers(path.fields);
        for (const Answered& one : path.after) {
            if (steps-- == 0) return true;
            answer(one);
        }
        return false;
    }

    Proxy proxy;
    Visit visit;
};

void check(const Path& path) {
    CAPTURE(text_of(path));
    Walk walk{path};
    walk.goes(path, 100);
    CHECK(walk.visit.told("State") == path.told);
    CHECK(walk.visit.status() == path.status);
    const std::string cookie = walk.visit.cookie();
    if (path.cookie == given) {
        for (const std::string& other :
             {a_id, b_id, c_id, std::string{"none"}, std::string{"ended"}})
            CHECK(cookie != other);
        const bool proposed = path.told == "new" || (path.told == "none" && path.after.size() == 1);
        if (proposed) CHECK(cookie == walk.visit.told("Id"));
    } else {
        CHECK(cookie == path.cookie);
    }
    CHECK(walk.proxy.late_store().questions.empty());
    CHECK(walk.proxy.late_store().forgotten == 0);
    CHECK(walk.proxy.counters().session_second_live.read() ==
          (text_of(path).starts_with("AB load=1 load=1 ") ? 1 : 0));
}

std::vector<Path> all_paths() {
    std::vector<Path> paths = ways_in();
    for (const auto& more : {first_changes(), changes()})
        paths.insert(paths.end(), more.begin(), more.end());
    return paths;
}

}  // namespace

TEST_CASE("S6 a session is looked up, whatever the store answers, and when") {
    for (const Path& path : ways_in()) check(path);
}

TEST_CASE("S25 a change without a session, whatever the store answers, and when") {
    for (const Path& path : first_changes()) check(path);
}

TEST_CASE("S26 a change of a session, whatever the store answers, and when") {
    for (const Path& path : changes()) check(path);
}

TEST_CASE("a client that leaves while the store is asked is forgotten, at every step") {
    for (const Path& path : all_paths()) {
        const std::size_t steps = path.before.size() + path.after.size();
        for (std::size_t step = 0; step < steps; ++step) {
            CAPTURE(text_of(path));
            CAPTURE(step);
            Walk walk{path};
            REQUIRE(walk.goes(path, step));
            asked(walk.proxy);
            walk.visit.client.resets();
            walk.proxy.turn_until([&] { return walk.proxy.worker().clients() == 0; }, "the end");
            CHECK(walk.proxy.late_store().questions.empty());
            CHECK(walk.proxy.late_store().forgotten == 1);
            if (walk.visit.server) walk.visit.server->until_end();
        }
    }
}

TEST_CASE("a store that goes away, at every step: no cookie is set, replaced or cleared") {
    for (const Path& path : all_paths()) {
        const std::size_t steps = path.before.size() + path.after.size();
        for (std::size_t step = 0; step < steps; ++step) {
            CAPTURE(text_of(path));
            CAPTURE(step);
            Walk walk{path};
            REQUIRE(walk.goes(path, step));
            asked(walk.proxy);
            walk.proxy.store_answers(of(Kind::unavailable));
            if (step < path.before.size()) walk.visit.answers(path.fields);
            while (walk.visit.client.got().empty() && !walk.proxy.late_store().questions.empty())
                walk.proxy.store_answers(of(Kind::unavailable));
            const std::string status = walk.visit.status();
            CHECK((status == "200" || status == "503"));
            // The look behind the one that found the session was for another one; but an id that the
            // client is led to is looked at once more.
            const bool is_found = step > 0 && step < path.before.size() && path.after.empty() &&
                                  path.before[step - 1].answer.kind == Kind::live;
            CHECK(walk.visit.cookie() == (is_found ? path.cookie : "none"));
        }
    }
}

TEST_CASE(
    "S28 what a commit asks: a new id at a login leaves the old one dead, a renewal leads on") {
    const auto change_for = [](const Path& path) {
        Walk walk{path};
        walk.goes(path, path.before.size());
        return asked(walk.proxy).change;
    };
    const auto asks = [](const std::vector<std::string>& fields, std::int64_t id_age_ms) {
        return Path{a_id, {live(id_age_ms)}, "live", fields, {commit(Kind::committed)}};
    };
    SessionChange change = change_for(asks({"Set: a=1", "Unset: b", "Incr: c=2", "Idle: 900"}, 0));
    CHECK(change.set == Attributes{{"a", "1"}});
    CHECK(change.unset == std::vector<std::string>{"b"});
    CHECK(change.increments.at(0).delta == 2);
    CHECK(change.base == 3);  // what the server was told
    CHECK(change.idle_ms == 900'000);
    CHECK(change.slack_ms == 60'000);
    CHECK(change.transaction != TransactionId{});
    CHECK(!change.rotation);
    change = change_for(asks({"Set: a=1", "Base: 2"}, 0));
    CHECK(change.base == 2);
    CHECK(change.idle_ms == 0);
    CHECK(change.slack_ms == 6'000);
    change = change_for(asks(rotate, renew_after));
    REQUIRE(change.rotation);
    CHECK(!change.rotation->alias);
    for (const auto& fields : {std::vector<std::string>{}, set}) {
        change = change_for(asks(fields, renew_after));
        REQUIRE(change.rotation);
        REQUIRE(change.rotation->alias);
        CHECK(key_of(veiled(*change.rotation->alias, *parse_session_id(a_id))) ==
              change.rotation->to);
        CHECK(key_of(*change.rotation->alias) != change.rotation->to);
        CHECK(change.transaction != TransactionId{});
        CHECK(change.slack_ms == 6'000);
    }
}

TEST_CASE("F:lost-answer a commit that is led to another id, or to a free one, keeps its name") {
    for (const Answered& first : {moved("commit", b_id), commit(Kind::exists)}) {
        const auto& fields = first.answer.kind == Kind::exists ? rotate : set;
        const Path path{a_id, {live()}, "live", fields, {first, commit(Kind::committed)}};
        Walk walk{path};
        walk.goes(path, 1);
        const TransactionId name = asked(walk.proxy).change.transaction;
        walk.answer(first);
        CHECK(asked(walk.proxy).change.transaction == name);
        walk.answer(commit(Kind::committed));
        CHECK(walk.visit.status() == "200");
    }
}

TEST_CASE("F:full a new session in place of another is made in one step with the other's end") {
    for (const Answered& first : {create(Kind::created), create(Kind::exists),
                                  moved("create", b_id), create(Kind::unavailable)}) {
        const Path path{a_id, {live()}, "live", destroy_and_set, {first, create(Kind::created)}};
        Walk walk{path};
        walk.goes(path, 1);
        CHECK(asked(walk.proxy).replaces == key_of(id_in(a_id)));
        const SessionKey fresh = asked(walk.proxy).key;
        walk.answer(first);
        if (walk.proxy.late_store().questions.empty()) {
            const bool made = first.answer.kind == Kind::created;
            CHECK(walk.visit.status() == (made ? "200" : "503"));
            CHECK((walk.visit.cookie() != "none") == made);
            continue;
        }
        const bool led = first.answer.kind == Kind::moved;
        CHECK(asked(walk.proxy).replaces == key_of(id_in(led ? b_id : a_id)));
        CHECK(asked(walk.proxy).key != fresh);
        walk.answer(create(Kind::created));
        CHECK(walk.visit.status() == "200");
    }
}

TEST_CASE(
    "F:late-write a new id that nobody could tell of is given with the client's next request") {
    for (const auto& fields : {rotate, destroy_and_set}) {
        const char* question = fields == rotate ? "commit" : "create";
        for (const bool was_given : {true, false}) {
            CAPTURE(question);
            CAPTURE(was_given);
            const Path path{a_id, {live()}, "live", fields, {{question, of(Kind::unavailable)}}};
            Walk walk{path};
            walk.goes(path, 1);
            const auto& change = asked(walk.proxy).change;
            const SessionKey fresh = change.rotation ? change.rotation->to : asked(walk.proxy).key;
            walk.answer({question, of(Kind::unavailable)});
            CHECK(walk.visit.status() == "503");
            CHECK(walk.visit.cookie() == "none");
            for (int i = 0; i < 2; ++i) {
                Visit next{walk.proxy, cookie_of(a_id)};
                next.client.expects_nothing();
                CHECK(asked(walk.proxy).key == key_of(id_in(a_id)));
                walk.proxy.store_answers(was_given ? of(Kind::dead) : live().answer);
                if (was_given) {
                    CHECK(asked(walk.proxy).key == fresh);
                    walk.proxy.store_answers(live().answer);
                }
                CHECK(next.told("State") == "live");
                next.answers({});
                if (was_given) {  // is it there still?
                    asked(walk.proxy);
                    walk.proxy.store_answers(live().answer);
                }
                CHECK(next.status() == "200");
                CHECK((next.cookie() != "none") == was_given);
                if (was_given) CHECK(key_of(id_in(next.cookie())) == fresh);
            }
        }
    }
}

TEST_CASE("F:late-write whoever else knows the old id is not led to the new one") {
    Proxy proxy{{.sessions = true, .late_store = true, .change = [](Config& config) {
                     config.listeners[0].trusted_proxies = {*parse_network("127.0.0.1")};
                 }}};
    const auto from = [](const char* address) {
        return "X-Forwarded-For: " + std::string{address} + "\r\n";
    };
    Visit login{proxy, cookie_of(a_id), "GET", from("192.0.2.1")};
    asked(proxy);
    proxy.store_answers(live().answer);
    login.answers(rotate);
    asked(proxy);
    proxy.store_answers(of(Kind::unavailable));
    CHECK(login.status() == "503");
    for (const bool same : {false, true}) {
        CAPTURE(same);
        Visit next{proxy, cookie_of(a_id), "GET", from(same ? "192.0.2.1" : "192.0.2.2")};
        asked(proxy);
        proxy.store_answers(of(Kind::dead));
        proxy.turn();
        CHECK(proxy.late_store().questions.empty() != same);
        while (!proxy.late_store().questions.empty()) proxy.store_answers(live().answer);
        CHECK(next.told("State") == (same ? "live" : "none"));
        next.answers();
        if (same) {  // is it there still?
            asked(proxy);
            proxy.store_answers(live().answer);
        }
        CHECK((next.cookie() != "none") == same);
    }
}

TEST_CASE("F:late-write a change without a new id leads nobody anywhere, nor does a renewal") {
    for (const bool renews : {true, false}) {
        const Path path{
            a_id, {live(renews ? renew_after : 0)}, "live", set, {commit(Kind::unavailable)}};
        Walk walk{path};
        walk.goes(path, 2);
        CHECK(walk.visit.status() == "503");
        Visit next{walk.proxy, cookie_of(a_id)};
        next.client.expects_nothing();
        asked(walk.proxy);
        walk.proxy.store_answers(of(Kind::dead));
        CHECK(next.told("State") == "none");
        CHECK(walk.proxy.late_store().questions.empty());
        next.answers({});
        CHECK(next.cookie() == "none");
    }
}

TEST_CASE("S20 a commit that merges asks again without a version, as another transaction") {
    const Path path{a_id, {live()}, "live", set, {conflict("a"), commit(Kind::committed)}};
    Walk walk{path};
    walk.goes(path, 1);
    const SessionChange first = asked(walk.proxy).change;
    walk.answer(conflict("a"));
    const SessionChange second = asked(walk.proxy).change;
    CHECK(first.base == 3);
    CHECK(!second.base);
    CHECK(second.set == first.set);
    CHECK(second.transaction != first.transaction);
    walk.answer(commit(Kind::committed));
    CHECK(walk.visit.status() == "200");
    CHECK(walk.proxy.counters().session_overwrites.read() == 1);
}

}  // namespace baton::test
