#include "proxy/forward.h"

#include <algorithm>
#include <charconv>

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
    case FieldName::x_request_id: return true;
    default: return false;
    }
}

bool is_dropped(const ConnectionOptions& connection, const Head& head,
                const Field& field) noexcept {
    return !is_protected(field.id) && connection.names(head.text(field.name));
}

bool is_session_field(std::string_view name, std::string_view prefix) noexcept {
    // Nearly all names are told apart by their first byte.
    const auto fold = [](char c) { return c == '_' ? '-' : static_cast<char>(c | 0x20); };
    const char first = fold(name.empty() ? '\0' : name[0]);
    if (first != 'b' && first != fold(prefix.empty() ? '\0' : prefix[0])) return false;
    return has_session_prefix(name, "baton-") || has_session_prefix(name, prefix);
}

void append_forwarded_for(std::string& out, const Head& head, const Peer& peer) {
    out.append("X-Forwarded-For: ");
    if (peer.trusted) {
        for (const Field& field : head.fields) {
            if (field.id != FieldName::x_forwarded_for || field.value.size == 0) continue;
            out.append(head.text(field.value)).append(", ");
        }
    }
    out.append(peer.host).append("\r\n");
}

void append_forwarding(std::string& out, const ForwardRequest& request) {
    const Head& head = *request.head;
    const Peer& peer = *request.peer;
    const auto believed = [&](FieldName name) {
        return peer.trusted ? head.value(name) : std::string_view{};
    };
    append_forwarded_for(out, head, peer);
    const auto proto = believed(FieldName::x_forwarded_proto);
    append_field(out, "X-Forwarded-Proto", !proto.empty() ? proto : peer.secure ? "https" : "http");
    const auto host = believed(FieldName::x_forwarded_host);
    append_field(out, "X-Forwarded-Host",
                 !host.empty()              ? host
                 : !request.to.host.empty() ? request.to.host
                                            : request.server_host);
    out.append("X-Forwarded-Port: ");
    if (const auto port = believed(FieldName::x_forwarded_port); !port.empty())
        out.append(port);
    else
        append_number(out, peer.local_port);
    out.append("\r\nX-Request-Id: ").append(request.request_id).append("\r\n");
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

void append_line(std::string& out, const Head& head, const Field& field) {
    append_field(out, head.text(field.name), head.text(field.value));
}

enum class Treatment : std::uint8_t { pass, drop, session };

Treatment treat(const ForwardRequest& request, const Field& field,
                const ConnectionOptions& connection) {
    const Head& head = *request.head;
    if (is_ours(field.id)) return Treatment::drop;
    if (is_session_field(head.text(field.name), request.session_prefix)) return Treatment::session;
    if (field.underscore && !request.keep_underscores) return Treatment::drop;
    switch (field.id) {
    case FieldName::x_forwarded_for:
    case FieldName::x_forwarded_proto:
    case FieldName::x_forwarded_host:
    case FieldName::x_forwarded_port:
    case FieldName::x_request_id: return Treatment::drop;  // written anew
    case FieldName::forwarded:
    case FieldName::x_real_ip: return request.peer->trusted ? Treatment::pass : Treatment::drop;
    // A 1.0 client cannot wait for a 100 (RFC 9110, 10.1.1).
    case FieldName::expect: return head.minor == 0 ? Treatment::drop : Treatment::pass;
    default: return is_dropped(connection, head, field) ? Treatment::drop : Treatment::pass;
    }
}

// The field without the session cookie; nothing if no other cookie is left.
void append_cookie_line(std::string& out, const Head& head, const Field& field,
                        std::string_view session_cookie) {
    const std::size_t before = out.size();
    out.append(head.text(field.name)).append(": ");
    if (append_cookies_without(out, head.text(field.value), session_cookie) == 0)
        out.resize(before);
    else
        out.append("\r\n");
}

}  // namespace

bool is_secure(const Peer& peer, const Head& head) noexcept {
    if (peer.secure) return true;
    return peer.trusted && equal_fold(head.value(FieldName::x_forwarded_proto), "https");
}

