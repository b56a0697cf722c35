#include "proxy/config/config_reference.h"

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "proxy/config/config_keys.h"
#include "proxy/config/toml_table.h"
#include "proxy/config/units.h"

namespace baton {

namespace {

constexpr std::string_view introduction =
    R"(# Every key of baton, with its default, or with an example if it has none. Leave out what you do not
# change. conf/minimal.toml is the smallest useful file.
#
#     baton -t -c baton.toml      checks a file and reports every mistake with its line and column
#
# Durations are a whole number with ms, s, m, h or d: "500ms", "10s", "30m", "12h", "1d".
# Sizes are a whole number with B, KiB, MiB, GiB or TiB. An unknown key is a mistake.
)";

// How the range of a value is written for two kinds of readers.
struct Style {
    std::string_view quote;  // around a duration or a size
    std::string_view to;
    std::string_view code;  // around a name
    std::string_view last;  // between the last two names
};
constexpr Style in_file{"\"", " to ", "", " or "};
constexpr Style in_manual{"", "–", "`", ", "};

std::string from_to(const std::string& min, const std::string& max, const Style& style) {
    const std::string quote{style.quote};
    return quote + min + quote + std::string{style.to} + quote + max + quote;
}

std::string zero(std::string_view written, std::string_view means, const Style& style) {
    if (means.empty()) return {};
    const std::string code{style.code};
    return "; " + code + std::string{written} + code + ": " + std::string{means};
}

struct RangeText {
    Style style;

    std::string operator()(const Flag&) const {
        return style.code.empty() ? std::string{} : "`true`, `false`";
    }
    std::string operator()(const NumberRange& range) const {
        return std::to_string(range.min) + std::string{style.to} + std::to_string(range.max);
    }
    std::string operator()(const DurationRange& range) const {
        return from_to(duration_text(range.min), duration_text(range.max), style) +
               zero("\"0s\"", range.zero_means, style);
    }
    std::string operator()(const SizeRange& range) const {
        return from_to(size_text(range.min), size_text(range.max), style) +
               zero("0", range.zero_means, style);
    }
    std::string operator()(const TextForm& form) const { return std::string{form.expected}; }
    std::string operator()(const AddressIn& address) const { return std::string{address.expected}; }
    std::string operator()(const Special& special) const { return std::string{special.expected}; }
    std::string operator()(const OneOf& one) const {
        if (one.names.size() == 1) return "only this";
        std::string out;
        for (std::size_t i = 0; i < one.names.size(); ++i) {
            if (i > 0) out += i + 1 == one.names.size() ? style.last : ", ";
            out.append(style.code).append(quoted(one.names[i])).append(style.code);
        }
        return out;
    }
};

// "a name" → "A name."
std::string sentence(std::string text) {
    if (text.empty()) return text;
    if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text.ends_with('.') ? text : text + ".";
}

std::string joined(const std::string& a, const std::string& b) {
    return a.empty() || b.empty() ? a + b : a + " " + b;
}

void append_comment(std::string& out, std::string_view text) {
    constexpr std::size_t columns = 120;
    while (!text.empty()) {
        const std::size_t room = columns - 2;
        std::size_t end = text.size() <= room ? text.size() : text.rfind(' ', room);
        if (end == std::string_view::npos) end = text.size();
        out.append("# ").append(text.substr(0, end)).append("\n");
        text.remove_prefix(end < text.size() ? end + 1 : end);
    }
}

template <class Struct>
std::string range_of(const Key<Struct>& key, const Style& style) {
    return key.range.empty() ? std::visit(RangeText{style}, key.value.type)
                             : std::string{key.range};
}

// Whether the meaning goes through all that the key may be.
template <class Struct>
bool is_range_told(const Key<Struct>& key) {
    const auto* one = std::get_if<OneOf>(&key.value.type);
    if (one == nullptr) return false;
    return std::all_of(one->names.begin(), one->names.end(), [&](std::string_view name) {
        return key.meaning.find(quoted(name)) != std::string_view::npos;
    });
}

template <class Struct>
std::string comment_of(const Key<Struct>& key) {
    std::string out = sentence(std::string{key.meaning});
    if (!is_range_told(key)) out = joined(out, sentence(range_of(key, in_file)));
    const std::string otherwise{key.otherwise};
    if (otherwise == "required") return out;
    const bool is_default = !otherwise.empty() && !otherwise.starts_with("required");
    return joined(out, sentence(is_default ? "default: " + otherwise : otherwise));
}

template <class Struct>
std::string shown_value(const Key<Struct>& key) {
    return key.example.empty() ? key.value.initial(key.value.type) : std::string{key.example};
}

class ReferenceFile {
public:
    template <class Struct>
    void operator()(const Section<Struct>& section) {
        if (!section.row_prefix.empty() && section.header.empty()) return;
        const std::string off = section.is_off ? "#" : "";
        out_ += "\n";
        append_comment(out_, section.about);
        if (!section.header.empty()) out_.append(off).append(section.header).append("\n");
        for (const Key<Struct>& key : section.keys) {
            append_comment(out_, comment_of(key));
            if (key.name == "servers") append_server_keys();
            out_.append(off).append(key.name).append(" = ").append(shown_value(key)).append("\n");
        }
    }
    std::string text() && { return std::move(out_); }

private:
    // They have no table of their own: they stand within the array.
    void append_server_keys() {
        for (const Key<ServerConfig>& key : keys::server.keys)
            append_comment(out_, "`" + std::string{key.name} + "`: " + comment_of(key));
    }

