#include "proxy/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace baton {

namespace {

constexpr std::size_t size_max = std::size_t{64} << 10;

std::optional<std::string> read_open_file(int fd, std::string& complaint) {
    struct stat about {};
    if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        complaint = "it is no file";
        return std::nullopt;
    }
    if ((about.st_mode & S_IROTH) != 0) {
        complaint = "everybody may read it: chmod o-r";
        return std::nullopt;
    }
    std::string text(size_max + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(fd, text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            complaint = std::strerror(errno);
            return std::nullopt;
        }
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    if (size > size_max) {
        complaint = "it is larger than 64KiB";
        return std::nullopt;
    }
    text.resize(size);
    return text;
}

}  // namespace

std::optional<std::string> read_secret_file(const std::string& path, std::string& complaint) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        complaint = std::strerror(errno);
        return std::nullopt;
    }
    auto text = read_open_file(fd, complaint);
    ::close(fd);
    return text;
}

}  // namespace baton
