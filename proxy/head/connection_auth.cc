#include "proxy/head/connection_auth.h"

#include <algorithm>
#include <string_view>

#include "net/text.h"

namespace baton {

namespace {

constexpr std::string_view blanks = " \t";

std::string_view after_blanks(std::string_view text) noexcept {
    return text.substr(std::min(text.find_first_not_of(blanks), text.size()));
}

bool is_of_connection(std::string_view scheme) noexcept {
    return equal_fold(scheme, "NTLM") || equal_fold(scheme, "Negotiate");
}

// What stands before the next comma that is in no quoted string.
std::string_view first_element(std::string_view list) noexcept {
    bool quoted = false;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (quoted && list[i] == '\\')
            ++i;
        else if (list[i] == '"')
            quoted = !quoted;
        else if (list[i] == ',' && !quoted)
            return list.substr(0, i);
    }
    return list;
}

// An element of the list is a challenge's scheme with what follows it, or a further parameter,
// `name = value`, of the challenge before.
bool is_connection_challenge(std::string_view element) noexcept {
    element = after_blanks(element);
    const std::size_t end = std::min(element.find_first_of(" \t="), element.size());
    return is_of_connection(element.substr(0, end)) &&
           !after_blanks(element.substr(end)).starts_with('=');
}

bool has_connection_challenge(std::string_view list) noexcept {
    while (!list.empty()) {
        const std::string_view element = first_element(list);
        if (is_connection_challenge(element)) return true;
        list.remove_prefix(std::min(element.size() + 1, list.size()));
    }
    return false;
}

}  // namespace

bool asks_connection_auth(const Head& response) noexcept {
    if (response.status != 401) return false;
    return std::any_of(response.fields.begin(), response.fields.end(), [&](const Field& field) {
        return equal_fold(response.text(field.name), "WWW-Authenticate") &&
               has_connection_challenge(response.text(field.value));
    });
}

bool has_connection_auth(const Head& request) noexcept {
    if (!request.has(FieldName::authorization)) return false;
    return std::any_of(request.fields.begin(), request.fields.end(), [&](const Field& field) {
        const std::string_view value = request.text(field.value);
        return field.id == FieldName::authorization &&
               is_of_connection(value.substr(0, value.find_first_of(blanks)));
    });
}

}  // namespace baton
