#pragma once

// Answers of a store as text, so that a test compares all that they say and a failure shows it.

#include <string>
#include <string_view>

#include "session/store.h"

namespace baton {

inline std::string_view name_of(StoreAnswer::Kind kind) {
    switch (kind) {
    case StoreAnswer::Kind::several: return "several";
    case StoreAnswer::Kind::too_long: return "too_long";
    case StoreAnswer::Kind::live: return "live";
    case StoreAnswer::Kind::none: return "none";
    case StoreAnswer::Kind::dead: return "dead";
    case StoreAnswer::Kind::moved: return "moved";
    case StoreAnswer::Kind::created: return "created";
    case StoreAnswer::Kind::exists: return "exists";
    case StoreAnswer::Kind::too_large: return "too_large";
    case StoreAnswer::Kind::limit: return "limit";
    case StoreAnswer::Kind::conflict: return "conflict";
    case StoreAnswer::Kind::not_integer: return "not_integer";
    case StoreAnswer::Kind::committed: return "committed";
    case StoreAnswer::Kind::gone: return "gone";
    case StoreAnswer::Kind::done: return "done";
    case StoreAnswer::Kind::unavailable: return "unavailable";
    }
    return "?";
}

inline std::string text_of(const Attributes& attributes) {
    std::string text;
    for (const auto& [name, value] : attributes) text += " " + name + "=" + value;
    return text;
}

// "live v3 created=0 id_age=5 idle=60000 ttl=66000 a=1", "conflict v3 [a b]", "moved 00..1".
inline std::string text_of(const StoreAnswer& answer) {
    std::string text{name_of(answer.kind)};
    const SessionRecord& record = answer.record;
    if (record.version != 0) text += " v" + std::to_string(record.version);
    if (answer.kind == StoreAnswer::Kind::live || answer.kind == StoreAnswer::Kind::created) {
        text += " created=" + std::to_string(record.created_ms);
        text += " id_age=" + std::to_string(record.id_age_ms);
        text += " idle=" + std::to_string(record.idle_ms);
        text += " ttl=" + std::to_string(record.ttl_ms) + (record.capped ? " capped" : "");
    }
    text += text_of(record.attributes);
    for (const std::string& name : answer.names) text += " [" + name + "]";
    if (answer.kind == StoreAnswer::Kind::moved) text.append(" ").append(answer.moved_to.view());
    return text;
}

}  // namespace baton