std::string_view client_host(const Peer& peer, const Head& head,
                             const std::vector<Network>& trusted) noexcept {
    std::string_view client = peer.host;
    if (!peer.trusted) return client;
    const auto is_trusted = [&](std::string_view host) {
        const auto address = parse_network(host);
        return address && std::any_of(trusted.begin(), trusted.end(), [&](const Network& network) {
                   return network.contains(address->base);
               });
    };
    // From the last field and its last element on: the further left, the less it is believed.
    for (auto field = head.fields.rbegin(); field != head.fields.rend(); ++field) {
        if (field->id != FieldName::x_forwarded_for) continue;
        std::string_view list = head.text(field->value);
        while (!list.empty()) {
            const auto comma = list.rfind(',');
            std::string_view one = comma == std::string_view::npos ? list : list.substr(comma + 1);
            list = comma == std::string_view::npos ? std::string_view{} : list.substr(0, comma);
            while (one.starts_with(' ') || one.starts_with('\t')) one.remove_prefix(1);
            while (one.ends_with(' ') || one.ends_with('\t')) one.remove_suffix(1);
            if (one.find('/') != std::string_view::npos || !parse_network(one)) return client;
            client = one;
            if (!is_trusted(one)) return client;
        }
    }
    return client;
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

std::size_t append_request_head(std::string& out, const ForwardRequest& request) {
    const Head& head = *request.head;
    out.append(head.text(head.method_text))
        .append(request.to.slash_missing ? " /" : " ")
        .append(request.to.path);
    out.append(" HTTP/1.1\r\nHost: ")
        .append(request.to.host.empty() ? request.server_host : request.to.host)
        .append("\r\n");
    const ConnectionOptions connection{head};
    std::size_t dropped = 0;
    for (const Field& field : head.fields) {
        switch (treat(request, field, connection)) {
        case Treatment::drop: break;
        case Treatment::session: ++dropped; break;
        case Treatment::pass:
            if (field.id == FieldName::cookie && !request.session_cookie.empty())
                append_cookie_line(out, head, field, request.session_cookie);
            else
                append_line(out, head, field);
        }
    }
    append_forwarding(out, request);
    append_framing(out, request.body);
    out.append(request.session_fields);
    if (request.websocket) out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    out.append("\r\n");
    return dropped;
}

std::size_t append_response_head(std::string& out, const ForwardResponse& response) {
    const Head& head = *response.head;
    out.append("HTTP/1.1 ");
    append_number(out, head.status);
    out.append(" ").append(head.text(head.reason)).append("\r\n");
    const ConnectionOptions connection{head};
    bool cache_control = false;
    std::size_t dropped = 0;
    for (const Field& field : head.fields) {
        if (field.id == FieldName::content_length && response.keep_length) {
            append_line(out, head, field);
            continue;
        }
        if (is_ours(field.id) || is_dropped(connection, head, field)) continue;
        const std::string_view name = head.text(field.name);
        if (is_session_field(name, response.session_prefix)) continue;
        if (field.id == FieldName::set_cookie && !response.session_cookie.empty() &&
            sets_cookie(head.text(field.value), response.session_cookie)) {
            ++dropped;
            continue;
        }
        cache_control = cache_control || field.id == FieldName::cache_control;
        append_line(out, head, field);
    }
    append_framing(out, response.body);
    out.append(response.added);
    // A shared cache must not hand one client's cookie to another.
    if (!response.added.empty() && !cache_control) out.append("Cache-Control: no-store\r\n");
    if (response.upgrade)
        out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    else if (response.close)
        out.append("Connection: close\r\n");
    else if (response.client_is_1_0)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
    return dropped;
}

std::string_view reason_of(int status) noexcept {
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

void append_reply(std::string& out, const OwnReply& reply) {
    const int status = status_of(reply.fault);
    const std::string_view reason = reason_of(status);
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<std::uint64_t>(status));
    out.append(" ").append(reason).append(
        "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ");
    append_number(out, reason.size() + 5);
    out.append("\r\n");
    if (status == 503) out.append("Retry-After: 1\r\n");
    if (status == 409) out.append("Retry-After: 0\r\n");
    if (status == 429) out.append("Retry-After: 60\r\n");
    if (status == 405) out.append("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    append_field(out, "X-Request-Id", reply.request_id);
    // A cache may keep a 404 or 501 on its own guess (RFC 9111, 4.2.2); what is true now need not be
    // in a minute.
    out.append("Cache-Control: no-store\r\n");
    if (reply.close) out.append("Connection: close\r\n");
    out.append("\r\n");
    if (reply.head_only) return;
    append_number(out, static_cast<std::uint64_t>(status));
    out.append(" ").append(reason).append("\n");
}

bool is_request_id(std::string_view text) noexcept {
    if (text.empty() || text.size() > 128) return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    });
}

}  // namespace baton
