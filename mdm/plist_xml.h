#pragma once

#include <string_view>

#include "base/result.h"
#include "mdm/plist.h"

namespace director {

/// How every XML property list that is written here begins.
inline constexpr std::string_view kPlistXmlHead =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
    "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
    "<plist version=\"1.0\">";

/// Reads an XML property list from valid UTF-8 without NUL; kInvalid, with the line, for everything
/// that `DecodePlist` refuses. Iterative: no input exhausts the stack. Time is n log n in the size
/// of the text.
Result<PlistValue> ReadPlistXml(std::string_view text, const PlistLimits& limits);

}  // namespace director
