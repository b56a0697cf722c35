#include "proxy/config/file_text.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/config/units.h"

namespace baton {

FileText read_text(int fd, std::size_t size_max) {
    constexpr std::size_t piece = std::size_t{64} << 10;
    FileText file;
    std::size_t size = 0;
    while (size <= size_max) {
        file.text.resize(size + piece);
        const ssize_t got = ::read(fd, file.text.data() + size, piece);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return {{}, std::strerror(errno)};
        size += static_cast<std::size_t>(got);
        if (got > 0) continue;
        file.text.resize(size);
        return file;
    }
    return {{}, "it is larger than " + size_text(size_max)};
}

FileText read_text_file(const std::string& path, std::size_t size_max) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {{}, std::strerror(errno)};
    FileText file = read_text(fd, size_max);
    ::close(fd);
    return file;
}

}  // namespace baton
