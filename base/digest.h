#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace director {

using Sha256Digest = std::array<std::uint8_t, 32>;

/// Returns the SHA-256 digest of `bytes`.
Sha256Digest Sha256(std::string_view bytes);

/// Returns the SHA-256 digest of `bytes` as 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view bytes);

/// Makes a UUID (RFC 9562) of a digest's first 16 bytes, in upper case. Requires as many.
std::string DigestUuid(std::span<const std::uint8_t> digest, std::uint8_t version);

/// Returns the UUID of version 5 (of SHA-1, RFC 9562) for `name` in the namespace DNS. A name and
/// no protection: nothing may rest on it being hard to meet.
std::string NameUuid(std::string_view name);

}  // namespace director
