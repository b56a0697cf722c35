#include "tests/unit/http_rows.h"

#include <charconv>
#include <fstream>
#include <set>

namespace baton::test {
namespace {

constexpr std::string_view repeat_begin = "{repeat:";

// Takes `prefix` off the front of `text` if it stands there.
bool take(std::string_view& text, std::string_view prefix) {
    if (text.substr(0, prefix.size()) != prefix) return false;
    text.remove_prefix(prefix.size());
    return true;
}

template <class Number>
bool take_number(std::string_view& text, Number& number, int base) {
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number, base);
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    return error == std::errc{};
}

bool take_escape(std::string_view& text, std::string& out) {
    if (text.empty()) return false;
    const char letter = text.front();
    text.remove_prefix(1);
    switch (letter) {
    case 'r': out += '\r'; return true;
    case 'n': out += '\n'; return true;
    case 't': out += '\t'; return true;
    case '\\': out += '\\'; return true;
    case 'x': {
        unsigned char byte = 0;
        std::string_view digits = text.substr(0, 2);
        if (digits.size() < 2 || !take_number(digits, byte, 16) || !digits.empty()) return false;
        text.remove_prefix(2);
        out += static_cast<char>(byte);
        return true;
    }
    default: return false;
    }
}

bool take_repeat(std::string_view& text, std::string& out) {
    std::size_t count = 0;
    if (!take(text, repeat_begin) || !take_number(text, count, 10) || !take(text, ":"))
        return false;
    const std::size_t end = text.find('}');
    if (end == text.npos) return false;
    const auto part = unescape(text.substr(0, end));
    if (!part) return false;
    for (std::size_t i = 0; i < count; ++i) out += *part;
    text.remove_prefix(end + 1);
    return true;
}

// "400 two_hosts" is a status and a reason, "left 3" is not.
void take_end(std::string_view text, Outcome& outcome) {
    const std::size_t blank = text.starts_with("left ") ? text.npos : text.find(' ');
    outcome.ends = text.substr(0, blank);
    if (blank != text.npos) outcome.reason = text.substr(blank + 1);
}

// One line of a row. False if it makes no sense there.
bool read_line(std::string_view line, std::vector<Row>& rows) {
    if (take(line, "row ")) {
        rows.emplace_back().name = line;
        return !line.empty();
    }
    if (rows.empty()) return line.substr(0, 1) == "#";
    Row& row = rows.back();
    if (take(line, "# chosen: ")) return row.chosen = true;
    if (line.substr(0, 1) == "#") return true;

    const std::size_t blank = line.find(' ');
    if (blank == line.npos) return false;
    const std::string_view word = line.substr(0, blank);
    const auto rest = unescape(line.substr(blank + 1));
    if (!rest || rest->empty()) return false;
    Outcome& expected = row.expected;
    if (word == "request" || word == "response") {
        if (!row.bytes.empty()) return false;
        row.kind = word == "request" ? HeadGuard::Kind::request : HeadGuard::Kind::response;
        row.bytes = *rest;
    } else if (word == "gives") {
        expected.messages.push_back({*rest, {}});
    } else if (word == "field" && !expected.messages.empty()) {
        expected.messages.back().fields.push_back(*rest);
    } else if (word == "ends" && expected.ends.empty()) {
        take_end(*rest, expected);
    } else {
        return false;
    }
    return true;
}

}  // namespace

std::optional<std::vector<Row>> load_rows(const std::string& path, std::string& complaint) {
    std::ifstream file{path};
    std::vector<Row> rows;
    int number = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        if (line.empty() || read_line(line, rows)) continue;
        complaint = path + ":" + std::to_string(number) + ": not understood: " + line;
        return {};
    }
    std::set<std::string> names;
    for (const Row& row : rows) {
        const bool judged = !row.expected.messages.empty() || !row.expected.ends.empty();
        if (!row.bytes.empty() && judged && names.insert(row.name).second) continue;
        complaint = path + ": without bytes or verdict, or twice: row " + row.name;
        return {};
    }
    if (rows.empty()) {
        complaint = path + ": no rows";
        return {};
    }
    return rows;
}

std::optional<std::string> unescape(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        if (take(text, "\\")) {
            if (!take_escape(text, out)) return {};
        } else if (text.substr(0, repeat_begin.size()) == repeat_begin) {
            if (!take_repeat(text, out)) return {};
        } else {
            out += text.front();
            text.remove_prefix(1);
        }
    }
    return out;
}

std::string escape(std::string_view text) {
    constexpr std::size_t shown_max = 300;
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : text.substr(0, shown_max)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            out += c;
        } else {
            out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        }
    }
    if (text.size() > shown_max) out += "...";
    return out;
}

}  // namespace baton::test
