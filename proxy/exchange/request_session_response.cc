// The request session's response side: what a server asks of the session, done before its response is
// released.

#include <utility>

#include "net/http/cache_control.h"
#include "net/log.h"
#include "proxy/exchange/request_session.h"

namespace baton {

using Step = RequestSession::Step;
using Kind = StoreAnswer::Kind;

namespace {

// How old the id of a session may be that a server wants to be used: just made, or just rotated to.
constexpr std::int64_t use_age_max_ms = 60'000;

std::string_view first_name(const StoreAnswer& answer) noexcept {
    return answer.names.empty() ? std::string_view{} : answer.names[0];
}

// A cookie on a response that caches may keep, or with which they refresh what they keep (RFC 9111,
// 4.3.4), would be everybody's.
bool is_for_others(const Head& response, std::int64_t now_ms) noexcept {
    return response.status == 304 || invites_sharing(response, now_ms / 1000);
}

}  // namespace

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
    doing_ = Doing::nothing;  // a look for `keep_alive` is given up
    take_response_fields(response);
    const ContractLimits limits{.attribute_max = needs_.config->attribute_max,
                                .attributes_max = needs_.config->attributes_max,
                                .data_max = needs_.config->data_max};
    const SessionRequest::Verdict verdict = asked_.finish(limits);
    if (verdict == SessionRequest::Verdict::refused)
        return refuse({asked_.reason(), asked_.detail()}, asked_.complaint(), asked_.attribute());
    const bool changes = verdict == SessionRequest::Verdict::change;
    if (!changes && cookie_ == CookieAction::none && !renewal_due()) return Step::done;
    for_others_ = is_for_others(response, now());
    // That of a session made for this request goes out with what the server asks of it.
    if (for_others_ && !(changes && state_ == SessionState::fresh)) cookie_ = CookieAction::none;
    return changes ? change() : pass_unchanged();
}

Step RequestSession::change() {
    if (state_ == SessionState::unavailable) {
        if (needs_.config->strict_writes) return fail(Fault::store_unavailable, Reason::not_stored);
        // The server had been told, and it has acted already: its answer passes, the change is
        // lost.
        return drop_change();
    }
    // What was under way, or on a page, before a login or a logout: its cookie would take the place of
    // the new one.
    if (state_ == SessionState::none && found_ == Found::dead) return drop_change();
    if (asked_.use()) return adopt();
    // Before anything is ended for it.
    if (asked_.destroy() && told_max() > 0 && encoded_size(asked_.set()) > told_max())
        return refuse_too_long();
    if (asked_.destroy()) return end_session();
    if (state_ == SessionState::none)
        return asked_.create() ? make(Doing::making_asked) : Step::done;
    if (asked_.writes() || asked_.rotate()) {
        transaction_ = needs_.lane->ids.next_transaction();
        return commit(Doing::committing);
    }
    return pass_unchanged();
}

Step RequestSession::drop_change() {
    counters().session_gone.add();
    if (!needs_.lane->dropped_change_warning.due(needs_.lane->loop.now())) return Step::done;
    if (state_ == SessionState::unavailable)
        log::warn("session change dropped, the store is unavailable",
                  {{"route", needs_.route->config->name}, {"id", needs_.request_id}});
    else
        log::warn("session change dropped, the session of its request has ended",
                  {{"route", needs_.route->config->name}, {"id", needs_.request_id}});
    return Step::done;
}

// The response asks nothing of the session. The client may be led to another id all the same: that
// of the look-up may have ended since, and would take the place of a newer cookie.
Step RequestSession::pass_unchanged() {
    if (rotates()) return renew();
    const bool led = state_ == SessionState::live && cookie_ == CookieAction::lead;
    return led ? confirm() : Step::done;
}

