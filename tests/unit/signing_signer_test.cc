#include <openssl/pkcs12.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/text.h"
#include "signing/cms.h"
#include "signing/signer.h"
#include "tests/support/catch.h"
#include "tests/unit/signing_fixture.h"

namespace director::signing_signer_test {
namespace {

using std::string_literals::operator""s;

using signing_test::CountOf;
using signing_test::ScratchFolder;

constexpr char kPassword[] = "correct-horse \xc3\xa4";
const std::string kProfile = "<plist>\n\r\n\0\xff profile</plist>\n"s;

/// Root, intermediate, and two leaves (rsa, ec) with their keys in every form.
class Pki {
 public:
  Pki() {
    folder.Write("password", kPassword);
    folder.Write("other-password", "battery-staple");
    folder.Write("ca.ext",
                 "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n");
    folder.Write("leaf.ext",
                 "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n");
    folder.Openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
        "-subj '/CN=Test Root' -keyout root.key -out root.pem");
    MakeEcKey("intermediate.key");
    Issue("intermediate", "/CN=Test Intermediate", "root", "ca.ext");
    MakeRsa();
    MakeEc();
    MakeContainers();
  }

  ScratchFolder folder;

 private:
  void MakeEcKey(const std::string& name) {
    folder.Openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out " + name);
  }

  void Issue(const std::string& name, const std::string& subject, const std::string& issuer,
             const std::string& extensions) {
    folder.Openssl("req -new -utf8 -key " + name + ".key -subj '" + subject + "' -out " + name +
                   ".csr");
    folder.Openssl("x509 -req -days 20 -in " + name + ".csr -CA " + issuer + ".pem -CAkey " +
                   issuer + ".key -CAcreateserial -extfile " + extensions + " -out " + name +
                   ".pem");
    folder.Write(name + "-chain.pem", folder.Read(name + ".pem") + folder.Read(issuer + ".pem"));
  }

  void MakeRsa() {
    folder.Openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key");
    Issue("rsa", "/C=SE/O=K\xc3\xb6rsb\xc3\xa4r/CN=RSA Leaf", "intermediate", "leaf.ext");
    folder.Openssl("rsa -in rsa.key -traditional -out rsa-pkcs1.key");
    folder.Openssl(
        "rsa -in rsa.key -traditional -aes256 -passout file:password -out rsa-pkcs1-enc.key");
    folder.Openssl("pkcs8 -topk8 -in rsa.key -nocrypt -out rsa-pkcs8.key");
    folder.Openssl(
        "pkcs8 -topk8 -in rsa.key -v2 aes-256-cbc -passout file:password -out rsa-pkcs8-enc.key");
    folder.Write("rsa-all.pem", folder.Read("rsa-chain.pem") + folder.Read("rsa-pkcs8-enc.key"));
  }

  void MakeEc() {
    MakeEcKey("ec.key");
    Issue("ec", "/CN=EC Leaf", "intermediate", "leaf.ext");
    folder.Openssl("ec -in ec.key -out ec-sec1.key");
    folder.Openssl("ec -in ec.key -aes256 -passout file:password -out ec-sec1-enc.key");
    folder.Openssl("ecparam -name prime256v1 -out ec.params");
    folder.Write("ec-params.key", folder.Read("ec.params") + folder.Read("ec-sec1.key"));
    folder.Openssl(
        "pkcs8 -topk8 -in ec.key -v2 aes-128-cbc -passout file:password -out ec-pkcs8-enc.key");
    folder.Write("ec-all.pem", folder.Read("ec-sec1.key") + folder.Read("ec-chain.pem"));
  }

