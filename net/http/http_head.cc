#include "net/http/http_head.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "net/text.h"

namespace baton {
namespace {

// Whether the bytes at `text` are those at `lower_case`, which is written in lower case, in any letter
// case. What tells its letters from capitals is the bit 0x20; of all bytes in it, letters have the bit
// 0x40.
template <class Word>
bool are(const char* text, const char* lower_case) noexcept {
    constexpr Word letter_bits = static_cast<Word>(0x4040404040404040);
    Word word, wanted;
    std::memcpy(&word, text, sizeof word);
    std::memcpy(&wanted, lower_case, sizeof wanted);
    return (word | (wanted & letter_bits) >> 1) == wanted;
}

// As many bytes as `Word` has at once; the last ones may overlap those before.
template <class Word, std::size_t size>
bool are_all(const char* text, const char* lower_case) noexcept {
    std::size_t i = 0;
    for (; i + sizeof(Word) < size; i += sizeof(Word))
        if (!are<Word>(text + i, lower_case + i)) return false;
    return are<Word>(text + size - sizeof(Word), lower_case + size - sizeof(Word));
}

// `text` is as long as `lower_case`. The compiler knows the size, and unrolls the comparison.
template <std::size_t n>
[[gnu::always_inline]] inline bool is(std::string_view text, const char (&lower_case)[n]) noexcept {
    constexpr std::size_t size = n - 1;
    if constexpr (size >= 8) return are_all<std::uint64_t, size>(text.data(), lower_case);
    if constexpr (size >= 4) return are_all<std::uint32_t, size>(text.data(), lower_case);
    return are_all<std::uint16_t, size>(text.data(), lower_case);
}

// What tells the names apart but for two: their size and first letter.
constexpr std::size_t key_of(std::string_view name) noexcept {
    return name.size() << 8 | static_cast<unsigned char>(name[0] | 0x20);
}

template <std::size_t n>
[[gnu::always_inline]] inline FieldName one_of(std::string_view text, const char (&lower_case)[n],
                                               FieldName id) noexcept {
    return is(text, lower_case) ? id : FieldName::other;
}

// Inlined into both that follow: the first is called for each field.
[[gnu::always_inline]] inline FieldName find_name(std::string_view text) noexcept {
    using enum FieldName;
    if (text.empty()) return other;
    switch (key_of(text)) {
    case key_of("te"): return one_of(text, "te", te);
    case key_of("via"): return one_of(text, "via", via);
    case key_of("host"): return one_of(text, "host", host);
    case key_of("date"): return one_of(text, "date", date);
    case key_of("cookie"): return one_of(text, "cookie", cookie);
    case key_of("expect"): return one_of(text, "expect", expect);
    case key_of("upgrade"): return one_of(text, "upgrade", upgrade);
    case key_of("trailer"): return one_of(text, "trailer", trailer);
    case key_of("forwarded"): return one_of(text, "forwarded", forwarded);
    case key_of("x-real-ip"): return one_of(text, "x-real-ip", x_real_ip);
    case key_of("connection"): return one_of(text, "connection", connection);
    case key_of("set-cookie"): return one_of(text, "set-cookie", set_cookie);
    case key_of("keep-alive"): return one_of(text, "keep-alive", keep_alive);
    case key_of("x-request-id"): return one_of(text, "x-request-id", x_request_id);
    case key_of("max-forwards"): return one_of(text, "max-forwards", max_forwards);
    case key_of("cache-control"): return one_of(text, "cache-control", cache_control);
    case key_of("authorization"): return one_of(text, "authorization", authorization);
    case key_of("content-length"): return one_of(text, "content-length", content_length);
    case key_of("x-forwarded-for"): return one_of(text, "x-forwarded-for", x_forwarded_for);
    case key_of("proxy-connection"): return one_of(text, "proxy-connection", proxy_connection);
    case key_of("transfer-encoding"): return one_of(text, "transfer-encoding", transfer_encoding);
    case key_of("x-forwarded-proto"): return one_of(text, "x-forwarded-proto", x_forwarded_proto);
    case key_of("x-forwarded-host"):
        return is(text, "x-forwarded-host") ? x_forwarded_host
                                            : one_of(text, "x-forwarded-port", x_forwarded_port);
    default: return other;
    }
}

}  // namespace

FieldName field_name(std::string_view text) noexcept { return find_name(text); }

FieldName field_name_with_hyphens(std::string_view text) noexcept {
    std::array<char, 32> name;  // more than any that has an id
    text = text.substr(0, name.size());
    std::replace_copy(text.begin(), text.end(), name.begin(), '_', '-');
    return find_name({name.data(), text.size()});
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