// A session that the server has just made, or rotated, by other means. An id that is not live, of
// another scope, or older, is somebody else's for all we know.
Step RequestSession::adopt() {
    if (state_ != SessionState::none && *asked_.use() == id_) return Step::done;
    doing_ = Doing::adopting;
    return continue_with(store().load(key_of(*asked_.use()), ShownBy::server, ask()));
}

Step RequestSession::adopted(StoreAnswer&& answer) {
    doing_ = Doing::nothing;
    if (answer.kind == Kind::unavailable) return fail(Fault::store_unavailable, Reason::not_stored);
    if (answer.kind != Kind::live || answer.record.id_age_ms > use_age_max_ms) {
        counters().session_use_ignored.add();
        return Step::done;
    }
    give(*asked_.use());
    record_ = std::move(answer.record);
    held_ = Held::yes;
    lives(record_.ttl_ms, record_.idle_ms, record_.capped);
    finish();
    return Step::done;
}

Step RequestSession::end_session() {
    // A session that was made for this very request has no cookie at the client yet.
    cookie_ = cookie_sent_ ? CookieAction::end : CookieAction::none;
    StoreAnswer nothing_to_end;
    nothing_to_end.kind = Kind::done;
    if (state_ == SessionState::none) return killed(nothing_to_end);
    if (asked_.create()) return replace();
    doing_ = Doing::killing;
    return continue_with(store().kill(key_, ask()));
}

Step RequestSession::killed(const StoreAnswer& answer) {
    doing_ = Doing::nothing;
    if (answer.kind == Kind::unavailable) {
        cookie_ = CookieAction::none;
        return fail(Fault::store_unavailable, Reason::not_stored);
    }
    if (answer.kind == Kind::moved) {
        use(veiled(answer.moved_to, id_));
        return end_session();
    }
    rests();
    return asked_.create() ? make(Doing::making_asked) : Step::done;
}

// A new session whose cookie takes the place of the old (the classical login). In one step with the old
// one's end: where the new one cannot be stored the old one lives on, and the client has its cookie.
Step RequestSession::replace() {
    doing_ = Doing::replacing;
    next_id_ = mint_session_id();
    NewSession session = new_session();
    session.replaces = key_;
    if (is_too_long(session)) {
        cookie_ = CookieAction::none;
        return refuse_too_long();
    }
    return continue_with(store().create(key_of(next_id_), std::move(session), ask()));
}

Step RequestSession::replaced(StoreAnswer&& answer) {
    doing_ = Doing::nothing;
    switch (answer.kind) {
    case Kind::created:
        record_ = std::move(answer.record);
        held_ = Held::yes;
        give(next_id_);
        lives(record_.ttl_ms, record_.idle_ms, record_.capped);
        return Step::done;
    case Kind::exists: return replace();
    case Kind::moved: use(veiled(answer.moved_to, id_)); return replace();
    default: break;
    }
    cookie_ = CookieAction::none;
    if (answer.kind == Kind::too_large || answer.kind == Kind::limit)
        return refuse(
            {answer.kind == Kind::limit ? Reason::data_too_long : Reason::table_too_small, {}},
            "the session is larger than the table", {});
    return lose_rotation(key_);
}

// The store did not say whether the client's session has its new id.
Step RequestSession::lose_rotation(const SessionKey& from) {
    if (needs_.lane->lost_rotations != nullptr)
        needs_.lane->lost_rotations->add(from, next_id_, needs_.client, now());
    return fail(Fault::store_unavailable, Reason::not_stored);
}

