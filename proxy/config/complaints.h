#pragma once

// What is wrong with a configuration, all of it at once, each complaint where the value stands.

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/toml_value.h"

namespace baton {

struct Complaint {
    std::size_t line = 0;  // 0: it is not about a file
    std::size_t column = 0;
    std::string text;  // "upstream[0].servers[1].address: expected ..., found ..."
};

// "file:line:column: path: expected ..., found ..."
std::string format_complaint(std::string_view file, const Complaint& complaint);

// "route[0]", for the items of an array.
std::string element(std::string_view array, std::size_t i);

// Collects complaints. A value has one: what comes later about the same value, or about something
// within it, would only repeat the first.
class Complaints {
public:
    // Where the value called `path` stands.
    void place(const std::string& path, Position position);
    // Whether it stands anywhere: else the default is in force.
    bool has_place(const std::string& path) const { return positions_.count(path) != 0; }

    // At the value called `path`. If there is none: at `with`, else where the table begins.
    void add(const std::string& path, std::string_view text, const std::string& with = {});
    void add_at(Position position, const std::string& path, std::string_view text);
    // About how a table is written: what is wrong within it is not silenced.
    void add_shape(const std::string& path, std::string_view text);

    // Whether there is a complaint about `path` or about something that it is within.
    bool about(std::string_view path) const;

    // What is taken, although it is unwise.
    void warn(const std::string& path, std::string_view text);

    // By position.
    std::vector<Complaint> take();
    std::vector<Complaint> take_warnings();

private:
    Position position_of(const std::string& path, const std::string& with) const;

    std::map<std::string, Position, std::less<>> positions_;
    std::set<std::string, std::less<>> paths_;
    std::set<std::string, std::less<>> shapes_;
    std::vector<Complaint> complaints_;
    std::vector<Complaint> warnings_;
};

}  // namespace baton
