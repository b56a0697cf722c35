#include "proxy/config/value_type.h"

namespace baton {

std::string_view expected_of(const ValueType& type) noexcept {
    if (const auto* text = std::get_if<TextForm>(&type)) return text->expected;
    if (const auto* address = std::get_if<AddressIn>(&type)) return address->expected;
    return {};
}

}  // namespace baton
