#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mdm/plist.h"

namespace director {

enum class PlistScalarType { kString, kInteger, kReal, kTrue, kFalse, kDate, kData };

/// The type that the element's name stands for; nothing for all other names.
std::optional<PlistScalarType> PlistXmlScalarType(std::string_view element_name);

/// Makes the value of a text without markup. kInvalid when the text does not fit the type, such as
/// an integer beyond -2^63 .. 2^64-1 or a date that does not exist.
Result<PlistValue> ParsePlistXmlScalar(PlistScalarType type, std::string text);

/// Appends `text` with the five XML entities and the character references resolved. kInvalid for
/// other entities and for references to no character.
Status AppendUnescaped(std::string_view text, std::string& out);

}  // namespace director
