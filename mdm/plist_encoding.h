#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace director {

/// Returns the XML document as valid UTF-8 without byte order mark and without NUL.
///
/// The encoding comes from the byte order mark, else from the pattern of the first bytes, else from
/// the XML declaration, else it is UTF-8. kInvalid when the encoding is unknown, the bytes do not
/// fit it, or the result would be longer than `size_max_bytes`. Source: XML 1.0, appendix F.
Result<std::string> XmlToUtf8(std::string_view bytes, std::size_t size_max_bytes);

}  // namespace director
