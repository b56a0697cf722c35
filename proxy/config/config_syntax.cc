#include "proxy/config/config_syntax.h"

#include <algorithm>
#include <cstddef>

#include "net/address.h"
#include "net/text.h"

namespace baton {

namespace {

constexpr std::size_t host_max = 253;  // RFC 1035, 2.3.4, written with dots
constexpr std::size_t label_max = 63;
constexpr std::size_t path_max = 1024;

bool is_visible(char c) noexcept { return c > ' ' && c <= '~'; }

bool is_token_char(char c) noexcept {  // RFC 9110, 5.6.2
    return is_alphanumeric(c) ||
           std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
}

bool is_made_of(std::string_view text, std::size_t min, std::size_t max, bool (*allowed)(char)) {
    return text.size() >= min && text.size() <= max &&
           std::all_of(text.begin(), text.end(), allowed);
}

// "_" is in no host name, but in names that are in use.
bool is_label(std::string_view label) {
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    return is_made_of(label, 1, label_max, [](char c) {
        return (is_letter(c) && c >= 'a') || is_digit(c) || c == '-' || c == '_';
    });
}

bool is_host_name(std::string_view text) {
    if (text.size() > host_max) return false;
    for (std::size_t dot = text.find('.'); dot != std::string_view::npos; dot = text.find('.')) {
        if (!is_label(text.substr(0, dot))) return false;
        text.remove_prefix(dot + 1);
    }
    return is_label(text);
}

bool is_bracketed_ip(std::string_view text) {
    return !text.empty() && text.front() == '[' &&
           parse_address(std::string{text} + ":0").has_value();
}

}  // namespace

bool is_cookie_name(std::string_view text) { return is_made_of(text, 1, 128, is_token_char); }

bool is_header_prefix(std::string_view text) {
    return is_made_of(text, 2, 64, [](char c) { return is_alphanumeric(c) || c == '-'; }) &&
           text.back() == '-';
}

bool is_upstream_name(std::string_view text) {
    return !text.empty() && text.size() <= 64 && is_plain_word(text);
}

bool is_route_name(std::string_view text) {
    return is_made_of(text, 1, 128, [](char c) { return is_visible(c) && c != '"' && c != '\\'; });
}

bool is_path_prefix(std::string_view text) {
    return is_made_of(text, 1, path_max,
                      [](char c) { return is_visible(c) && c != '?' && c != '#'; }) &&
           text.front() == '/';
}

bool is_access_target(std::string_view text) {
    // "stderr" or "Off" would make a file of that name and leave its owner waiting for lines
    // elsewhere.
    const bool is_path = text.find('/') != std::string_view::npos && text.back() != '/' &&
                         text.find('\0') == std::string_view::npos;
    return text == "stdout" || text == "off" || is_path;
}

bool is_host_pattern(std::string_view text) {
    if (text == "*" || is_bracketed_ip(text)) return true;
    if (text.substr(0, 2) == "*.") text.remove_prefix(2);
    return is_host_name(text);
}

std::string tidy_host(std::string_view text) {
    if (text.size() > 1 && text.back() == '.' && text != "*.") text.remove_suffix(1);
    std::string out{text};
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

bool needs_lookup(std::string_view text) {
    if (text.find(':') != text.rfind(':')) return false;
    const std::string host = tidy_host(text.substr(0, text.find(':')));
    const bool has_letter = std::any_of(host.begin(), host.end(), is_letter);
    return has_letter && host != "localhost" && is_host_name(host) &&
           text.find('/') == std::string_view::npos;
}

}  // namespace baton
