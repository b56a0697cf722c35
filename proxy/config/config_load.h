#pragma once

// From the text of a configuration file, or from two options of the command line, to the
// configuration, or to all that is wrong with it at once.

#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/complaints.h"
#include "proxy/config/config.h"

namespace baton {

struct Loaded {
    Config config;                      // of use only if there are no complaints
    std::vector<Complaint> complaints;  // by position
    std::vector<Complaint> warnings;    // of what is taken, although it is unwise
};
Loaded load_config(std::string_view toml_text);

// `--listen A[,A] --to B[,B]`: one upstream "default", one route for everything, managed sessions.
// Appends to `complaints`, whose lines are 0.
Config config_of_command_line(std::string_view listen, std::string_view to,
                              std::vector<Complaint>& complaints);

}  // namespace baton
