#include <string>

#include "base/random.h"
#include "signing/cms.h"
#include "tests/support/catch.h"
#include "tests/unit/signing_fixture.h"

namespace director::signing_cms_test {
namespace {

using std::string_literals::operator""s;

using signing_test::ScratchFolder;

// Bytes that no text conversion leaves alone: bare LF, CRLF, NUL, high bytes.
const std::string& Content() {
  static const std::string content = "<plist>\n\r\n\0\xff\xfe lorem</plist>\n"s;
  return content;
}

/// A self-signed EC identity and files made from it by the `openssl` command.
const ScratchFolder& Folder() {
  static const ScratchFolder folder;
  static const bool made = [] {
    folder.Openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=cms-test -keyout key.pem -out cert.pem");
    folder.Openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=cms-rsa -keyout rsa.pem "
        "-out rsa-cert.pem");
    folder.Write("content", Content());
    return true;
  }();
  static_cast<void>(made);
  return folder;
}

std::string Make(const std::string& arguments) {
  Folder().Openssl(arguments + " -binary -in content -outform DER -out made.der");
  return Folder().Read("made.der");
}

std::string SignedBy(const std::string& options) {
  return Make("cms -sign -signer cert.pem -inkey key.pem " + options);
}

void CheckInvalid(std::string_view bytes, std::string_view part_of_message) {
  const Result<std::string> content = UnwrapSignedData(bytes);
  REQUIRE_FALSE(content);
  CHECK(content.error().kind == ErrorKind::kInvalid);
  CAPTURE(content.error().message);
  CHECK(content.error().message.find(part_of_message) != std::string::npos);
  CHECK(content.error().message.find('\n') == std::string::npos);
}

/// TLV with definite length below 128.
std::string Definite(char tag, const std::string& value) {
  return std::string(1, tag) + static_cast<char>(value.size()) + value;
}

/// TLV with indefinite length.
std::string Indefinite(char tag, const std::string& value) {
  return std::string(1, tag) + '\x80' + value + std::string(2, '\0');
}

const std::string kOidSignedData = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const std::string kOidData = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";

/// SignedData without signers, every constructed value of indefinite length.
std::string HandMade(const std::string& octets) {
  const std::string version = "\x02\x01\x01"s;
  const std::string empty_set = "\x31\x00"s;
  const std::string content = Indefinite('\x30', kOidData + Indefinite('\xa0', octets));
  return Indefinite(
      '\x30', kOidSignedData + Indefinite('\xa0', Indefinite('\x30', version + empty_set + content +
                                                                         empty_set)));
}

TEST_CASE("CMS is told from property lists by its first byte") {
  CHECK(LooksLikeCms("\x30\x80"));
  CHECK(LooksLikeCms(SignedBy("-nodetach")));
  CHECK_FALSE(LooksLikeCms(""));
  CHECK_FALSE(LooksLikeCms("<?xml version=\"1.0\"?>"));
  CHECK_FALSE(LooksLikeCms("bplist00"));
  CHECK_FALSE(LooksLikeCms("\xef\xbb\xbf<?xml"));
}

TEST_CASE("the content of DER comes back byte for byte") {
  const std::string der = SignedBy("-nodetach");
  REQUIRE(der[1] != '\x80');
  CHECK(UnwrapSignedData(der).value() == Content());
  CHECK(
      UnwrapSignedData(Make("smime -sign -nodetach -signer rsa-cert.pem -inkey rsa.pem")).value() ==
      Content());
  CHECK(UnwrapSignedData(SignedBy("-nodetach -nocerts -noattr")).value() == Content());
}

TEST_CASE("the content of streamed BER comes back byte for byte") {
  const std::string ber = SignedBy("-stream -nodetach");
  REQUIRE(ber[1] == '\x80');
  CHECK(UnwrapSignedData(ber).value() == Content());
}

TEST_CASE("streamed BER in many pieces comes back whole") {
  std::string large;
  SeededRandom random(7);
  while (large.size() < 300'000) large.push_back(static_cast<char>(random.Next()));
  Folder().Write("large", large);
  Folder().Openssl(
      "cms -sign -stream -nodetach -binary -signer cert.pem -inkey key.pem -in large "
      "-outform DER -out large.ber");
  const std::string ber = Folder().Read("large.ber");
  REQUIRE(ber.find(large) == std::string::npos);
  CHECK(UnwrapSignedData(ber).value() == large);
}

TEST_CASE("hand-made BER is understood") {
  CHECK(UnwrapSignedData(HandMade(Definite('\x04', "plain"))).value() == "plain");
  CHECK(
      UnwrapSignedData(HandMade(Indefinite('\x24', Definite('\x04', "one ") + Definite('\x04', "") +
                                                       Definite('\x04', "two"))))
          .value() == "one two");
  CHECK(UnwrapSignedData(HandMade(Definite('\x24', Definite('\x04', "a") + Definite('\x04', "b"))))
            .value() == "ab");
  CHECK(UnwrapSignedData(HandMade(Indefinite('\x24', Indefinite('\x24', Definite('\x04', "deep")) +
                                                         Definite('\x04', "er"))))
            .value() == "deeper");
  CHECK(UnwrapSignedData(HandMade(Definite('\x04', ""))).value().empty());
}

TEST_CASE("octet strings nested without end are refused") {
  std::string octets = Definite('\x04', "x");
  for (int depth = 0; depth < 10'000; ++depth) octets = Indefinite('\x24', octets);
  CheckInvalid(HandMade(octets), "broken");
}

TEST_CASE("the signature is not trusted: a forged content still comes out") {
  std::string der = SignedBy("-nodetach");
  const std::size_t at = der.find("lorem");
  REQUIRE(at != std::string::npos);
  der[at] = 'L';
  CHECK(UnwrapSignedData(der).value() != Content());
}

TEST_CASE("a detached signature is invalid") {
  CheckInvalid(SignedBy(""), "detached");
  const std::string certificates_only = [] {
    Folder().Openssl("crl2pkcs7 -nocrl -certfile cert.pem -outform DER -out only.der");
    return Folder().Read("only.der");
  }();
  CheckInvalid(certificates_only, "detached");
}

TEST_CASE("encrypted messages are invalid") {
  Folder().Openssl(
      "cms -encrypt -aes128 -binary -in content -outform DER -out enveloped.der rsa-cert.pem");
  CheckInvalid(Folder().Read("enveloped.der"), "encrypted");
  CheckInvalid(
      Make("cms -EncryptedData_encrypt -aes128 -secretkey 000102030405060708090a0b0c0d0e0f"),
      "encrypted");
}

TEST_CASE("other ASN.1 is invalid") {
  CheckInvalid(Make("cms -data_create"), "not SignedData");
  CheckInvalid(Make("cms -digest_create"), "not SignedData");
  Folder().Openssl("x509 -in cert.pem -outform DER -out cert.der");
  CheckInvalid(Folder().Read("cert.der"), "broken or is other ASN.1");
  Folder().Openssl("pkcs8 -topk8 -nocrypt -in rsa.pem -outform DER -out key.der");
  CheckInvalid(Folder().Read("key.der"), "broken or is other ASN.1");
  CheckInvalid("\x30\x00"s, "broken");
  CheckInvalid("\x30\x80\x00\x00"s, "broken");
}

TEST_CASE("what is not ASN.1 is invalid") {
  CheckInvalid("", "not a CMS");
  CheckInvalid("<?xml version=\"1.0\"?><plist/>", "not a CMS");
  CheckInvalid("0", "broken");
}

TEST_CASE("bytes after the message are invalid") {
  CheckInvalid(SignedBy("-nodetach") + "\n", "bytes follow");
  CheckInvalid(SignedBy("-stream -nodetach") + std::string(1, '\0'), "bytes follow");
}

TEST_CASE("an input over the limit is invalid, whatever it holds") {
  std::string large(kCmsSizeMaxBytes + 1, '\0');
  large[0] = '\x30';
  CheckInvalid(large, "larger than 32 MiB");
}

TEST_CASE("a message cut anywhere is an error") {
  for (const std::string& whole :
       {SignedBy("-nodetach"), SignedBy("-stream -nodetach"),
        HandMade(Indefinite('\x24', Definite('\x04', "one ") + Definite('\x04', "two")))}) {
    REQUIRE(UnwrapSignedData(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size, whole.size());
      const Result<std::string> content = UnwrapSignedData(std::string_view(whole).substr(0, size));
      REQUIRE_FALSE(content);
      REQUIRE(content.error().kind == ErrorKind::kInvalid);
    }
  }
}

TEST_CASE("damaged bytes give content or kInvalid, nothing else") {
  const std::string der = SignedBy("-nodetach");
  const std::string ber = SignedBy("-stream -nodetach");
  SeededRandom random(20'261'122);
  int refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = round % 2 == 0 ? der : ber;
    for (std::uint64_t changes = 1 + random.Below(4); changes > 0; --changes) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    }
    const Result<std::string> content = UnwrapSignedData(bytes);
    if (content) continue;
    ++refused;
    REQUIRE(content.error().kind == ErrorKind::kInvalid);
  }
  CHECK(refused > 0);
}

TEST_CASE("random bytes are invalid") {
  SeededRandom random(42);
  for (int round = 0; round < 4000; ++round) {
    std::string bytes(1 + random.Below(200), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.Next());
    bytes[0] = '\x30';
    const Result<std::string> content = UnwrapSignedData(bytes);
    REQUIRE_FALSE(content);
    REQUIRE(content.error().kind == ErrorKind::kInvalid);
  }
}

}  // namespace
}  // namespace director::signing_cms_test
