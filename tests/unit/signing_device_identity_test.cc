#include <set>
#include <string>

#include "base/clock.h"
#include "base/text.h"
#include "signing/device_identity.h"
#include "tests/support/catch.h"
#include "tests/unit/signing_fixture.h"

namespace director::signing_device_identity_test {
namespace {

using std::string_literals::operator""s;

using signing_test::ScratchFolder;

const Timestamp kNow = FromUnixMs(1'790'000'000'250);  // 2026-09-21T14:13:20Z and a bit
constexpr char kAtNow[] = " -attime 1790000001 ";

void Save(const ScratchFolder& folder, const std::string& name, const PemIdentity& identity) {
  folder.Write(name + ".pem", identity.certificate_pem);
  folder.Write(name + ".key", identity.key_pem);
}

PemIdentity Authority() { return MakeAuthority("Test Authority", kNow, 365).value(); }

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

template <typename T>
void CheckFails(const Result<T>& result, const std::string& part) {
  REQUIRE_FALSE(result);
  CAPTURE(result.error().message, result.error().detail, part);
  CHECK(result.error().kind == ErrorKind::kInvalid);
  CHECK(Has(result.error().message, part));
}

/// A self-signed RSA authority with a PKCS#1 key, as MicroMDM's SCEP depot keeps it.
PemIdentity RsaAuthority(const ScratchFolder& folder) {
  folder.Openssl(
      "req -x509 -newkey rsa:2048 -nodes -days 3 -subj '/CN=SCEP CA' -keyout scep.key "
      "-out scep.pem");
  folder.Openssl("rsa -in scep.key -traditional -out scep-pkcs1.key");
  return {folder.Read("scep.pem"), folder.Read("scep-pkcs1.key")};
}

TEST_CASE("an authority is a proper root") {
  const ScratchFolder folder;
  Save(folder, "ca", Authority());
  folder.Openssl("verify -x509_strict -check_ss_sig" + std::string(kAtNow) +
                 "-CAfile ca.pem ca.pem");
  const std::string text = folder.Openssl("x509 -in ca.pem -noout -text");
  CAPTURE(text);
  CHECK(Has(text, "Version: 3"));
  CHECK(Has(text, "CA:TRUE"));
  CHECK(Has(text, "Certificate Sign, CRL Sign"));
  CHECK(Has(text, "X509v3 Basic Constraints: critical"));
  CHECK(Has(text, "X509v3 Key Usage: critical"));
  CHECK(Has(text, "ASN1 OID: prime256v1"));
  CHECK(Has(text, "ecdsa-with-SHA256"));
  CHECK(Has(text, "Not Before: Sep 21 14:13:20 2026 GMT"));
  CHECK(Has(text, "Not After : Sep 21 14:13:20 2027 GMT"));
  CHECK(Has(folder.Openssl("pkey -in ca.key -noout -check"), "Key is valid"));
}

TEST_CASE("an issued identity is a client's") {
  const ScratchFolder folder;
  const PemIdentity authority = Authority();
  Save(folder, "ca", authority);
  Save(folder, "device", IssueIdentity(authority, "Ger\xc3\xa4t 1", kNow, 90).value());
  folder.Openssl("verify -x509_strict -purpose sslclient" + std::string(kAtNow) +
                 "-CAfile ca.pem device.pem");
  CHECK(folder.Try("verify -purpose sslserver" + std::string(kAtNow) + "-CAfile ca.pem device.pem")
            .exit_code != 0);
  const std::string text = folder.Openssl("x509 -in device.pem -noout -text -nameopt utf8");
  CAPTURE(text);
  CHECK(Has(text, "CA:FALSE"));
  CHECK(Has(text, "Digital Signature"));
  CHECK(Has(text, "TLS Web Client Authentication"));
  CHECK_FALSE(Has(text, "TLS Web Server Authentication"));
  CHECK(Has(text, "X509v3 Authority Key Identifier"));
  CHECK(Has(text, "CN=Ger\xc3\xa4t 1"));
  CHECK(Has(text, "CN=Test Authority"));
  CHECK(Has(text, "Not After : Dec 20 14:13:20 2026 GMT"));
}

TEST_CASE("an RSA authority with a PKCS#1 key issues, too") {
  const ScratchFolder folder;
  const PemIdentity authority = RsaAuthority(folder);
  REQUIRE(Has(authority.key_pem, "BEGIN RSA PRIVATE KEY"));
  const Timestamp now = SystemClock().Now();
  Save(folder, "device", IssueIdentity(authority, "device", now, 1).value());
  folder.Openssl("verify -purpose sslclient -CAfile scep.pem device.pem");
  const std::string text = folder.Openssl("x509 -in device.pem -noout -text");
  CHECK(Has(text, "sha256WithRSAEncryption"));
  CHECK(Has(text, "ASN1 OID: prime256v1"));
}

TEST_CASE("serial numbers and keys never repeat") {
  const ScratchFolder folder;
  const PemIdentity authority = Authority();
  std::set<std::string> serials;
  std::set<std::string> keys;
  for (int i = 0; i < 20; ++i) {
    const PemIdentity identity = IssueIdentity(authority, "same name", kNow, 1).value();
    Save(folder, "device", identity);
    serials.insert(folder.Openssl("x509 -in device.pem -noout -serial"));
    keys.insert(identity.key_pem);
  }
  CHECK(serials.size() == 20);
  CHECK(keys.size() == 20);
  for (const std::string& serial : serials) {
    CHECK(serial.size() == std::string("serial=\n").size() + 32);  // 16 bytes, positive
    CHECK_FALSE(Has(serial, "-"));
  }
}

TEST_CASE("dates far ahead are encoded") {
  const ScratchFolder folder;
  Save(folder, "ca", MakeAuthority("long", kNow, 36'500).value());
  CHECK(Has(folder.Openssl("x509 -in ca.pem -noout -enddate"), "Aug 28 14:13:20 2126 GMT"));
}

TEST_CASE("bad names and days are invalid") {
  const PemIdentity authority = Authority();
  const std::string longest(64, 'n');
  CHECK(MakeAuthority(longest, kNow, 1));
  CHECK(IssueIdentity(authority, longest, kNow, 1));
  for (const std::string& name : {std::string(), longest + "n", std::string("\xff\xfe")}) {
    CheckFails(MakeAuthority(name, kNow, 1), "common name");
    CheckFails(IssueIdentity(authority, name, kNow, 1), "common name");
  }
  for (const int days : {0, -1, 36'501}) {
    CheckFails(MakeAuthority("name", kNow, days), "days");
    CheckFails(IssueIdentity(authority, "name", kNow, days), "days");
  }
}

TEST_CASE("an authority that cannot issue is invalid") {
  const PemIdentity authority = Authority();
  const PemIdentity device = IssueIdentity(authority, "device", kNow, 1).value();
  CheckFails(IssueIdentity({"", authority.key_pem}, "x", kNow, 1), "PEM certificate");
  CheckFails(IssueIdentity({authority.certificate_pem, ""}, "x", kNow, 1), "PEM private key");
  CheckFails(IssueIdentity({"garbage", "garbage"}, "x", kNow, 1), "PEM certificate");
  CheckFails(IssueIdentity({authority.certificate_pem, device.key_pem}, "x", kNow, 1),
             "does not fit");
  CheckFails(IssueIdentity(device, "x", kNow, 1), "may not issue");
  CheckFails(IssueIdentity({std::string(2'000'000, 'x'), authority.key_pem}, "x", kNow, 1),
             "1 MiB");
}

TEST_CASE("a message signature verifies against the body and only that") {
  const ScratchFolder folder;
  const PemIdentity authority = Authority();
  const auto signer =
      MakeMessageSigner(IssueIdentity(authority, "device", kNow, 30).value()).value();
  const std::string body = "<plist>\n\r\n\0\xff</plist>\n"s;
  const std::string header = signer->SignDetached(body).value();
  CHECK(header.find_first_of("\r\n ") == std::string::npos);
  const std::string der = DecodeBase64(header).value();
  CHECK(der.find("</plist>") == std::string::npos);

  Save(folder, "ca", authority);
  folder.Write("body", body);
  folder.Write("other", body + "\n");
  folder.Write("header.der", der);
  const std::string verify =
      "cms -verify -binary -purpose any -inform DER -in header.der -CAfile ca.pem" +
      std::string(kAtNow) + "-out verified -content ";
  folder.Openssl(verify + "body");
  CHECK(folder.Read("verified") == body);
  CHECK(folder.Try(verify + "other").exit_code != 0);
  const std::string shown = folder.Openssl("cms -cmsout -print -noout -inform DER -in header.der");
  CHECK(Has(shown, "eContent: <ABSENT>"));
  CHECK_FALSE(Has(shown, "S/MIME Capabilities"));
}

TEST_CASE("a message signer works with an RSA identity and an empty body") {
  const ScratchFolder folder;
  const auto signer = MakeMessageSigner(RsaAuthority(folder)).value();
  folder.Write("header.der", DecodeBase64(signer->SignDetached("").value()).value());
  folder.Write("body", "");
  folder.Openssl(
      "cms -verify -binary -purpose any -inform DER -in header.der -CAfile scep.pem -content body");
}

TEST_CASE("a message signer needs an identity that parses and fits") {
  const PemIdentity one = Authority();
  const PemIdentity two = Authority();
  CheckFails(MakeMessageSigner({}), "PEM certificate");
  CheckFails(MakeMessageSigner({one.certificate_pem, "garbage"}), "PEM private key");
  CheckFails(MakeMessageSigner({one.certificate_pem, two.key_pem}), "does not fit");
  for (std::size_t size = 0; size + 2 < one.certificate_pem.size(); size += 7) {
    CHECK_FALSE(MakeMessageSigner({one.certificate_pem.substr(0, size), one.key_pem}));
  }
}

}  // namespace
}  // namespace director::signing_device_identity_test
