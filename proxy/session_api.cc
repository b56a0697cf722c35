#include "proxy/session_api.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "session/api_token.h"
#include "session/base64.h"
#include "session/contract.h"

namespace baton {

namespace {

// Its objects are maps; those that keep an order look for each key from the first one on.
using Json = nlohmann::json;
using Kind = StoreAnswer::Kind;

constexpr std::string_view collection = "/v1/sessions";

LocalReply json_reply(int status, const Json& body, std::string fields = {}) {
    LocalReply reply;
    reply.status = status;
    reply.content_type = "application/json";
    reply.body = body.dump() + "\n";
    reply.fields = std::move(fields);
    return reply;
}

LocalReply error_reply(int status, std::string_view error, std::string fields = {}) {
    return json_reply(status, {{"error", error}}, std::move(fields));
}

LocalReply no_content() {
    LocalReply reply;
    reply.status = 204;
    return reply;
}

std::string etag(std::uint64_t version) { return "ETag: \"" + std::to_string(version) + "\"\r\n"; }

Json to_json(std::string_view value) {
    if (is_utf8(value)) return value;
    return {{"b64", to_base64(value)}};
}

// A value of "attrs": a string, or {"b64":"..."}.
std::optional<std::string> value_of(const Json& json) {
    if (json.is_string()) return json.get<std::string>();
    if (!json.is_object() || json.size() != 1 || !json.contains("b64")) return std::nullopt;
    const Json& text = json["b64"];
    if (!text.is_string()) return std::nullopt;
    return from_base64(text.get_ref<const std::string&>());
}

// Neither quotes nor any other shape: this is no cookie.
std::optional<SessionId> bare_id(std::string_view text) noexcept {
    return text.size() == SessionId{}.text.size() ? parse_session_id(text) : std::nullopt;
}

// What the body of a POST or PATCH asks for.
struct Asked {
    std::optional<SessionId> id;
    std::optional<std::int64_t> idle_ms;
    Attributes set;
    std::vector<std::string> unset;
};

// Reads a body key by key. The first complaint counts.
class BodyReader {
public:
    BodyReader(const SessionConfig& config, bool patch) : config_(config), patch_(patch) {}

    void read(std::string_view body) {
        // Nothing is a session with nothing in it, but no patch.
        const Json json = body.empty() && !patch_ ? Json::object() : parsed(body);
        if (twice_) return complain("a key twice in one object");
        if (!json.is_object()) return complain("expected a JSON object");
        for (const auto& [key, value] : json.items()) {
            if (key == "attrs")
                read_attributes(value);
            else if (key == "idle")
                read_idle(value);
            else if (key == "id" && !patch_)
                read_id(value);
            else
                complain("unknown key " + Json(key).dump());
        }
        check_sizes();
    }

    Asked asked;
    std::string complaint;
    int status = 400;

private:
    // Of a key given twice the parser would keep the last value, in silence.
    Json parsed(std::string_view body) {
        std::vector<std::set<std::string>> keys;  // of the objects that are open
        const auto see = [&](int, Json::parse_event_t event, Json& json) {
            if (event == Json::parse_event_t::object_start) keys.emplace_back();
            if (event == Json::parse_event_t::object_end) keys.pop_back();
            if (event == Json::parse_event_t::key && !keys.back().insert(json).second)
                twice_ = true;
            return true;
        };
        return Json::parse(body, see, false);
    }

    void complain(std::string text, int with_status = 400) {
        if (!complaint.empty()) return;
        complaint = std::move(text);
        status = with_status;
    }

    void read_id(const Json& json) {
        if (json.is_string()) asked.id = bare_id(json.get_ref<const std::string&>());
        if (!asked.id) complain("id: expected 32 upper-case hex digits");
    }

    void read_idle(const Json& json) {
        if (!json.is_number_unsigned()) return complain("idle: expected a number of seconds");
        const auto seconds = std::min<std::uint64_t>(json.get<std::uint64_t>(), integer_max / 1000);
        asked.idle_ms =
            std::clamp<std::int64_t>(static_cast<std::int64_t>(seconds) * 1000,
                                     config_.idle_min.count(), config_.idle_max.count());
    }

    void read_attributes(const Json& json) {
        if (!json.is_object()) return complain("attrs: expected an object");
        constexpr std::size_t name_max = ContractLimits{}.name_max;
        for (const auto& [name, value] : json.items()) {
            const std::string quoted = "attrs." + Json(name).dump();
            if (!is_attribute_name(name, name_max))
                return complain(quoted +
                                ": expected a name of 1 to 64 letters, digits, ., _ and -");
            if (value.is_null() && patch_) {
                asked.unset.push_back(name);
                continue;
            }
            auto text = value_of(value);
            if (!text) return complain(quoted + R"(: expected a string or {"b64":"..."})");
            if (text->size() > config_.attribute_max)
                return complain(quoted + ": longer than attribute_max", 413);
            asked.set.emplace_back(name, std::move(*text));
        }
    }

    // What a patch adds to is the store's to check.
    void check_sizes() {
        std::size_t bytes = 0;
        for (const auto& [name, value] : asked.set) bytes += name.size() + value.size();
        if (asked.set.size() > config_.attributes_max)
            complain("attrs: more than attributes_max", 413);
        if (bytes > config_.data_max) complain("attrs: more bytes than data_max", 413);
    }