  void MakeContainers() {
    const std::string ca = " -certfile intermediate.pem -passout file:password";
    folder.Openssl("pkcs12 -export -in rsa.pem -inkey rsa.key -out rsa.p12" + ca);
    folder.Openssl("pkcs12 -export -in ec.pem -inkey ec.key -out ec.p12" + ca);
    folder.Openssl(
        "pkcs12 -export -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 "
        "-in rsa.pem -inkey rsa.key -out 3des.p12" +
        ca);
    folder.Openssl("pkcs12 -export -nomac -in ec.pem -inkey ec.key -out nomac.p12" + ca);
    folder.Openssl(
        "pkcs12 -export -in ec.pem -inkey ec.key -certfile intermediate.pem -passout pass: "
        "-out empty.p12");
    folder.Openssl("pkcs12 -export -in ec-chain.pem -nokeys -passout file:password -out nokey.p12");
    folder.Openssl("pkcs12 -export -inkey ec.key -nocerts -passout file:password -out nocert.p12");
  }
};

const Pki& World() {
  static const Pki pki;
  return pki;
}

const ScratchFolder& Folder() { return World().folder; }

/// Within the validity of everything in the world.
Timestamp Soon() { return SystemClock().Now() + std::chrono::minutes(1); }

SigningFiles Pem(const std::string& certificate, const std::string& key,
                 const std::string& password = "") {
  return {"", Folder().Path(certificate), Folder().Path(key), Secret(password)};
}

SigningFiles Container(const std::string& name, const std::string& password = kPassword) {
  return {Folder().Path(name), "", "", Secret(password)};
}

std::shared_ptr<const Signer> Load(const SigningFiles& files) {
  Result<std::shared_ptr<const Signer>> signer = LoadSigner(files, Soon());
  if (!signer) FAIL(ErrorForLog(signer.error()));
  return *signer;
}

/// Verifies with only the root known: succeeds only if the intermediate travels in the message.
void CheckVerifies(const std::string& der, const std::string& content) {
  Folder().Write("signed.der", der);
  Folder().Openssl("cms -verify -binary -inform DER -in signed.der -CAfile root.pem -out verified");
  CHECK(Folder().Read("verified") == content);
}

/// Loading fails with one line that names `file`, says `part` and gives no password away.
void CheckFails(const SigningFiles& files, Timestamp now, const std::string& file,
                const std::string& part) {
  const Result<std::shared_ptr<const Signer>> signer = LoadSigner(files, now);
  CAPTURE(file, part);
  REQUIRE_FALSE(signer);
  const Error& error = signer.error();
  CAPTURE(error.message, error.detail);
  CHECK(error.kind == ErrorKind::kInvalid);
  CHECK(error.message.find(part) != std::string::npos);
  CHECK(error.message.find(Folder().Path(file)) != std::string::npos);
  const std::string log = ErrorForLog(error);
  CHECK(log.find('\n') == std::string::npos);
  const std::string& password = files.password.Reveal();
  CHECK((password.empty() || log.find(password) == std::string::npos));
}

void CheckFails(const SigningFiles& files, const std::string& file, const std::string& part) {
  CheckFails(files, Soon(), file, part);
}

/// An environment variable for the time of a scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = std::make_unique<std::string>(before);
    setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() {
    if (before_ == nullptr) {
      unsetenv(name_);
    } else {
      setenv(name_, before_->c_str(), 1);
    }
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::unique_ptr<std::string> before_;
};

/// Makes a container that claims RC2-40 without being able to encrypt with it: 3DES inside, the
/// algorithm's name exchanged, the MAC made anew.
void MakeContainerNamingRc2(const std::string& name) {
  Folder().Openssl(
      "pkcs12 -export -nomac -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -in rsa.pem "
      "-inkey rsa.key -passout file:password -out renamed.p12");
  std::string bytes = Folder().Read("renamed.p12");
  const std::string arc = "\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01";
  for (std::size_t at = bytes.find(arc); at != std::string::npos; at = bytes.find(arc, at + 1)) {
    bytes[at + arc.size()] = '\x06';  // pbeWithSHA1And40BitRC2-CBC
  }
  const auto* cursor = reinterpret_cast<const unsigned char*>(bytes.data());
  PKCS12* container = d2i_PKCS12(nullptr, &cursor, static_cast<long>(bytes.size()));
  REQUIRE(container != nullptr);
  REQUIRE(PKCS12_set_mac(container, kPassword, -1, nullptr, 0, 2048, EVP_sha1()) == 1);
  unsigned char* der = nullptr;
  const int size = i2d_PKCS12(container, &der);
  REQUIRE(size > 0);
  Folder().Write(name, {reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  PKCS12_free(container);
}

TEST_CASE("every form of PEM key signs with the whole chain") {
  struct Form {
    std::string certificate, key, password;
  };
  const std::vector<Form> forms = {
      {"rsa-chain.pem", "rsa-pkcs1.key", ""},
      {"rsa-chain.pem", "rsa-pkcs1-enc.key", kPassword},
      {"rsa-chain.pem", "rsa-pkcs8.key", ""},
      {"rsa-chain.pem", "rsa-pkcs8.key", "a password that nobody asks for"},
      {"rsa-chain.pem", "rsa-pkcs8-enc.key", kPassword},
      {"rsa-all.pem", "rsa-all.pem", kPassword},
      {"ec-chain.pem", "ec.key", ""},
      {"ec-chain.pem", "ec-sec1.key", ""},
      {"ec-chain.pem", "ec-sec1-enc.key", kPassword},
      {"ec-chain.pem", "ec-params.key", ""},
      {"ec-chain.pem", "ec-pkcs8-enc.key", kPassword},
      {"ec-all.pem", "ec-all.pem", ""},
  };
  for (const Form& form : forms) {
    CAPTURE(form.certificate, form.key);
    const auto signer = Load(Pem(form.certificate, form.key, form.password));
    CheckVerifies(signer->Sign(kProfile).value(), kProfile);
  }
}

TEST_CASE("PKCS#12 signs with the whole chain") {
  for (const char* name : {"rsa.p12", "ec.p12", "3des.p12"}) {
    CAPTURE(name);
    CheckVerifies(Load(Container(name))->Sign(kProfile).value(), kProfile);
  }
  CheckVerifies(Load(Container("empty.p12", ""))->Sign(kProfile).value(), kProfile);
}

TEST_CASE("a certificate file with doubles and comments signs with each certificate once") {
  const std::string leaf = Folder().Read("ec.pem");
  const std::string intermediate = Folder().Read("intermediate.pem");
  Folder().Write("doubles.pem", "# leaf\r\n" + leaf + leaf + "notes\n" + intermediate +
                                    intermediate + leaf + Folder().Read("root.pem"));
  const std::string der = Load(Pem("doubles.pem", "ec.key"))->Sign(kProfile).value();
  CheckVerifies(der, kProfile);
  CHECK(CountOf(Folder().Openssl("pkcs7 -inform DER -in signed.der -print_certs -noout"),
                "subject=") == 3);
}

TEST_CASE("the signature is DER, SHA-256, attached, without S/MIME capabilities") {
  const std::string der = Load(Container("rsa.p12"))->Sign(kProfile).value();
  CHECK(LooksLikeCms(der));
  CHECK(static_cast<unsigned char>(der[1]) == 0x82);
  CHECK(der.find(kProfile) != std::string::npos);
  CHECK(UnwrapSignedData(der).value() == kProfile);
  Folder().Write("shown.der", der);
  const std::string shown = Folder().Openssl("cms -cmsout -print -noout -inform DER -in shown.der");
  CHECK(shown.find("sha256") != std::string::npos);
  CHECK(CountOf(shown, "sha1 ") == 0);
  CHECK(shown.find("S/MIME Capabilities") == std::string::npos);
  CHECK(shown.find("signingTime") != std::string::npos);
  CHECK(CountOf(Folder().Openssl("pkcs7 -inform DER -in shown.der -print_certs -noout"),
                "subject=") == 2);
}

TEST_CASE("empty and large contents are signed, too large ones refused") {
  const auto signer = Load(Container("ec.p12"));
  CHECK(UnwrapSignedData(signer->Sign("").value()).value().empty());
  CHECK(UnwrapSignedData(signer->Sign(std::string_view()).value()).value().empty());
  const std::string large(5'000'000, 'p');
  CheckVerifies(signer->Sign(large).value(), large);
  const Result<std::string> refused = signer->Sign(std::string(kCmsSizeMaxBytes + 1, 'p'));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kInvalid);
}

TEST_CASE("the certificate is described as openssl describes it") {
  for (const char* container : {"", "rsa.p12"}) {
    const auto signer =
        Load(*container == '\0' ? Pem("rsa-chain.pem", "rsa.key") : Container(container));
    CHECK(signer->CertificateSubject() == "C=SE, O=K\xc3\xb6rsb\xc3\xa4r, CN=RSA Leaf");

    std::string fingerprint = Folder().Openssl("x509 -in rsa.pem -noout -fingerprint -sha256");
    fingerprint = fingerprint.substr(fingerprint.find('=') + 1);
    std::erase_if(fingerprint, [](char c) { return c == ':' || c == '\n'; });
    CHECK(signer->CertificateFingerprint() == ToLowerAscii(fingerprint));

    std::string end = Folder().Openssl("x509 -in rsa.pem -noout -enddate -dateopt iso_8601");
    end = end.substr(end.find('=') + 1, 20);
    end[10] = 'T';
    CHECK(FormatTime(signer->CertificateNotAfter()) == end);
  }
}

TEST_CASE("one signer serves several threads") {
  const auto signer = Load(Container("ec.p12"));
  std::array<std::vector<std::string>, 4> results;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&results, &signer, i] {
      for (int n = 0; n < 25; ++n) {
        results[i].push_back(signer->Sign("content " + std::to_string(i)).value_or(""));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < results.size(); ++i) {
    REQUIRE(results[i].size() == 25);
    for (const std::string& der : results[i]) {
      CHECK(UnwrapSignedData(der).value() == "content " + std::to_string(i));
    }
    CheckVerifies(results[i].back(), "content " + std::to_string(i));
  }
}

TEST_CASE("files that cannot be read are named") {
  std::filesystem::create_directory(Folder().Path("folder"));
  Folder().Write("large", std::string(1024 * 1024 + 1, 'x'));
  CheckFails(Pem("absent.pem", "ec.key"), "absent.pem", "cannot be read: No such file");
  CheckFails(Pem("ec.pem", "absent.key"), "absent.key", "cannot be read: No such file");
  CheckFails(Container("absent.p12"), "absent.p12", "cannot be read: No such file");
  CheckFails(Pem("folder", "ec.key"), "folder", "cannot be read: Is a directory");
  CheckFails(Pem("large", "ec.key"), "large", "larger than 1 MiB");
  CheckFails(Pem("ec.pem", "large"), "large", "larger than 1 MiB");
  CheckFails(Container("large"), "large", "larger than 1 MiB");
}

TEST_CASE("a path with a line end still makes one line") {
  const Result<std::shared_ptr<const Signer>> signer =
      LoadSigner({"/nowhere/a\nb.p12", "", "", Secret()}, Soon());
  REQUIRE_FALSE(signer);
  CHECK(signer.error().message.find('\n') == std::string::npos);
}

TEST_CASE("files that cannot be parsed are named") {
  const std::string garbage = "\x30\x82 not a key at all \0\xff"s;
  Folder().Write("garbage", garbage);
  Folder().Write("empty", "");
  for (const char* name : {"garbage", "empty"}) {
    CheckFails(Pem(name, "ec.key"), name, "contains no PEM certificate");
    CheckFails(Pem("ec.pem", name), name, "contains no PEM private key");
    CheckFails(Container(name), name, "is not a PKCS#12 file");
  }
  CheckFails(Container("ec.pem"), "ec.pem", "is not a PKCS#12 file");
  CheckFails(Pem("ec.p12", "ec.key"), "ec.p12", "contains no PEM certificate");
  CheckFails(Pem("ec.pem", "ec.pem"), "ec.pem", "contains no PEM private key");
  CheckFails(Pem("ec.key", "ec.key"), "ec.key", "contains no PEM certificate");
}

TEST_CASE("damaged PEM is named") {
  std::string certificate = Folder().Read("ec.pem");
  certificate.replace(certificate.find('\n') + 20, 8, "AAAAAAAA");
  Folder().Write("damaged.pem", certificate);
  Folder().Write("damaged-second.pem", Folder().Read("ec.pem") + certificate);
  std::string key = Folder().Read("rsa-pkcs8.key");
  key.replace(key.find('\n') + 2, 40, std::string(40, 'A'));
  Folder().Write("damaged.key", key);
  const std::string whole = Folder().Read("ec.pem");
  Folder().Write("cut.pem", whole.substr(0, whole.size() / 2));
  CheckFails(Pem("damaged.pem", "ec.key"), "damaged.pem", "cannot be parsed");
  CheckFails(Pem("damaged-second.pem", "ec.key"), "damaged-second.pem", "cannot be parsed");
  CheckFails(Pem("cut.pem", "ec.key"), "cut.pem", "cannot be parsed");
  CheckFails(Pem("rsa.pem", "damaged.key"), "damaged.key", "cannot be parsed");
}

TEST_CASE("damaged PKCS#12 is named") {
  const std::string whole = Folder().Read("ec.p12");
  Folder().Write("cut.p12", whole.substr(0, whole.size() / 2));
  CheckFails(Container("cut.p12"), "cut.p12", "is not a PKCS#12 file");
  std::string changed = whole;
  changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
  Folder().Write("changed.p12", changed);
  CheckFails(Container("changed.p12"), "changed.p12", "or the file is damaged");
  CheckFails(Container("nomac.p12"), "nomac.p12", "no integrity check");
}

TEST_CASE("a wrong password is called that") {
  for (const char* key : {"rsa-pkcs1-enc.key", "rsa-pkcs8-enc.key"}) {
    CheckFails(Pem("rsa.pem", key, "battery-staple"), key, "wrong password");
    CheckFails(Pem("rsa.pem", key, std::string(5000, 'w')), key, "wrong password");
    CheckFails(Pem("rsa.pem", key), key, "encrypted but no password is set");
  }
  for (const char* key : {"ec-sec1-enc.key", "ec-pkcs8-enc.key"}) {
    CheckFails(Pem("ec.pem", key, "battery-staple"), key, "wrong password");
    CheckFails(Pem("ec.pem", key), key, "encrypted but no password is set");
  }
  for (const char* name : {"rsa.p12", "ec.p12", "3des.p12"}) {
    CheckFails(Container(name, "battery-staple"), name, "wrong password");
    CheckFails(Container(name, ""), name, "encrypted but no password is set");
  }
  CheckFails(Container("empty.p12", "battery-staple"), "empty.p12", "wrong password");
}

TEST_CASE("a key that does not fit is called that") {
  CheckFails(Pem("ec.pem", "intermediate.key"), "intermediate.key", "does not fit");
  CheckFails(Pem("ec.pem", "rsa.key"), "rsa.key", "does not fit");
  Folder().Write("reversed.pem", Folder().Read("intermediate.pem") + Folder().Read("ec.pem"));
  CheckFails(Pem("reversed.pem", "ec.key"), "ec.key", "does not fit the first certificate");
}

TEST_CASE("PKCS#12 without key or certificate is named") {
  CheckFails(Container("nokey.p12"), "nokey.p12", "contains no private key");
  CheckFails(Container("nocert.p12"), "nocert.p12", "contains no certificate");
}

TEST_CASE("a certificate outside its time is refused, at its bounds accepted") {
  for (const SigningFiles& files : {Pem("ec-chain.pem", "ec.key"), Container("ec.p12")}) {
    const std::string file = files.pkcs12_file.empty() ? "ec-chain.pem" : "ec.p12";
    const Timestamp end = Load(files)->CertificateNotAfter();
    const Timestamp start = end - std::chrono::hours(20 * 24);
    CHECK(LoadSigner(files, end));
    CHECK(LoadSigner(files, start));
    CheckFails(files, end + std::chrono::seconds(1), file, "expired at " + FormatTime(end));
    CheckFails(files, start - std::chrono::seconds(1), file,
               "not valid before " + FormatTime(start));
  }
}

TEST_CASE("weak and foreign keys are refused") {
  const auto make = [](const std::string& name, const std::string& algorithm) {
    Folder().Openssl("genpkey " + algorithm + " -out " + name + ".key");
    Folder().Openssl("req -x509 -key " + name + ".key -days 2 -subj /CN=" + name + " -out " + name +
                     ".pem");
  };
  make("weak", "-algorithm RSA -pkeyopt rsa_keygen_bits:1024");
  make("edwards", "-algorithm ED25519");
  make("pss", "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048");
  CheckFails(Pem("weak.pem", "weak.key"), "weak.key", "the RSA key has 1024 bits; at least 2048");
  CheckFails(Pem("edwards.pem", "edwards.key"), "edwards.key", "neither RSA nor EC");
  CheckFails(Pem("pss.pem", "pss.key"), "pss.key", "neither RSA nor EC");
  Folder().Openssl(
      "pkcs12 -export -in weak.pem -inkey weak.key -passout file:password -out weak.p12");
  CheckFails(Container("weak.p12"), "weak.p12", "the RSA key has 1024 bits");
}

TEST_CASE("an endless chain is refused") {
  std::string pem = Folder().Read("ec.pem");
  for (int i = 0; i < 33; ++i) {
    Folder().Openssl("req -x509 -key ec.key -days 2 -subj /CN=other -out other.pem");
    pem += Folder().Read("other.pem");
  }
  Folder().Write("endless.pem", pem);
  CheckFails(Pem("endless.pem", "ec.key"), "endless.pem", "more than 32");
}

TEST_CASE("files that are set by halves are named") {
  CheckFails({"", Folder().Path("ec.pem"), "", Secret()}, "ec.pem", "no key file is set");
  CheckFails({"", "", Folder().Path("ec.key"), Secret()}, "ec.key", "no certificate file is set");
  CheckFails({Folder().Path("ec.p12"), Folder().Path("ec.pem"), Folder().Path("ec.key"), Secret()},
             "ec.p12", "one or the other");
  const Result<std::shared_ptr<const Signer>> none = LoadSigner({}, Soon());
  REQUIRE_FALSE(none);
  CHECK(none.error().kind == ErrorKind::kInvalid);
  CHECK(none.error().message == "no signing files are set");
}

TEST_CASE("old PKCS#12 without the legacy provider says what to do") {
  MakeContainerNamingRc2("rc2-name.p12");
  const ScopedVariable no_modules("OPENSSL_MODULES", Folder().Path("no-modules"));
  CheckFails(Container("rc2-name.p12"), "rc2-name.p12", "need OpenSSL's legacy provider");
  CheckFails(Container("rc2-name.p12", "battery-staple"), "rc2-name.p12", "wrong password");
}

TEST_CASE("old PKCS#12 loads where the legacy provider is installed") {
  const bool has_legacy =
      Folder()
          .Try(
              "pkcs12 -export -legacy -in rsa.pem -inkey rsa.key -certfile intermediate.pem "
              "-passout file:password -out legacy.p12")
          .exit_code == 0;
  if (!has_legacy) {
    MakeContainerNamingRc2("legacy.p12");
    CheckFails(Container("legacy.p12"), "legacy.p12", "need OpenSSL's legacy provider");
    return;
  }
  CheckVerifies(Load(Container("legacy.p12"))->Sign(kProfile).value(), kProfile);
  CheckFails(Container("legacy.p12", "battery-staple"), "legacy.p12", "wrong password");
  // Loading one such file opens no door for others: the provider was private to the call.
  const ScopedVariable no_modules("OPENSSL_MODULES", Folder().Path("no-modules"));
  CheckFails(Container("legacy.p12"), "legacy.p12", "need OpenSSL's legacy provider");
}

TEST_CASE("a PEM key with a cipher that OpenSSL dropped says so") {
  const bool made =
      Folder()
          .Try(
              "pkcs8 -topk8 -provider legacy -provider default -v1 PBE-MD5-DES -in rsa.key "
              "-passout file:password -out des.key")
          .exit_code == 0;
  if (!made) return;  // only the legacy provider can make one
  CheckFails(Pem("rsa.pem", "des.key", kPassword), "des.key", "OpenSSL no longer offers");
}

}  // namespace
}  // namespace director::signing_signer_test
