#include "proxy/config/complaints.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace baton {

namespace {

// "upstream[0].servers[1].address" is within "upstream[0].servers[1]", that within
// "upstream[0].servers", and so on.
std::string_view parent_of(std::string_view path) noexcept {
    const std::size_t last = path.find_last_of(".[");
    return last == std::string_view::npos ? std::string_view{} : path.substr(0, last);
}

std::vector<Complaint> by_position(std::vector<Complaint> all) {
    std::stable_sort(all.begin(), all.end(), [](const Complaint& a, const Complaint& b) {
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    return all;
}

}  // namespace

std::string format_complaint(std::string_view file, const Complaint& complaint) {
    std::string out{file};
    if (complaint.line != 0) {
        out += ':' + std::to_string(complaint.line) + ':' + std::to_string(complaint.column);
    }
    return out + ": " + complaint.text;
}

std::string element(std::string_view array, std::size_t i) {
    return std::string{array} + "[" + std::to_string(i) + "]";
}

void Complaints::place(const std::string& path, Position position) {
    positions_.insert_or_assign(path, position);
}

void Complaints::add(const std::string& path, std::string_view text, const std::string& with) {
    add_at(position_of(path, with), path, text);
}

void Complaints::add_at(Position position, const std::string& path, std::string_view text) {
    if (about(path) || shapes_.find(path) != shapes_.end()) return;
    paths_.insert(path);
    complaints_.push_back(
        Complaint{position.line, position.column, path + ": " + std::string{text}});
}

void Complaints::add_shape(const std::string& path, std::string_view text) {
    if (about(path) || !shapes_.insert(path).second) return;
    const auto [line, column] = position_of(path, {});
    complaints_.push_back(Complaint{line, column, path + ": " + std::string{text}});
}

bool Complaints::about(std::string_view path) const {
    for (; !path.empty(); path = parent_of(path)) {
        if (paths_.find(path) != paths_.end()) return true;
    }
    return false;
}

void Complaints::warn(const std::string& path, std::string_view text) {
    const Position position = position_of(path, {});
    warnings_.push_back(Complaint{position.line, position.column, path + ": " + std::string{text}});
}

std::vector<Complaint> Complaints::take() { return by_position(std::move(complaints_)); }

std::vector<Complaint> Complaints::take_warnings() { return by_position(std::move(warnings_)); }

Position Complaints::position_of(const std::string& path, const std::string& with) const {
    if (const auto found = positions_.find(path); found != positions_.end()) return found->second;
    // The root is where a text begins and no place to look at.
    if (const auto found = positions_.find(with); !with.empty() && found != positions_.end()) {
        return found->second;
    }
    for (std::string_view outer = parent_of(path); !outer.empty(); outer = parent_of(outer)) {
        if (const auto found = positions_.find(outer); found != positions_.end())
            return found->second;
    }
    return {};
}

}  // namespace baton
