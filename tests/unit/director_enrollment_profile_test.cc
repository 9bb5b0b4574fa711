#include <string>

#include "director/enrollment_profile_file.h"
#include "signing/signer.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"

namespace director::director_enrollment_profile_test {
namespace {

std::string MakeEnrollmentProfile() {
  PlistDict identity;
  identity.Set("PayloadType", "com.apple.security.acme");
  identity.Set("PayloadIdentifier", "com.example.mdm.acme");
  identity.Set("PayloadUUID", "AAAAAAAA-0000-4000-8000-00000000000A");
  PlistDict mdm;
  mdm.Set("PayloadType", "com.apple.mdm");
  mdm.Set("Topic", "com.apple.mgmt.External.example");
  mdm.Set("ServerURL", "https://mdm.example.com/mdm");
  mdm.Set("IdentityCertificateUUID", "AAAAAAAA-0000-4000-8000-00000000000A");
  PlistDict root = director_test::MakeProfileDict("com.example.mdm");
  root.Set("PayloadContent", PlistArray{identity, mdm});
  return EncodePlistXml(root);
}

TEST_CASE("an enrollment profile is read with its signature and without") {
  const std::string plain = MakeEnrollmentProfile();
  const auto read = ParseEnrollmentProfile(plain);
  REQUIRE(read);
  CHECK(read->identity.payload_identifier == "com.example.mdm.acme");
  const SystemClock clock;
  const director_test::TempFolder folder;
  SigningFiles files;
  files.certificate_file = folder.Write("id.pem", director_test::MakePem("One", clock.Now()));
  files.key_file = files.certificate_file;
  const auto signer = LoadSigner(files, clock.Now());
  REQUIRE(signer);
  const Result<std::string> with_signature = (*signer)->Sign(plain);
  REQUIRE(with_signature);
  CHECK(*ParseEnrollmentProfile(*with_signature) == *read);
  CHECK_FALSE(ParseEnrollmentProfile(with_signature->substr(0, 100)));
  CHECK_FALSE(ParseEnrollmentProfile(director_test::MakeMobileconfig("com.example.wifi")));
}

}  // namespace
}  // namespace director::director_enrollment_profile_test