    const SessionConfig& config_;
    bool patch_;
    bool twice_ = false;
};

enum class Call : std::uint8_t { read, patch, create, rotate, kill };

// One call, from its question to the store to its reply.
class Work final : public PendingReply {
public:
    Work(Lane& lane, std::string_view scope, StoreTicket ticket, Call call, Asked asked,
         std::optional<std::uint64_t> base)
        : lane_(lane),
          config_(lane.snapshot->config().session),
          scope_(scope),
          ticket_(ticket),
          call_(call),
          asked_(std::move(asked)),
          base_(base) {}

    std::optional<LocalReply> begin() {
        minted_ = !asked_.id;
        id_ = minted_ ? mint_session_id() : *asked_.id;
        return ask();
    }

    std::optional<LocalReply> answered(StoreAnswer answer) override {
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
            if (call_ == Call::create && !minted_) return error_reply(409, "this id is taken");
            if (call_ == Call::create) id_ = mint_session_id();
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
    std::optional<LocalReply> ask() {
        auto answer = question();
        return answer ? answered(std::move(*answer)) : std::nullopt;
    }

    std::optional<StoreAnswer> question() {
        Store& store = *lane_.store;
        const StoreAsk ask{ticket_, lane_.epoch_now_ms(), config_.failover_wait.count()};
        switch (call_) {
        case Call::read: return store.load(key_of(id_), ShownBy::server, ask);
        case Call::create: return store.create(key_of(id_), session(), ask);
        case Call::kill: return store.kill(key_of(id_), ask);
        case Call::patch:
        case Call::rotate: break;
        }
        return store.commit(key_of(id_), change(), ask);
    }

    NewSession session() const {
        NewSession session;
        session.idle_ms = asked_.idle_ms.value_or(config_.idle.count());
        session.slack_ms = touch_slack_ms(session.idle_ms);
        session.absolute_ms = config_.absolute.count();
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
        change.transaction = lane_.ids.next_transaction();
        if (call_ == Call::rotate) {
            new_id_ = mint_session_id();
            change.rotation = Rotation{key_of(new_id_), {}};
        }
        return change;
    }

    static LocalReply describe(const SessionRecord& record) {
        Json attributes = Json::object();
        for (const auto& [name, value] : record.attributes) attributes[name] = to_json(value);
        return json_reply(200,
                          {{"version", record.version},
                           {"created", record.created_ms},
                           {"idle", record.idle_ms / 1000},
                           {"ttl", record.ttl_ms / 1000},
                           {"attrs", std::move(attributes)}},
                          etag(record.version));
    }

    static LocalReply made(int status, const SessionId& id, std::uint64_t version) {
        return json_reply(status, {{"id", id.view()}, {"version", version}}, etag(version));
    }

    LocalReply committed(std::uint64_t version) const {
        if (call_ == Call::rotate) return made(200, new_id_, version);
        return json_reply(200, {{"version", version}}, etag(version));
    }

    SessionKey key_of(const SessionId& id) const noexcept {
        return session_key(scope_, config_.cookie, id);
    }

    Lane& lane_;
    const SessionConfig& config_;
    std::string_view scope_;
    StoreTicket ticket_;
    Call call_;
    Asked asked_;
    std::optional<std::uint64_t> base_;
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
    const auto id = bare_id(path.substr(0, slash));
    return {id.has_value(), id, rotate};
}

std::optional<Call> call_of(const Target& target, std::string_view method) noexcept {
    if (!target.id || target.rotate) {
        if (method != "POST") return std::nullopt;
        return target.rotate ? Call::rotate : Call::create;
    }
    if (method == "GET" || method == "HEAD") return Call::read;
    if (method == "PATCH") return Call::patch;
    if (method == "DELETE") return Call::kill;
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

std::string_view SessionApi::scope_of_token(const Head& head) const noexcept {
    return scope_of(lane_.snapshot->config().session_api.tokens,
                    head.value(FieldName::authorization));
}

std::optional<LocalReply> SessionApi::refusal(const Head& head) {
    if (!scope_of_token(head).empty()) return std::nullopt;
    return error_reply(401, "a token is needed", "WWW-Authenticate: Bearer\r\n");
}

std::optional<LocalReply> SessionApi::answer(const LocalRequest& request, StoreTicket ticket,
                                             std::unique_ptr<PendingReply>& pending) {
    const Config& config = lane_.snapshot->config();
    const std::string_view scope = scope_of_token(request.head);
    const Target target = target_of(request.path);
    if (!target.known) return error_reply(404, "no such path or id");
    const auto call = call_of(target, request.head.text(request.head.method_text));
    if (!call) return error_reply(405, "method not allowed", allowed(target));

    const bool takes_body = *call == Call::create || *call == Call::patch;
    BodyReader reader{config.session, *call == Call::patch};
    if (takes_body) {
        if (!request.body.empty() && !is_json(field(request.head, "Content-Type")))
            return error_reply(415, "expected application/json");
        reader.read(request.body);
        if (!reader.complaint.empty()) return error_reply(reader.status, reader.complaint);
    }
    const std::size_t conditions = count_of(request.head, "If-Match");
    if (conditions > 0 && *call != Call::patch)
        return error_reply(400, "If-Match: only a PATCH may be conditional");
    const IfMatch match = conditions == 0   ? IfMatch{}
                          : conditions == 1 ? if_match(field(request.head, "If-Match"))
                                            : IfMatch{false, {}};
    if (!match.good) return error_reply(400, "If-Match: expected one ETag of a session");
    if (target.id) reader.asked.id = target.id;
    auto work =
        std::make_unique<Work>(lane_, scope, ticket, *call, std::move(reader.asked), match.base);
    auto reply = work->begin();
    if (!reply) pending = std::move(work);
    return reply;
}

}  // namespace baton
