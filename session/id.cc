#include "session/id.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "net/check.h"
#include "net/random.h"
#include "net/text.h"

namespace baton {
namespace {

// Writes two digits for each byte to `out`; digits over 9 begin at `ten`. By counting, not by a table,
// so that several bytes are done together.
void put_hex(const std::uint8_t* bytes, std::size_t size, char ten, char* out) {
    const auto digit = [ten](unsigned half) {
        return static_cast<char>(half < 10 ? '0' + half : static_cast<unsigned>(ten) + half - 10);
    };
    for (std::size_t i = 0; i < size; ++i) {
        out[2 * i] = digit(bytes[i] >> 4U);
        out[2 * i + 1] = digit(bytes[i] & 15U);
    }
}

// One digest after the other. libcrypto looks its implementations up by name, and takes longer for
// that than for a short text: here it is done once. If it fails the process ends: a key that two ids
// share is worse than none.
class Sha256 {
public:
    Sha256() : digest_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
        if (digest_ == nullptr || context_ == nullptr) die("libcrypto has no SHA-256");
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
            die("libcrypto has no SHA-256");
    }

private:
    EVP_MD* digest_;
    EVP_MD_CTX* context_;
};

}  // namespace

std::array<char, 8> SessionKey::token() const noexcept {
    std::array<char, 8> token;
    put_hex(bytes.data(), token.size() / 2, 'a', token.data());
    return token;
}

void SessionKey::write_hex(char* out) const noexcept {
    put_hex(bytes.data(), bytes.size(), 'a', out);
}

SessionId mint_session_id() noexcept {
    std::array<std::uint8_t, 16> random;
    fill_random(random);
    SessionId id;
    put_hex(random.data(), random.size(), 'A', id.text.data());
    return id;
}

std::optional<SessionId> parse_session_id(std::string_view cookie_value) noexcept {
    if (cookie_value.size() >= 2 && cookie_value.front() == '"' && cookie_value.back() == '"') {
        cookie_value = cookie_value.substr(1, cookie_value.size() - 2);
    }
    SessionId id;
    if (cookie_value.size() != id.text.size()) return std::nullopt;
    std::copy(cookie_value.begin(), cookie_value.end(), id.text.begin());
    // Without a way out in the middle, so that all bytes are looked at together.
    unsigned wrong = 0;
    for (const char c : id.text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool digit = static_cast<unsigned char>(byte - '0') < 10;
        const bool letter = static_cast<unsigned char>(byte - 'A') < 6;
        wrong |= static_cast<unsigned>(!(digit || letter));
    }
    if (wrong != 0) return std::nullopt;
    return id;
}

SessionKey session_key(std::string_view scope, std::string_view cookie_name,
                       const SessionId& id) noexcept {
    thread_local std::string text;  // keeps its memory
    text.assign(scope).push_back('\0');
    text.append(cookie_name).push_back('\0');
    text.append(id.view());
    thread_local Sha256 sha256;
    SessionKey key;
    sha256.digest(text, key.bytes.data());
    return key;
}

SessionId veiled(const SessionId& id, const SessionId& other) noexcept {
    // Its bytes are independent of those that make the key of `other`.
    const SessionKey mask = session_key("veil", {}, other);
    SessionId result;
    for (std::size_t i = 0; i < id.text.size(); ++i) {
        const auto digit = upper_hex_digits.find(id.text[i]);  // ids have no others
        const unsigned bits = mask.bytes[i / 2] >> (i % 2 == 0 ? 4 : 0);
        result.text[i] = upper_hex_digits[(digit ^ bits) & 15];
    }
    return result;
}

const char* crypto_version() noexcept { return OpenSSL_version(OPENSSL_VERSION); }

}  // namespace baton
