#pragma once

#include <string_view>

#include "base/result.h"
#include "mdm/plist.h"

namespace director {

/// Reads an XML property list from valid UTF-8 without NUL; kInvalid, with the line, for everything
/// that `DecodePlist` refuses. Iterative: no input exhausts the stack. Time is n log n in the size
/// of the text.
Result<PlistValue> ReadPlistXml(std::string_view text, const PlistLimits& limits);

}  // namespace director
