#include "session/api_token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "net/text.h"

namespace baton {

namespace {

constexpr std::size_t token_min = 32;
constexpr std::size_t token_max = 256;

std::array<std::uint8_t, 32> digest_of(std::string_view text) noexcept {
    std::array<std::uint8_t, 32> digest;
    if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
        std::abort();  // without it no token could be told from another
    return digest;
}

bool is_token(std::string_view text) noexcept {
    constexpr std::string_view others = "-._~+/=";
    return text.size() >= token_min && text.size() <= token_max &&
           std::all_of(text.begin(), text.end(), [&](char c) {
               return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
           });
}

// The next word of a line, taken off its front.
std::string_view take_word(std::string_view& line) noexcept {
    constexpr std::string_view blanks = " \t\r";
    line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
    const std::string_view word = line.substr(0, line.find_first_of(blanks));
    line.remove_prefix(word.size());
    return word;
}

}  // namespace

std::vector<ApiToken> parse_api_tokens(std::string_view text, std::string& complaint) {
    std::vector<ApiToken> tokens;
    for (std::size_t number = 1; !text.empty(); ++number) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::string_view scope = take_word(line);
        if (scope.empty() || scope.front() == '#') continue;
        const std::string_view token = take_word(line);
        const bool more = !take_word(line).empty();
        if (!is_token(token) || more) {
            complaint = "line " + std::to_string(number) +
                        ": expected a scope and a token of 32 to 256 letters, digits and -._~+/=";
            return {};
        }
        const auto digest = digest_of(token);
        const bool twice = std::any_of(tokens.begin(), tokens.end(), [&](const ApiToken& other) {
            return other.digest == digest;
        });
        if (twice) {
            complaint = "line " + std::to_string(number) + ": a token that is in use already";
            return {};
        }
        tokens.push_back(ApiToken{std::string{scope}, digest});
    }
    if (tokens.empty()) complaint = "expected at least one line with a scope and a token";
    return tokens;
}

std::string_view scope_of(const std::vector<ApiToken>& tokens,
                          std::string_view authorization) noexcept {
    constexpr std::string_view scheme = "bearer ";
    const bool is_bearer = authorization.size() > scheme.size() &&
                           std::equal(scheme.begin(), scheme.end(), authorization.begin(),
                                      [](char a, char b) { return a == (b | 0x20); });
    if (!is_bearer) return {};
    authorization.remove_prefix(scheme.size());
    const auto digest = digest_of(authorization);
    std::string_view scope;
    for (const ApiToken& token : tokens)
        if (CRYPTO_memcmp(token.digest.data(), digest.data(), digest.size()) == 0)
            scope = token.scope;
    return scope;
}

}  // namespace baton
