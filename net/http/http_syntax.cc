#include "net/http/http_syntax.h"

#include <arpa/inet.h>
#include <llhttp.h>

#include <algorithm>
#include <limits>

#include "net/text.h"

namespace baton {
namespace {

constexpr std::array<std::uint8_t, 256> make_classes() noexcept {
    constexpr std::string_view in_tokens = "!#$%&'*+-.^_`|~";
    constexpr std::string_view in_hosts = "-._~";
    std::array<std::uint8_t, 256> classes{};
    for (int c = 0; c < 256; ++c) {
        const char byte = static_cast<char>(c);
        const bool alphanumeric = is_alphanumeric(byte);
        int bits = 0;
        if (alphanumeric || (c < 128 && in_tokens.find(byte) != in_tokens.npos)) bits |= in_name;
        if (c > 0x20 && c < 0x7f && c != '#') bits |= in_target;
        if ((c >= 0x20 && c != 0x7f) || c == '\t') bits |= in_value;
        if (alphanumeric || (c < 128 && in_hosts.find(byte) != in_hosts.npos)) bits |= in_host;
        if (c == '_') bits |= is_underscore;
        classes[static_cast<std::size_t>(c)] = static_cast<std::uint8_t>(bits);
    }
    return classes;
}

bool is_port(std::string_view text) noexcept {
    if (text.empty()) return true;
    const auto number = parse_length(text);
    return number && *number <= 65535;
}

bool is_ipv6(std::string_view text) noexcept {
    char copy[INET6_ADDRSTRLEN] = {};  // inet_pton wants a NUL at the end
    if (text.size() >= sizeof copy) return false;
    std::copy(text.begin(), text.end(), copy);
    in6_addr address;
    return inet_pton(AF_INET6, copy, &address) == 1;
}

}  // namespace

constinit const std::array<std::uint8_t, 256> byte_classes = make_classes();

std::optional<std::uint64_t> parse_length(std::string_view text) noexcept {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    constexpr std::size_t safe_digits = 19;  // any number of so many fits
    if (text.empty()) return {};
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (!is_digit(text[i])) return {};
        const auto digit = static_cast<std::uint64_t>(text[i] - '0');
        if (i >= safe_digits && number > (most - digit) / 10) return {};
        number = number * 10 + digit;
    }
    return number;
}

bool is_authority(std::string_view text) noexcept {
    if (text.empty()) return false;
    if (text.front() == '[') {
        const std::size_t end = text.find(']');
        if (end == text.npos || !is_ipv6(text.substr(1, end - 1))) return false;
        const std::string_view rest = text.substr(end + 1);
        return rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)));
    }
    const std::size_t colon = std::min(text.find(':'), text.size());
    const std::string_view host = text.substr(0, colon);
    if (host.empty()) return false;
    if (!std::all_of(host.begin(), host.end(), [](char c) { return class_of(c) & in_host; })) {
        return false;
    }
    return colon == text.size() || is_port(text.substr(colon + 1));
}

std::optional<std::string_view> authority_of(std::string_view target) noexcept {
    constexpr std::string_view plain = "http://", secure = "https://";
    std::size_t begin = 0;
    if (starts_with_fold(target, plain)) begin = plain.size();
    if (starts_with_fold(target, secure)) begin = secure.size();
    if (begin == 0) return {};
    const std::size_t end = std::min(target.find_first_of("/?", begin), target.size());
    return target.substr(begin, end - begin);
}

Method method_of(std::string_view text) noexcept {
    if (text == "GET") return Method::get;
    if (text == "POST") return Method::post;
    if (text == "HEAD") return Method::head;
    if (text == "PUT") return Method::put;
    if (text == "DELETE") return Method::delete_;
    if (text == "OPTIONS") return Method::options;
    if (text == "CONNECT") return Method::connect;
    if (text == "TRACE") return Method::trace;
#define BATON_METHOD_TEXT(number, name, string) #string,
    static constexpr std::string_view known[] = {HTTP_METHOD_MAP(BATON_METHOD_TEXT)};
#undef BATON_METHOD_TEXT
    return std::find(std::begin(known), std::end(known), text) == std::end(known) ? Method::unknown
                                                                                  : Method::other;
}

}  // namespace baton
