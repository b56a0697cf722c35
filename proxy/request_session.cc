#include "proxy/request_session.h"

#include <algorithm>
#include <utility>

namespace baton {

using Step = RequestSession::Step;
using Kind = StoreAnswer::Kind;

SessionKey RequestSession::key_of(const SessionId& id) const noexcept {
    return session_key(needs_.route->scope, needs_.config->cookie, id);
}

StoreAsk RequestSession::ask() const noexcept {
    const bool wait = waits(needs_.route->config->on_unavailable);
    return {needs_.ticket, now(), wait ? needs_.config->failover_wait.count() : 0};
}

void RequestSession::use(const SessionId& id) noexcept { use(id, key_of(id)); }

void RequestSession::use(const SessionId& id, const SessionKey& key) noexcept {
    id_ = id;
    key_ = key;
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
    error_.reset();
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
        candidate_key_ = key_of(candidates_[candidate_]);
        auto answer = store().load(candidate_key_, ShownBy::client, ask());
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
        use(candidate, candidate_key_);
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

// Nothing was written, but the session was asked for.
Step RequestSession::fail(Fault fault, Reason reason, std::string_view detail) {
    detail_ = detail;
    error_ = Error{fault, 0, reason, detail_};
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
