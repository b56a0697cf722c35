// Runs every row of http_rows.txt, whole and cut: the verdict, the heads and the bodies must be the
// same.
//
//     unit-rows [--junit=PATH] ROWS
//
// One test a row, called H:NAME. A program of its own, since doctest's cases are fixed when it is
// compiled.

#include "tests/unit/http_rows.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/http_reader.h"

namespace baton::test {
namespace {

constexpr std::size_t small_max = 4096;  // bytes: rows up to this size are cut everywhere

HeadLimits default_limits() {
    HeadLimits limits;
    limits.body_max = std::uint64_t{64} << 20;
    return limits;
}

// The row's bytes in the given pieces, and the end of the connection.
Outcome read(const Row& row, const std::vector<std::string_view>& pieces, std::string& difference) {
    const HeadLimits limits = default_limits();
    HttpReader reader{row.kind, limits};
    for (const std::string_view piece : pieces) reader.feed(piece);
    Outcome outcome = reader.finish();
    difference = reader.difference();
    return outcome;
}

std::vector<std::string_view> in_pieces(std::string_view bytes, std::size_t size) {
    std::vector<std::string_view> pieces;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
        pieces.push_back(bytes.substr(0, size));
    }
    return pieces;
}

// Everywhere, or for a large row 256 places, the last 64 bytes among them.
std::vector<std::size_t> cuts(std::size_t size) {
    std::vector<std::size_t> places;
    if (size <= small_max) {
        for (std::size_t i = 1; i < size; ++i) places.push_back(i);
        return places;
    }
    constexpr std::size_t spread = 192, last = 64;
    for (std::size_t i = 1; i <= spread; ++i) places.push_back(i * (size - last) / (spread + 1));
    for (std::size_t i = size - last; i < size; ++i) places.push_back(i);
    return places;
}

std::string text_of(const Outcome& outcome) {
    std::string text;
    for (const Message& message : outcome.messages) text += "gives " + escape(message.gives) + "; ";
    return text +
           (outcome.ends.empty() ? "nothing left" : "ends " + outcome.ends + " " + outcome.reason);
}

bool meets(const Outcome& outcome, const Outcome& expected) {
    if (outcome.ends != expected.ends || outcome.reason != expected.reason) return false;
    if (outcome.messages.size() != expected.messages.size()) return false;
    for (std::size_t i = 0; i < outcome.messages.size(); ++i) {
        if (outcome.messages[i].gives != expected.messages[i].gives) return false;
        const auto& has = outcome.messages[i].fields;
        for (const std::string& wanted : expected.messages[i].fields) {
            if (std::find(has.begin(), has.end(), wanted) == has.end()) return false;
        }
    }
    return true;
}

// What is wrong with the row; empty if nothing is.
std::string run(const Row& row) {
    std::string difference;
    const Outcome whole = read(row, {row.bytes}, difference);
    if (!meets(whole, row.expected)) {
        std::string fields;
        for (const Message& message : row.expected.messages) {
            for (const std::string& field : message.fields) fields += " field " + escape(field);
        }
        return "expected " + text_of(row.expected) + fields + "\n   found " + text_of(whole);
    }
    if (!difference.empty())
        return "llhttp alone reads the head differently: " + escape(difference);

    const std::string_view bytes = row.bytes;
    for (const std::size_t cut : cuts(bytes.size())) {
        const Outcome outcome = read(row, {bytes.substr(0, cut), bytes.substr(cut)}, difference);
        if (outcome == whole) continue;
        return "cut at " + std::to_string(cut) + ": " + text_of(outcome) + "\n   whole " +
               text_of(whole);
    }
    for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
        if (size < 1000 && bytes.size() > small_max) continue;
        const Outcome outcome = read(row, in_pieces(bytes, size), difference);
        if (outcome == whole) continue;
        return "in pieces of " + std::to_string(size) + ": " + text_of(outcome) + "\n   whole " +
               text_of(whole);
    }
    return {};
}

std::string xml(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        default: out += c; break;
        }
    }
    return out;
}

bool write_junit(const std::string& path, const std::string& cases, std::size_t tests,
                 int failures) {
    std::ofstream file{path};
    file << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite "
            "name=\"http_rows\" tests=\""
         << tests << "\" failures=\"" << failures << "\" errors=\"0\">\n"
         << cases << "</testsuite>\n</testsuites>\n";
    return static_cast<bool>(file.flush());
}

int run_all(const std::string& rows_path, const std::string& junit_path) {
    std::string complaint;
    const auto rows = load_rows(rows_path, complaint);
    if (!rows) {
        std::fprintf(stderr, "%s\n", complaint.c_str());
        return 1;
    }
    std::string cases;
    int failures = 0;
    for (const Row& row : *rows) {
        const std::string wrong = run(row);
        cases += "<testcase classname=\"http_rows\" name=\"H:" + xml(row.name) + "\"";
        if (wrong.empty()) {
            cases += "/>\n";
            continue;
        }
        ++failures;
        cases += "><failure message=\"" + xml(wrong) + "\"/></testcase>\n";
        std::printf("H:%s\n%s\n\n", row.name.c_str(), wrong.c_str());
    }
    std::printf("%zu rows, %d failed\n", rows->size(), failures);
    if (!junit_path.empty() && !write_junit(junit_path, cases, rows->size(), failures)) {
        std::fprintf(stderr, "%s: cannot be written\n", junit_path.c_str());
        return 1;
    }
    return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace baton::test

int main(int argc, char** argv) {
    constexpr std::string_view junit = "--junit=";
    std::string rows_path, junit_path;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument{argv[i]};
        if (argument.substr(0, junit.size()) == junit) {
            junit_path = argument.substr(junit.size());
        } else {
            rows_path = argument;
        }
    }
    if (rows_path.empty()) {
        std::fprintf(stderr, "usage: unit-rows [--junit=PATH] ROWS\n");
        return 2;
    }
    return baton::test::run_all(rows_path, junit_path);
}
