#include <array>
#include <cstdlib>
#include <set>
#include <string>
#include <type_traits>

#include "base/text.h"
#include "signing/seal.h"
#include "tests/support/catch.h"

namespace director::signing_seal_test {
namespace {

using std::string_literals::operator""s;

// The bytes 0 to 31.
const std::string kKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const std::string kOtherKey = EncodeBase64(std::string(32, '\xEE'));
const std::string kContext = "pin/C02XK0AAJG5H";

// The six digits 123456, sealed with kKey for kContext by another library (Python's cryptography).
const std::string kForeign = "v1:ZGVmZ2hpamtsbW5veSntUkzfFIlluKI2JMJwLBgmBi/N/g==";

SealingKeys KeysOf(const std::string& text) {
  auto keys = SealingKeys::Parse(Secret(text));
  REQUIRE(keys.has_value());
  return std::move(*keys);
}

std::string Sealed(const SealingKeys& keys, const std::string& plain) {
  const auto sealed = keys.Seal(Secret(plain), kContext);
  REQUIRE(sealed.has_value());
  return *sealed;
}

std::string Opened(const SealingKeys& keys, const std::string& sealed,
                   const std::string& context = kContext) {
  const auto opened = keys.Open(sealed, context);
  REQUIRE(opened.has_value());
  return opened->Reveal();
}

ErrorKind KindOfFailure(const SealingKeys& keys, const std::string& sealed,
                        const std::string& context = kContext) {
  const auto opened = keys.Open(sealed, context);
  REQUIRE_FALSE(opened.has_value());
  CHECK_FALSE(opened.error().message.empty());
  return opened.error().kind;
}

TEST_CASE("what is sealed opens again, with the same context") {
  const SealingKeys keys = KeysOf(kKey);
  const std::string plain = GENERATE("123456"s, ""s, "\0\xFF\n"s, std::string(100'000, 'x'));
  const std::string context = GENERATE(""s, kContext, "\0a"s);
  const auto sealed = keys.Seal(Secret(plain), context);
  REQUIRE(sealed.has_value());
  CHECK(Opened(keys, *sealed, context) == plain);
}

TEST_CASE("a sealed text is printable, of a known form, and never the same twice") {
  const SealingKeys keys = KeysOf(kKey);
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string sealed = Sealed(keys, "123456");
    REQUIRE(sealed.starts_with("v1:"));
    const auto bytes = DecodeBase64(sealed.substr(3));
    REQUIRE(bytes.has_value());
    CHECK(bytes->size() == 12 + 6 + 16);
    CHECK(sealed.find("123456") == std::string::npos);
    seen.insert(bytes->substr(0, 12));
  }
  CHECK(seen.size() == 100);  // nonces
}

TEST_CASE("the form is AES-256-GCM's as others make it") {
  CHECK(Opened(KeysOf(kKey), kForeign) == "123456");
}

TEST_CASE("another context does not open") {
  const SealingKeys keys = KeysOf(kKey);
  CHECK(KindOfFailure(keys, kForeign, "pin/C02XK0AAJG5J") == ErrorKind::kCorrupt);
  CHECK(KindOfFailure(keys, kForeign, "") == ErrorKind::kCorrupt);
  CHECK(KindOfFailure(keys, kForeign, kContext + "\0"s) == ErrorKind::kCorrupt);
}

TEST_CASE("a text that was changed does not open") {
  const SealingKeys keys = KeysOf(kKey);
  const std::string bytes = *DecodeBase64(kForeign.substr(3));
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string changed = bytes;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << i % 8));
    CHECK(KindOfFailure(keys, "v1:" + EncodeBase64(changed)) == ErrorKind::kCorrupt);
  }
  for (std::size_t size = 28; size < bytes.size(); ++size) {
    CHECK(KindOfFailure(keys, "v1:" + EncodeBase64(bytes.substr(0, size))) == ErrorKind::kCorrupt);
  }
  CHECK(KindOfFailure(keys, "v1:" + EncodeBase64(bytes + "x")) == ErrorKind::kCorrupt);
}

TEST_CASE("a text of another form is invalid") {
  const SealingKeys keys = KeysOf(kKey);
  const std::string base64 = kForeign.substr(3);
  const std::string text =
      GENERATE_COPY(""s, "123456"s, "v1"s, "v1:"s, "v2:" + base64, "V1:" + base64, base64,
                    " " + kForeign, kForeign + "\n", "v1: " + base64, "v1:" + base64.substr(0, 46),
                    "v1:****"s, "v1:" + EncodeBase64(std::string(27, 'x')),
                    "v1:" + EncodeBase64(std::string(1024 * 1024 + 29, 'x')));
  CHECK(KindOfFailure(keys, text) == ErrorKind::kInvalid);
}

TEST_CASE("a text has one spelling only") {
  // The second of two symbols for one byte has four bits to spare.
  const SealingKeys keys = KeysOf(kKey);
  std::string respelled = kForeign;
  REQUIRE(respelled.ends_with("g=="));
  respelled[respelled.size() - 3] = 'h';
  REQUIRE(*DecodeBase64(respelled.substr(3)) == *DecodeBase64(kForeign.substr(3)));
  CHECK(KindOfFailure(keys, respelled) == ErrorKind::kInvalid);
}

