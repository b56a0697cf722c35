#include "tests/unit/plain_head.h"

#include <llhttp.h>

#include <utility>
#include <vector>

namespace baton::test {
namespace {

struct Plain {
    std::string target, reason;
    std::vector<std::pair<std::string, std::string>> fields;
    bool in_value = false;
};

Plain& plain_of(llhttp_t* parser) { return *static_cast<Plain*>(parser->data); }

int on_url(llhttp_t* parser, const char* data, std::size_t size) {
    plain_of(parser).target.append(data, size);
    return 0;
}

int on_status(llhttp_t* parser, const char* data, std::size_t size) {
    plain_of(parser).reason.append(data, size);
    return 0;
}

int on_field(llhttp_t* parser, const char* data, std::size_t size) {
    Plain& plain = plain_of(parser);
    if (plain.fields.empty() || plain.in_value) plain.fields.emplace_back();
    plain.in_value = false;
    plain.fields.back().first.append(data, size);
    return 0;
}

int on_value(llhttp_t* parser, const char* data, std::size_t size) {
    Plain& plain = plain_of(parser);
    plain.in_value = true;
    plain.fields.back().second.append(data, size);
    return 0;
}

int on_value_end(llhttp_t* parser) {
    plain_of(parser).in_value = true;  // also for an empty value, which has no span
    return 0;
}

int on_end(llhttp_t*) { return HPE_PAUSED; }

const llhttp_settings_t events = {
    .on_url = on_url,
    .on_status = on_status,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_message_complete = on_end,
    .on_header_value_complete = on_value_end,
};

std::string without_trailing_blanks(std::string text) {
    text.erase(text.find_last_not_of(" \t") + 1);
    return text;
}

}  // namespace

std::string plain_difference(HeadGuard::Kind kind, std::string_view bytes, const Head& head) {
    Plain plain;
    llhttp_t parser;
    const bool request = kind == HeadGuard::Kind::request;
    llhttp_init(&parser, request ? HTTP_REQUEST : HTTP_RESPONSE, &events);
    parser.data = &plain;
    const llhttp_errno_t rc = llhttp_execute(&parser, bytes.data(), bytes.size());
    if (rc != HPE_OK && rc != HPE_PAUSED && rc != HPE_PAUSED_UPGRADE) {
        return "llhttp alone refuses the head: " + std::string{llhttp_errno_name(rc)};
    }
    if (request) {
        if (head.text(head.target) != plain.target) return "target: " + plain.target;
        const char* const method = llhttp_method_name(static_cast<llhttp_method_t>(parser.method));
        if (head.text(head.method_text) != method) return std::string{"method: "} + method;
    } else {
        if (head.text(head.reason) != plain.reason) return "reason: " + plain.reason;
        if (head.status != parser.status_code) return "status";
    }
    if (head.minor != parser.http_minor) return "version";
    if (head.fields.size() != plain.fields.size()) return "number of fields";
    for (std::size_t i = 0; i < plain.fields.size(); ++i) {
        const auto& [name, value] = plain.fields[i];
        if (head.text(head.fields[i].name) != name) return "name: " + name;
        if (head.text(head.fields[i].value) != without_trailing_blanks(value))
            return "value of " + name;
    }
    return {};
}

}  // namespace baton::test
