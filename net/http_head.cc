#include "net/http_head.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace baton {
namespace {

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

std::uint64_t eight_of(const char* p) noexcept {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

// `lower_case` is written in lower case and of the same size as `text`. What tells its letters from
// capitals is the bit 0x20; of all bytes in it, letters have the bit 0x40.
bool is(std::string_view text, std::string_view lower_case) noexcept {
    std::size_t i = 0;
    for (; i + 8 <= lower_case.size(); i += 8) {
        const std::uint64_t wanted = eight_of(lower_case.data() + i);
        const std::uint64_t lower_bits = (wanted & 0x4040404040404040) >> 1;
        if ((eight_of(text.data() + i) | lower_bits) != wanted) return false;
    }
    for (; i < lower_case.size(); ++i)
        if (lower(text[i]) != lower_case[i]) return false;
    return true;
}

struct Known {
    std::string_view name;
    FieldName id;
};

// The few names of one length. Sorting them by length leaves one or two comparisons a field.
template <std::size_t n>
FieldName first_of(std::string_view text, const Known (&known)[n]) noexcept {
    for (const Known& candidate : known) {
        if (is(text, candidate.name)) return candidate.id;
    }
    return FieldName::other;
}

}  // namespace

FieldName field_name(std::string_view text) noexcept {
    using enum FieldName;
    static constexpr Known of_4[] = {{"host", host}, {"date", date}};
    static constexpr Known of_6[] = {{"cookie", cookie}, {"expect", expect}};
    static constexpr Known of_7[] = {{"upgrade", upgrade}, {"trailer", trailer}};
    static constexpr Known of_9[] = {{"forwarded", forwarded}, {"x-real-ip", x_real_ip}};
    static constexpr Known of_10[] = {
        {"connection", connection}, {"set-cookie", set_cookie}, {"keep-alive", keep_alive}};
    static constexpr Known of_12[] = {{"x-request-id", x_request_id},
                                      {"max-forwards", max_forwards}};
    static constexpr Known of_13[] = {{"cache-control", cache_control},
                                      {"authorization", authorization}};
    static constexpr Known of_16[] = {{"x-forwarded-host", x_forwarded_host},
                                      {"x-forwarded-port", x_forwarded_port},
                                      {"proxy-connection", proxy_connection}};
    static constexpr Known of_17[] = {{"transfer-encoding", transfer_encoding},
                                      {"x-forwarded-proto", x_forwarded_proto}};
    switch (text.size()) {
    case 2: return is(text, "te") ? te : other;
    case 3: return is(text, "via") ? via : other;
    case 4: return first_of(text, of_4);
    case 6: return first_of(text, of_6);
    case 7: return first_of(text, of_7);
    case 9: return first_of(text, of_9);
    case 10: return first_of(text, of_10);
    case 12: return first_of(text, of_12);
    case 13: return first_of(text, of_13);
    case 14: return is(text, "content-length") ? content_length : other;
    case 15: return is(text, "x-forwarded-for") ? x_forwarded_for : other;
    case 16: return first_of(text, of_16);
    case 17: return first_of(text, of_17);
    default: return other;
    }
}

const Field* Head::find(FieldName name) const noexcept {
    if (!has(name)) return nullptr;
    const auto found =
        std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.id == name; });
    return found == fields.end() ? nullptr : &*found;
}

std::string_view Head::value(FieldName name) const noexcept {
    const Field* field = find(name);
    return field == nullptr ? std::string_view{} : text(field->value);
}

bool equal_fold(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                              [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

void ConnectionOptions::read_fields(const Head& head) noexcept {
    for (const Field& field : head.fields) {
        if (field.id != FieldName::connection) continue;
        std::string_view list = head.text(field.value);
        for (bool more = true; more;) {
            if (elements_++ == elements_max) {
                too_many = true;
                persistent = false;
                return;
            }
            const std::size_t comma = list.find(',');
            more = comma != list.npos;
            take(head, trimmed(list.substr(0, comma)));
            if (more) list.remove_prefix(comma + 1);
        }
    }
    persistent = !close && (head.minor == 1 || keep_alive);
}

void ConnectionOptions::take(const Head& head, std::string_view element) noexcept {
    if (element.empty()) return;
    if (equal_fold(element, "keep-alive")) {
        keep_alive = true;
    } else if (equal_fold(element, "upgrade")) {
        upgrade = true;
    } else {
        close = close || equal_fold(element, "close");
        names_[count_++] = {static_cast<std::uint32_t>(element.data() - head.bytes),
                            static_cast<std::uint32_t>(element.size())};
    }
}

bool ConnectionOptions::is_listed(const Head& head, std::string_view field_name) const noexcept {
    for (std::size_t i = 0; i < count_; ++i)
        if (equal_fold(field_name, {head.bytes + names_[i].begin, names_[i].size})) return true;
    return false;
}

}  // namespace baton