TEST_CASE("the first key seals and all keys open") {
  const SealingKeys before = KeysOf(kOtherKey);
  const SealingKeys rotated = KeysOf(kKey + "\n" + kOtherKey);
  const SealingKeys after = KeysOf(kKey);
  const std::string old_text = Sealed(before, "111111");
  const std::string new_text = Sealed(rotated, "222222");
  CHECK(Opened(rotated, old_text) == "111111");
  CHECK(Opened(rotated, new_text) == "222222");
  CHECK(Opened(after, new_text) == "222222");
  CHECK(KindOfFailure(after, old_text) == ErrorKind::kCorrupt);
  CHECK(KindOfFailure(before, new_text) == ErrorKind::kCorrupt);
}

TEST_CASE("the message about a secret that does not open names what to look for") {
  const auto opened = KeysOf(kOtherKey).Open(kForeign, kContext);
  REQUIRE_FALSE(opened.has_value());
  const std::string text = ErrorForLog(opened.error());
  CHECK(text.find("key that sealed it is missing") != std::string::npos);
  CHECK(text.find(kForeign.substr(3, 8)) == std::string::npos);
}

TEST_CASE("a key file may have remarks, blank lines and line ends of any kind") {
  const std::string file =
      GENERATE_COPY(std::string(kKey), kKey + "\n", kKey + "\r\n",
                    "# made on 2026-11-23\n\n" + kKey + "\n \t\r\n  # the end", "\n\n" + kKey,
                    "  " + kKey + "  \n", "#" + kOtherKey + "\n" + kKey);
  CHECK(Opened(KeysOf(file), kForeign) == "123456");
}

TEST_CASE("a key file with a line that is no key is refused and not shown") {
  const std::string bad = GENERATE_COPY(
      EncodeBase64(std::string(31, 'k')), EncodeBase64(std::string(33, 'k')),
      EncodeBase64(std::string(16, 'k')), std::string(64, 'a'), kKey + " " + kOtherKey,
      kKey + " # remark", "key: " + kKey, "hunter2 hunter2"s, "AAECA*"s, "\0"s);
  const auto keys = SealingKeys::Parse(Secret("# first\n" + kKey + "\n" + bad + "\n"));
  REQUIRE_FALSE(keys.has_value());
  CHECK(keys.error().kind == ErrorKind::kInvalid);
  CHECK(keys.error().message ==
        "line 3 of the sealing keys is not the base64 of 32 bytes; openssl rand -base64 32 makes "
        "one");
  CHECK(keys.error().detail.empty());
  CHECK(keys.error().field.empty());
}

TEST_CASE("a key file without a key is refused") {
  const std::string file = GENERATE(""s, "\n\n"s, "# "s + kKey, "  \t"s);
  const auto keys = SealingKeys::Parse(Secret(file));
  REQUIRE_FALSE(keys.has_value());
  CHECK(keys.error().kind == ErrorKind::kInvalid);
  CHECK(keys.error().message == "there is no sealing key; openssl rand -base64 32 makes one");
}

TEST_CASE("there are no sealing keys without a key") {
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<SealingKeys>);
}

TEST_CASE("a PIN has six digits, and every digit is as likely at every place") {
  constexpr int kPins = 50'000;
  std::array<std::array<int, 10>, 6> counts{};
  std::set<std::string> seen;
  int below_five = 0;
  for (int i = 0; i < kPins; ++i) {
    const auto made = MakePin();
    REQUIRE(made.has_value());
    const std::string& pin = made->Reveal();
    REQUIRE(pin.size() == 6);
    REQUIRE(pin.find_first_not_of("0123456789") == std::string::npos);
    for (std::size_t place = 0; place < 6; ++place) {
      const auto digit = static_cast<std::size_t>(pin[place] - '0');
      ++counts[place][digit];
      if (digit < 5) ++below_five;
    }
    seen.insert(pin);
  }
  // 5000 are expected of each, with a standard deviation of 67: eight of them never happen.
  for (const auto& place : counts) {
    for (const int count : place) CHECK(std::abs(count - kPins / 10) < 8 * 67);
  }
  // A byte modulo ten would give 2300 more (the standard deviation is 274).
  CHECK(std::abs(below_five - kPins * 3) < 1500);
  CHECK(seen.size() > 48'000);  // some 1200 meet
}

TEST_CASE("a recovery lock password can be typed without a mistake, and is never the same") {
  std::set<std::string> seen;
  std::set<char> characters;
  for (int i = 0; i < 1000; ++i) {
    const auto made = MakeRecoveryPassword();
    REQUIRE(made);
    REQUIRE(made->Reveal().size() == kRecoveryPasswordCharacters);
    seen.insert(made->Reveal());
    for (const char c : made->Reveal()) characters.insert(c);
  }
  CHECK(seen.size() == 1000);
  CHECK(std::string(characters.begin(), characters.end()) == "23456789ABCDEFGHJKLMNPQRSTUVWXYZ");
}

}  // namespace
}  // namespace director::signing_seal_test
