#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace director {

/// Reads a whole file of at most `size_max_bytes`. kInvalid with the system's words when it cannot
/// be read or is larger.
Result<std::string> ReadSmallFile(const std::string& path, std::size_t size_max_bytes);

}  // namespace director
