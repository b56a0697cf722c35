#include "proxy/request_session.h"

#include <algorithm>
#include <utility>

#include "net/log.h"

namespace baton {

using Step = RequestSession::Step;

// A session lives up to this much longer than its idle time, so that it needs a touch only once in
// as long.
std::int64_t RequestSession::slack_ms() const noexcept {
    return std::clamp<std::int64_t>(needs_.config->idle.count() / 10, 1'000, 60'000);
}

void RequestSession::use(const SessionId& id) noexcept {
    id_ = id;
    key_ = session_key(needs_.route->scope, needs_.config->cookie, id);
    token_ = key_.token();
}

Step RequestSession::find(const Needs& needs, const Head& request, std::int64_t now_ms) {
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
            needs.counters->session_unknown_malformed.add();
            continue;
        }
        const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(candidate_count_);
        if (std::find(candidates_.begin(), end, *id) == end) candidates_[candidate_count_++] = *id;
    }
    return load_next(now_ms);
}

// The first live session wins. One more look tells whether there is a second one, which is worth
// counting.
Step RequestSession::load_next(std::int64_t now_ms) {
    while (candidate_ < candidate_count_) {
        const SessionId& id = candidates_[candidate_++];
        doing_ = Doing::loading;
        auto answer = needs_.store->load(
            session_key(needs_.route->scope, needs_.config->cookie, id), now_ms, needs_.ticket);
        if (!answer) return Step::waits;
        if (loaded(std::move(*answer))) break;
    }
    if (live_seen_ || state_ == SessionState::unavailable) {
        doing_ = Doing::nothing;
        return Step::done;
    }
    return not_found(now_ms);
}

// True: no further candidate need be asked for.
bool RequestSession::loaded(StoreAnswer answer) {
    switch (answer.kind) {
    case StoreAnswer::Kind::live:
        if (live_seen_) {
            needs_.counters->session_second_live.add();
            return true;
        }
        live_seen_ = true;
        state_ = SessionState::live;
        use(candidates_[candidate_ - 1]);
        record_ = std::move(answer.record);
        return false;
    case StoreAnswer::Kind::none: needs_.counters->session_unknown_absent.add(); return false;
    case StoreAnswer::Kind::dead:
        needs_.counters->session_unknown_dead.add();
        dead_seen_ = true;
        return false;
    default:
        if (!live_seen_) state_ = SessionState::unavailable;
        return true;
    }
}

// No live session. The server is given a proposed id, written nowhere; or a session is made for
// this request, but not for an id that has just been ended: a straggler would overwrite the cookie
// of a fresh login.
Step RequestSession::not_found(std::int64_t now_ms) {
    doing_ = Doing::nothing;
    use(mint_session_id());
    if (needs_.route->config->create == SessionCreate::on_demand || dead_seen_) return Step::done;
    return make(Doing::making_always, {}, now_ms);
}

Step RequestSession::make(Doing why, Attributes attributes, std::int64_t now_ms) {
    doing_ = why;
    NewSession session;
    session.idle_ms = needs_.config->idle.count();
    session.slack_ms = slack_ms();
    session.absolute_ms = needs_.config->absolute.count();
    session.attributes = std::move(attributes);
    return continue_with(needs_.store->create(key_, std::move(session), now_ms, needs_.ticket),
                         now_ms);
}

Step RequestSession::made(StoreAnswer answer, std::int64_t now_ms) {
    const Doing why = std::exchange(doing_, Doing::nothing);
    switch (answer.kind) {
    case StoreAnswer::Kind::created:
        record_ = std::move(answer.record);
        cookie_ = CookieAction::give;
        if (why == Doing::making_always) state_ = SessionState::fresh;
        return Step::done;
    case StoreAnswer::Kind::exists:  // 128 random bits were taken: mint others
        use(mint_session_id());
        return make(why, why == Doing::making_asked ? asked_.set() : Attributes{}, now_ms);
    case StoreAnswer::Kind::too_large:
    case StoreAnswer::Kind::limit:
        if (why == Doing::making_asked) return refuse("the session is larger than the table", {});
        [[fallthrough]];
    default:
        if (why == Doing::making_always)
            state_ = SessionState::unavailable;
        else
            fault_ = Fault::store_unavailable;
        return Step::done;
    }
}

// The session fields of a response. Repeated lines count as one.
void RequestSession::take_response_fields(const Head& response, std::int64_t now_ms) {
    const std::string_view prefix = needs_.config->header_prefix;
    for (const Field& field : response.fields) {
        const std::string_view name = response.text(field.name);
        if (!has_session_prefix(name, prefix)) continue;
        if (asked_.take(name.substr(prefix.size()), response.text(field.value))) continue;
        needs_.counters->session_fields_dropped.add();
        if (needs_.unknown_field->due(static_cast<std::uint64_t>(now_ms)))
            log::warn("unknown session field from a server",
                      {{"field", name}, {"id", needs_.request_id}});
    }
}

