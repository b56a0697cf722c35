#include "session/contract.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "net/text.h"

namespace baton {
namespace {

// The letter as CGI and WSGI see it in a field name, except that they have upper case.
constexpr char folded(char c) noexcept { return c == '_' ? '-' : lower(c); }

bool same_folded(std::string_view a, std::string_view b) noexcept {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return folded(x) == folded(y); });
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

void join(std::optional<std::string>& lines, std::string_view line) {
    if (!lines) lines.emplace();
    if (!lines->empty()) lines->push_back('&');
    lines->append(line);
}

// No field of the contract takes a negative number but Incr.
std::optional<std::uint64_t> parse_count(std::string_view text) noexcept {
    const auto number = parse_integer(text);
    if (!number || *number < 0) return std::nullopt;
    return static_cast<std::uint64_t>(*number);
}

std::optional<std::int64_t> parse_seconds(std::string_view text) noexcept {
    const auto number = parse_integer(text);
    if (!number || *number < 0) return std::nullopt;
    // Nobody means more; as milliseconds it is still an integer like the others.
    return std::min(*number, integer_max / 1000) * 1000;
}

// Appends the beginning of a field's line.
void begin_field(std::string& out, std::string_view prefix, std::string_view suffix) {
    out.append(prefix).append(suffix).append(": ");
}

void append_field(std::string& out, std::string_view prefix, std::string_view suffix,
                  std::string_view value) {
    // Room is made once: each append would look for it anew.
    const std::size_t begin = out.size();
    out.resize(begin + prefix.size() + suffix.size() + value.size() + 4);
    char* end = std::copy(prefix.begin(), prefix.end(), out.data() + begin);
    end = std::copy(suffix.begin(), suffix.end(), end);
    *end++ = ':';
    *end++ = ' ';
    end = std::copy(value.begin(), value.end(), end);
    *end++ = '\r';
    *end++ = '\n';
}

template <class Int>
void append_number_field(std::string& out, std::string_view prefix, std::string_view suffix,
                         Int number) {
    append_field(out, prefix, suffix, Decimal{number}.view());
}

// Either Data, also when there is none, or Data-Omitted: a server that sees neither knows that it
// was told nothing. True: Data-Omitted.
bool append_data_field(std::string& out, std::string_view prefix, const Attributes& attributes,
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
        return true;
    }
    out.append("\r\n");
    return false;
}

}  // namespace

bool is_attribute_name(std::string_view text, std::size_t size_max) noexcept {
    return !text.empty() && text.size() <= size_max && is_plain_word(text);
}

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

bool append_session_fields(std::string& out, const SessionFields& fields) {
    if (fields.state == SessionState::off) return false;
    append_field(out, fields.prefix, "State", name(fields.state));
    if (fields.id != nullptr) append_field(out, fields.prefix, "Id", fields.id->view());
    if (fields.record == nullptr) return false;
    append_number_field(out, fields.prefix, "Version", fields.record->version);
    append_number_field(out, fields.prefix, "Created", fields.record->created_ms);
    return append_data_field(out, fields.prefix, fields.record->attributes, fields.data_max);
}

bool SessionRequest::take(std::string_view suffix, std::string_view value) {
    if (same_folded(suffix, "Set"))
        join(set_text_, value);
    else if (same_folded(suffix, "Unset"))
        join(unset_text_, value);
    else if (same_folded(suffix, "Incr"))
        join(increments_text_, value);
    else if (same_folded(suffix, "Base"))
        take_once("Base", base_, parse_count(value), "a version");
    else if (same_folded(suffix, "Idle"))
        take_once("Idle", idle_ms_, parse_seconds(value), "a number of seconds");
    else if (same_folded(suffix, "Use"))
        take_once("Use", use_, parse_session_id(value), "an id");
    else
        return take_word(suffix, value);
    return true;
}

// The fields that ask for one thing.
bool SessionRequest::take_word(std::string_view suffix, std::string_view value) {
    if (same_folded(suffix, "Create")) {
        create_ = true;
        if (value != "1") refuse(Reason::bad_session_field, "Create must be 1", "Create");
    } else if (same_folded(suffix, "Destroy")) {
        destroy_ = true;
        if (value != "1") refuse(Reason::bad_session_field, "Destroy must be 1", "Destroy");
    } else if (same_folded(suffix, "Rotate")) {
        rotate_ = true;
        if (value != "login" && value != "1")
            refuse(Reason::bad_session_field, "Rotate must be login or 1", "Rotate");
    } else {
        return false;
    }
    return true;
}

template <class Value>
void SessionRequest::take_once(std::string_view field, std::optional<Value>& out,
                               std::optional<Value> value, std::string_view expected) {
    if (out)
        refuse(Reason::session_field_twice, std::string{field} + " twice", field);
    else if (!value)
        refuse(Reason::bad_session_field, std::string{field} + " must be " + std::string{expected},
               field);
    else
        out = value;
}

// Two fields that one response cannot ask for together, as they are named in the complaint.
std::string_view SessionRequest::clash() const noexcept {
    if (destroy_) {
        if (rotate_) return "Destroy and Rotate";
        if (unset_text_) return "Destroy and Unset";
        if (increments_text_) return "Destroy and Incr";
        if (base_) return "Destroy and Base";
    }
    const bool others = create_ || destroy_ || rotate_ || set_text_ || unset_text_ ||
                        increments_text_ || base_ || idle_ms_;
    if (use_ && others) return "Use and another field";
    return {};
}

