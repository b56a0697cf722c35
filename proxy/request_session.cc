#include "proxy/request_session.h"

#include <algorithm>
#include <utility>

#include "net/log.h"

namespace baton {

using Step = RequestSession::Step;
using Kind = StoreAnswer::Kind;

namespace {

// How old the id of a session may be that a server wants to be used: just made, or just rotated to.
constexpr std::int64_t use_age_max_ms = 60'000;

}  // namespace

SessionKey RequestSession::key_of(const SessionId& id) const noexcept {
    return session_key(needs_.route->scope, needs_.config->cookie, id);
}

StoreAsk RequestSession::ask() const noexcept {
    const bool wait = waits(needs_.route->config->on_unavailable);
    return {needs_.ticket, now(), wait ? needs_.config->failover_wait.count() : 0};
}

void RequestSession::use(const SessionId& id) noexcept {
    id_ = id;
    key_ = key_of(id);
    token_ = key_.token();
}

// The client is told of it.
void RequestSession::give(const SessionId& id) noexcept {
    use(id);
    cookie_ = CookieAction::give;
}

Step RequestSession::find(const Needs& needs, const Head& request) {
    needs_ = needs;
    state_ = SessionState::none;
    CookieCandidates cookies;
    for (const Field& field : request.fields)
        if (field.id == FieldName::cookie)
            cookies.collect(request.text(field.value), needs.config->cookie);
    cookie_sent_ = cookies.count > 0;
    for (std::size_t i = 0; i < cookies.count; ++i) {
        const auto id = parse_session_id(cookies.values[i]);
        if (!id) {
            counters().session_unknown_malformed.add();
            continue;
        }
        const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(candidate_count_);
        if (std::find(candidates_.begin(), end, *id) == end) candidates_[candidate_count_++] = *id;
    }
    return load_next();
}

Step RequestSession::find_again() {
    state_ = SessionState::none;
    live_seen_ = held_ = changed_ = false;
    asked_ = SessionRequest{};
    fault_.reset();
    unknown_ = 0;
    dead_seen_ = led_ = unsure_ = false;
    candidates_[0] = id_;
    candidate_count_ = 1;
    candidate_ = 0;
    return load_next();
}

// The first live session wins. One more look tells whether there is a second one, which is worth
// counting.
Step RequestSession::load_next() {
    while (candidate_ < candidate_count_) {
        doing_ = Doing::loading;
        auto answer = store().load(key_of(candidates_[candidate_]), ShownBy::client, ask());
        if (!answer) return Step::waits;
        if (loaded(std::move(*answer))) break;
    }
    doing_ = Doing::nothing;
    if (state_ == SessionState::unavailable) return Step::done;
    if (is_guessing()) return fail(Fault::session_guessed);
    return live_seen_ ? Step::done : not_found();
}

// True: no further candidate need be asked for.
bool RequestSession::loaded(StoreAnswer answer) {
    SessionId& candidate = candidates_[candidate_];
    switch (answer.kind) {
    case Kind::moved:
        // The client has not heard of its new id yet. It is asked for next, in this one's place.
        candidate = veiled(answer.moved_to, candidate);
        led_ = true;
        if (!live_seen_) cookie_ = CookieAction::give;
        return false;
    case Kind::live:
        if (live_seen_) {
            // Unless it is the same one, by an id that it had before.
            if (candidate != id_) counters().session_second_live.add();
            return true;
        }
        live_seen_ = held_ = true;
        if (state_ == SessionState::none) state_ = SessionState::live;
        use(candidate);
        record_ = std::move(answer.record);
        break;
    case Kind::none:
        if (!led_) {
            counters().session_unknown_absent.add();
            ++unknown_;
            break;
        }
        [[fallthrough]];  // its session has ended, so long ago that only the old id knows of it
    case Kind::dead:
        counters().session_unknown_dead.add();
        dead_seen_ = true;
        break;
    default:
        if (!live_seen_) unavailable();
        return true;
    }
    if (!live_seen_) cookie_ = CookieAction::none;  // what it had moved to is gone too
    led_ = false;
    ++candidate_;
    return false;
}

// The store did not answer: nothing is said to the client about its cookie. The server is told, or
// it is not asked.
void RequestSession::unavailable() {
    state_ = SessionState::unavailable;
    cookie_ = CookieAction::none;
    if (candidate_ < candidate_count_) {
        // For a tunnel, which may outlast the outage.
        use(candidates_[candidate_]);
        unsure_ = true;
    }
    if (rejects(needs_.route->config->on_unavailable)) fail(Fault::store_unavailable);
}

// A browser may have one old cookie beside that of its session; who shows more is looking for
// somebody else's.
bool RequestSession::is_guessing() {
    for (const unsigned allowed = live_seen_ ? 1 : 0; unknown_ > allowed; --unknown_)
        if (!needs_.lane->unknown_limit->count(needs_.client, now())) return true;
    return false;
}

// No live session. The server is given a proposed id, written nowhere; or a session is made for
// this request, but not for an id that has just been ended: a straggler would overwrite the cookie
// of a fresh login.
Step RequestSession::not_found() {
    use(mint_session_id());
    if (needs_.route->config->create == SessionCreate::on_demand || dead_seen_) return Step::done;
    return make(Doing::making_always);
}

std::int64_t RequestSession::idle_ms() const noexcept {
    if (!asked_.idle_ms()) return held_ ? record_.idle_ms : needs_.config->idle.count();
    return std::clamp<std::int64_t>(*asked_.idle_ms(), needs_.config->idle_min.count(),
                                    needs_.config->idle_max.count());
}

Step RequestSession::make(Doing why) {
    doing_ = why;
    NewSession session;
    session.idle_ms = asked_.idle_ms() ? idle_ms() : needs_.config->idle.count();
    session.slack_ms = touch_slack_ms(session.idle_ms);
    session.absolute_ms = needs_.config->absolute.count();
    session.attributes = asked_.set();
    for (const Increment& increment : asked_.increments())
        session.attributes.emplace_back(increment.name, std::to_string(increment.delta));
    std::sort(session.attributes.begin(), session.attributes.end());
    return continue_with(store().create(key_, std::move(session), ask()));
}

Step RequestSession::made(StoreAnswer answer) {
    const Doing why = std::exchange(doing_, Doing::nothing);
    switch (answer.kind) {
    case Kind::created:
        record_ = std::move(answer.record);
        held_ = true;
        cookie_ = CookieAction::give;
        if (why == Doing::making_always) state_ = SessionState::fresh;
        return Step::done;
    case Kind::exists:  // 128 random bits were taken: mint others
        use(mint_session_id());
        return make(why);
    case Kind::too_large:
    case Kind::limit:
        if (why == Doing::making_asked) return refuse("the session is larger than the table", {});
        [[fallthrough]];
    default:
        if (why != Doing::making_always) return fail(Fault::store_unavailable);
        unavailable();
        return Step::done;
    }
}

// The session fields of a response. Repeated lines count as one.
void RequestSession::take_response_fields(const Head& response) {
    const std::string_view prefix = needs_.config->header_prefix;
    for (const Field& field : response.fields) {
        const std::string_view name = response.text(field.name);
        if (!has_session_prefix(name, prefix)) continue;
        if (asked_.take(name.substr(prefix.size()), response.text(field.value))) continue;
        counters().session_fields_dropped.add();
        if (needs_.lane->unknown_field_warning.due(needs_.lane->loop.now()))
            log::warn("unknown session field from a server",
                      {{"field", name}, {"id", needs_.request_id}});
    }
}

Step RequestSession::apply(const Head& response) {
    if (state_ == SessionState::off) return Step::done;
    take_response_fields(response);
    const ContractLimits limits{.attribute_max = needs_.config->attribute_max,
                                .attributes_max = needs_.config->attributes_max,
                                .data_max = needs_.config->data_max};
    switch (asked_.finish(limits)) {
    case SessionRequest::Verdict::none: return pass_unchanged();
    case SessionRequest::Verdict::refused: return refuse(asked_.complaint(), asked_.attribute());
    case SessionRequest::Verdict::change: return change();
    }
    return Step::done;
}

Step RequestSession::change() {
    if (state_ == SessionState::unavailable) {
        if (needs_.config->strict_writes) return fail(Fault::store_unavailable);
        // The server had been told, and it has acted already: its answer passes, the change is
        // lost.
        counters().session_gone.add();
        if (needs_.lane->dropped_change_warning.due(needs_.lane->loop.now()))
            log::warn("session change dropped, the store is unavailable",
                      {{"id", needs_.request_id}});
        return Step::done;
    }
    if (asked_.use()) return adopt();
    if (asked_.destroy()) return end_session();
    if (state_ == SessionState::none)
        return asked_.create() ? make(Doing::making_asked) : Step::done;
    if (asked_.writes() || asked_.rotate()) return commit(Doing::committing);
    return pass_unchanged();
}

// The response asks nothing of the session. The client may be led to another id all the same: that
// of the look-up may have ended since, and would take the place of a newer cookie.
Step RequestSession::pass_unchanged() {
    if (renewal_due()) return renew();
    const bool led = state_ == SessionState::live && cookie_ == CookieAction::give;
    return led ? confirm() : Step::done;
}

// A session that the server has just made, or rotated, by other means. An id that is not live, of
// another scope, or older, is somebody else's for all we know.
Step RequestSession::adopt() {
    if (state_ != SessionState::none && *asked_.use() == id_) return Step::done;
    doing_ = Doing::adopting;
    return continue_with(store().load(key_of(*asked_.use()), ShownBy::server, ask()));
}

Step RequestSession::adopted(StoreAnswer answer) {
    doing_ = Doing::nothing;
    if (answer.kind == Kind::unavailable) return fail(Fault::store_unavailable);
    if (answer.kind != Kind::live || answer.record.id_age_ms > use_age_max_ms) {
        counters().session_use_ignored.add();
        return Step::done;
    }
    give(*asked_.use());
    record_ = std::move(answer.record);
    held_ = changed_ = true;
    if (touch_due()) touch();
    return Step::done;
}

Step RequestSession::end_session() {
    // A session that was made for this very request has no cookie at the client yet.
    cookie_ = cookie_sent_ ? CookieAction::end : CookieAction::none;
    StoreAnswer nothing_to_end;
    nothing_to_end.kind = Kind::done;
    if (state_ == SessionState::none) return killed(nothing_to_end);
    changed_ = true;
    doing_ = Doing::killing;
    return continue_with(store().kill(key_, ask()));
}

// Ended; with Create or Set a new one follows, whose cookie takes the place of the old (the
// classical login).
Step RequestSession::killed(const StoreAnswer& answer) {
    doing_ = Doing::nothing;
    if (answer.kind == Kind::unavailable) {
        cookie_ = CookieAction::none;
        return fail(Fault::store_unavailable);
    }
    if (answer.kind == Kind::moved) {
        use(veiled(answer.moved_to, id_));
        return end_session();
    }
    if (!asked_.create()) return Step::done;
    if (state_ != SessionState::none) use(mint_session_id());
    return make(Doing::making_asked);
}

Step RequestSession::commit(Doing how) {
    changed_ = true;
    doing_ = how;
    SessionChange change;
    change.set = asked_.set();
    change.unset = asked_.unset();
    change.increments = asked_.increments();
    if (how == Doing::committing) change.base = asked_.base().value_or(record_.version);
    if (asked_.idle_ms()) change.idle_ms = idle_ms();
    change.slack_ms = touch_slack_ms(idle_ms());
    change.transaction = needs_.lane->ids.next_transaction();
    if (asked_.rotate() || renewal_due()) {
        next_id_ = mint_session_id();
        change.rotation = Rotation{key_of(next_id_), {}};
        if (!asked_.rotate()) change.rotation->alias = veiled(next_id_, id_);
    }
    return continue_with(store().commit(key_, std::move(change), ask()));
}

Step RequestSession::committed(const StoreAnswer& answer) {
    const Doing how = std::exchange(doing_, Doing::nothing);
    switch (answer.kind) {
    case Kind::committed:
        if (asked_.rotate() || renewal_due()) give(next_id_);
        return Step::done;
    case Kind::conflict: return conflict(answer);
    case Kind::exists: return commit(how);
    case Kind::moved:
        give(veiled(answer.moved_to, id_));
        record_.id_age_ms = 0;
        return commit(how);
    case Kind::gone:
        // Ended meanwhile by another request. The answer passes; nothing brings the session back,
        // nor touches the cookie.
        counters().session_gone.add();
        cookie_ = CookieAction::none;
        return Step::done;
    case Kind::not_integer:
        return refuse("an Incr of an attribute that is no integer, or out of its range",
                      answer.names.empty() ? std::string_view{} : answer.names[0]);
    case Kind::limit: return refuse("the session would have too many attributes or bytes", {});
    case Kind::too_large: return refuse("the session is larger than the table", {});
    default: return fail(Fault::store_unavailable);
    }
}

// Something newer than what the server was told would be overwritten. A server that named a version
// does not want that; for another one it is done, but not in silence.
Step RequestSession::conflict(const StoreAnswer& answer) {
    if (asked_.base()) return fail(Fault::session_conflict);
    counters().session_overwrites.add(answer.names.size());
    if (needs_.lane->overwrite_warning.due(needs_.lane->loop.now()))
        log::warn("session attribute overwritten that had changed meanwhile",
                  {{"attribute", answer.names.empty() ? std::string{} : answer.names[0]},
                   {"route", needs_.route->config->name},
                   {"id", needs_.request_id}});
    return commit(Doing::merging);
}

bool RequestSession::renewal_due() const noexcept {
    const std::int64_t after = needs_.config->renew_after.count();
    return after > 0 && state_ == SessionState::live && record_.id_age_ms >= after;
}

// Nothing but a new id, to which the old one leads for a minute. It is not worth a wait.
Step RequestSession::renew() {
    doing_ = Doing::renewing;
    next_id_ = mint_session_id();
    SessionChange change;
    change.slack_ms = touch_slack_ms(record_.idle_ms);
    change.transaction = needs_.lane->ids.next_transaction();
    change.rotation = Rotation{key_of(next_id_), veiled(next_id_, id_)};
    return continue_with(store().commit(key_, std::move(change), {needs_.ticket, now(), 0}));
}

// Another request may have been faster. A renewal that failed costs nothing: the next request asks
// again.
Step RequestSession::renewed(const StoreAnswer& answer) {
    doing_ = Doing::nothing;
    changed_ = answer.kind == Kind::committed;
    if (answer.kind == Kind::committed) give(next_id_);
    if (answer.kind != Kind::moved) return Step::done;
    give(veiled(answer.moved_to, id_));
    return confirm();
}

Step RequestSession::confirm() {
    doing_ = Doing::confirming;
    return continue_with(store().load(key_, ShownBy::server, {needs_.ticket, now(), 0}));
}

// Where nothing is known, the client keeps what it has: the old id leads on for a while.
Step RequestSession::confirmed(const StoreAnswer& answer) {
    doing_ = Doing::nothing;
    if (answer.kind == Kind::moved) {
        give(veiled(answer.moved_to, id_));
        return confirm();
    }
    if (answer.kind != Kind::live) cookie_ = CookieAction::none;
    return Step::done;
}

Step RequestSession::refuse(std::string_view complaint, std::string_view attribute) {
    if (needs_.lane->refused_warning.due(needs_.lane->loop.now()))
        log::warn("session fields of a server refused",
                  {{"reason", complaint}, {"attribute", attribute}, {"id", needs_.request_id}});
    return fail(Fault::session_refused);
}

// Nothing was written, but the session was asked for.
Step RequestSession::fail(Fault fault) {
    fault_ = fault;
    changed_ = false;
    return Step::done;
}

Step RequestSession::continue_with(std::optional<StoreAnswer> answer) {
    return answer ? answered(std::move(*answer)) : Step::waits;
}

Step RequestSession::answered(StoreAnswer answer) {
    switch (doing_) {
    case Doing::loading:
        if (loaded(std::move(answer))) candidate_ = candidate_count_;
        return load_next();
    case Doing::making_always:
    case Doing::making_asked: return made(std::move(answer));
    case Doing::killing: return killed(answer);
    case Doing::committing:
    case Doing::merging: return committed(answer);
    case Doing::renewing: return renewed(answer);
    case Doing::confirming: return confirmed(answer);
    case Doing::adopting: return adopted(std::move(answer));
    case Doing::looking_again: return looked(answer);
    case Doing::nothing: break;
    }
    return Step::done;
}

void RequestSession::finish() {
    if (state_ == SessionState::live && !changed_ && touch_due()) touch();
}

bool RequestSession::touch_due() const noexcept {
    return !record_.capped && record_.ttl_ms <= record_.idle_ms;
}

std::int64_t RequestSession::tunnel_interval_ms() const noexcept {
    return (held_ || unsure_) && !ended_ ? touch_slack_ms(idle_ms()) : 0;
}

void RequestSession::touch() {
    changed_ = true;
    store().touch(key_, touch_slack_ms(idle_ms()), now());
}

Step RequestSession::look_again(bool in_use) {
    in_use_ = in_use;
    doing_ = Doing::looking_again;
    // A tunnel goes on while the store is away: it need not queue for an answer.
    return continue_with(store().load(key_, ShownBy::server, {needs_.ticket, now(), 0}));
}

Step RequestSession::looked(const StoreAnswer& answer) {
    doing_ = Doing::nothing;
    if (answer.kind == Kind::moved) {
        use(veiled(answer.moved_to, id_));
        return look_again(in_use_);
    }
    ended_ = answer.kind != Kind::live && answer.kind != Kind::unavailable;
    if (std::exchange(unsure_, answer.kind == Kind::unavailable && unsure_) &&
        answer.kind == Kind::live) {
        record_ = answer.record;
        held_ = true;
    }
    if (in_use_ && answer.kind == Kind::live) touch();
    return Step::done;
}

void RequestSession::append_request_fields(std::string& out) const {
    if (state_ == SessionState::off) return;
    const bool known = state_ == SessionState::live || state_ == SessionState::fresh;
    append_session_fields(out, {.prefix = needs_.config->header_prefix,
                                .state = state_,
                                .id = state_ == SessionState::unavailable ? nullptr : &id_,
                                .record = known ? &record_ : nullptr,
                                .data_max = needs_.config->header_limit});
}

void RequestSession::append_cookie_line(std::string& out, bool secure) const {
    if (cookie_ == CookieAction::none) return;
    const CookieOptions options{needs_.config->cookie, needs_.config->same_site, secure};
    out.append("Set-Cookie: ");
    if (cookie_ == CookieAction::give)
        append_session_cookie(out, options, id_);
    else
        append_ended_cookie(out, options);
    out.append("\r\n");
}

std::string_view RequestSession::token() const noexcept {
    if (state_ != SessionState::live && state_ != SessionState::fresh) return {};
    return {token_.data(), token_.size()};
}

}  // namespace baton
