#include "session/redis/store_view.h"

namespace baton {

std::string_view text_of(StoreState state) noexcept {
    switch (state) {
    case StoreState::ready: return "ready";
    case StoreState::read_only: return "readonly";
    case StoreState::failover: return "failover";
    case StoreState::down: return "down";
    }
    return "?";
}

}  // namespace baton
