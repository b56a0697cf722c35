#include "proxy/head/field_rules.h"

namespace baton {

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

}  // namespace baton
