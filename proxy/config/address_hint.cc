#include "proxy/config/address_hint.h"

#include <algorithm>

#include "net/address.h"
#include "net/text.h"
#include "proxy/config/config_syntax.h"
#include "proxy/config/toml_value.h"

namespace baton {

namespace {

bool is_number(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

bool is_foreign(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

// "http://", "redis://", in lower case (RFC 3986, 3.1); empty if there is none.
std::string scheme_of(std::string_view text) {
    const std::size_t end = text.find("://");
    return end == std::string_view::npos ? std::string{} : tidy_host(text.substr(0, end + 3));
}

bool is_encrypted(std::string_view scheme) {
    return scheme == "https://" || scheme == "rediss://" || scheme == "tls://" ||
           scheme == "wss://" || scheme == "h2://";
}

std::string_view port_of(std::string_view scheme, const AddressForm& form) {
    return scheme == "http://" || scheme == "ws://" ? "80" : form.port;
}

std::string_view without_slip(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ') || text.ends_with(';')) text.remove_suffix(1);
    return text;
}

// With the bits behind the first `bits` zero.
Address masked(Address address, unsigned bits) {
    const bool v4 = address.raw()->sa_family == AF_INET;
    auto* const bytes =
        v4 ? reinterpret_cast<unsigned char*>(&address.v4.sin_addr) : address.v6.sin6_addr.s6_addr;
    for (unsigned i = bits; i < (v4 ? 32U : 128U); ++i)
        bytes[i / 8] = static_cast<unsigned char>(bytes[i / 8] & ~(0x80U >> (i % 8)));
    return address;
}

std::string in_brackets(std::string_view text, std::string_view port) {
    return "[" + std::string{text} + "]:" + std::string{port};
}

// "127.0.0.1:80" of "[127.0.0.1]:80".
std::string v4_in_brackets(std::string_view text) {
    const std::size_t end = text.find("]:");
    if (!text.starts_with('[') || end == std::string_view::npos) return {};
    return std::string{text.substr(1, end - 1)} + std::string{text.substr(end + 1)};
}

// The first address that `text` may be short for, of those that add one thing. Empty if none is.
std::string meant(std::string_view text, std::string_view port, const AddressForm& form) {
    const std::string host{form.host};
    const std::size_t colon = text.rfind(':');
    const bool v6 = text.find(':') != colon && text.find('[') == std::string_view::npos;
    const std::string tries[] = {
        std::string{text},
        tidy_host(text),
        v4_in_brackets(text),
        is_number(text) ? host + ":" + std::string{text} : "",
        text.starts_with(':') ? host + std::string{text} : "",
        text.starts_with("*:") ? host + std::string{text.substr(1)} : "",
        v6 && is_number(text.substr(colon + 1))
            ? in_brackets(text.substr(0, colon), text.substr(colon + 1))
            : "",
        v6 && !port.empty() ? in_brackets(text, port) : "",
        !port.empty() && !text.empty() ? std::string{text} + ":" + std::string{port} : "",
    };
    for (const std::string& one : tries)
        if (!one.empty() && form.is_address(one)) return one;
    return {};
}

bool is_ip_with_port(std::string_view text) { return parse_address(text).has_value(); }

}  // namespace

const AddressForm anywhere{.is_address = is_ip_with_port, .host = "0.0.0.0", .port = {}};
const AddressForm here{.is_address = is_ip_with_port, .host = "127.0.0.1", .port = {}};

std::string address_hint(std::string_view text, const AddressForm& form) {
    if (text.starts_with("//")) text.remove_prefix(2);
    if (text.starts_with("unix:") || text.starts_with('/'))
        return "; Unix sockets are not supported yet";
    const std::string scheme = scheme_of(text);
    if (is_encrypted(scheme)) return "; TLS is not supported yet";
    text.remove_prefix(scheme.size());
    text = text.substr(0, text.find('/'));
    text = without_slip(text);
    std::string hint;
    if (!scheme.empty()) hint = "; without " + quoted(scheme);
    if (const std::string one = meant(text, port_of(scheme, form), form); !one.empty())
        return hint + ", did you mean " + quoted(one);
    if (!form.names && (is_foreign(text) || needs_lookup(text)))
        return hint + "; names are not supported yet";
    if (is_foreign(text)) return hint + "; write it in its xn-- form";
    const auto is_host = [&](std::string_view host) {
        return form.is_address(std::string{host} + ":1") || form.is_address(in_brackets(host, "1"));
    };
    if (is_host(text) || (text.ends_with(':') && is_host(text.substr(0, text.size() - 1))))
        return hint + "; the port is missing";
    const std::size_t colon = text.rfind(':');
    const bool has_host = colon == 0 || is_host(text.substr(0, colon));
    const bool has_digits =
        colon < text.size() && is_number(text.substr(colon + 1)) && text.substr(colon + 1) != "0";
    return has_host && has_digits ? hint + "; a port is a number up to 65535" : hint;
}

std::string network_hint(std::string_view text) {
    text = without_slip(text);
    const auto as_network = [](const Address& address, std::string_view prefix) {
        return ", did you mean " + quoted(address.host() + std::string{prefix});
    };
    if (const auto address = parse_address(text)) return as_network(*address, "");
    if (parse_network(text)) return ", did you mean " + quoted(text);
    const std::string host{text.substr(0, text.find('/'))};
    auto base = parse_address(host + ":0");
    if (!base) base = parse_address(host.starts_with('[') ? host + ":0" : in_brackets(host, "0"));
    if (!base) return needs_lookup(text) ? "; names are not supported yet" : "";
    if (host.size() == text.size()) return as_network(*base, "");
    const std::string_view prefix = text.substr(host.size());
    for (unsigned bits = 0; bits <= 128; ++bits) {
        if (prefix.substr(1) != std::to_string(bits)) continue;
        const Address first = masked(*base, bits);
        if (parse_network(first.host() + std::string{prefix})) return as_network(first, prefix);
    }
    return {};
}

std::string host_hint(std::string_view text) {
    const std::string scheme = scheme_of(text);
    if (!scheme.empty()) {
        text.remove_prefix(scheme.size());
        text = text.substr(0, text.find_first_of(":/"));
        const std::string hint = "; without " + quoted(scheme);
        return is_host_pattern(text) ? hint + ", did you mean " + quoted(text) : hint;
    }
    if (is_foreign(text)) return "; write it in its xn-- form";
    const std::size_t slash = text.find('/');
    if (slash != std::string_view::npos && is_host_pattern(text.substr(0, slash)))
        return ", did you mean " + quoted(text.substr(0, slash)) +
               " with path = " + quoted(text.substr(slash));
    const std::size_t colon = text.rfind(':');
    if (colon != std::string_view::npos && is_number(text.substr(colon + 1)) &&
        is_host_pattern(text.substr(0, colon)))
        return ", did you mean " + quoted(text.substr(0, colon));
    if (text.starts_with('.') && is_host_pattern("*" + std::string{text}))
        return ", did you mean " + quoted("*" + std::string{text});
    return {};
}

}  // namespace baton
