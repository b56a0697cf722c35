#include "tests/fuzz/plain.h"

#include <arpa/inet.h>

#include <algorithm>
#include <iterator>

#include "tests/fuzz/check.h"

namespace baton::fuzz {
namespace {

using Kind = HeadGuard::Kind;

constexpr std::string_view digits = "0123456789";
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool consists_of(std::string_view text, std::string_view a, std::string_view b,
                 std::string_view c) {
    return std::all_of(text.begin(), text.end(), [&](char byte) {
        return a.find(byte) != a.npos || b.find(byte) != b.npos || c.find(byte) != c.npos;
    });
}

bool is_token(std::string_view text) {
    return !text.empty() && consists_of(text, digits, letters, "!#$%&'*+-.^_`|~");
}

bool is_number(std::string_view text) { return !text.empty() && consists_of(text, digits, "", ""); }

// Text of a value or a reason: TAB, SP, visible ASCII and what is no ASCII.
bool is_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte == '\t' || (byte >= ' ' && byte != 0x7f);
    });
}

std::string without_zeros(std::string_view number) {
    const std::size_t begin = number.find_first_not_of('0');
    return begin == number.npos ? "0" : std::string{number.substr(begin)};
}

// Whether a number without leading zeros is at most another.
bool at_most(const std::string& number, std::string_view most) {
    return number.size() < most.size() || (number.size() == most.size() && number <= most);
}

bool is_authority(std::string_view text) {
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == text.npos) return false;
        const std::string host{text.substr(1, end - 1)};
        in6_addr address;
        if (inet_pton(AF_INET6, host.c_str(), &address) != 1) return false;
        port = text.substr(end + 1);
    } else {
        const std::size_t end = std::min(text.find(':'), text.size());
        if (end == 0 || !consists_of(text.substr(0, end), digits, letters, "-._~")) return false;
        port = text.substr(end);
    }
    if (port.empty() || port == ":") return true;
    if (port.front() != ':' || !is_number(port.substr(1))) return false;
    return at_most(without_zeros(port.substr(1)), "65535");
}

bool is_method(std::string_view method) {
    static constexpr std::string_view known[] = {
        "GET",        "HEAD",     "POST",   "PUT",       "DELETE",    "OPTIONS", "COPY",
        "LOCK",       "MKCOL",    "MOVE",   "PROPFIND",  "PROPPATCH", "SEARCH",  "UNLOCK",
        "BIND",       "REBIND",   "UNBIND", "ACL",       "REPORT",    "MERGE",   "MKACTIVITY",
        "CHECKOUT",   "M-SEARCH", "NOTIFY", "SUBSCRIBE", "PATCH",     "PURGE",   "UNSUBSCRIBE",
        "MKCALENDAR", "LINK",     "UNLINK", "SOURCE",
    };
    return std::find(std::begin(known), std::end(known), method) != std::end(known);
}

bool is_target(std::string_view target, std::string_view method) {
    const bool visible = std::all_of(target.begin(), target.end(),
                                     [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
    if (target.empty() || !visible) return false;
    if (target.front() == '/') return true;
    if (target == "*") return method == "OPTIONS";
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!lower(target).starts_with(scheme)) continue;
        const std::string_view rest = target.substr(scheme.size());
        return is_authority(rest.substr(0, rest.find_first_of("/?")));
    }
    return false;
}

bool read_request_line(const std::string& line, PlainHead& head) {
    const auto words = split(line, ' ');
    if (words.size() != 3 || !is_token(words[0])) return false;
    head.method = words[0];
    head.target = words[1];
    head.minor = words[2] == "HTTP/1.0" ? 0 : 1;
    return is_method(head.method) && is_target(head.target, head.method) &&
           (words[2] == "HTTP/1.0" || words[2] == "HTTP/1.1");
}

bool read_status_line(const std::string& line, PlainHead& head) {
    // The blank behind the status may be missing with the reason.
    const std::string whole = line.size() == 12 ? line + " " : line;
    if (whole.size() < 13 || whole[8] != ' ' || whole[12] != ' ') return false;
    const std::string version = whole.substr(0, 8), status = whole.substr(9, 3);
    if (version != "HTTP/1.0" && version != "HTTP/1.1") return false;
    if (!is_number(status) || status < "100" || status > "599") return false;
    head.minor = version == "HTTP/1.0" ? 0 : 1;
    head.status = std::stoi(status);
    head.reason = whole.substr(13);
    return is_text(head.reason);
}

bool read_field(std::string_view line, PlainHead& head) {
    const std::size_t colon = line.find(':');
    if (colon == line.npos || !is_token(line.substr(0, colon))) return false;
    const std::string_view value = line.substr(colon + 1);
    if (!is_text(value)) return false;
    PlainField field;
    field.name = line.substr(0, colon);
    field.key = lower(field.name);
    field.value = trim(value);
    field.tail = value.substr(std::min(value.find_last_not_of(" \t") + 1, value.size()));
    head.fields.push_back(field);
    return true;
}

