#include "proxy/command/command_session_key.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "proxy/command/exit_status.h"
#include "session/id.h"
#include "session/redis/redis_command.h"

namespace baton {
namespace {

int refuse(const std::string& complaint) {
    std::fprintf(stderr, "baton: %s\n", complaint.c_str());
    return exit_usage;
}

// Each once, as written.
std::vector<std::string> scopes_of(const Config& config) {
    std::vector<std::string> scopes;
    for (const UpstreamConfig& upstream : config.upstreams)
        if (std::find(scopes.begin(), scopes.end(), upstream.scope) == scopes.end())
            scopes.push_back(upstream.scope);
    return scopes;
}

}  // namespace

int print_session_keys(const Config& config, std::string_view id, std::string_view scope) {
    if (config.session.store != SessionStore::redis)
        return refuse("the sessions are in memory: expected store = \"redis\" in [session]");
    std::string line;
    if (id == "-" && std::getline(std::cin, line)) id = line;
    const auto parsed = parse_session_id(id);
    if (!parsed) return refuse("expected a session id, 32 digits of 0-9 and A-F");
    std::vector<std::string> scopes = scopes_of(config);
    if (!scope.empty()) {
        if (std::find(scopes.begin(), scopes.end(), scope) == scopes.end())
            return refuse("no upstream has the scope \"" + std::string{scope} + "\"");
        scopes = {std::string{scope}};
    }
    for (const std::string& one : scopes) {
        const std::string key =
            redis_key(config.redis.prefix, session_key(one, config.cookie_of(one), *parsed));
        if (scopes.size() == 1)
            std::printf("%s\n", key.c_str());
        else
            std::printf("%s %s\n", one.c_str(), key.c_str());
    }
    return 0;
}

}  // namespace baton