    std::string out_{introduction};
};

// The cell of the default.
template <class Struct>
std::string default_cell(const Key<Struct>& key) {
    if (key.required) return "required";
    if (!key.otherwise.empty()) return std::string{key.otherwise};
    return key.example.empty() ? "`" + key.value.initial(key.value.type) + "`" : std::string{};
}

template <class Struct>
std::string row_of(const Section<Struct>& section, const Key<Struct>& key) {
    std::string meaning{key.meaning};
    if (!key.see.empty()) meaning += "; see " + std::string{key.see};
    std::string out = "| `" + std::string{section.row_prefix} + std::string{key.name} + "` |";
    for (const std::string& cell : {default_cell(key), range_of(key, in_manual), meaning})
        out += cell.empty() ? " |" : " " + cell + " |";
    return out + "\n";
}

constexpr std::string_view key_table_head =
    "| key | default | range | meaning |\n|---|---|---|---|\n";
constexpr std::string_view later_table_head = "| where | keys and values |\n|---|---|\n";
constexpr std::string_view top_heading = "## Top of the file";
constexpr std::string_view later_heading = "## Known, but not supported yet";

std::string listed(Words words) {
    std::string out;
    while (!words.empty())
        out.append(out.empty() ? "`" : ", `").append(take_word(words)).append("`");
    return out;
}

// The tables by what their headings begin with.
class ManualTables {
public:
    template <class Struct>
    void operator()(const Section<Struct>& section) {
        if (section.row_prefix.empty()) {
            heading_ = section.header.empty() ? std::string{top_heading}
                                              : "## `" + std::string{section.header} + "`";
            tables_[heading_] = key_table_head;
        }
        for (const Key<Struct>& key : section.keys) tables_[heading_] += row_of(section, key);
        add_later(section);
    }
    std::map<std::string, std::string> tables() && {
        tables_[std::string{later_heading}] = std::move(later_);
        return std::move(tables_);
    }

private:
    template <class Struct>
    void add_later(const Section<Struct>& section) {
        const std::string where = !section.header.empty() ? "`" + std::string{section.header} + "`"
                                  : section.row_prefix.empty() ? "top"
                                                               : "a server";
        add_row(where, section.later);
        for (const Key<Struct>& key : section.keys)
            if (const auto* one = std::get_if<OneOf>(&key.value.type))
                add_row(where + " `" + std::string{key.name} + "`", one->later);
    }
    void add_row(const std::string& where, Words words) {
        if (!words.empty()) later_ += "| " + where + " | " + listed(words) + " |\n";
    }

    std::string heading_;
    std::map<std::string, std::string> tables_;
    std::string later_{later_table_head};
};

}  // namespace

std::string reference_file() {
    ReferenceFile file;
    keys::for_each_section([&](const auto& section) { file(section); });
    return std::move(file).text();
}

std::string with_key_tables(std::string_view page) {
    ManualTables manual;
    keys::for_each_section([&](const auto& section) { manual(section); });
    const auto tables = std::move(manual).tables();
    const std::string* due = nullptr;  // the table of this heading, until it is written
    bool replacing = false;
    std::string out;
    while (!page.empty()) {
        const std::size_t end = page.find('\n');
        const std::string_view line = page.substr(0, end == std::string_view::npos ? end : end + 1);
        page.remove_prefix(line.size());
        if (line.starts_with("## ")) {
            due = nullptr;
            for (const auto& [heading, table] : tables)
                if (line.starts_with(heading)) due = &table;
        }
        const bool is_row = line.starts_with("|");
        if (is_row && due != nullptr) {
            out += *due;
            due = nullptr;
            replacing = true;
        }
        replacing = replacing && is_row;
        if (!replacing) out += line;
    }
    return out;
}

}  // namespace baton