// What the fields say together: where the message goes and where it ends.
bool declare(Kind kind, const HeadLimits& limits, PlainHead& head) {
    const std::size_t lengths = head.count("content-length");
    const std::size_t codings = head.count("transfer-encoding");
    if (lengths + codings > 1) return false;
    if (codings == 1) {
        if (head.minor == 0 || lower(head.value("transfer-encoding")) != "chunked") return false;
        head.body = {Framing::chunked, 0};
    } else if (lengths == 1) {
        const std::string length = without_zeros(head.value("content-length"));
        if (!is_number(head.value("content-length"))) return false;
        if (!at_most(length, "18446744073709551615")) return false;
        head.body = {Framing::length, std::stoull(length)};
    } else if (kind == Kind::response) {
        head.body = {Framing::until_close, 0};
    }
    if (kind == Kind::response) return true;

    const std::size_t hosts = head.count("host");
    const bool none = head.minor == 0 && head.value("host").empty();
    if (hosts > 1 || !(none || is_authority(head.value("host")))) return false;
    if (limits.body_max != 0 && head.body.length > limits.body_max) return false;
    return std::all_of(head.fields.begin(), head.fields.end(), [](const PlainField& field) {
        return field.key != "expect" || lower(field.value) == "100-continue";
    });
}

FieldName id_of(std::string_view key) {
    struct Name {
        std::string_view key;
        FieldName id;
    };
    static constexpr Name names[] = {
        {"host", FieldName::host},
        {"content-length", FieldName::content_length},
        {"transfer-encoding", FieldName::transfer_encoding},
        {"connection", FieldName::connection},
        {"keep-alive", FieldName::keep_alive},
        {"proxy-connection", FieldName::proxy_connection},
        {"te", FieldName::te},
        {"trailer", FieldName::trailer},
        {"upgrade", FieldName::upgrade},
        {"expect", FieldName::expect},
        {"forwarded", FieldName::forwarded},
        {"x-forwarded-for", FieldName::x_forwarded_for},
        {"x-forwarded-proto", FieldName::x_forwarded_proto},
        {"x-forwarded-host", FieldName::x_forwarded_host},
        {"x-forwarded-port", FieldName::x_forwarded_port},
        {"x-real-ip", FieldName::x_real_ip},
        {"x-request-id", FieldName::x_request_id},
        {"via", FieldName::via},
        {"max-forwards", FieldName::max_forwards},
        {"date", FieldName::date},
        {"cookie", FieldName::cookie},
        {"set-cookie", FieldName::set_cookie},
        {"cache-control", FieldName::cache_control},
        {"authorization", FieldName::authorization},
    };
    for (const Name& name : names) {
        if (name.key == key) return name.id;
    }
    return FieldName::other;
}

}  // namespace

