#include "proxy/service/session_api.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "net/text.h"
#include "proxy/head/reply.h"
#include "proxy/service/api_body.h"
#include "proxy/service/json_reply.h"
#include "session/api_token.h"
#include "session/base64.h"
#include "session/contract.h"

namespace baton {

namespace {

using Kind = StoreAnswer::Kind;

constexpr std::string_view collection = "/v1/sessions";

Reply error_reply(int status, std::string_view error, std::string fields = {}) {
    return json_reply(status, {{"error", error}}, std::move(fields));
}

Reply no_content() {
    Reply reply;
    reply.status = 204;
    return reply;
}

std::string etag(std::uint64_t version) { return "ETag: \"" + std::to_string(version) + "\"\r\n"; }

// Nothing is lost of a value that is not UTF-8.
SortedJson to_json(std::string_view value) {
    if (is_utf8(value)) return value;
    return {{"b64", to_base64(value)}};
}

// One call, from its question to the store to its reply.
class Work final : public PendingReply {
public:
    Work(Lane& lane, std::string_view scope, StoreTicket ticket, ApiCall call, SessionAsked asked,
         std::optional<std::uint64_t> base)
        : lane_(lane),
          snapshot_(lane.snapshot),
          scope_(scope),
          cookie_(snapshot_->config().cookie_of(scope)),
          ticket_(ticket),
          call_(call),
          asked_(std::move(asked)),
          base_(base),
          transaction_(lane.ids.next_transaction()) {}

    std::optional<Reply> begin() {
        minted_ = !asked_.id;
        id_ = minted_ ? mint_session_id() : *asked_.id;
        return ask();
    }

    std::optional<Reply> answered(StoreAnswer answer) override {
        switch (answer.kind) {
        case Kind::live: return describe(answer.record);
        case Kind::created: return made(201, id_, answer.record.version);
        case Kind::committed: return committed(answer.record.version);
        case Kind::done: return no_content();
        case Kind::none:
        case Kind::dead:
        case Kind::gone: return error_reply(404, "no such session");
        case Kind::moved: id_ = veiled(answer.moved_to, id_); return ask();
        case Kind::exists:
            if (call_ == ApiCall::create && !minted_) return error_reply(409, "this id is taken");
            if (call_ == ApiCall::create) id_ = mint_session_id();
            return ask();
        case Kind::conflict:
            return json_reply(412, {{"error", "changed meanwhile"}, {"names", answer.names}},
                              etag(answer.record.version));
        case Kind::limit:
            return error_reply(413, "the session would have too many attributes or bytes");
        case Kind::too_large: return error_reply(413, "the session is larger than the table");
        default: return error_reply(503, "the store is unavailable", "Retry-After: 1\r\n");
        }
    }

private:
    std::optional<Reply> ask() {
        auto answer = question();
        return answer ? answered(std::move(*answer)) : std::nullopt;
    }

    std::optional<StoreAnswer> question() {
        Store& store = *lane_.store;
        const StoreAsk ask{ticket_, lane_.epoch_now_ms(), config().failover_wait.count()};
        switch (call_) {
        case ApiCall::read: return store.load(key_of(id_), ShownBy::server, ask);
        case ApiCall::create: return store.create(key_of(id_), session(), ask);
        case ApiCall::kill: return store.kill(key_of(id_), ask);
        case ApiCall::patch:
        case ApiCall::rotate: break;
        }
        return store.commit(key_of(id_), change(), ask);
    }

    NewSession session() const {
        NewSession session;
        session.idle_ms = asked_.idle_ms.value_or(config().idle.count());
        session.slack_ms = touch_slack_ms(session.idle_ms);
        session.absolute_ms = config().absolute.count();
        session.attributes = asked_.set;
        return session;
    }

    SessionChange change() {
        SessionChange change;
        change.set = asked_.set;
        change.unset = asked_.unset;
        change.base = base_;
        change.idle_ms = asked_.idle_ms.value_or(0);
        // Of a session whose idle time is not known here the least: its next request touches it.
        change.slack_ms = touch_slack_ms(asked_.idle_ms.value_or(0));
        change.transaction = transaction_;
        if (call_ == ApiCall::rotate) {
            new_id_ = mint_session_id();
            change.rotation = Rotation{key_of(new_id_), {}};
        }
        return change;
    }

    static Reply describe(const SessionRecord& record) {
        SortedJson attributes = SortedJson::object();
        for (const auto& [name, value] : record.attributes) attributes[name] = to_json(value);
        return json_reply(200,
                          SortedJson{{"version", record.version},
                                     {"created", record.created_ms},
                                     {"idle", record.idle_ms / 1000},
                                     {"ttl", record.ttl_ms / 1000},
                                     {"attrs", std::move(attributes)}},
                          etag(record.version));
    }

    static Reply made(int status, const SessionId& id, std::uint64_t version) {
        return json_reply(status, {{"id", id.view()}, {"version", version}}, etag(version));
    }

    Reply committed(std::uint64_t version) const {
        if (call_ == ApiCall::rotate) return made(200, new_id_, version);
        return json_reply(200, {{"version", version}}, etag(version));
    }

    const SessionConfig& config() const noexcept { return snapshot_->config().session; }

    SessionKey key_of(const SessionId& id) const noexcept {
        return session_key(scope_, cookie_, id);
    }

