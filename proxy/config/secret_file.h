#pragma once

// Files that hold secrets: read when the configuration is.

#include <sys/types.h>

#include <string>
#include <string_view>

namespace baton {

struct SecretFile {
    std::string text;
    std::string complaint;  // why it is refused: it cannot be read, is larger than 64 KiB, ...
    std::string warning;    // it is taken, although it should not be as it is
};
SecretFile read_secret_file(const std::string& path);

// What is to be said of a file that has this mode. Everybody may read what Kubernetes (0644) and
// Docker (0444) mount, and nobody can change the mode there: on a mount that is read-only that is a
// warning, elsewhere a refusal.
enum class Exposure : std::uint8_t { none, unavoidable, avoidable };
Exposure exposure_of(mode_t mode, bool mount_is_read_only) noexcept;

}  // namespace baton
