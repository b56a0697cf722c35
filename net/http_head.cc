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
    static constexpr Known of_6[] = {{"cookie", cookie}, {"expect", expect}};
    static constexpr Known of_7[] = {{"upgrade", upgrade}, {"trailer", trailer}};
    static constexpr Known of_9[] = {{"forwarded", forwarded}, {"x-real-ip", x_real_ip}};
    static constexpr Known of_10[] = {
        {"connection", connection}, {"set-cookie", set_cookie}, {"keep-alive", keep_alive}};
    static constexpr Known of_13[] = {{"cache-control", cache_control},
                                      {"authorization", authorization}};
    static constexpr Known of_16[] = {{"x-forwarded-host", x_forwarded_host},
                                      {"x-forwarded-port", x_forwarded_port},
                                      {"proxy-connection", proxy_connection}};
    static constexpr Known of_17[] = {{"transfer-encoding", transfer_encoding},
                                      {"x-forwarded-proto", x_forwarded_proto}};
    switch (text.size()) {
    case 2: return is(text, "te") ? te : other;
    case 4: return is(text, "host") ? host : other;
    case 6: return first_of(text, of_6);
    case 7: return first_of(text, of_7);
    case 9: return first_of(text, of_9);
    case 10: return first_of(text, of_10);
    case 12: return is(text, "x-request-id") ? x_request_id : other;
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

bool list_has(std::string_view list, std::string_view token) noexcept {
    for (std::size_t begin = 0; begin < list.size();) {
        const std::size_t comma = std::min(list.find(',', begin), list.size());
        std::string_view item = list.substr(begin, comma - begin);
        while (!item.empty() && is_blank(item.front())) item.remove_prefix(1);
        while (!item.empty() && is_blank(item.back())) item.remove_suffix(1);
        if (equal_fold(item, token)) return true;
        begin = comma + 1;
    }
    return false;
}

void ConnectionOptions::read() noexcept {
    for (const Field& field : head_->fields) {
        if (field.id != FieldName::connection) continue;
        std::string_view list = head_->text(field.value);
        while (!list.empty()) {
            const std::size_t end = std::min(list.find(','), list.size());
            take(list.substr(0, end));
            list.remove_prefix(std::min(end + 1, list.size()));
        }
    }
    persistent = !close && (head_->minor == 1 || keep_alive);
}

void ConnectionOptions::take(std::string_view option) noexcept {
    while (option.starts_with(' ') || option.starts_with('\t')) option.remove_prefix(1);
    while (option.ends_with(' ') || option.ends_with('\t')) option.remove_suffix(1);
    if (option.empty()) return;
    if (equal_fold(option, "close"))
        close = true;
    else if (equal_fold(option, "keep-alive"))
        keep_alive = true;
    else if (equal_fold(option, "upgrade"))
        upgrade = true;
    else if (count_ < names_max)
        ++count_;
    else
        too_many = true;
}

bool ConnectionOptions::is_listed(std::string_view field_name) const noexcept {
    for (const Field& field : head_->fields)
        if (field.id == FieldName::connection && list_has(head_->text(field.value), field_name))
            return true;
    return false;
}

}  // namespace baton
