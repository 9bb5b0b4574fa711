#include "signing/hmac.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <climits>

#include "base/invariant.h"
#include "base/text.h"

namespace director {

std::string HmacSha256(const Secret& key, std::string_view message) {
  const std::string& key_bytes = key.Reveal();
  INVARIANT(key_bytes.size() <= INT_MAX);
  std::array<unsigned char, 32> mac{};
  unsigned int size = 0;
  const unsigned char* made = HMAC(
      EVP_sha256(), key_bytes.data(), static_cast<int>(key_bytes.size()),
      reinterpret_cast<const unsigned char*>(message.data()), message.size(), mac.data(), &size);
  INVARIANT(made != nullptr && size == mac.size());
  return std::string(mac.begin(), mac.end());
}

bool VerifyHmacHeader(const Secret& key, std::string_view body, std::string_view header) {
  if (key.empty()) return false;
  // Comparing the encoded form accepts exactly one spelling and keeps the decoder out of it.
  return ConstantTimeEquals(EncodeBase64(HmacSha256(key, body)), std::string(header));
}

}  // namespace director
