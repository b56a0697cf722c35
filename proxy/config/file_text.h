#pragma once

// The text of a file, read at once. Blocks: for the start, not for a loop.

#include <cstddef>
#include <string>

namespace baton {

struct FileText {
    std::string text;
    std::string
        complaint;  // why it could not be read, empty if it was: "No such file or directory"
};
// Of an open descriptor, from where it stands. More than `size_max` bytes are a complaint.
FileText read_text(int fd, std::size_t size_max);
FileText read_text_file(const std::string& path, std::size_t size_max);

}  // namespace baton
