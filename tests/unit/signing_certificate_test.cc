#include <string>

#include "signing/certificate.h"
#include "signing/device_identity.h"
#include "tests/support/catch.h"
#include "tests/support/pem.h"
#include "tests/unit/signing_fixture.h"

namespace director::signing_certificate_test {
namespace {

using signing_test::ScratchFolder;

const Timestamp kNow = FromUnixMs(1'790'000'000'000);

TEST_CASE("a certificate says who it is for, who made it, and how long it is good") {
  const PemIdentity authority = MakeAuthority("Test Authority", kNow, 365).value();
  const PemIdentity identity = IssueIdentity(authority, "UDID-1", kNow, 30).value();
  const Result<CertificateFacts> facts = ReadCertificate(test::DerOf(identity.certificate_pem));
  REQUIRE(facts);
  CHECK(facts->subject == "CN=UDID-1");
  CHECK(facts->issuer == "CN=Test Authority");
  CHECK(facts->not_before <= kNow);
  CHECK(facts->not_after >= kNow + 29 * kDay);
  CHECK(facts->not_after <= kNow + 31 * kDay);
}

TEST_CASE(
    "names have the most specific part first, letters of every script, and no control characters") {
  const ScratchFolder folder;
  folder.Openssl(
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -utf8 -subj "
      "'/C=US/O=Micr\xC3\xB6MDM, Inc/OU=A\x1b[1m' -keyout a.key -out a.pem");
  const Result<CertificateFacts> facts = ReadCertificate(test::DerOf(folder.Read("a.pem")));
  REQUIRE(facts);
  CHECK(facts->subject.ends_with(",O=Micr\xC3\xB6MDM\\, Inc,C=US"));
  CHECK(facts->subject.starts_with("OU=A"));
  CHECK(facts->subject.find('\x1b') == std::string::npos);
}

TEST_CASE("dates of the last and the next century are read") {
  const Timestamp old = FromUnixMs(1000);
  const PemIdentity authority = MakeAuthority("Old", old, 36500).value();
  const Result<CertificateFacts> facts = ReadCertificate(test::DerOf(authority.certificate_pem));
  REQUIRE(facts);
  CHECK(FormatTime(facts->not_before).starts_with("1970-01-01"));
  CHECK(FormatTime(facts->not_after).starts_with("2069-12-"));
}

TEST_CASE("what is no certificate is refused") {
  for (const std::string& bytes :
       {std::string(), std::string("garbage"), std::string(1000, '\x30')}) {
    const Result<CertificateFacts> facts = ReadCertificate(bytes);
    REQUIRE_FALSE(facts);
    CHECK(facts.error().kind == ErrorKind::kInvalid);
  }
  const PemIdentity authority = MakeAuthority("Test Authority", kNow, 365).value();
  std::string cut = test::DerOf(authority.certificate_pem);
  cut.resize(cut.size() / 2);
  CHECK_FALSE(ReadCertificate(cut));
}

}  // namespace
}  // namespace director::signing_certificate_test
