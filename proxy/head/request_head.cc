#include "proxy/head/request_head.h"

#include "net/http/http_syntax.h"

namespace baton {
namespace {

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

// Of a field whose name is none of those that end at each connection.
Treatment treatment_as(FieldName name, const ForwardRequest& request, const Field& field) noexcept {
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
        return head.minor == 0 || request.buffered ? Treatment::drop : Treatment::pass;
    default: break;
    }
    const bool dropped = request.connection->names(head, field) && !is_protected(name);
    return dropped ? Treatment::drop : Treatment::pass;
}

// A name with `_`, as servers read it that take it for `-`.
[[gnu::cold, gnu::noinline]] Treatment treatment_of_underscored(const ForwardRequest& request,
                                                                const Field& field) noexcept {
    if (!request.keep_underscores) return Treatment::drop;
    const FieldName name = field_name_with_hyphens(request.head->text(field.name));
    return is_hop_by_hop(name) ? Treatment::drop : treatment_as(name, request, field);
}

}  // namespace

Treatment treatment_of(const ForwardRequest& request, const Field& field,
                       const SessionNames& session) noexcept {
    if (is_hop_by_hop(field.id)) return Treatment::drop;
    if (session.has(request.head->text(field.name))) return Treatment::session;
    if (field.underscore) return treatment_of_underscored(request, field);
    return treatment_as(field.id, request, field);
}

Forwarding believed_forwarding(const Head& head, const Peer& peer, std::string_view host) noexcept {
    const Scheme scheme = forwarded_scheme(head);
    const std::string_view told_host = first_told(head, FieldName::x_forwarded_host);
    const std::string_view told_port = first_told(head, FieldName::x_forwarded_port);
    Forwarding client;
    client.secure = scheme == Scheme::unknown ? peer.secure : scheme == Scheme::https;
    client.host = told_host.empty() ? host : told_host;
    if (is_port(told_port)) {
        client.port = told_port;
    } else if (scheme != Scheme::unknown || !told_host.empty()) {
        client.port = port_of(client.host);
        if (client.port.empty()) client.port = client.secure ? "443" : "80";
    }
    return client;
}

}  // namespace baton
