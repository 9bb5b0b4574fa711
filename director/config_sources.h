#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "director/config.h"

namespace director {

/// What a secret's key ends in when it names a file.
inline constexpr std::string_view kFileSuffix = "_file";

/// Finds the option that a key belongs to; for `<secret>_file` the secret's. Null when there is
/// none.
const OptionSpec* FindOption(std::string_view key);

std::string JoinLines(const std::vector<std::string>& lines);

}  // namespace director
