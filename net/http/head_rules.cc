#include "net/http/head_rules.h"

#include "net/http/http_syntax.h"
#include "net/text.h"

namespace baton {

Reason byte_reason(char c, Reason otherwise) noexcept {
    return c == '\n' ? Reason::bare_lf : otherwise;
}

Reason word_reason(char c, bool first, bool in_method) noexcept {
    if (c == ' ' && first) return Reason::double_space;
    if (c == '\r' || c == '\n') return byte_reason(c, Reason::short_line);
    return in_method ? Reason::bad_method : Reason::bad_target;
}

Reason name_reason(char c, bool first) noexcept {
    switch (c) {
    case ' ':
    case '\t': return first ? Reason::folded_line : Reason::blank_in_name;
    case ':': return Reason::empty_name;  // behind a name it would be right
    case '\r': return Reason::no_colon;
    case '\n': return Reason::bare_lf;
    default: return Reason::bad_name;
    }
}

Census count(const Head& head) noexcept {
    Census census;
    for (const Field& field : head.fields) {
        const std::string_view value = head.text(field.value);
        switch (field.id) {
        case FieldName::host: ++census.hosts, census.host = value; break;
        case FieldName::content_length: ++census.lengths, census.length = value; break;
        case FieldName::transfer_encoding: ++census.codings, census.coding = value; break;
        case FieldName::expect: census.expects_oddly |= !equal_fold(value, "100-continue"); break;
        default: break;
        }
    }
    return census;
}

Reason target_reason(const Head& head) noexcept {
    const std::string_view target = head.text(head.target);
    if (target.front() == '/') return Reason::none;
    if (target == "*" && head.method == Method::options) return Reason::none;
    const auto authority = authority_of(target);
    if (!authority) return Reason::target_form;
    return is_authority(*authority) ? Reason::none : Reason::target_host;
}

Reason host_reason(const Head& head, const Census& census) noexcept {
    if (census.hosts > 1) return Reason::two_hosts;
    if (head.minor == 0 && census.host.empty()) return Reason::none;
    if (census.hosts == 0) return Reason::no_host;
    return is_authority(census.host) ? Reason::none : Reason::bad_host;
}

Reason declare_body(const Head& head, const Census& census, Body& body) noexcept {
    if (census.lengths > 1) return Reason::two_content_length;
    const auto length = parse_length(census.length);
    if (census.lengths == 1 && !length) return Reason::bad_content_length;
    if (census.codings > 0) {
        if (census.lengths > 0) return Reason::length_and_coding;
        if (head.minor == 0) return Reason::coding_in_1_0;
        if (census.codings > 1) return Reason::two_codings;
        if (!equal_fold(census.coding, "chunked")) return Reason::unknown_coding;
        body = {Framing::chunked, 0};
    } else if (length) {
        body = {Framing::length, *length};
    }
    return Reason::none;
}

bool is_of_coding(Reason reason) noexcept {
    return reason == Reason::two_codings || reason == Reason::unknown_coding;
}

}  // namespace baton
