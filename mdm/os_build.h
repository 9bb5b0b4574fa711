#pragma once

#include <string_view>

namespace director {

/// True when the OS build `to` is surely newer than `from`: `22G74` -> `22G90`, `22G74` ->
/// `23A344`. Compared by major number, letter and number, which count as numbers. False for what
/// cannot be ordered: another form, and builds with a letter at the end (betas, rapid responses)
/// within one release, whose numbers say nothing.
bool HasBuildGrown(std::string_view from, std::string_view to);

}  // namespace director
