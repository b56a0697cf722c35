#include "proxy/config/toml_scan.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

#include "net/address.h"
#include "net/text.h"
#include "proxy/config/units.h"

namespace baton {

namespace {

using Kind = TomlSlip::Kind;

// What looks like ASCII and is not, as editors and web pages write it.
struct Lookalike {
    char32_t first;
    char32_t last;
    std::string_view name;
    std::string_view instead;
};
constexpr Lookalike lookalikes[] = {
    {0x0060, 0x0060, "backtick", "'"},
    {0x00a0, 0x00a0, "no-break space", "a blank"},
    {0x00ab, 0x00ab, "angle quote", "\""},
    {0x00b4, 0x00b4, "acute accent", "'"},
    {0x00bb, 0x00bb, "angle quote", "\""},
    {0x2000, 0x200a, "wide blank", "a blank"},
    {0x200b, 0x200f, "invisible character", "nothing"},
    {0x2010, 0x2015, "dash", "-"},
    {0x2018, 0x201b, "curly quote", "'"},
    {0x201c, 0x201f, "curly quote", "\""},
    {0x2028, 0x2029, "line separator", "a new line"},
    {0x202f, 0x202f, "no-break space", "a blank"},
    {0x2032, 0x2032, "prime", "'"},
    {0x2033, 0x2033, "double prime", "\""},
    {0x2060, 0x2060, "invisible character", "nothing"},
    {0x2212, 0x2212, "minus sign", "-"},
    {0x3000, 0x3000, "wide blank", "a blank"},
    {0xfeff, 0xfeff, "byte order mark", "nothing"},
    {0xff02, 0xff02, "wide quote", "\""},
    {0xff07, 0xff07, "wide quote", "'"},
    {0xff1d, 0xff1d, "wide equals sign", "="},
};

const Lookalike* lookalike_of(char32_t letter) noexcept {
    const auto* const found = std::find_if(
        std::begin(lookalikes), std::end(lookalikes),
        [&](const Lookalike& one) { return letter >= one.first && letter <= one.last; });
    return found == std::end(lookalikes) ? nullptr : found;
}

std::string code_point(char32_t letter) {
    char text[16];
    const auto [end, error] = std::to_chars(text, text + sizeof text, std::uint32_t{letter}, 16);
    std::string digits{text, static_cast<std::size_t>(end - text)};
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
    return "U+" + std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits;
}

constexpr bool is_continuation(char c) noexcept {
    return (static_cast<unsigned char>(c) & 0xc0U) == 0x80;
}

// The letter that `text` begins with, and its bytes. Of what is not UTF-8 one byte.
std::pair<char32_t, std::size_t> letter_of(std::string_view text) noexcept {
    const auto first = static_cast<unsigned char>(text[0]);
    const std::size_t size = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size > text.size() || size == 1) return {first, 1};
    char32_t letter = first & (0xffU >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) {
        if (!is_continuation(text[i])) return {first, 1};
        letter = (letter << 6U) | (static_cast<unsigned char>(text[i]) & 0x3fU);
    }
    return {letter, size};
}

// The first letter in `text` that somebody may have taken for this quote.
char32_t mistaken_for(char quote, std::string_view text) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        const auto [letter, size] = letter_of(text.substr(at));
        const Lookalike* other = lookalike_of(letter);
        if (other != nullptr && other->instead == std::string_view{&quote, 1}) return letter;
        at += size;
    }
    return 0;
}

// A whole number of TOML that does not fit into 64 bits.
bool is_large_number(std::string_view text) {
    std::string digits;
    int base = 10;
    bool negative = false;
    if (text.starts_with('+') || text.starts_with('-')) {
        negative = text.front() == '-';
        text.remove_prefix(1);
    } else if (text.starts_with("0x") || text.starts_with("0o") || text.starts_with("0b")) {
        base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 2;
        text.remove_prefix(2);
    }
    // One "_" between two digits; decimal digits without leading zeros.
    if (text.empty() || text.front() == '_' || text.back() == '_') return false;
    if (text.find("__") != std::string_view::npos || (base == 10 && text.front() == '0'))
        return false;
    std::copy_if(text.begin(), text.end(), std::back_inserter(digits),
                 [](char c) { return c != '_'; });
    if (negative) digits.insert(digits.begin(), '-');
    std::int64_t number = 0;
    const char* const end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, number, base);
    return parsed.ec == std::errc::result_out_of_range && parsed.ptr == end;
}

