#include "proxy/head/forward.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>

#include "net/http/cache_control.h"
#include "net/http/http_syntax.h"
#include "session/contract.h"
#include "session/cookie.h"

namespace baton {

namespace {

void append_number(std::string& out, std::uint64_t number) {
    std::array<char, 20> digits;
    const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

// Fields that end at each connection, or that we write ourselves. Connection can name others, but
// none of these nor any that says how a message is framed, where it goes or who sent it.
bool is_ours(FieldName id) noexcept {
    switch (id) {
    case FieldName::host:
    case FieldName::content_length:
    case FieldName::transfer_encoding:
    case FieldName::connection:
    case FieldName::keep_alive:
    case FieldName::proxy_connection:
    case FieldName::te:
    case FieldName::trailer:
    case FieldName::upgrade: return true;
    default: return false;
    }
}

bool is_protected(FieldName id) noexcept {
    switch (id) {
    case FieldName::authorization:
    case FieldName::cookie:
    case FieldName::set_cookie:
    case FieldName::cache_control:
    case FieldName::expect:
    case FieldName::forwarded:
    case FieldName::x_forwarded_for:
    case FieldName::x_forwarded_proto:
    case FieldName::x_forwarded_host:
    case FieldName::x_forwarded_port:
    case FieldName::x_real_ip:
    case FieldName::x_request_id:
    case FieldName::via:
    case FieldName::max_forwards:
    case FieldName::date: return true;
    default: return false;
    }
}

bool is_dropped(const ConnectionOptions& connection, const Head& head,
                const Field& field) noexcept {
    return connection.names(head, field) && !is_protected(field.id);
}

// Nearly all names are told apart from those of session fields by their first byte.
class SessionNames {
public:
    explicit SessionNames(std::string_view prefix) noexcept
        : prefix_(prefix), first_(fold(prefix.empty() ? '\0' : prefix[0])) {}

    bool has(std::string_view name) const noexcept {
        const char first = fold(name.empty() ? '\0' : name[0]);
        if (first != 'b' && first != first_) return false;
        return has_session_prefix(name, "baton-") || has_session_prefix(name, prefix_);
    }

private:
    static char fold(char c) noexcept { return c == '_' ? '-' : static_cast<char>(c | 0x20); }

    std::string_view prefix_;
    char first_;
};

// What is known to be short, put together before it is appended: each append looks for room anew.
template <std::size_t size>
class Short {
public:
    template <std::size_t n>
    Short& add(const char (&text)[n]) noexcept {
        std::memcpy(end_, text, n - 1);
        end_ += n - 1;
        return *this;
    }
    Short& add(std::string_view text) noexcept {
        end_ += text.copy(end_, text.size());  // an empty view may have no address
        return *this;
    }
    Short& add(std::uint16_t number) noexcept {
        end_ = std::to_chars(end_, end_ + 5, number).ptr;
        return *this;
    }
    std::string_view view() const noexcept {
        return {text_.data(), static_cast<std::size_t>(end_ - text_.data())};
    }
    void append_to(std::string& out) const { out.append(view()); }

private:
    std::array<char, size> text_;
    char* end_ = text_.data();
};

// The client is believed nothing: all of it is ours. A host of a usual size is put together with the rest.
void append_own_forwarding(std::string& out, const ForwardRequest& request) {
    constexpr std::size_t short_host_max = 128;
    const Peer& peer = *request.peer;
    const std::string_view host = request.to.host;
    __attribute__((uninitialized)) Short<256> client;
    client.add("X-Forwarded-For: ").add(std::string_view{peer.host});
    if (peer.secure)
        client.add("\r\nX-Forwarded-Proto: https\r\n");
    else
        client.add("\r\nX-Forwarded-Proto: http\r\n");
    if (!host.empty()) client.add("X-Forwarded-Host: ");
    __attribute__((uninitialized)) Short<640> all;
    if (host.size() > short_host_max) {
        client.append_to(out);
        out.append(host);
    } else {
        all.add(client.view()).add(host);
    }
    if (!host.empty()) all.add("\r\n");
    all.add("X-Forwarded-Port: ").add(peer.local_port);
    all.add("\r\nX-Request-Id: ").add(request.request_id).add("\r\n").add(request.via_line);
    all.append_to(out);
}

void append_forwarded_for(std::string& out, const Head& head, const Peer& peer) {
    out.append("X-Forwarded-For: ");
    for (const Field& field : head.fields) {
        if (!peer.trusted || field.id != FieldName::x_forwarded_for || field.value.size == 0)
            continue;
        out.append(head.text(field.value)).append(", ");
    }
    out.append(peer.host).append("\r\n");
}

// Of a list, empty elements count for nothing (RFC 9110, 5.6.1.2).
std::string_view first_of(std::string_view list) noexcept {
    list.remove_prefix(std::min(list.find_first_not_of(", \t"), list.size()));
    return trimmed(list.substr(0, list.find(',')));
}

// Of a list that proxies have added to, in one field or in several, what the first of them said: it
// spoke with the client.
std::string_view first_told(const Head& head, FieldName name) noexcept {
    if (!head.has(name)) return {};
    for (const Field& field : head.fields) {
        if (field.id != name) continue;
        const std::string_view first = first_of(head.text(field.value));
        if (!first.empty()) return first;
    }
    return {};
}

// What X-Forwarded-Proto says, if it is a scheme that we know. A WebSocket is carried by either
// (RFC 6455, 3).
enum class Scheme : std::uint8_t { unknown, http, https };

Scheme scheme_of(const Head& head) noexcept {
    const std::string_view word = first_told(head, FieldName::x_forwarded_proto);
    if (equal_fold(word, "https") || equal_fold(word, "wss")) return Scheme::https;
    if (equal_fold(word, "http") || equal_fold(word, "ws")) return Scheme::http;
    return Scheme::unknown;
}

bool is_port(std::string_view text) noexcept {
    const auto number = parse_length(text);
    return number && *number > 0 && *number <= 65535;
}

// Of a host as Host has it; empty if none is there.
std::string_view port_of(std::string_view host) noexcept {
    const std::size_t bracket = host.rfind(']');
    const std::size_t colon = host.find(':', bracket == host.npos ? 0 : bracket);
    const std::string_view port = colon == host.npos ? "" : host.substr(colon + 1);
    return is_port(port) ? port : std::string_view{};
}

// A trusted peer says what the client asked for; where it says a part only, the rest follows from
// that, and not from our listener.
void append_believed_forwarding(std::string& out, const ForwardRequest& request) {
    const Head& head = *request.head;
    const Peer& peer = *request.peer;
    const Scheme scheme = scheme_of(head);
    const bool secure = scheme == Scheme::unknown ? peer.secure : scheme == Scheme::https;
    const std::string_view told_host = first_told(head, FieldName::x_forwarded_host);
    const std::string_view host = told_host.empty() ? request.to.host : told_host;
    append_field(out, "X-Forwarded-Proto", secure ? "https" : "http");
    if (!host.empty()) append_field(out, "X-Forwarded-Host", host);
    out.append("X-Forwarded-Port: ");
    const std::string_view told_port = first_told(head, FieldName::x_forwarded_port);
    if (is_port(told_port))
        out.append(told_port);
    else if (scheme == Scheme::unknown && told_host.empty())
        append_number(out, peer.local_port);
    else if (const std::string_view port = port_of(host); !port.empty())
        out.append(port);
    else
        out.append(secure ? "443" : "80");
    out.append("\r\n");
}

void append_forwarding(std::string& out, const ForwardRequest& request) {
    const Peer& peer = *request.peer;
    if (!peer.trusted) return append_own_forwarding(out, request);
    append_forwarded_for(out, *request.head, peer);
    append_believed_forwarding(out, request);
    append_field(out, "X-Request-Id", request.request_id);
    out.append(request.via_line);
}

// One less; a request that may go no further is not forwarded at all.
void append_forwards_left(std::string& out, std::uint64_t left) {
    out.append("Max-Forwards: ");
    append_number(out, left == 0 ? 0 : left - 1);
    out.append("\r\n");
}

void append_framing(std::string& out, const Body& body) {
    if (body.framing == Framing::length) {
        out.append("Content-Length: ");
        append_number(out, body.length);
        out.append("\r\n");
    } else if (body.framing == Framing::chunked) {
        out.append("Transfer-Encoding: chunked\r\n");
    }
}

// A head that is written anew. Lines that go on as they came are copied, those that stand together
// in one piece: each of them is a line the guard has passed, byte for byte what we would write.
class Lines {
public:
    Lines(std::string& out, const Head& head) noexcept : out_(out), bytes_(head.bytes) {}

    // What is written so far: for lines of our own.
    std::string& text() {
        if (end_ > begin_) out_.append(bytes_ + begin_, end_ - begin_);
        begin_ = end_ = 0;
        return out_;
    }
    void keep(const Head& head, const Field& field) {
        if (field.plain) return keep(field.name.begin, field.value.begin + field.value.size + 2);
        append_field(text(), head.text(field.name), head.text(field.value));
    }
    void keep(std::uint32_t begin, std::uint32_t end) {
        if (begin != end_) {
            text();
            begin_ = begin;
        }
        end_ = end;
    }

private:
    std::string& out_;
    const char* bytes_;
    std::uint32_t begin_ = 0;
    std::uint32_t end_ = 0;
};

enum class Treatment : std::uint8_t { pass, drop, session };

// Of a field whose name is none of those that end at each connection.
Treatment treat_as(FieldName name, const ForwardRequest& request, const Field& field) {
    const Head& head = *request.head;
    switch (name) {
    case FieldName::x_forwarded_for:
    case FieldName::x_forwarded_proto:
    case FieldName::x_forwarded_host:
    case FieldName::x_forwarded_port:
    case FieldName::x_request_id: return Treatment::drop;  // written anew
    case FieldName::forwarded:
    case FieldName::x_real_ip: return request.peer->trusted ? Treatment::pass : Treatment::drop;
    // A 1.0 client cannot wait for a 100 (RFC 9110, 10.1.1), one that has had ours does not.
    case FieldName::expect:
        return head.minor == 0 || request.body_asked ? Treatment::drop : Treatment::pass;
    default: break;
    }
    const bool dropped = request.connection->names(head, field) && !is_protected(name);
    return dropped ? Treatment::drop : Treatment::pass;
}

// A name with `_`, as servers read it that take it for `-`.
[[gnu::cold, gnu::noinline]] Treatment treat_underscored(const ForwardRequest& request,
                                                         const Field& field) {
    if (!request.keep_underscores) return Treatment::drop;
    const FieldName name = field_name_with_hyphens(request.head->text(field.name));
    return is_ours(name) ? Treatment::drop : treat_as(name, request, field);
}

Treatment treat(const ForwardRequest& request, const Field& field, const SessionNames& session) {
    if (is_ours(field.id)) return Treatment::drop;
    if (session.has(request.head->text(field.name))) return Treatment::session;
    if (field.underscore) return treat_underscored(request, field);
    return treat_as(field.id, request, field);
}

// The field without the session cookie; nothing if no other cookie is left.
void append_cookie_line(std::string& out, const Field& field, const ForwardRequest& request) {
    const Head& head = *request.head;
    const std::size_t before = out.size();
    out.append(head.text(field.name)).append(": ");
    if (append_cookies_without(out, head.text(field.value), request.session_cookie,
                               request.other_cookies) == 0)
        out.resize(before);
    else
        out.append("\r\n");
}

}  // namespace

bool is_secure(const Peer& peer, const Head& head) noexcept {
    if (peer.secure) return true;
    return peer.trusted && scheme_of(head) == Scheme::https;
}

std::string_view client_host(const Peer& peer, const Head& head,
                             const std::vector<Network>& trusted) noexcept {
    std::string_view client = peer.host;
    if (!peer.trusted) return client;
    std::size_t left = forwarded_for_max;
    // From the last field and its last element on: the further left, the less it is believed.
    for (auto field = head.fields.rbegin(); field != head.fields.rend(); ++field) {
        if (field->id != FieldName::x_forwarded_for) continue;
        std::string_view list = head.text(field->value);
        while (!list.empty()) {
            if (left-- == 0) return client;
            const auto comma = list.rfind(',');
            const std::string_view one = trimmed(list.substr(comma + 1));  // npos + 1 is 0
            list = list.substr(0, comma == list.npos ? 0 : comma);
            if (one.empty()) continue;
            const auto found = parse_forwarded_for(one);
            if (!found) return client;
            client = found->host;
            const bool vouched = std::any_of(
                trusted.begin(), trusted.end(),
                [&](const Network& network) { return network.contains(found->address); });
            if (!vouched) return client;
        }
    }
    return client;
}

std::optional<std::uint64_t> forwards_left(const Head& head) noexcept {
    if (head.method != Method::options || !head.has(FieldName::max_forwards)) return {};
    const auto is_one = [](const Field& field) { return field.id == FieldName::max_forwards; };
    if (std::count_if(head.fields.begin(), head.fields.end(), is_one) > 1) return {};
    const std::string_view value = head.value(FieldName::max_forwards);
    if (const auto left = parse_length(value)) return left;
    // The most that we can count stands for what is more.
    const bool is_number = !value.empty() && value.find_first_not_of("0123456789") == value.npos;
    return is_number ? std::optional{std::numeric_limits<std::uint64_t>::max()} : std::nullopt;
}

bool is_loop(const Head& head, std::string_view pseudonym) noexcept {
    if (!head.has(FieldName::via)) return false;
    return std::any_of(head.fields.begin(), head.fields.end(), [&](const Field& field) {
        return field.id == FieldName::via &&
               head.text(field.value).find(pseudonym) != std::string_view::npos;
    });
}

Destination destination_of(const Head& head) noexcept {
    std::string_view target = head.text(head.target);
    if (target.starts_with('/') || target == "*")
        return {head.value(FieldName::host), target, false};
    // Absolute form; the guard has seen to it that the authority is there and valid.
    target.remove_prefix(target.find("://") + 3);
    const auto end = std::min(target.find_first_of("/?"), target.size());
    const std::string_view path = target.substr(end);
    if (path.empty() && head.method == Method::options) return {target.substr(0, end), "*", false};
    return {target.substr(0, end), path, !path.starts_with('/')};
}

namespace {

// The request line and the Host as they came, if they say what we say.
bool keeps_request_line(const ForwardRequest& request) noexcept {
    const Head& head = *request.head;
    return head.minor == 1 && request.to.path.data() == head.bytes + head.target.begin &&
           !request.to.slash_missing;
}

bool keeps_host(const ForwardRequest& request) noexcept {
    const Head& head = *request.head;
    if (head.fields.empty() || head.fields.front().id != FieldName::host) return false;
    const Field& host = head.fields.front();
    return host.plain && head.text(host.name) == "Host" &&
           request.to.host.data() == head.bytes + host.value.begin && !request.to.host.empty();
}

// The request line and the Host.
void append_request_line(Lines& lines, const ForwardRequest& request) {
    const Head& head = *request.head;
    const bool line_kept = keeps_request_line(request);
    if (line_kept) {
        const auto end =
            head.target.begin + head.target.size + std::uint32_t{11};  // " HTTP/1.1\r\n"
        lines.keep(head.method_text.begin, end);
        if (keeps_host(request)) return lines.keep(head, head.fields.front());
    }
    std::string& out = lines.text();
    if (!line_kept)
        out.append(head.text(head.method_text))
            .append(request.to.slash_missing ? " /" : " ")
            .append(request.to.path)
            .append(" HTTP/1.1\r\n");
    append_field(out, "Host", request.to.host.empty() ? request.listener_host : request.to.host);
}

}  // namespace

std::size_t append_request_head(std::string& out, const ForwardRequest& request) {
    const Head& head = *request.head;
    Lines lines{out, head};
    append_request_line(lines, request);
    const SessionNames session{request.session_prefix};
    const auto left = forwards_left(head);
    std::size_t dropped = 0;
    for (const Field& field : head.fields) {
        switch (treat(request, field, session)) {
        case Treatment::drop: break;
        case Treatment::session: ++dropped; break;
        case Treatment::pass:
            if (field.id == FieldName::max_forwards && left) break;  // written anew
            if (field.id == FieldName::cookie && !request.session_cookie.empty())
                append_cookie_line(lines.text(), field, request);
            else
                lines.keep(head, field);
        }
    }
    lines.text();
    if (left) append_forwards_left(out, *left);
    append_forwarding(out, request);
    append_framing(out, request.body);
    if (!request.session_fields.empty()) out.append(request.session_fields);
    if (request.websocket) out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    out.append("\r\n");
    return dropped;
}

namespace {

void append_status_line(Lines& lines, const Head& head) {
    constexpr std::uint32_t reason_at = 13;  // behind "HTTP/1.1 200 "
    if (head.minor == 1 && head.reason.begin == reason_at)
        return lines.keep(0, head.reason.begin + head.reason.size + 2);
    std::string& out = lines.text();
    out.append("HTTP/1.1 ");
    append_number(out, head.status);
    out.append(" ").append(head.text(head.reason)).append("\r\n");
}

// The length as it came, if we would write it so: no zeros in front.
bool keeps_length(const ForwardResponse& response, const Field& field) noexcept {
    if (field.id != FieldName::content_length) return false;
    if (response.keep_length) return true;
    return response.body.framing == Framing::length &&
           (field.value.size == 1 || response.head->bytes[field.value.begin] != '0');
}

bool sets_session_cookie(std::string_view set_cookie, const ForwardResponse& response) noexcept {
    const auto& others = response.other_cookies;
    return sets_cookie(set_cookie, response.session_cookie) ||
           std::any_of(others.begin(), others.end(),
                       [&](std::string_view other) { return sets_cookie(set_cookie, other); });
}

// A Cache-Control of an answer for one client; the `first` of them says so.
void append_private(std::string& out, const Head& head, const Field& field, bool first) {
    const std::size_t before = out.size();
    out.append(head.text(field.name)).append(": ");
    if (first) out.append("private, ");
    const std::size_t rest = out.size();
    append_unshared(out, head.text(field.value));
    if (out.size() == rest) {
        if (!first) return out.resize(before);
        out.resize(rest - 2);  // the comma
    }
    out.append("\r\n");
}

}  // namespace

std::size_t append_response_head(std::string& out, const ForwardResponse& response) {
    const Head& head = *response.head;
    Lines lines{out, head};
    append_status_line(lines, head);
    const SessionNames session{response.session_prefix};
    const bool personal = !response.added.empty();
    const bool made_private = personal && !refuses_sharing(head);
    bool cache_control = false;
    bool length_written = false;
    std::size_t dropped = 0;
    for (const Field& field : head.fields) {
        if (keeps_length(response, field)) {
            lines.keep(head, field);
            length_written = true;
            continue;
        }
        if (is_ours(field.id) || is_dropped(*response.connection, head, field)) continue;
        if (session.has(head.text(field.name))) continue;
        if (field.id == FieldName::set_cookie && !response.session_cookie.empty() &&
            sets_session_cookie(head.text(field.value), response)) {
            ++dropped;
            continue;
        }
        if (personal && is_for_shared_caches(head.text(field.name))) continue;
        const bool controls = field.id == FieldName::cache_control;
        if (controls && made_private)
            append_private(lines.text(), head, field, !cache_control);
        else
            lines.keep(head, field);
        cache_control = cache_control || controls;
    }
    lines.text();
    if (!length_written) append_framing(out, response.body);
    if (!head.has(FieldName::date)) out.append(response.date_line);
    if (personal) out.append(response.added);
    if (personal && !cache_control) out.append("Cache-Control: no-store\r\n");
    if (response.upgrade)
        out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    else if (response.close)
        out.append("Connection: close\r\n");
    else if (response.client_is_1_0)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
    return dropped;
}

bool is_request_id(std::string_view text) noexcept {
    if (text.empty() || text.size() > 128) return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    });
}

}  // namespace baton
