#include "session/redis/session_reader.h"

#include <utility>

#include "session/redis/redis_command.h"

namespace baton {

std::optional<StoreAnswer> SessionReader::read(const SessionKey& key,
                                               std::span<const RedisReply> replies) {
    std::size_t foreign = 0;
    auto session = read_load(replies, link_.server_now_ms(), foreign);
    if (foreign > 0) counters_.foreign.add(foreign);
    if (session && session->kind == StoreAnswer::Kind::live) seen_.add(key);
    return session;
}

StoreAnswer SessionReader::read_several(std::span<const SessionKey> keys,
                                        std::span<RedisReply> replies) {
    StoreAnswer sessions = StoreAnswer::of(StoreAnswer::Kind::several);
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto two = replies.subspan(2 * i, 2);
        if (trouble_of(two[0]) == RedisTrouble::wrong_type) counters_.foreign.add();
        if (two[0].is_too_large()) note_too_large(keys[i]);
        auto one = read(keys[i], two);
        sessions.each.push_back(one ? std::move(*one) : StoreAnswer::of(StoreAnswer::Kind::none));
    }
    return sessions;
}

void SessionReader::note_too_large(const SessionKey& key) {
    counters_.too_large.add();
    too_large_.add(key, loop_.now());
    if (!too_large_warning_.due(loop_.now())) return;
    const auto token = key.token();
    log::warn("session store: a session is too large to be read",
              {{"session", std::string_view{token.data(), token.size()}}});
}

}  // namespace baton
