#include "net/http/cache_control.h"

#include "net/http/http_date.h"
#include "net/text.h"

namespace baton {
namespace {

// The end of the list's first element: a comma that no quotes protect (RFC 9110, 5.6.1 and 5.6.4).
// Quotes that are never closed reach to the end.
std::size_t end_of_element(std::string_view list) noexcept {
    bool quoted = false;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (quoted && list[i] == '\\')
            ++i;
        else if (list[i] == '"')
            quoted = !quoted;
        else if (list[i] == ',' && !quoted)
            return i;
    }
    return list.size();
}

struct Directive {
    std::string_view text;
    std::string_view name;
    bool has_argument = false;

    bool is(std::string_view known) const noexcept { return equal_fold(name, known); }
};

template <class Each>
void for_each_directive(std::string_view value, Each each) {
    for (;;) {
        const std::size_t end = end_of_element(value);
        const std::string_view text = trimmed(value.substr(0, end));
        const std::size_t equals = text.find('=');
        if (!text.empty())
            each(
                Directive{text, trimmed(text.substr(0, equals)), equals != std::string_view::npos});
        if (end == value.size()) return;
        value.remove_prefix(end + 1);
    }
}

// With arguments `private` protects the fields it names, and the rest may be kept.
bool refuses(const Directive& one) noexcept {
    return one.is("no-store") || (one.is("private") && !one.has_argument);
}

bool allows(const Directive& one) noexcept {
    return one.is("public") || one.is("s-maxage") || one.is("max-age");
}

struct Said {
    bool refused = false;
    bool allowed = false;
};

void read(std::string_view value, Said& said) noexcept {
    for_each_directive(value, [&](const Directive& one) {
        said.refused = said.refused || refuses(one);
        said.allowed = said.allowed || allows(one);
    });
}

// Freshness is the time from Date to Expires (RFC 9111, 4.2.1); what is no date has passed (5.3).
bool is_in_future(std::string_view expires, std::string_view date, std::int64_t now_s) noexcept {
    const auto at = parse_http_date(expires);
    return at && *at > parse_http_date(date).value_or(now_s);
}

}  // namespace

bool refuses_sharing(const Head& response) noexcept {
    Said said;
    for (const Field& field : response.fields)
        if (field.id == FieldName::cache_control) read(response.text(field.value), said);
    return said.refused;
}

bool invites_sharing(const Head& response, std::int64_t now_s) noexcept {
    std::string_view date;
    for (const Field& field : response.fields)
        if (equal_fold(response.text(field.name), "Date")) date = response.text(field.value);
    Said said;
    for (const Field& field : response.fields) {
        const std::string_view name = response.text(field.name);
        const std::string_view value = response.text(field.value);
        if (field.id == FieldName::cache_control) {
            read(value, said);
        } else if (is_for_shared_caches(name)) {
            Said aside;
            read(value, aside);
            if (!aside.refused) return true;
        } else if (equal_fold(name, "Expires")) {
            said.allowed = said.allowed || is_in_future(value, date, now_s);
        }
    }
    return said.allowed && !said.refused;
}

bool is_for_shared_caches(std::string_view field_name) noexcept {
    constexpr std::string_view end = "-Cache-Control";
    if (equal_fold(field_name, "Surrogate-Control")) return true;
    return field_name.size() > end.size() &&
           equal_fold(field_name.substr(field_name.size() - end.size()), end);
}

void append_unshared(std::string& out, std::string_view cache_control) {
    const std::size_t begin = out.size();
    for_each_directive(cache_control, [&](const Directive& one) {
        if (one.is("public") || one.is("s-maxage") || one.is("private")) return;
        if (out.size() > begin) out.append(", ");
        out.append(one.text);
    });
}

}  // namespace baton