Step RequestSession::apply(const Head& response, std::int64_t now_ms) {
    if (state_ == SessionState::off) return Step::done;
    take_response_fields(response, now_ms);
    const ContractLimits limits{.attribute_max = needs_.config->attribute_max,
                                .attributes_max = needs_.config->attributes_max,
                                .data_max = needs_.config->data_max};
    switch (asked_.finish(limits)) {
    case SessionRequest::Verdict::none: return Step::done;
    case SessionRequest::Verdict::refused: return refuse(asked_.complaint(), asked_.attribute());
    case SessionRequest::Verdict::change: break;
    }
    if (state_ == SessionState::unavailable) {
        // The server had been told, and it has acted already: its answer passes, the change is
        // lost.
        needs_.counters->session_gone.add();
        log::warn("session change dropped, the store is unavailable", {{"id", needs_.request_id}});
        return Step::done;
    }
    if (asked_.destroy()) return end_session(now_ms);
    if (state_ == SessionState::none)
        return asked_.create() ? make(Doing::making_asked, asked_.set(), now_ms) : Step::done;
    if (asked_.set().empty() && asked_.unset().empty()) return Step::done;
    return commit(now_ms);
}

Step RequestSession::end_session(std::int64_t now_ms) {
    // A session that was made for this very request has no cookie at the client yet.
    cookie_ = cookie_sent_ ? CookieAction::end : CookieAction::none;
    if (state_ == SessionState::none) return killed(now_ms);
    changed_ = true;
    doing_ = Doing::killing;
    return continue_with(needs_.store->kill(key_, now_ms, needs_.ticket), now_ms);
}

// Ended; with Create or Set a new one follows, whose cookie takes the place of the old (the
// classical login).
Step RequestSession::killed(std::int64_t now_ms) {
    doing_ = Doing::nothing;
    if (!asked_.create()) return Step::done;
    if (state_ != SessionState::none) use(mint_session_id());
    return make(Doing::making_asked, asked_.set(), now_ms);
}

Step RequestSession::commit(std::int64_t now_ms) {
    changed_ = true;
    doing_ = Doing::committing;
    SessionChange change;
    change.set = std::move(asked_.set());
    change.unset = std::move(asked_.unset());
    change.slack_ms = slack_ms();
    return continue_with(needs_.store->commit(key_, std::move(change), now_ms, needs_.ticket),
                         now_ms);
}

Step RequestSession::committed(const StoreAnswer& answer) {
    doing_ = Doing::nothing;
    switch (answer.kind) {
    case StoreAnswer::Kind::committed: return Step::done;
    case StoreAnswer::Kind::gone:
        // Ended meanwhile by another request. The answer passes; nothing brings the session back,
        // nor touches the cookie.
        needs_.counters->session_gone.add();
        cookie_ = CookieAction::none;
        return Step::done;
    case StoreAnswer::Kind::limit:
        return refuse("the session would have too many attributes or bytes", {});
    case StoreAnswer::Kind::too_large: return refuse("the session is larger than the table", {});
    default: fault_ = Fault::store_unavailable; return Step::done;
    }
}

Step RequestSession::refuse(std::string_view complaint, std::string_view attribute) {
    needs_.counters->session_refused.add();
    log::warn("session fields of a server refused",
              {{"reason", complaint}, {"attribute", attribute}, {"id", needs_.request_id}});
    fault_ = Fault::session_refused;
    return Step::done;
}

Step RequestSession::continue_with(std::optional<StoreAnswer> answer, std::int64_t now_ms) {
    return answer ? answered(std::move(*answer), now_ms) : Step::waits;
}

Step RequestSession::answered(StoreAnswer answer, std::int64_t now_ms) {
    switch (doing_) {
    case Doing::loading:
        if (loaded(std::move(answer))) candidate_ = candidate_count_;
        return load_next(now_ms);
    case Doing::making_always:
    case Doing::making_asked: return made(std::move(answer), now_ms);
    case Doing::killing:
        if (answer.kind == StoreAnswer::Kind::unavailable) {
            fault_ = Fault::store_unavailable;
            cookie_ = CookieAction::none;
            return Step::done;
        }
        return killed(now_ms);
    case Doing::committing: return committed(answer);
    case Doing::nothing: break;
    }
    return Step::done;
}

void RequestSession::finish(std::int64_t now_ms) {
    if (state_ != SessionState::live || changed_ || record_.ttl_ms > record_.idle_ms) return;
    needs_.store->touch(key_, slack_ms(), now_ms);
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
