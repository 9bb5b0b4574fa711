#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace director {

/// Encodes standard base64 with padding, without line ends.
std::string EncodeBase64(std::string_view bytes);

/// Decodes standard base64. Spaces, tabs and line ends are skipped (RFC 2045 style), padding may be
/// missing; any other byte, or a length that cannot be, is kInvalid.
Result<std::string> DecodeBase64(std::string_view text);

/// True when `text` is well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsValidUtf8(std::string_view text);

/// Cuts `text` to at most `size_max_bytes`, never inside a UTF-8 sequence, and marks the cut with
/// "…" where that fits.
std::string Truncate(std::string_view text, std::size_t size_max_bytes);

/// Returns `text` as valid UTF-8 with control characters (C0, C1, DEL) and broken bytes replaced by
/// `?`, cut to `size_max_bytes`: safe for one line of a log or a terminal.
std::string Printable(std::string_view text, std::size_t size_max_bytes);

/// True when the brackets of a JSON document nest deeper than `depth_max`; brackets in strings do
/// not count. A cheap look before a parser allocates; says nothing about whether the document is
/// valid.
bool JsonNestsDeeperThan(std::string_view json, std::size_t depth_max);

/// ASCII-only case folding.
std::string ToUpperAscii(std::string_view text);
std::string ToLowerAscii(std::string_view text);
bool EqualsIgnoreCaseAscii(std::string_view a, std::string_view b);

}  // namespace director
