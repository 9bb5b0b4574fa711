#include <string>

#include "base/text.h"
#include "signing/hmac.h"
#include "tests/support/catch.h"

namespace director::signing_hmac_test {
namespace {

using std::string_literals::operator""s;

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 0xF]);
  }
  return hex;
}

TEST_CASE("HMAC-SHA-256 agrees with RFC 4231") {
  CHECK(Hex(HmacSha256(Secret(std::string(20, '\x0b')), "Hi There")) ==
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(Hex(HmacSha256(Secret("Jefe"), "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(Hex(HmacSha256(Secret(std::string(131, '\xaa')),
                       "Test Using Larger Than Block-Size Key - Hash Key First")) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("HMAC-SHA-256 of nothing with an empty key is defined") {
  CHECK(Hex(HmacSha256(Secret(), std::string_view())) ==
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("the header of the exact body and key is accepted") {
  const Secret key("webhook key");
  const std::string body = "{\"topic\":\"mdm.Connect\"}\0\xff"s;
  CHECK(VerifyHmacHeader(key, body, EncodeBase64(HmacSha256(key, body))));
  CHECK(VerifyHmacHeader(key, "", EncodeBase64(HmacSha256(key, ""))));
}

TEST_CASE("a header for another body or key is refused") {
  const Secret key("webhook key");
  const std::string header = EncodeBase64(HmacSha256(key, "body"));
  CHECK_FALSE(VerifyHmacHeader(key, "body\n", header));
  CHECK_FALSE(VerifyHmacHeader(key, "", header));
  CHECK_FALSE(VerifyHmacHeader(Secret("webhook kez"), "body", header));
}

TEST_CASE("a malformed header is refused") {
  const Secret key("webhook key");
  const std::string mac = HmacSha256(key, "body");
  const std::string header = EncodeBase64(mac);
  REQUIRE(VerifyHmacHeader(key, "body", header));
  CHECK_FALSE(VerifyHmacHeader(key, "body", ""));
  CHECK_FALSE(VerifyHmacHeader(key, "body", mac));
  CHECK_FALSE(VerifyHmacHeader(key, "body", Hex(mac)));
  CHECK_FALSE(VerifyHmacHeader(key, "body", header + "\n"));
  CHECK_FALSE(VerifyHmacHeader(key, "body", " " + header));
  CHECK_FALSE(VerifyHmacHeader(key, "body", "sha256=" + header));
  CHECK_FALSE(VerifyHmacHeader(key, "body", header + header));
  for (std::size_t size = 0; size < header.size(); ++size) {
    CHECK_FALSE(VerifyHmacHeader(key, "body", header.substr(0, size)));
  }
  for (std::size_t i = 0; i < header.size(); ++i) {
    std::string changed = header;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    CHECK_FALSE(VerifyHmacHeader(key, "body", changed));
  }
}

TEST_CASE("an empty key accepts nothing, not even its own signature") {
  CHECK_FALSE(VerifyHmacHeader(Secret(), "body", EncodeBase64(HmacSha256(Secret(), "body"))));
}

}  // namespace
}  // namespace director::signing_hmac_test
