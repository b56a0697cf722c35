#pragma once

// Why a request was refused or could not be answered: the rule that was broken, where a fault's name
// alone leaves one guessing. `name()` is the `reason` of the access log; each stands in the table of
// the manual.

#include <cstdint>
#include <string_view>

namespace baton {

enum class Reason : std::uint8_t {
    none,

    // The head of a message (RFC 9112, 2 to 5), of a request or of a response.
    bad_content_length,
    bad_host,
    bad_method,
    bad_name,
    bad_reason_phrase,
    bad_status,
    bad_target,
    bad_value,
    bad_version,
    bare_cr,
    bare_lf,
    blank_in_name,
    coding_in_1_0,
    double_space,
    empty_lines,
    empty_name,
    folded_line,
    head_too_long,
    length_and_coding,
    no_colon,
    no_host,
    not_http,
    parsers_disagree,
    short_line,
    target_form,
    target_host,
    tls,
    too_many_fields,
    too_many_options,
    two_codings,
    two_content_length,
    two_hosts,
    unasked_101,
    underscore,
    unknown_coding,

    // The body (RFC 9112, 7.1).
    bad_chunk_end,
    bad_chunk_extension,
    bad_chunk_size,
    bad_trailer,
    extensions_too_long,
    padding,

    // Of a session: its fields in a response (docs/sessions.md), or how it is stored.
    attribute_twice,
    bad_attribute_name,
    bad_encoding,
    bad_session_field,
    changed_meanwhile,
    data_too_long,
    not_integer,
    not_looked_up,
    not_stored,
    session_field_twice,
    session_fields_clash,
    session_too_long,
    table_too_small,
    too_many_attributes,
    unknown_ids,
    value_in_unset,
    value_too_long,

    // No server, or none that gave a whole answer.
    all_refused,
    all_timed_out,
    all_unreachable,
    none_connected,
    no_descriptors,
    no_memory,
    no_ports,
    not_permitted,
    closed_unanswered,
    cut_body,
    cut_head,
    too_many_interims,

    // A time ran out: the key in the configuration.
    body_idle_timeout,
    client_gone_timeout,
    connect_timeout,
    header_timeout,
    idle_timeout,
    response_timeout,
    send_timeout,
    total_timeout,
    tunnel_idle_timeout,
    upload_too_slow,
};

// Empty for `none`.
constexpr std::string_view name(Reason reason) noexcept {
    switch (reason) {
    case Reason::none: return "";
    case Reason::bad_content_length: return "bad_content_length";
    case Reason::bad_host: return "bad_host";
    case Reason::bad_method: return "bad_method";
    case Reason::bad_name: return "bad_name";
    case Reason::bad_reason_phrase: return "bad_reason_phrase";
    case Reason::bad_status: return "bad_status";
    case Reason::bad_target: return "bad_target";
    case Reason::bad_value: return "bad_value";
    case Reason::bad_version: return "bad_version";
    case Reason::bare_cr: return "bare_cr";
    case Reason::bare_lf: return "bare_lf";
    case Reason::blank_in_name: return "blank_in_name";
    case Reason::coding_in_1_0: return "coding_in_1_0";
    case Reason::double_space: return "double_space";
    case Reason::empty_lines: return "empty_lines";
    case Reason::empty_name: return "empty_name";
    case Reason::folded_line: return "folded_line";
    case Reason::head_too_long: return "head_too_long";
    case Reason::length_and_coding: return "length_and_coding";
    case Reason::no_colon: return "no_colon";
    case Reason::no_host: return "no_host";
    case Reason::not_http: return "not_http";
    case Reason::parsers_disagree: return "parsers_disagree";
    case Reason::short_line: return "short_line";
    case Reason::target_form: return "target_form";
    case Reason::target_host: return "target_host";
    case Reason::tls: return "tls";
    case Reason::too_many_fields: return "too_many_fields";
    case Reason::too_many_options: return "too_many_options";
    case Reason::two_codings: return "two_codings";
    case Reason::two_content_length: return "two_content_length";
    case Reason::two_hosts: return "two_hosts";
    case Reason::unasked_101: return "unasked_101";
    case Reason::underscore: return "underscore";
    case Reason::unknown_coding: return "unknown_coding";
    case Reason::bad_chunk_end: return "bad_chunk_end";
    case Reason::bad_chunk_extension: return "bad_chunk_extension";
    case Reason::bad_chunk_size: return "bad_chunk_size";
    case Reason::bad_trailer: return "bad_trailer";
    case Reason::extensions_too_long: return "extensions_too_long";
    case Reason::padding: return "padding";
    case Reason::attribute_twice: return "attribute_twice";
    case Reason::bad_attribute_name: return "bad_attribute_name";
    case Reason::bad_encoding: return "bad_encoding";
    case Reason::bad_session_field: return "bad_session_field";
    case Reason::changed_meanwhile: return "changed_meanwhile";
    case Reason::data_too_long: return "data_too_long";
    case Reason::not_integer: return "not_integer";
    case Reason::not_looked_up: return "not_looked_up";
    case Reason::not_stored: return "not_stored";
    case Reason::session_field_twice: return "session_field_twice";
    case Reason::session_fields_clash: return "session_fields_clash";
    case Reason::session_too_long: return "session_too_long";
    case Reason::table_too_small: return "table_too_small";
    case Reason::too_many_attributes: return "too_many_attributes";
    case Reason::unknown_ids: return "unknown_ids";
    case Reason::value_in_unset: return "value_in_unset";
    case Reason::value_too_long: return "value_too_long";
    case Reason::all_refused: return "all_refused";
    case Reason::all_timed_out: return "all_timed_out";
    case Reason::all_unreachable: return "all_unreachable";
    case Reason::none_connected: return "none_connected";
    case Reason::no_descriptors: return "no_descriptors";
    case Reason::no_memory: return "no_memory";
    case Reason::no_ports: return "no_ports";
    case Reason::not_permitted: return "not_permitted";
    case Reason::closed_unanswered: return "closed_unanswered";
    case Reason::cut_body: return "cut_body";
    case Reason::cut_head: return "cut_head";
    case Reason::too_many_interims: return "too_many_interims";
    case Reason::body_idle_timeout: return "body_idle_timeout";
    case Reason::client_gone_timeout: return "client_gone_timeout";
    case Reason::connect_timeout: return "connect_timeout";
    case Reason::header_timeout: return "header_timeout";
    case Reason::idle_timeout: return "idle_timeout";
    case Reason::response_timeout: return "response_timeout";
    case Reason::send_timeout: return "send_timeout";
    case Reason::total_timeout: return "total_timeout";
    case Reason::tunnel_idle_timeout: return "tunnel_idle_timeout";
    case Reason::upload_too_slow: return "upload_too_slow";
    }
    return "unknown";
}

}  // namespace baton