std::string lower(std::string_view text) {
    std::string out{text};
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

std::string trim(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == text.npos) return {};
    return std::string{text.substr(begin, text.find_last_not_of(" \t") - begin + 1)};
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    for (;;) {
        const std::size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        if (end == text.npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::size_t PlainHead::count(std::string_view key) const {
    return static_cast<std::size_t>(std::count_if(
        fields.begin(), fields.end(), [&](const PlainField& field) { return field.key == key; }));
}

std::string PlainHead::value(std::string_view key) const {
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [&](const PlainField& field) { return field.key == key; });
    return found == fields.end() ? std::string{} : found->value;
}

std::vector<std::string> PlainHead::connection() const {
    std::vector<std::string> names;
    for (const PlainField& field : fields) {
        if (field.key != "connection") continue;
        for (const std::string& name : split(field.value, ',')) {
            if (!trim(name).empty()) names.push_back(lower(trim(name)));
        }
    }
    return names;
}

PlainHead read_plain_head(Kind kind, std::string_view bytes, const HeadLimits& limits) {
    PlainHead head;
    std::size_t begin = 0;
    if (kind == Kind::request) {
        for (int i = 0; i < 2 && bytes.substr(begin, 2) == "\r\n"; ++i) begin += 2;
    }
    const std::size_t end = bytes.find("\r\n\r\n", begin);
    if (end == bytes.npos) return head;
    head.size = end + 4;
    head.reading = Reading::bad;
    if (head.size > limits.head) return head;

    std::string_view lines = bytes.substr(begin, end + 2 - begin);
    for (bool first = true; !lines.empty(); first = false) {
        const std::size_t size = lines.find("\r\n");
        const std::string line{lines.substr(0, size)};
        lines.remove_prefix(size + 2);
        if (line.find_first_of("\r\n") != line.npos) return head;
        if (!first) {
            if (!read_field(line, head)) return head;
        } else if (kind == Kind::response) {
            if (!read_status_line(line, head)) return head;
        } else if (line.size() > limits.request_line || !read_request_line(line, head)) {
            return head;
        }
    }
    if (head.fields.size() > limits.fields || !declare(kind, limits, head)) return head;
    head.reading = Reading::good;
    return head;
}

namespace {

// One line without its CR LF, which must be its end; if it is cut, what there is of it.
Reading take_line(std::string_view& bytes, std::string& line) {
    const std::size_t end = bytes.find('\n');
    const bool whole = end != bytes.npos;
    line = bytes.substr(0, end);
    bytes.remove_prefix(whole ? end + 1 : bytes.size());
    const std::size_t cr = line.find('\r');
    if (cr == line.npos) return whole ? Reading::bad : Reading::cut;
    if (cr != line.size() - 1) return Reading::bad;
    line.pop_back();
    return whole ? Reading::good : Reading::cut;
}

// What llhttp knows of RFC 9112, 7.1.1: one extension, its value a token.
bool is_plain_extension(std::string_view text) {
    const std::size_t equals = std::min(text.find('='), text.size());
    return text.size() <= 4096 && is_token(text.substr(0, equals)) &&
           (equals == text.size() || is_token(text.substr(equals + 1)));
}

// A field that says nothing about the message whose end it is.
bool is_plain_trailer(std::string_view line) {
    PlainHead head;
    if (!read_field(line, head)) return false;
    const std::string& key = head.fields[0].key;
    return key != "content-length" && key != "transfer-encoding";
}

Reading read_size(std::string_view& bytes, std::uint64_t& size, PlainBody& body) {
    constexpr std::string_view hex = "0123456789abcdef";
    const std::string_view before = bytes;
    std::string line;
    const Reading reading = take_line(bytes, line);
    if (reading == Reading::bad || before.empty()) return reading;
    const std::size_t end = std::min(line.find(';'), line.size());
    if (end < line.size()) {
        body.extended = true;
        body.refusable |= !is_plain_extension(line.substr(end + 1));
    }
    const std::string number = without_zeros(lower(line.substr(0, end)));
    if (end == 0 || !consists_of(number, hex, "", "") || number.size() > 16) return Reading::bad;
    size = std::stoull(number, nullptr, 16);
    return reading;
}

Reading read_trailers(std::string_view& bytes, PlainBody& body) {
    std::string line;
    for (;;) {
        const Reading reading = take_line(bytes, line);
        if (!line.empty()) {
            body.extended = true;
            body.refusable |= !is_plain_trailer(line);
        }
        if (reading != Reading::good || line.empty()) return reading;
    }
}

// RFC 9112, 7.1.
Reading read_chunks(std::string_view& bytes, std::uint64_t most, PlainBody& body) {
    for (;;) {
        std::uint64_t size = 0;
        if (const Reading reading = read_size(bytes, size, body); reading != Reading::good)
            return reading;
        if (size == 0) return read_trailers(bytes, body);
        body.too_large = most != 0 && size > most - body.data.size();
        if (body.too_large) return Reading::bad;
        const std::string_view data = bytes.substr(0, size);
        body.data.append(data);
        bytes.remove_prefix(data.size());
        const std::string_view end = std::string_view{"\r\n"}.substr(0, bytes.size());
        if (!bytes.starts_with(end)) return Reading::bad;
        bytes.remove_prefix(end.size());
        if (data.size() < size || end.size() < 2) return Reading::cut;
    }
}

}  // namespace

PlainBody read_plain_body(std::string_view bytes, const Body& framing, std::uint64_t most) {
    PlainBody body;
    switch (framing.framing) {
    case Framing::none: body.reading = Reading::good; break;
    case Framing::length:
        body.data = bytes.substr(0, framing.length);
        body.size = body.data.size();
        if (body.size == framing.length) body.reading = Reading::good;
        break;
    case Framing::until_close:
        body.data = bytes;
        body.size = bytes.size();
        body.reading = Reading::good;
        break;
    case Framing::chunked: {
        std::string_view rest = bytes;
        body.reading = read_chunks(rest, most, body);
        body.size = bytes.size() - rest.size();
        body.refusable |= body.size - body.data.size() > (std::size_t{16} << 10);
        break;
    }
    }
    return body;
}

void check_same_head(const Head& head, const PlainHead& plain) {
    check_same(head.text(head.method_text), plain.method, "the method is the one that was sent");
    check_same(head.text(head.target), plain.target, "the target is the one that was sent");
    check_same(head.text(head.reason), plain.reason, "the reason is the one that was sent");
    check(head.minor == plain.minor && head.status == plain.status,
          "version and status are those that were sent");
    check(head.size == plain.size, "the head ends where it ends");
    check(head.fields.size() == plain.fields.size(), "all fields are recorded, and no others");
    for (std::size_t i = 0; i < plain.fields.size(); ++i) {
        const Field& field = head.fields[i];
        check_same(head.text(field.name), plain.fields[i].name, "a field's name is as sent");
        check_same(head.text(field.value), plain.fields[i].value, "a field's value is as sent");
        check(field.id == id_of(plain.fields[i].key), "a field is known by its name");
        check(field.underscore == (plain.fields[i].name.find('_') != std::string::npos),
              "an underscore is seen");
    }
}

}  // namespace baton::fuzz
