// Key pairs for one answer each: what a device encrypts for the certificate, the private key opens.
#include <chrono>
#include <string>

#include "base/text.h"
#include "signing/certificate.h"
#include "signing/cms.h"
#include "signing/reply_identity.h"
#include "tests/support/catch.h"
#include "tests/support/reply_identity.h"

namespace director::signing_reply_identity_test {
namespace {

using director_test::kReplyTime;
using director_test::SomeReplyIdentity;

const std::string kKey = "AAAA-BBBB-CCCC-DDDD-EEEE-FFFF";

Secret Another() {
  Result<Secret> made = MakeReplyIdentity(kReplyTime);
  REQUIRE(made);
  return *made;
}

std::string Encrypted(const Secret& identity, const std::string& content = kKey) {
  const auto certificate = ReplyCertificate(identity);
  REQUIRE(certificate);
  const auto envelope = EncryptReply(*certificate, content);
  REQUIRE(envelope);
  return *envelope;
}

TEST_CASE("a reply certificate is valid when it is made and ten years later") {
  const auto der = ReplyCertificate(SomeReplyIdentity());
  REQUIRE(der);
  const auto facts = ReadCertificate(*der);
  REQUIRE(facts);
  CHECK(facts->subject == "CN=Director reply");
  CHECK(facts->issuer == facts->subject);
  CHECK(facts->not_before < kReplyTime - std::chrono::hours(23));
  CHECK(facts->not_after > kReplyTime + std::chrono::hours(24 * 3649));
}

TEST_CASE("what is encrypted for a reply certificate opens with its private key alone") {
  const Secret identity = SomeReplyIdentity();
  const std::string envelope = Encrypted(identity);
  CHECK(envelope.find("AAAA") == std::string::npos);
  const auto opened = OpenReply(identity, envelope);
  REQUIRE(opened);
  CHECK(opened->Reveal() == kKey);
  const auto wrong = OpenReply(Another(), envelope);
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().kind == ErrorKind::kRejected);
}

TEST_CASE("an answer that is no envelope for this key never opens") {
  const Secret identity = SomeReplyIdentity();
  const std::string envelope = Encrypted(identity);
  std::string cut = envelope.substr(0, envelope.size() / 2);
  for (const std::string& bad :
       {std::string(), std::string("not CMS"), cut, std::string(kReplySizeMaxBytes + 1, '0')}) {
    const auto opened = OpenReply(identity, bad);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().kind == ErrorKind::kRejected);
    CHECK(opened.error().message.find("AAAA") == std::string::npos);
  }
}

TEST_CASE("an identity or a certificate that is none is refused") {
  const Secret nonsense("-----BEGIN CERTIFICATE-----");
  CHECK(ReplyCertificate(nonsense).error().kind == ErrorKind::kInvalid);
  CHECK(OpenReply(nonsense, "x").error().kind == ErrorKind::kInvalid);
  CHECK(EncryptReply("nonsense", kKey).error().kind == ErrorKind::kInvalid);
}

TEST_CASE("an envelope of another tool opens") {
  // Made with Python's cryptography (PKCS7EnvelopeBuilder): other defaults, same format.
  const auto envelope = DecodeBase64(director_test::kForeignEnvelope);
  REQUIRE(envelope);
  const auto opened = OpenReply(Secret(std::string(director_test::kForeignIdentity)), *envelope);
  INFO((opened ? std::string() : ErrorForLog(opened.error())));
  REQUIRE(opened);
  CHECK(opened->Reveal() == kKey);
}

}  // namespace
}  // namespace director::signing_reply_identity_test
