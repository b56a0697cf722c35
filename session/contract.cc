#include "session/contract.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace baton {
namespace {

// Fields of the contract that this version refuses: to pass over them would lose what the server
// relies on.
constexpr std::array<std::string_view, 5> later_fields = {"Incr", "Base", "Rotate", "Idle", "Use"};

// The letter as CGI and WSGI see it in a field name, except that they have upper case.
constexpr char folded(char c) noexcept {
    if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
    return c == '_' ? '-' : c;
}

bool same_folded(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return folded(x) == folded(y); });
}

bool is_attribute_name(std::string_view text, std::size_t size_max) noexcept {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-';
    };
    return !text.empty() && text.size() <= size_max &&
           std::all_of(text.begin(), text.end(), allowed);
}

// Calls `each` with every piece between ampersands that is not empty, until it returns false. Empty
// pieces mean nothing, as in every form decoder: they come from an empty line joined with others.
template <class Each>
bool for_each_piece(std::string_view text, Each each) {
    while (!text.empty()) {
        const std::size_t end = text.find('&');
        const std::string_view piece = text.substr(0, end);
        if (!piece.empty() && !each(piece)) return false;
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return true;
}

// "k=v" decoded; "k" is "k=".
struct Pair {
    std::optional<std::string> name;
    std::optional<std::string> value;
};

Pair decoded_pair(std::string_view piece) {
    const std::size_t equals = piece.find('=');
    if (equals == std::string_view::npos) return {decoded(piece), std::string{}};
    return {decoded(piece.substr(0, equals)), decoded(piece.substr(equals + 1))};
}

void join(std::string& lines, std::string_view line) {
    if (!lines.empty()) lines.push_back('&');
    lines.append(line);
}

// Appends the beginning of a field's line.
void begin_field(std::string& out, std::string_view prefix, std::string_view suffix) {
    out.append(prefix).append(suffix).append(": ");
}

void append_field(std::string& out, std::string_view prefix, std::string_view suffix,
                  std::string_view value) {
    begin_field(out, prefix, suffix);
    out.append(value).append("\r\n");
}

template <class Int>
void append_number_field(std::string& out, std::string_view prefix, std::string_view suffix,
                         Int number) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    append_field(out, prefix, suffix,
                 {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

// Either Data, also when there is none, or Data-Omitted: a server that sees neither knows that it
// was told nothing.
void append_data_field(std::string& out, std::string_view prefix, const Attributes& attributes,
                       std::size_t data_max) {
    const std::size_t field_begin = out.size();
    begin_field(out, prefix, "Data");
    const std::size_t data_begin = out.size();
    for (const auto& [name, value] : attributes) {
        if (out.size() > data_begin) out.push_back('&');
        append_encoded(out, name);
        out.push_back('=');
        append_encoded(out, value);
    }
    const std::size_t data_size = out.size() - data_begin;
    if (data_size > data_max) {
        out.resize(field_begin);
        append_number_field(out, prefix, "Data-Omitted", data_size);
    } else {
        out.append("\r\n");
    }
}

}  // namespace

std::string_view name(SessionState state) noexcept {
    switch (state) {
    case SessionState::off: return "off";
    case SessionState::none: return "none";
    case SessionState::fresh: return "new";
    case SessionState::live: return "live";
    case SessionState::unavailable: return "unavailable";
    }
    return "off";
}

bool has_session_prefix(std::string_view field_name, std::string_view prefix) noexcept {
    return field_name.size() >= prefix.size() &&
           same_folded(field_name.substr(0, prefix.size()), prefix);
}

void append_session_fields(std::string& out, const SessionFields& fields) {
    if (fields.state == SessionState::off) return;
    append_field(out, fields.prefix, "State", name(fields.state));
    if (fields.id != nullptr) append_field(out, fields.prefix, "Id", fields.id->view());
    if (fields.record == nullptr) return;
    append_number_field(out, fields.prefix, "Version", fields.record->version);
    append_number_field(out, fields.prefix, "Created", fields.record->created_ms);
    append_data_field(out, fields.prefix, fields.record->attributes, fields.data_max);
}

bool SessionRequest::take(std::string_view suffix, std::string_view value) {
    if (same_folded(suffix, "Set")) {
        create_ = true;
        join(set_text_, value);
    } else if (same_folded(suffix, "Unset")) {
        unset_asked_ = true;
        join(unset_text_, value);
    } else if (same_folded(suffix, "Create")) {
        create_ = true;
        if (value != "1") refuse("Create must be 1");
    } else if (same_folded(suffix, "Destroy")) {
        destroy_ = true;
        if (value != "1") refuse("Destroy must be 1");
    } else {
        const auto* later =
            std::find_if(later_fields.begin(), later_fields.end(),
                         [&](std::string_view field) { return same_folded(suffix, field); });
        if (later == later_fields.end()) return false;
        refuse(std::string{*later} + " is not supported yet");
    }
    return true;
}

SessionRequest::Verdict SessionRequest::finish(const ContractLimits& limits) {
    if (!complaint_.empty()) return Verdict::refused;
    if (destroy_ && unset_asked_) return refuse("Destroy and Unset in one response");
    if (!decode_set(limits) || !decode_unset(limits) || !check_sizes(limits)) {
        return Verdict::refused;
    }
    return create_ || destroy_ || !unset_.empty() ? Verdict::change : Verdict::none;
}

bool SessionRequest::decode_set(const ContractLimits& limits) {
    const bool good = for_each_piece(set_text_, [&](std::string_view piece) {
        auto [name, value] = decoded_pair(piece);
        if (!check_name("Set", name, limits)) return false;
        if (!value) return refuse("bad percent-encoding in Set", *name), false;
        set_.emplace_back(std::move(*name), std::move(*value));
        return true;
    });
    if (!good) return false;
    // A name given twice: the last one counts, as with fields and lines that were set one after
    // another.
    std::stable_sort(set_.begin(), set_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto last_of_each =
        std::unique(set_.rbegin(), set_.rend(),
                    [](const auto& a, const auto& b) { return a.first == b.first; });
    set_.erase(set_.begin(), last_of_each.base());
    return true;
}

bool SessionRequest::decode_unset(const ContractLimits& limits) {
    const bool good = for_each_piece(unset_text_, [&](std::string_view piece) {
        auto [name, value] = decoded_pair(piece);
        if (!check_name("Unset", name, limits)) return false;
        if (!value || !value->empty()) return refuse("an Unset with a value", *name), false;
        unset_.push_back(std::move(*name));
        return true;
    });
    if (!good) return false;
    std::sort(unset_.begin(), unset_.end());
    unset_.erase(std::unique(unset_.begin(), unset_.end()), unset_.end());
    return true;
}

bool SessionRequest::check_name(std::string_view field, const std::optional<std::string>& name,
                                const ContractLimits& limits) {
    if (!name) return refuse("bad percent-encoding in " + std::string{field}), false;
    if (name->empty()) return refuse("empty name in " + std::string{field}), false;
    if (is_attribute_name(*name, limits.name_max)) return true;
    return refuse("bad attribute name in " + std::string{field}, *name), false;
}

bool SessionRequest::check_sizes(const ContractLimits& limits) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (const auto& [name, value] : set_) {
        bytes += name.size() + value.size();
        if (std::binary_search(unset_.begin(), unset_.end(), name)) {
            return refuse("an attribute is both set and unset", name), false;
        }
        if (value.size() > limits.attribute_max) return refuse("value too long", name), false;
        if (++count > limits.attributes_max) return refuse("too many attributes", name), false;
        if (bytes > limits.data_max) return refuse("too many bytes in all", name), false;
    }
    return true;
}

SessionRequest::Verdict SessionRequest::refuse(std::string complaint, std::string_view attribute) {
    if (complaint_.empty()) {
        complaint_ = std::move(complaint);
        attribute_ = attribute;
    }
    return Verdict::refused;
}

}  // namespace baton
