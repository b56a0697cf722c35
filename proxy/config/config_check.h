#pragma once

// Checks that involve more than one value. They work on the structs alone and need no TOML.

#include <string>
#include <vector>

#include "net/address.h"
#include "proxy/config/config.h"

namespace baton {

struct Finding {
    std::string path;   // "upstream[0].servers[1].address"
    std::string text;   // "expected ..., found ..."
    std::string as_in;  // the value that this one repeats, if it repeats one
    std::string with;   // the value that this one does not go with, if it is about two
};

// What is empty, or no address, was refused when it was read: no check looks at it. `own` are the
// addresses of this host: a wildcard listener is on each of them.
std::vector<Finding> check(const Config& config, const std::vector<Address>& own);

}  // namespace baton
