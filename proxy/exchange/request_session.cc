#include "proxy/exchange/request_session.h"

#include <algorithm>
#include <utility>

#include "net/log.h"

namespace baton {

using Step = RequestSession::Step;
using Kind = StoreAnswer::Kind;

SessionKey RequestSession::key_of(const SessionId& id) const noexcept {
    return session_key(needs_.route->scope, needs_.route->cookie, id);
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
    // One that asks what it may do is no visit (RFC 9110, 9.3.7); browsers send it without cookies.
    look_up_.creates =
        needs.route->config->create == SessionCreate::always && request.method != Method::options;
    if (!request.has(FieldName::cookie)) return looked_up();
    __attribute__((uninitialized)) CookieCandidates cookies;
    for (const Field& field : request.fields)
        if (field.id == FieldName::cookie)
            cookies.collect(request.text(field.value), needs.route->cookie);
    cookie_sent_ = cookies.any();
    if (cookies.malformed() > 0) counters().session_unknown_malformed.add(cookies.malformed());
    if (cookies.passed_over() > 0) {
        counters().session_cookies_passed_over.add(cookies.passed_over());
        if (needs.lane->many_cookies_warning.due(needs.lane->loop.now()))
            log::warn("more session cookies in a request than are looked up",
                      {{"route", needs.route->config->name}, {"id", needs.request_id}});
    }
    if (cookies.ids().empty()) return looked_up();
    return cookies.ids().size() == 1 ? load(cookies.ids().front()) : load_several(cookies);
}

Step RequestSession::find_again() {
    state_ = SessionState::none;
    found_ = Found::nothing;
    held_ = Held::no;
    asked_ = SessionRequest{};
    error_.reset();
    look_up_ = LookUp{};
    return load(id_);
}

Step RequestSession::load(const SessionId& id) {
    doing_ = Doing::loading;
    look_up_.id = id;
    look_up_.key = key_of(id);
    return continue_with(store().load(look_up_.key, ShownBy::client, ask()));
}

Step RequestSession::load_several(const CookieCandidates& cookies) {
    doing_ = Doing::loading_several;
    look_up_.several = std::make_unique<Several>();
    look_up_.several->ids.assign(cookies.ids().begin(), cookies.ids().end());
    look_up_.id = cookies.ids().front();
    std::array<SessionKey, CookieCandidates::count_max> keys;
    for (std::size_t i = 0; i < cookies.ids().size(); ++i) keys[i] = key_of(cookies.ids()[i]);
    return continue_with(
        store().load_several({keys.data(), cookies.ids().size()}, ShownBy::client, ask()));
}

Step RequestSession::loaded(StoreAnswer&& answer) {
    switch (look_at(std::move(answer))) {
    // The client has not heard of its new id yet. It is asked for next, in this one's place.
    case Look::follow: return load(look_up_.id);
    case Look::next: return next_of_several();
    case Look::enough: break;
    }
    return looked_up();
}

// The first live session wins. One more live one is worth counting.
Step RequestSession::next_of_several() {
    while (look_up_.several != nullptr &&
           look_up_.several->next < look_up_.several->answers.size()) {
        const std::size_t at = look_up_.several->next++;
        look_up_.id = look_up_.several->ids[at];
        look_up_.key = key_of(look_up_.id);
        const Look look = look_at(std::move(look_up_.several->answers[at]));
        if (look == Look::follow) return load(look_up_.id);
        if (look == Look::enough) break;
    }
    return looked_up();
}

std::optional<SessionId> RequestSession::lost_rotation() const {
    if (needs_.lane->lost_rotations == nullptr) return std::nullopt;
    return needs_.lane->lost_rotations->find(look_up_.key, needs_.client, now());
}

RequestSession::Look RequestSession::follow(const SessionId& next) noexcept {
    look_up_.id = next;
    look_up_.led = true;
    if (found_ != Found::live) cookie_ = CookieAction::lead;
    return Look::follow;
}

RequestSession::Look RequestSession::look_at(StoreAnswer&& answer) {
    if (answer.kind == Kind::none || answer.kind == Kind::dead) {
        // Unless it was given another id, and nobody could tell.
        if (const auto next = lost_rotation()) return follow(*next);
    }
    switch (answer.kind) {
    case Kind::moved: return follow(veiled(answer.moved_to, look_up_.id));
    case Kind::live:
        if (found_ == Found::live) {
            // Unless it is the same one, by an id that it had before.
            if (look_up_.id != id_) counters().session_second_live.add();
            return Look::enough;
        }
        found_ = Found::live;
        held_ = Held::yes;
        if (state_ == SessionState::none) state_ = SessionState::live;
        use(look_up_.id, look_up_.key);
        record_ = std::move(answer.record);
        lives(record_.ttl_ms, record_.idle_ms, record_.capped);
        // It might expire before anybody sees that its request runs.
        if (!record_.capped && record_.ttl_ms <= record_.idle_ms / 2) touch();
        break;
    case Kind::none:
        if (!look_up_.led) {
            counters().session_unknown_absent.add();
            ++look_up_.unknown;
            break;
        }
        [[fallthrough]];  // its session has ended, so long ago that only the old id knows of it
    case Kind::dead:
        counters().session_unknown_dead.add();
        if (found_ == Found::nothing) found_ = Found::dead;
        break;
    default:
        if (found_ != Found::live) {
            // For a tunnel, which may outlast the outage.
            use(look_up_.id);
            held_ = Held::unsure;
            unavailable();
        }
        return Look::enough;
    }
    if (found_ != Found::live) cookie_ = CookieAction::none;  // what it had moved to is gone too
    look_up_.led = false;
    return Look::next;
}

Step RequestSession::looked_up() {
    doing_ = Doing::nothing;
    look_up_.several.reset();
    if (state_ == SessionState::unavailable) return Step::done;
    if (is_guessing()) return fail(Fault::session_guessed, Reason::unknown_ids);
    return found_ == Found::live ? Step::done : not_found();
}

// The store did not answer: nothing is said to the client about its cookie. The server is told, or
// it is not asked.
void RequestSession::unavailable() {
    state_ = SessionState::unavailable;
    cookie_ = CookieAction::none;
    if (rejects(needs_.route->config->on_unavailable))
        fail(Fault::store_unavailable, Reason::not_looked_up);
}

// A browser may have one old cookie beside that of its session; who shows more is looking for
// somebody else's.
bool RequestSession::is_guessing() {
    for (const unsigned allowed = found_ == Found::live ? 1 : 0; look_up_.unknown > allowed;
         --look_up_.unknown)
        if (!needs_.lane->unknown_limit->count(needs_.client, needs_.config->unknown_max, now()))
            return true;
    return false;
}

// No live session. The server is given a proposed id, written nowhere; or a session is made for
// this request, but not for an id that has just been ended: a straggler would overwrite the cookie
// of a fresh login.
Step RequestSession::not_found() {
    use(mint_session_id());
    return look_up_.creates && found_ != Found::dead ? make(Doing::making_always) : Step::done;
}

std::int64_t RequestSession::idle_ms() const noexcept {
    if (!asked_.idle_ms())
        return held_ == Held::yes ? record_.idle_ms : needs_.config->idle.count();
    return std::clamp<std::int64_t>(*asked_.idle_ms(), needs_.config->idle_min.count(),
                                    needs_.config->idle_max.count());
}

NewSession RequestSession::new_session() const {
    NewSession session;
    session.idle_ms = asked_.idle_ms() ? idle_ms() : needs_.config->idle.count();
    session.slack_ms = touch_slack_ms(session.idle_ms);
    session.absolute_ms = needs_.config->absolute.count();
    session.attributes = asked_.set();
    for (const Increment& increment : asked_.increments())
        session.attributes.emplace_back(increment.name, std::to_string(increment.delta));
    std::sort(session.attributes.begin(), session.attributes.end());
    return session;
}

Step RequestSession::make(Doing why) {
    doing_ = why;
    NewSession session = new_session();
    // Until its client comes back, or a server wants it.
    if (why == Doing::making_always)
        session.slack_ms =
            std::min(session.slack_ms, needs_.config->unconfirmed_idle.count() - session.idle_ms);
    if (is_too_long(session)) return refuse_too_long();
    return continue_with(store().create(key_, std::move(session), ask()));
}

bool RequestSession::is_too_long(const NewSession& session) const {
    return told_max() > 0 && encoded_size(session.attributes) > told_max();
}

Step RequestSession::made(StoreAnswer&& answer) {
    const Doing why = std::exchange(doing_, Doing::nothing);
    switch (answer.kind) {
    case Kind::created:
        record_ = std::move(answer.record);
        held_ = Held::yes;
        cookie_ = CookieAction::give;
        lives(record_.ttl_ms, record_.idle_ms, record_.capped);
        if (why == Doing::making_always) {
            state_ = SessionState::fresh;
            touch_at_ms_ = never;  // the end of the request that made it is no second visit
        }
        return Step::done;
    case Kind::exists:  // 128 random bits were taken: mint others
        use(mint_session_id());
        return make(why);
    case Kind::too_large:
    case Kind::limit:
        if (why == Doing::making_asked)
            return refuse(
                {answer.kind == Kind::limit ? Reason::data_too_long : Reason::table_too_small, {}},
                "the session is larger than the table", {});
        [[fallthrough]];
    default:
        if (why != Doing::making_always) return fail(Fault::store_unavailable, Reason::not_stored);
        unavailable();
        return Step::done;
    }
}

// Nothing was written, but the session was asked for.
Step RequestSession::fail(Fault fault, Reason reason, std::string_view detail) {
    detail_ = detail;
    error_ = Error{fault, 0, reason, detail_};
    return Step::done;
}

Step RequestSession::continue_with(std::optional<StoreAnswer>&& answer) {
    return answer ? answered(std::move(*answer)) : Step::waits;
}

Step RequestSession::answered(StoreAnswer&& answer) {
    switch (doing_) {
    case Doing::loading: return loaded(std::move(answer));
    case Doing::loading_several:
        if (answer.kind != Kind::several) return loaded(std::move(answer));
        look_up_.several->answers = std::move(answer.each);
        return next_of_several();
    case Doing::making_always:
    case Doing::making_asked: return made(std::move(answer));
    case Doing::killing: return killed(answer);
    case Doing::replacing: return replaced(std::move(answer));
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

// From now on, unless it is touched.
void RequestSession::lives(std::int64_t ttl_ms, std::int64_t idle_ms, bool capped) noexcept {
    if (capped) return rests();
    touch_at_ms_ = now() + ttl_ms - idle_ms;
    keep_alive_at_ms_ = now() + ttl_ms / 2;
    if (needs_.config->renew_after.count() > 0)
        keep_alive_at_ms_ =
            std::min(keep_alive_at_ms_, now() + watch_interval_ms(*needs_.config, idle_ms));
}

// A use that moved the expiry on.
void RequestSession::lives_from_now() noexcept {
    lives(idle_ms() + touch_slack_ms(idle_ms()), idle_ms(), record_.capped);
}

Step RequestSession::keep_alive() {
    if (keep_alive_at_ms_ == never || now() < keep_alive_at_ms_) return Step::done;
    if (doing_ == Doing::nothing && needs_.config->renew_after.count() > 0) {
        keep_alive_at_ms_ = now() + watch_interval_ms(*needs_.config, idle_ms());
        return look_again();
    }
    touch();
    return Step::done;
}

void RequestSession::finish() {
    if (touch_at_ms_ != never && now() >= touch_at_ms_) touch();
}

std::optional<TunnelSession> RequestSession::for_tunnel() const {
    if (held_ == Held::no) return std::nullopt;
    return TunnelSession{
        *needs_.lane,
        *needs_.config,
        {.id = id_,
         .scope = std::string{needs_.route->scope},
         .cookie = std::string{needs_.route->cookie},
         .idle_ms = idle_ms(),
         .known = held_ == Held::yes ? TunnelSession::Known::live : TunnelSession::Known::unsure}};
}

void RequestSession::touch() {
    store().touch(key_, touch_slack_ms(idle_ms()), now());
    lives_from_now();
}

// The request goes on while the store is away: it need not queue for an answer.
Step RequestSession::look_again() {
    doing_ = Doing::looking_again;
    return continue_with(store().load(key_, ShownBy::server, {needs_.ticket, now(), 0}));
}

Step RequestSession::looked(const StoreAnswer& answer) {
    doing_ = Doing::nothing;
    switch (answer.kind) {
    case Kind::moved:
        lead_to(veiled(answer.moved_to, id_));
        record_.id_age_ms = 0;
        return look_again();
    case Kind::live:
        if (answer.record.ttl_ms <= answer.record.idle_ms) touch();
        break;
    case Kind::unavailable: break;
    default: rests();
    }
    return Step::done;
}

void RequestSession::append_request_fields(std::string& out) {
    if (state_ == SessionState::off) return;
    const bool known = state_ == SessionState::live || state_ == SessionState::fresh;
    const bool omitted =
        append_session_fields(out, {.prefix = needs_.config->header_prefix,
                                    .state = state_,
                                    .id = state_ == SessionState::unavailable ? nullptr : &id_,
                                    .record = known ? &record_ : nullptr,
                                    .data_max = needs_.config->header_limit});
    if (!omitted) return;
    counters().session_omitted.add();
    if (needs_.lane->omitted_warning.due(needs_.lane->loop.now()))
        log::warn("session longer than headers.limit, its server has to ask the session API",
                  {{"route", needs_.route->config->name}, {"id", needs_.request_id}});
}

void RequestSession::append_cookie(std::string& out, bool secure) const {
    if (cookie_ == CookieAction::none) return;
    const CookieOptions options{needs_.route->cookie, needs_.config->same_site, secure};
    if (cookie_ == CookieAction::end)
        append_ended_cookie(out, options);
    else
        append_session_cookie(out, options, id_);
}

std::string_view RequestSession::token() const noexcept {
    if (state_ != SessionState::live && state_ != SessionState::fresh) return {};
    return {token_.data(), token_.size()};
}

}  // namespace baton
