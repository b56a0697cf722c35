#pragma once

// Every change of a session is one script on the server: all of it or nothing
// (https://redis.io/docs/manual/programmability/eval-intro/). Scripts do not follow a failover, so
// they are loaded on each new connection. Redis 7.0 or newer (PEXPIREAT … GT).
//
// One hash per session, one key:
//     _v version   _dv version of the last removal of an attribute   _c made, ms since 1970
//     _i idle time, ms   _x absolute deadline, ms since 1970, 0 none
//     _w who made the last versions, latest first: at most 8 names of 8 bytes each, so that it stays
//        within the 64 bytes of a value that Redis keeps in its compact form (hash-max-listpack-value)
//     _r since when it has its id, ms since 1970   _n bytes of names and values
//     a:<name>  "<version>:<value>"
// and for an ended one nothing but `_to`: empty, or where the session is now.
// Its expiry is the key's. All times are the server's own.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace baton {

enum class RedisScript : std::uint8_t { create, touch, commit, kill };
inline constexpr std::size_t redis_scripts_count = 4;
inline constexpr std::array<RedisScript, redis_scripts_count> redis_scripts = {
    RedisScript::create, RedisScript::touch, RedisScript::commit, RedisScript::kill};

// Arguments and answers. The last argument of each is the server's time, ms since 1970, from which on
// the script writes nothing and answers {LATE, the server's time}: who asked has given up by then. 0
// is never.
//   create  KEYS session [replaced]  ARGV idle slack absolute who bytes grace (name value)*
//           {OK made}, {EXISTS}, {MOVED alias}: the one to be replaced has another id now
//   touch   KEYS session  ARGV slack
//           1 moved, 0 not needed, -1 no session
//   commit  KEYS session [new]  ARGV base|'' slack idle|'' attributes_max data_max who alias grace
//                               nset (name value)* nunset name* nincr (name delta)*
//                               encoded_max
//           {OK version}, {CONFLICT version name…}, {NOTINT version name…}, {LIMIT}, {LONG}, {EXISTS},
//           {MOVED alias|''}: no such session any more. Of the names the first 64.
//   kill    KEYS session  ARGV grace
//           {MOVED alias|''}: the session has another id now, or has ended (or never was)
std::string_view text_of(RedisScript script) noexcept;
// The name EVALSHA knows it by: SHA-1 of the text, 40 lower-case hex digits.
std::string_view sha1_of(RedisScript script);

}  // namespace baton
