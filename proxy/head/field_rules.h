#pragma once

// Which fields of a head go on to the other side (RFC 9110, 7.6).

#include <cstdint>
#include <string_view>

#include "net/http/http_head.h"
#include "session/contract.h"

namespace baton {

// Fields that end at each connection, or that are written anew.
constexpr bool is_hop_by_hop(FieldName id) noexcept {
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

// What Connection cannot take away: fields that say where a message goes, who sent it or who may have it.
bool is_protected(FieldName id) noexcept;

// Whether Connection names the field, and may.
inline bool is_dropped(const ConnectionOptions& connection, const Head& head,
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

}  // namespace baton
