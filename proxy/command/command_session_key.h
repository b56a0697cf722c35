#pragma once

// `baton session key`: under which keys Redis has a session, for who looks with redis-cli.

#include <string_view>

#include "proxy/config/config.h"

namespace baton {

// Prints the key of `id`: that of `scope`, or if that is empty of each scope, "scope key" in a line
// if there are several. `id` is "-" for one that is read from stdin, which no list of processes
// shows. Returns the exit status.
int print_session_keys(const Config& config, std::string_view id, std::string_view scope);

}  // namespace baton
