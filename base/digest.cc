#include "base/digest.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/invariant.h"
#include "base/secret.h"

namespace director {

Sha256Digest Sha256(std::string_view bytes) {
  Sha256Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return digest;
}

std::string Sha256Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(64);
  for (const std::uint8_t byte : Sha256(bytes)) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 0xF]);
  }
  return hex;
}

std::string DigestUuid(std::span<const std::uint8_t> digest, std::uint8_t version) {
  INVARIANT(digest.size() >= 16);
  std::string uuid;
  for (std::size_t i = 0; i < 16; ++i) {
    std::uint8_t byte = digest[i];
    if (i == 6) byte = static_cast<std::uint8_t>((byte & 0x0F) | (version << 4));
    if (i == 8) byte = static_cast<std::uint8_t>((byte & 0x3F) | 0x80);
    if (i == 4 || i == 6 || i == 8 || i == 10) uuid.push_back('-');
    uuid += fmt::format("{:02X}", byte);
  }
  return uuid;
}

std::string NameUuid(std::string_view name) {
  // 6ba7b810-9dad-11d1-80b4-00c04fd430c8
  std::string bytes("\x6B\xA7\xB8\x10\x9D\xAD\x11\xD1\x80\xB4\x00\xC0\x4F\xD4\x30\xC8", 16);
  bytes += name;
  std::array<std::uint8_t, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return DigestUuid(digest, 5);
}

bool ConstantTimeEquals(const std::string& a, const std::string& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace director
