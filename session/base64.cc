#include "session/base64.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace baton {

std::string to_base64(std::string_view bytes) {
    std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // EVP adds a NUL
    const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.empty()) return std::string{};
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::size_t letters = std::min(text.find_first_not_of(alphabet), text.size());
    const std::size_t padding = text.size() - letters;
    if (text.size() % 4 != 0 || padding > 2) return std::nullopt;
    if (text.find_first_not_of('=', letters) != std::string_view::npos) return std::nullopt;
    std::string bytes(text.size() / 4 * 3, '\0');
    if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                        reinterpret_cast<const unsigned char*>(text.data()),
                        static_cast<int>(text.size())) < 0)
        return std::nullopt;
    bytes.resize(bytes.size() - padding);
    return bytes;
}

bool is_utf8(std::string_view bytes) noexcept {
    for (std::size_t i = 0; i < bytes.size();) {
        const auto lead = static_cast<std::uint8_t>(bytes[i]);
        const std::size_t size = lead < 0x80              ? 1
                                 : (lead >> 5) == 0b110   ? 2
                                 : (lead >> 4) == 0b1110  ? 3
                                 : (lead >> 3) == 0b11110 ? 4
                                                          : 0;
        if (size == 0 || size > bytes.size() - i) return false;
        std::uint32_t value = size == 1 ? lead : lead & (0x7Fu >> size);
        for (std::size_t k = 1; k < size; ++k) {
            const auto byte = static_cast<std::uint8_t>(bytes[i + k]);
            if ((byte >> 6) != 0b10) return false;
            value = value << 6 | (byte & 0x3Fu);
        }
        constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (value < least[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
            return false;
        i += size;
    }
    return true;
}

}  // namespace baton
