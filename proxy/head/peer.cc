#include "proxy/head/peer.h"

#include <algorithm>

#include "net/text.h"

namespace baton {

namespace {

// Of a list, empty elements count for nothing (RFC 9110, 5.6.1.2).
std::string_view first_of(std::string_view list) noexcept {
    list.remove_prefix(std::min(list.find_first_not_of(", \t"), list.size()));
    return trimmed(list.substr(0, list.find(',')));
}

}  // namespace

std::string_view first_told(const Head& head, FieldName name) noexcept {
    if (!head.has(name)) return {};
    for (const Field& field : head.fields) {
        if (field.id != name) continue;
        const std::string_view first = first_of(head.text(field.value));
        if (!first.empty()) return first;
    }
    return {};
}

Scheme forwarded_scheme(const Head& head) noexcept {
    const std::string_view word = first_told(head, FieldName::x_forwarded_proto);
    if (equal_fold(word, "https") || equal_fold(word, "wss")) return Scheme::https;
    if (equal_fold(word, "http") || equal_fold(word, "ws")) return Scheme::http;
    return Scheme::unknown;
}

bool is_secure(const Peer& peer, const Head& head) noexcept {
    return peer.secure || (peer.trusted && forwarded_scheme(head) == Scheme::https);
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

}  // namespace baton
