#include "session/id.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace baton {
namespace {

constexpr std::string_view upper_hex = "0123456789ABCDEF";
constexpr std::string_view lower_hex = "0123456789abcdef";

// Writes two digits for each byte to `out`.
void write_hex(const std::uint8_t* bytes, std::size_t size, std::string_view digits, char* out) {
    for (std::size_t i = 0; i < size; ++i) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

// An id that can be guessed, or a key that two ids share, is worse than no process.
[[noreturn]] void stop(const char* why) noexcept {
    std::fprintf(stderr, "baton: %s\n", why);
    std::abort();
}

}  // namespace

std::array<char, 8> SessionKey::token() const noexcept {
    std::array<char, 8> token;
    write_hex(bytes.data(), token.size() / 2, lower_hex, token.data());
    return token;
}

SessionId mint_session_id() noexcept {
    std::array<std::uint8_t, 16> random;
    std::size_t have = 0;
    while (have < random.size()) {
        // Without flags it waits, once in the life of a machine, until the kernel's pool is seeded.
        const ssize_t got = getrandom(random.data() + have, random.size() - have, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) stop("the kernel gives no random bytes for a session id");
        have += static_cast<std::size_t>(got);
    }
    SessionId id;
    write_hex(random.data(), random.size(), upper_hex, id.text.data());
    return id;
}

std::optional<SessionId> parse_session_id(std::string_view cookie_value) noexcept {
    if (cookie_value.size() >= 2 && cookie_value.front() == '"' && cookie_value.back() == '"') {
        cookie_value = cookie_value.substr(1, cookie_value.size() - 2);
    }
    SessionId id;
    if (cookie_value.size() != id.text.size()) return std::nullopt;
    for (std::size_t i = 0; i < id.text.size(); ++i) {
        const char c = cookie_value[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'))) return std::nullopt;
        id.text[i] = c;
    }
    return id;
}

SessionKey session_key(std::string_view scope, std::string_view cookie_name,
                       const SessionId& id) noexcept {
    std::string text;
    text.reserve(scope.size() + cookie_name.size() + id.text.size() + 2);
    text.append(scope).push_back('\0');
    text.append(cookie_name).push_back('\0');
    text.append(id.view());
    SessionKey key;
    if (EVP_Digest(text.data(), text.size(), key.bytes.data(), nullptr, EVP_sha256(), nullptr) !=
        1) {
        stop("libcrypto has no SHA-256");
    }
    return key;
}

SessionId veiled(const SessionId& id, const SessionId& other) noexcept {
    // Its bytes are independent of those that make the key of `other`.
    const SessionKey mask = session_key("veil", {}, other);
    SessionId result;
    for (std::size_t i = 0; i < id.text.size(); ++i) {
        const auto digit = upper_hex.find(id.text[i]);  // ids have no others
        const unsigned bits = mask.bytes[i / 2] >> (i % 2 == 0 ? 4 : 0);
        result.text[i] = upper_hex[(digit ^ bits) & 15];
    }
    return result;
}

const char* crypto_version() noexcept { return OpenSSL_version(OPENSSL_VERSION); }

}  // namespace baton
