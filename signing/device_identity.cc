#include "signing/device_identity.h"

#include <fmt/core.h>
#include <openssl/asn1.h>
#include <openssl/pem.h>

#include <ctime>
#include <utility>

#include "base/text.h"
#include "signing/openssl_ptr.h"

namespace director {
namespace {

constexpr int kDaysMax = 36500;
constexpr long kX509Version3 = 2;
constexpr int kSerialBits = 127;  // fits 16 bytes and stays positive
constexpr std::size_t kPemMaxBytes = std::size_t{1024} * 1024;

struct ParsedIdentity {
  CertificatePtr certificate;
  KeyPtr key;
};

/// One extension in the notation of OpenSSL's configuration files.
struct ExtensionSpec {
  int nid;
  const char* value;
};

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

bool SetSerial(X509* certificate) {
  const NumberPtr number(BN_new());
  return number != nullptr &&
         BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool SetValidity(X509* certificate, Timestamp now, int days) {
  std::time_t start = std::chrono::system_clock::to_time_t(now);
  return X509_time_adj_ex(X509_getm_notBefore(certificate), 0, 0, &start) != nullptr &&
         X509_time_adj_ex(X509_getm_notAfter(certificate), days, 0, &start) != nullptr;
}

bool SetCommonName(X509* certificate, std::string_view common_name) {
  return X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                    MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

bool AddExtension(X509* certificate, X509* issuer, const ExtensionSpec& spec) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, spec.nid, spec.value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// Makes a certificate for a new key: everything but issuer, extensions and signature.
Result<ParsedIdentity> MakeUnsigned(std::string_view common_name, Timestamp now, int days) {
  if (Status request = CheckRequest(common_name, days); !request) return Fail(request.error());
  ParsedIdentity made;
  made.key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  made.certificate.reset(X509_new());
  X509* certificate = made.certificate.get();
  const bool filled = made.key != nullptr && certificate != nullptr &&
                      X509_set_version(certificate, kX509Version3) == 1 && SetSerial(certificate) &&
                      SetValidity(certificate, now, days) &&
                      X509_set_pubkey(certificate, made.key.get()) == 1;
  if (!filled) return FailOpenssl(ErrorKind::kUnavailable, "the certificate could not be made");
  // OpenSSL knows X.520's upper bound of 64 characters.
  if (!SetCommonName(certificate, common_name)) {
    Error error =
        InvalidField("common_name", "the common name must be 1 to 64 characters of UTF-8");
    error.detail = TakeOpensslErrors().text;
    return Fail(std::move(error));
  }
  return made;
}

bool SignCertificate(X509* certificate, X509* issuer, EVP_PKEY* issuer_key) {
  return X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
         X509_sign(certificate, issuer_key, EVP_sha256()) > 0;
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
