#pragma once

// What baton's user at Redis must be allowed to do (https://redis.io/docs/management/security/acl/),
// and how to find out without more rights than these. Nothing is written by asking.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "session/redis/redis_reply.h"

namespace baton {

// The commands, as ACL SETUSER takes them: "+hgetall", "+script|load". docs/redis.md has them in a
// line.
std::span<const std::string_view> redis_rights() noexcept;

// A command for each right, in their order: the words of one that changes nothing. Redis looks at
// the rights before anything else but the number of the words.
std::vector<std::string_view> rights_probe(std::string_view right, std::string_view key);
void append_rights_probes(std::string& out, std::string_view prefix);

// What the replies to those say that is missing: "+hdel +rename", and "~baton:s:*" if it is the keys;
// empty if nothing is.
std::string missing_rights(std::span<const RedisReply> replies, std::string_view prefix);

// Whether an error says that the user may not do something, itself or within a script.
bool is_denied(const RedisReply& reply) noexcept;

}  // namespace baton
