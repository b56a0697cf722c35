#pragma once

// The rows of http_rows.txt, whose format stands at its top.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/head_guard.h"

namespace baton::test {

// A message as the file and the readers write it: what is said behind `gives`, and fields `NAME:
// VALUE`.
struct Message {
    std::string gives;
    std::vector<std::string> fields;  // of a row: those that must be there; of a reader: all
    bool operator==(const Message&) const = default;
};

// What becomes of the bytes of one connection.
struct Outcome {
    std::vector<Message> messages;
    std::string ends;    // a status, `cut`, `left N`, or nothing
    std::string reason;  // of a status; empty if there is none
    bool operator==(const Outcome&) const = default;
};

struct Row {
    std::string name;
    HeadGuard::Kind kind = HeadGuard::Kind::request;
    bool chosen = false;
    std::string bytes;
    Outcome expected;
};

// All rows, or nothing and a complaint with its line in `complaint`.
std::optional<std::vector<Row>> load_rows(const std::string& path, std::string& complaint);

// Resolves `\r`, `\xHH`, `{repeat:COUNT:TEXT}` and the like; nothing if one is malformed.
std::optional<std::string> unescape(std::string_view text);
// One line of printable ASCII, cut short if it is long.
std::string escape(std::string_view text);

}  // namespace baton::test
