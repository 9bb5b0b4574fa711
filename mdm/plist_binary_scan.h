#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"
#include "mdm/plist.h"

namespace director {

/// Walks a binary property list and returns how many values and keys it holds after expansion of
/// shared references. kInvalid for everything that `DecodePlist` refuses except keys that stand
/// twice; what passes is safe to give to libplist, which copies shared objects and follows
/// references recursively. Iterative; time is bounded by `limits`. Source: Apple's CFBinaryPList.c,
/// format description.
Result<std::size_t> ScanPlistBinary(std::string_view bytes, const PlistLimits& limits);

}  // namespace director
