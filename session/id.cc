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
void put_hex(const std::uint8_t* bytes, std::size_t size, std::string_view digits, char* out) {
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

// One digest after the other. libcrypto looks its implementations up by name, and takes longer for
// that than for a short text: here it is done once.
class Sha256 {
public:
    Sha256() : digest_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
        if (digest_ == nullptr || context_ == nullptr) stop("libcrypto has no SHA-256");
    }
    ~Sha256() {
        EVP_MD_CTX_free(context_);
        EVP_MD_free(digest_);
    }
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;

    void digest(std::string_view text, std::uint8_t* out) noexcept {
        if (EVP_DigestInit_ex2(context_, digest_, nullptr) != 1 ||
            EVP_DigestUpdate(context_, text.data(), text.size()) != 1 ||
            EVP_DigestFinal_ex(context_, out, nullptr) != 1)
            stop("libcrypto has no SHA-256");
    }

private:
    EVP_MD* digest_;
    EVP_MD_CTX* context_;
};

}  // namespace

std::array<char, 8> SessionKey::token() const noexcept {
    std::array<char, 8> token;
    put_hex(bytes.data(), token.size() / 2, lower_hex, token.data());
    return token;
}

void SessionKey::write_hex(char* out) const noexcept {
    put_hex(bytes.data(), bytes.size(), lower_hex, out);
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
    put_hex(random.data(), random.size(), upper_hex, id.text.data());
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
    thread_local Sha256 sha256;
    sha256.digest(text, key.bytes.data());
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