class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    TomlScan scan() {
        if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
        while (at_ < text_.size()) step();
        if (!open_.empty()) slip_bracket();
        return std::move(out_);
    }

private:
    // What stands where the walk is: a key, a value, what follows a value, or a table's header.
    enum class Place : std::uint8_t { key, value, after, header };

    // A bracket of an array or an inline table that is still open.
    struct Bracket {
        char kind;
        Position position;
    };

    void step() {
        const char c = text_[at_];
        switch (c) {
        case '\n': end_line(); break;
        case '\r':
            if (at_ + 1 < text_.size() && text_[at_ + 1] != '\n')
                slip(Kind::letter, "CR without LF, expected a new line");
            skip(1);
            break;
        case ' ':
        case '\t': skip(1); break;
        case '#': skip(text_.find('\n', at_) - at_); break;
        case '"':
        case '\'': read_quoted(); break;
        case '=':
            if (place_ == Place::value) slip(Kind::word, "expected a value, found another =");
            place_ = Place::value, skip(1);
            break;
        case '[':
        case '{': open(c); break;
        case ']':
        case '}':
            if (!open_.empty()) open_.pop_back();
            if (place_ != Place::header) place_ = Place::after;
            skip(1);
            break;
        case ',':
            if (place_ != Place::header) place_ = is_within('{') ? Place::key : Place::value;
            skip(1);
            break;
        default: read_word();
        }
    }

    void open(char bracket) {
        if (bracket == '[' && place_ == Place::key && open_.empty()) {
            place_ = Place::header;
        } else if (place_ == Place::value) {
            open_.push_back(Bracket{bracket, {line_, column_}});
            if (bracket == '{') place_ = Place::key;
        }
        skip(1);
    }

    bool is_within(char bracket) const { return !open_.empty() && open_.back().kind == bracket; }

    void end_line() {
        if (is_within('{'))
            out_.slips.push_back(
                TomlSlip{Kind::quote, open_.back().position, "a table in { } must be on one line"});
        ++at_;
        ++line_;
        column_ = 1;
        // Nobody means a header to be an item: a bracket was left open.
        if (!open_.empty() && is_header(text_.substr(at_))) slip_bracket();
        if (open_.empty()) place_ = Place::key;
    }

    // "[name]", "[[name]]" or "[name.name]" where a line begins. "[true]" is an item of an array.
    static bool is_header(std::string_view text) {
        const std::size_t first = text.find_first_not_of('[');
        if ((first != 1 && first != 2) || text[first] < 'a' || text[first] > 'z') return false;
        const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.", first);
        return end != std::string_view::npos && text[end] == ']' &&
               !is_known_word(text.substr(first, end - first));
    }

    static bool is_known_word(std::string_view word) {
        constexpr std::string_view known[] = {"true", "false", "inf", "nan"};
        return std::find(std::begin(known), std::end(known), word) != std::end(known);
    }

    void slip_bracket() {
        out_.slips.push_back(
            TomlSlip{Kind::quote, open_.front().position,
                     "bracket left open: this " + std::string{open_.front().kind} + " has no end"});
        open_.clear();
    }

    // Within a line.
    void skip(std::size_t bytes) {
        for (const std::size_t end = std::min(bytes, text_.size() - at_) + at_; at_ < end; ++at_)
            if (!is_continuation(text_[at_])) ++column_;
    }

    void slip(Kind kind, std::string text) {
        out_.slips.push_back(TomlSlip{kind, {line_, column_}, std::move(text)});
    }

    void read_quoted() {
        const char quote = text_[at_];
        const std::string three(3, quote);
        if (text_.substr(at_).starts_with(three)) return read_lines(three);
        std::size_t end = at_ + 1;
        while (end < text_.size() && text_[end] != quote && text_[end] != '\n')
            end += quote == '"' && text_.substr(end, 2) == "\\\"" ? 2 : 1;
        if (end < text_.size() && text_[end] == quote) {
            end_value();
            return skip(end + 1 - at_);
        }
        slip_open(text_.substr(at_, end - at_));
        skip(end - at_);
    }

    // A quote without an end on its line; the end may be there and be of the wrong kind.
    void slip_open(std::string_view text) {
        const std::string quote{text.front()};
        const char32_t end = mistaken_for(text.front(), text.substr(1));
        slip(Kind::quote, "quote left open: this " + quote +
                              (end == 0 ? " has no end on its line"
                                        : " ends in the " + std::string{lookalike_of(end)->name} +
                                              " " + code_point(end)));
    }

    // A text of several lines, up to the next three quotes.
    void read_lines(const std::string& three) {
        std::size_t end = at_ + 3;
        while (end < text_.size() && !text_.substr(end).starts_with(three))
            end += three[0] == '"' && text_[end] == '\\' ? 2 : 1;
        if (end >= text_.size())
            slip(Kind::quote, "quote left open: this " + three + " has no end");
        // Up to two more quotes belong to the text.
        end = std::min(end + 3, text_.size());
        while (end < text_.size() && text_[end] == three[0]) ++end;
        end_value();
        const std::string_view inside = text_.substr(at_, end - at_);
        const std::size_t last = inside.rfind('\n');
        line_ += static_cast<std::size_t>(std::count(inside.begin(), inside.end(), '\n'));
        if (last != std::string_view::npos) {
            at_ += last + 1;
            column_ = 1;
        }
        skip(end - at_);
    }

    void read_word() {
        const auto [letter, size] = letter_of(text_.substr(at_));
        if (const Lookalike* other = lookalike_of(letter)) {
            slip(Kind::letter, std::string{other->name} + " " + code_point(letter) + ", expected " +
                                   std::string{other->instead});
            return skip(size);
        }
        std::size_t end = at_ + size;
        while (end < text_.size() &&
               std::string_view{" \t\r\n#,=[]{}\"'`"}.find(text_[end]) == std::string_view::npos &&
               (static_cast<unsigned char>(text_[end]) < 0x80 ||
                lookalike_of(letter_of(text_.substr(end)).first) == nullptr))
            ++end;
        const std::string_view word = text_.substr(at_, end - at_);
        if (place_ == Place::value) judge(word);
        if (place_ == Place::after && open_.empty()) judge_rest(word);
        end_value();
        skip(word.size());
    }

    void end_value() {
        if (place_ == Place::value) place_ = Place::after;
    }

    // What follows a value on its line. The time of a date may.
    void judge_rest(std::string_view word) {
        if (is_digit(word.front())) return;
        const bool is_comment = word.starts_with("//") || word.starts_with(';') ||
                                word.starts_with("--") || word.starts_with("/*");
        slip(Kind::word, "expected the end of the line after the value, found " + quoted(word) +
                             (is_comment ? "; a comment begins with #" : ""));
    }

    // A value without quotes.
    void judge(std::string_view word) {
        if (is_known_word(word)) return;
        if (is_large_number(word))
            return out_.large_numbers.push_back(TomlNumber{{line_, column_}, at_, word});
        constexpr std::string_view truths[] = {"true", "false", "yes", "no", "on", "off"};
        if (std::any_of(std::begin(truths), std::end(truths),
                        [&](std::string_view one) { return equal_fold(one, word); }))
            return slip(Kind::word, "expected true or false, found " + std::string{word});
        const char first = word.front();
        const bool may_be_number = is_digit(first) || first == '+' || first == '-';
        if (!may_be_number || parse_duration(word) || parse_size(word) || parse_address(word))
            slip(Kind::word, "value without quotes, expected " + quoted(word));
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
    std::size_t column_ = 1;
    Place place_ = Place::key;
    std::vector<Bracket> open_;
    TomlScan out_;
};

}  // namespace

TomlScan scan_toml(std::string_view text) { return Scanner{text}.scan(); }

const TomlSlip* slip_of(const TomlScan& scan, std::size_t line) noexcept {
    const TomlSlip* best = nullptr;
    for (const TomlSlip& one : scan.slips) {
        if (one.position.line > line ||
            (best != nullptr && one.position.line > best->position.line))
            break;
        if (best == nullptr || one.kind < best->kind) best = &one;
    }
    return best;
}

}  // namespace baton
