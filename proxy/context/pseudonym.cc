#include "proxy/context/pseudonym.h"

#include <string>

#include "proxy/context/request_ids.h"

namespace baton {

std::string_view pseudonym() {
    static const std::string name = [] {
        std::array<char, 32> id;
        RequestIds{}.next(id);
        return "baton-" + std::string{id.data(), 16};  // its random half
    }();
    return name;
}

}  // namespace baton
