#include "signing/device_identity.h"

#include <fmt/core.h>
#include <openssl/pem.h>

#include <utility>

#include "base/text.h"
#include "signing/certified_key.h"
#include "signing/openssl_ptr.h"

namespace director {
namespace {

constexpr int kDaysMax = 36500;
constexpr std::size_t kPemMaxBytes = std::size_t{1024} * 1024;

using ParsedIdentity = CertifiedKey;

Status CheckRequest(std::string_view common_name, int days) {
  if (common_name.empty() || !IsValidUtf8(common_name)) {
    return Fail(InvalidField("common_name", "the common name must be 1 to 64 characters of UTF-8"));
  }
  if (days < 1 || days > kDaysMax) {
    return Fail(InvalidField("days", fmt::format("the days must be 1 to {}", kDaysMax)));
  }
  return {};
}

Result<ParsedIdentity> ParseIdentity(const PemIdentity& identity) {
  if (identity.certificate_pem.size() > kPemMaxBytes || identity.key_pem.size() > kPemMaxBytes) {
    return Fail(ErrorKind::kInvalid, "the identity is larger than 1 MiB");
  }
  ParsedIdentity parsed;
  parsed.certificate = ReadPemCertificate(ReadingBio(identity.certificate_pem));
  if (parsed.certificate == nullptr) {
    return FailOpenssl(ErrorKind::kInvalid, "the identity has no readable PEM certificate");
  }
  parsed.key = ReadPemKey(identity.key_pem, Secret()).key;
  if (parsed.key == nullptr) {
    return FailOpenssl(ErrorKind::kInvalid,
                       "the identity has no readable PEM private key without a password");
  }
  const int type = EVP_PKEY_get_base_id(parsed.key.get());
  if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC) {
    return Fail(ErrorKind::kInvalid, "the identity's key is neither RSA nor EC");
  }
  if (X509_check_private_key(parsed.certificate.get(), parsed.key.get()) != 1) {
    return FailOpenssl(ErrorKind::kInvalid, "the identity's key does not fit its certificate");
  }
  return parsed;
}

/// Makes a certificate for a new key: everything but issuer, extensions and signature.
Result<ParsedIdentity> MakeUnsigned(std::string_view common_name, Timestamp now, int days) {
  if (Status request = CheckRequest(common_name, days); !request) return Fail(request.error());
  return MakeUnsignedCertificate(KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256")),
                                 common_name, now, days);
}

Result<PemIdentity> EncodeIdentity(const ParsedIdentity& identity) {
  const BioPtr certificate = WritingBio();
  const BioPtr key = WritingBio();
  if (PEM_write_bio_X509(certificate.get(), identity.certificate.get()) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key.get(), identity.key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1) {
    return FailOpenssl(ErrorKind::kUnavailable, "the identity could not be encoded");
  }
  return PemIdentity{BioText(certificate), BioText(key)};
}

bool ExtendAuthority(X509* certificate) {
  return AddExtension(certificate, certificate,
                      {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"}) &&
         AddExtension(certificate, certificate, {NID_key_usage, "critical,keyCertSign,cRLSign"}) &&
         AddExtension(certificate, certificate, {NID_subject_key_identifier, "hash"});
}

bool ExtendDevice(X509* certificate, X509* authority) {
  const bool extended =
      AddExtension(certificate, authority, {NID_basic_constraints, "critical,CA:FALSE"}) &&
      AddExtension(certificate, authority, {NID_key_usage, "critical,digitalSignature"}) &&
      AddExtension(certificate, authority, {NID_ext_key_usage, "clientAuth"}) &&
      AddExtension(certificate, authority, {NID_subject_key_identifier, "hash"});
  // An authority without a key identifier has none to point at.
  if (!extended || X509_get0_subject_key_id(authority) == nullptr) return extended;
  return AddExtension(certificate, authority, {NID_authority_key_identifier, "keyid:always"});
}

class DeviceMessageSigner final : public MessageSigner {
 public:
  explicit DeviceMessageSigner(ParsedIdentity identity) : identity_(std::move(identity)) {}

  Result<std::string> SignDetached(std::string_view body) const override {
    const CmsIdentity signer{identity_.certificate.get(), identity_.key.get(), nullptr};
    Result<std::string> der = SignCms(signer, body, CmsContent::kDetached);
    if (!der) return Fail(der.error());
    return EncodeBase64(*der);
  }

 private:
  ParsedIdentity identity_;
};

}  // namespace

Result<PemIdentity> MakeAuthority(std::string_view common_name, Timestamp now, int days) {
  const OpensslErrorScope scope;
  Result<ParsedIdentity> made = MakeUnsigned(common_name, now, days);
  if (!made) return Fail(made.error());
  X509* certificate = made->certificate.get();
  if (!ExtendAuthority(certificate) ||
      !SignCertificate(certificate, certificate, made->key.get())) {
    return FailOpenssl(ErrorKind::kUnavailable, "the certificate authority could not be made");
  }
  return EncodeIdentity(*made);
}

Result<PemIdentity> IssueIdentity(const PemIdentity& authority, std::string_view common_name,
                                  Timestamp now, int days) {
  const OpensslErrorScope scope;
  Result<ParsedIdentity> issuer = ParseIdentity(authority);
  if (!issuer) return Fail(issuer.error());
  if (X509_check_ca(issuer->certificate.get()) == 0) {
    return Fail(ErrorKind::kInvalid, "the authority's certificate may not issue certificates");
  }
  Result<ParsedIdentity> made = MakeUnsigned(common_name, now, days);
  if (!made) return Fail(made.error());
  if (!ExtendDevice(made->certificate.get(), issuer->certificate.get()) ||
      !SignCertificate(made->certificate.get(), issuer->certificate.get(), issuer->key.get())) {
    return FailOpenssl(ErrorKind::kUnavailable, "the certificate could not be issued");
  }
  return EncodeIdentity(*made);
}

Result<std::unique_ptr<MessageSigner>> MakeMessageSigner(const PemIdentity& identity) {
  const OpensslErrorScope scope;
  Result<ParsedIdentity> parsed = ParseIdentity(identity);
  if (!parsed) return Fail(parsed.error());
  return std::make_unique<DeviceMessageSigner>(std::move(*parsed));
}

}  // namespace director
