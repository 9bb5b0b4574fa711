#pragma once

#include <string>
#include <vector>

namespace director {

/// Runs one verb of the command line and returns the exit code: 0 done, 1 failed (one line on
/// standard error says why), 2 wrong usage, or a plan with something to do. `environment` holds
/// `NAME=value` strings.
int RunCommandLine(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment);

}  // namespace director
