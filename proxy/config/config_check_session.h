#pragma once

// Of the checks that involve more than one value: those of the sessions, their cookies and scopes.

#include <vector>

#include "proxy/config/config.h"
#include "proxy/config/config_check.h"

namespace baton {

void check_session(const Config& config, std::vector<Finding>& out);

}  // namespace baton