SessionRequest::Verdict SessionRequest::finish(const ContractLimits& limits) {
    if (!complaint_.empty()) return Verdict::refused;
    if (const std::string_view fields = clash(); !fields.empty())
        return refuse(Reason::session_fields_clash, std::string{fields} + " in one response",
                      fields);
    if (!decode_set(limits) || !decode_unset(limits) || !decode_increments(limits) ||
        !check_once_each() || !check_sizes(limits)) {
        return Verdict::refused;
    }
    create_ = create_ || set_text_ || !increments_.empty();
    return create_ || destroy_ || rotate_ || use_ || writes() ? Verdict::change : Verdict::none;
}

bool SessionRequest::decode_set(const ContractLimits& limits) {
    const bool good = for_each_piece(set_text_.value_or(""), [&](std::string_view piece) {
        auto [name, value] = decoded_pair(piece);
        if (!check_name("Set", name, limits)) return false;
        if (!value)
            return refuse_attribute(Reason::bad_encoding, "bad percent-encoding in Set", *name),
                   false;
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
    const bool good = for_each_piece(unset_text_.value_or(""), [&](std::string_view piece) {
        auto [name, value] = decoded_pair(piece);
        if (!check_name("Unset", name, limits)) return false;
        if (!value || !value->empty())
            return refuse_attribute(Reason::value_in_unset, "an Unset with a value", *name), false;
        unset_.push_back(std::move(*name));
        return true;
    });
    if (!good) return false;
    std::sort(unset_.begin(), unset_.end());
    unset_.erase(std::unique(unset_.begin(), unset_.end()), unset_.end());
    return true;
}

bool SessionRequest::decode_increments(const ContractLimits& limits) {
    const bool good = for_each_piece(increments_text_.value_or(""), [&](std::string_view piece) {
        auto [name, value] = decoded_pair(piece);
        if (!check_name("Incr", name, limits)) return false;
        const auto delta = value ? parse_integer(*value) : std::nullopt;
        if (!delta)
            return refuse_attribute(Reason::not_integer, "an Incr that is no integer", *name),
                   false;
        increments_.push_back(Increment{std::move(*name), *delta});
        return true;
    });
    if (!good) return false;
    std::sort(increments_.begin(), increments_.end(),
              [](const Increment& a, const Increment& b) { return a.name < b.name; });
    const auto twice =
        std::adjacent_find(increments_.begin(), increments_.end(),
                           [](const Increment& a, const Increment& b) { return a.name == b.name; });
    return twice == increments_.end() ||
           (refuse_attribute(Reason::attribute_twice, "an attribute twice in Incr", twice->name),
            false);
}

// A name in two of Set, Unset and Incr: nothing says which comes first.
bool SessionRequest::check_once_each() {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : set_) names.push_back(name);
    for (const std::string& name : unset_) names.push_back(name);
    for (const Increment& increment : increments_) names.push_back(increment.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice == names.end()) return true;
    return refuse_attribute(Reason::attribute_twice, "an attribute in two of Set, Unset and Incr",
                            *twice),
           false;
}

bool SessionRequest::check_name(std::string_view field, const std::optional<std::string>& name,
                                const ContractLimits& limits) {
    if (!name)
        return refuse(Reason::bad_encoding, "bad percent-encoding in " + std::string{field}, field),
               false;
    if (name->empty())
        return refuse(Reason::bad_attribute_name, "empty name in " + std::string{field}, field),
               false;
    if (is_attribute_name(*name, limits.name_max)) return true;
    return refuse_attribute(Reason::bad_attribute_name,
                            "bad attribute name in " + std::string{field}, *name),
           false;
}

bool SessionRequest::check_sizes(const ContractLimits& limits) {
    std::size_t count = increments_.size();
    std::size_t bytes = 0;
    if (count > limits.attributes_max)
        return refuse(Reason::too_many_attributes, "too many attributes", "Incr"), false;
    if (unset_.size() > limits.unset_max())
        return refuse(Reason::too_many_attributes, "too many names in Unset", "Unset"), false;
    for (const auto& [name, value] : set_) {
        bytes += name.size() + value.size();
        if (value.size() > limits.attribute_max)
            return refuse_attribute(Reason::value_too_long, "value too long", name), false;
        if (++count > limits.attributes_max)
            return refuse_attribute(Reason::too_many_attributes, "too many attributes", name),
                   false;
        if (bytes > limits.data_max)
            return refuse_attribute(Reason::data_too_long, "too many bytes in all", name), false;
    }
    return true;
}

SessionRequest::Verdict SessionRequest::refuse(Reason reason, std::string complaint,
                                               std::string_view field) {
    if (complaint_.empty()) {
        reason_ = reason;
        complaint_ = std::move(complaint);
        field_ = field;
    }
    return Verdict::refused;
}

SessionRequest::Verdict SessionRequest::refuse_attribute(Reason reason, std::string complaint,
                                                         std::string_view attribute) {
    if (complaint_.empty()) attribute_ = attribute;
    return refuse(reason, std::move(complaint), {});
}

}  // namespace baton
