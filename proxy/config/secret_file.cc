#include "proxy/config/secret_file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "proxy/config/file_text.h"

namespace baton {

namespace {

constexpr std::size_t size_max = std::size_t{64} << 10;

// "baton", or "uid 1001" where the user has no name.
std::string own_user() {
    const uid_t uid = ::geteuid();
    passwd entry{};
    passwd* found = nullptr;
    char text[4096];
    if (::getpwuid_r(uid, &entry, text, sizeof text, &found) == 0 && found != nullptr)
        return entry.pw_name;
    return "uid " + std::to_string(uid);
}

std::string belongs() {
    return "it must belong to the user that baton runs as, now " + own_user() +
           ", or to a group of that user";
}

std::string exposed(mode_t mode) {
    const bool readable = (mode & S_IROTH) != 0;
    const std::string what = readable ? "everybody can read it" : "everybody can write to it";
    return what + ": chmod o-" + (readable ? "r" : "") + ((mode & S_IWOTH) != 0 ? "w" : "") + "; " +
           belongs();
}

SecretFile read_open_file(int fd) {
    struct stat about {};
    if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return {{}, "it is not a file", {}};
    struct statvfs mount {};
    const bool read_only = ::fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0;
    SecretFile secret;
    switch (exposure_of(about.st_mode, read_only)) {
    case Exposure::none: break;
    case Exposure::unavoidable:
        secret.warning = "everybody can read it, on a read-only mount";
        break;
    case Exposure::avoidable: secret.complaint = exposed(about.st_mode); return secret;
    }
    FileText file = read_text(fd, size_max);
    secret.text = std::move(file.text);
    secret.complaint = std::move(file.complaint);
    if (secret.text.starts_with("\xEF\xBB\xBF"))
        secret.complaint = "it begins with a byte order mark";
    return secret;
}

}  // namespace

Exposure exposure_of(mode_t mode, bool mount_is_read_only) noexcept {
    if ((mode & S_IROTH) != 0)
        return mount_is_read_only ? Exposure::unavoidable : Exposure::avoidable;
    return (mode & S_IWOTH) != 0 && !mount_is_read_only ? Exposure::avoidable : Exposure::none;
}

SecretFile read_secret_file(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        const bool denied = errno == EACCES;
        const std::string error = std::strerror(errno);
        return {{}, denied ? error + "; " + belongs() : error, {}};
    }
    SecretFile secret = read_open_file(fd);
    ::close(fd);
    return secret;
}

}  // namespace baton
