#pragma once

// Files that hold secrets: read when the configuration is.

#include <optional>
#include <string>

namespace baton {

// The file's text. Nothing, and why in `complaint`, if it cannot be read, is larger than 64 KiB, or
// may be read by users other than its owner and group.
std::optional<std::string> read_secret_file(const std::string& path, std::string& complaint);

}  // namespace baton