    Lane& lane_;
    SnapshotRef snapshot_;
    std::string_view scope_;
    std::string_view cookie_;
    StoreTicket ticket_;
    ApiCall call_;
    SessionAsked asked_;
    std::optional<std::uint64_t> base_;
    TransactionId transaction_;  // wherever the session has moved meanwhile
    SessionId id_{};
    SessionId new_id_{};
    bool minted_ = false;
};

std::string_view field(const Head& head, std::string_view name) noexcept {
    for (const Field& one : head.fields)
        if (equal_fold(head.text(one.name), name)) return head.text(one.value);
    return {};
}

std::size_t count_of(const Head& head, std::string_view name) noexcept {
    return static_cast<std::size_t>(
        std::count_if(head.fields.begin(), head.fields.end(),
                      [&](const Field& one) { return equal_fold(head.text(one.name), name); }));
}

bool is_json(std::string_view content_type) noexcept {
    std::string_view type = content_type.substr(0, content_type.find(';'));
    while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
    return equal_fold(type, "application/json") || equal_fold(type, "application/merge-patch+json");
}

// One strong ETag of ours, or "*": RFC 9110, 13.1.1.
struct IfMatch {
    bool good = true;
    std::optional<std::uint64_t> base;
};
IfMatch if_match(std::string_view value) noexcept {
    if (value == "*") return {};
    if (value.size() < 3 || value.front() != '"' || value.back() != '"') return {false, {}};
    const auto version = parse_integer(value.substr(1, value.size() - 2));
    if (!version || *version < 0) return {false, {}};
    return {true, static_cast<std::uint64_t>(*version)};
}

// Where a call goes: the id and what is to be done with it.
struct Target {
    bool known = false;
    std::optional<SessionId> id;  // none: the collection
    bool rotate = false;
};

Target target_of(std::string_view path) noexcept {
    if (path.substr(0, collection.size()) != collection) return {};
    path.remove_prefix(collection.size());
    if (path.empty()) return {true, {}, false};
    if (path.front() != '/') return {};
    path.remove_prefix(1);
    const std::size_t slash = path.find('/');
    const bool rotate = slash != std::string_view::npos;
    if (rotate && path.substr(slash) != "/rotate") return {};
    const auto id = bare_session_id(path.substr(0, slash));
    return {id.has_value(), id, rotate};
}

std::optional<ApiCall> call_of(const Target& target, std::string_view method) noexcept {
    if (!target.id || target.rotate) {
        if (method != "POST") return std::nullopt;
        return target.rotate ? ApiCall::rotate : ApiCall::create;
    }
    if (method == "GET" || method == "HEAD") return ApiCall::read;
    if (method == "PATCH") return ApiCall::patch;
    if (method == "DELETE") return ApiCall::kill;
    return std::nullopt;
}

std::string allowed(const Target& target) {
    return !target.id || target.rotate ? "Allow: POST\r\n" : "Allow: GET, HEAD, PATCH, DELETE\r\n";
}

}  // namespace

// A string of attributes can grow to six times its size in JSON (\u0000).
std::size_t SessionApi::body_max() const noexcept {
    return 6 * lane_.snapshot->config().session.data_max + (std::size_t{8} << 10);
}

Reply SessionApi::fault_reply(Error error) const {
    const int status = status_of(error.fault);
    if (error.fault == Fault::body_too_large) {
        const std::uint64_t limit = lane_.snapshot->config().limits.body_max;
        const std::uint64_t size_max =
            limit == 0 ? body_max() : std::min<std::uint64_t>(limit, body_max());
        return error_reply(status,
                           "the body is longer than " + std::to_string(size_max) + " bytes");
    }
    std::string text{reason_of(status)};
    if (error.reason != Reason::none) text.append(": ").append(name(error.reason));
    return error_reply(status, text,
                       status == 405 ? "Allow: GET, HEAD, POST, PATCH, DELETE\r\n" : "");
}

std::string_view SessionApi::scope_of_token(const Head& head) const noexcept {
    return scope_of(lane_.snapshot->config().session_api.tokens,
                    head.value(FieldName::authorization));
}

std::optional<Reply> SessionApi::refusal(const Head& head) {
    if (!scope_of_token(head).empty()) return std::nullopt;
    return error_reply(401, "a token is needed", "WWW-Authenticate: Bearer\r\n");
}

std::optional<Reply> SessionApi::answer(const LocalRequest& request, StoreTicket ticket,
                                        std::unique_ptr<PendingReply>& pending) {
    const Config& config = lane_.snapshot->config();
    const std::string_view scope = scope_of_token(request.head);
    const Target target = target_of(request.path);
    if (!target.known) return error_reply(404, "no such path or id");
    const auto call = call_of(target, request.head.text(request.head.method_text));
    if (!call) return error_reply(405, "method not allowed", allowed(target));

    const bool takes_body = *call != ApiCall::read && *call != ApiCall::kill;
    ApiBody body;
    if (takes_body) {
        if (!request.body.empty() && !is_json(field(request.head, "Content-Type")))
            return error_reply(415, "expected application/json");
        body = read_api_body(request.body, *call, config.session);
        if (!body.complaint.empty()) return error_reply(body.status, body.complaint);
    }
    const std::size_t conditions = count_of(request.head, "If-Match");
    if (conditions > 0 && *call != ApiCall::patch)
        return error_reply(400, "If-Match: only a PATCH may be conditional");
    const IfMatch match = conditions == 0   ? IfMatch{}
                          : conditions == 1 ? if_match(field(request.head, "If-Match"))
                                            : IfMatch{false, {}};
    if (!match.good) return error_reply(400, "If-Match: expected one ETag of a session");
    if (target.id) body.asked.id = target.id;
    auto work =
        std::make_unique<Work>(lane_, scope, ticket, *call, std::move(body.asked), match.base);
    auto reply = work->begin();
    if (!reply) pending = std::move(work);
    return reply;
}

}  // namespace baton
