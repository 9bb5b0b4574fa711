#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace director {

/// Largest input of `UnwrapSignedData` and of everything that signs.
inline constexpr std::size_t kCmsSizeMaxBytes = std::size_t{32} * 1024 * 1024;

/// True when the first byte says ASN.1 SEQUENCE: neither an XML nor a binary property list.
bool LooksLikeCms(std::string_view bytes);

/// Returns the content of an attached CMS SignedData, DER or BER (indefinite lengths and
/// constructed octet strings included). The signature is removed and not trusted: nothing is
/// verified. kInvalid when it is other ASN.1, detached (no content), encrypted, broken, followed by
/// more bytes, or larger than `kCmsSizeMaxBytes`. Pure; thread-safe.
Result<std::string> UnwrapSignedData(std::string_view bytes);

}  // namespace director