Step RequestSession::commit(Doing how) {
    doing_ = how;
    SessionChange change;
    change.set = asked_.set();
    change.unset = asked_.unset();
    change.increments = asked_.increments();
    if (how == Doing::committing) change.base = asked_.base().value_or(record_.version);
    if (asked_.idle_ms()) change.idle_ms = idle_ms();
    change.slack_ms = touch_slack_ms(idle_ms());
    change.encoded_max = told_max();
    change.transaction = transaction_;
    if (rotates()) {
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
        if (rotates()) give(next_id_);
        lives_from_now();
        return Step::done;
    case Kind::conflict: return conflict(answer);
    case Kind::exists: return commit(how);
    case Kind::moved:
        // By the same name: it may have been made before the session moved, its answer lost.
        lead_to(veiled(answer.moved_to, id_));
        record_.id_age_ms = 0;
        return commit(how);
    case Kind::gone:
        // Ended meanwhile by another request. The answer passes; nothing brings the session back,
        // nor touches the cookie.
        counters().session_gone.add();
        cookie_ = CookieAction::none;
        rests();
        return Step::done;
    case Kind::not_integer:
        return refuse({Reason::not_integer, first_name(answer)},
                      "an Incr of an attribute that is no integer, or out of its range",
                      first_name(answer));
    case Kind::limit:
        return refuse({Reason::data_too_long, {}},
                      "the session would have too many attributes or bytes", {});
    case Kind::too_long: return refuse_too_long();
    case Kind::too_large:
        return refuse({Reason::table_too_small, {}}, "the session is larger than the table", {});
    default:
        return asked_.rotate() ? lose_rotation(key_)
                               : fail(Fault::store_unavailable, Reason::not_stored);
    }
}

// Something newer than what the server was told would be overwritten. A server that named a version
// does not want that; for another one it is done, but not in silence.
Step RequestSession::conflict(const StoreAnswer& answer) {
    if (asked_.base())
        return fail(Fault::session_conflict, Reason::changed_meanwhile, first_name(answer));
    counters().session_overwrites.add(answer.names.size());
    if (needs_.lane->overwrite_warning.due(needs_.lane->loop.now()))
        log::warn("session attribute overwritten although it had changed",
                  {{"attribute", first_name(answer)},
                   {"route", needs_.route->config->name},
                   {"id", needs_.request_id}});
    transaction_ = needs_.lane->ids.next_transaction();
    return commit(Doing::merging);
}

bool RequestSession::renewal_due() const noexcept {
    const std::int64_t after = needs_.config->renew_after.count();
    return after > 0 && state_ == SessionState::live && record_.id_age_ms >= after;
}

bool RequestSession::rotates() const noexcept {
    return asked_.rotate() || (renewal_due() && !for_others_);
}

// The session has gone on to another id, which the client need not learn now.
void RequestSession::lead_to(const SessionId& id) noexcept {
    use(id);
    if (!for_others_) cookie_ = CookieAction::lead;
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
    if (answer.kind == Kind::committed) {
        give(next_id_);
        lives_from_now();
    }
    if (answer.kind != Kind::moved) return Step::done;
    lead_to(veiled(answer.moved_to, id_));
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
        lead_to(veiled(answer.moved_to, id_));
        return confirm();
    }
    cookie_ = answer.kind == Kind::live ? CookieAction::give : CookieAction::none;
    return Step::done;
}

// What a server can be told of a session. Without the session API it would never see more.
std::size_t RequestSession::told_max() const noexcept {
    const Address& api = needs_.lane->snapshot->config().session_api.listener.address;
    return api.raw()->sa_family == AF_UNSPEC ? needs_.config->header_limit : 0;
}

Step RequestSession::refuse_too_long() {
    return refuse({Reason::session_too_long, {}},
                  "session longer than headers.limit (" +
                      std::to_string(needs_.config->header_limit) +
                      "): raise it, or add [session.api]",
                  {});
}

Step RequestSession::refuse(Why why, std::string_view complaint, std::string_view attribute) {
    if (needs_.lane->refused_warning.due(needs_.lane->loop.now()))
        log::warn("session fields of a server refused", {{"reason", complaint},
                                                         {"attribute", attribute},
                                                         {"route", needs_.route->config->name},
                                                         {"id", needs_.request_id}});
    return fail(Fault::session_refused, why.reason, why.detail);
}

}  // namespace baton
