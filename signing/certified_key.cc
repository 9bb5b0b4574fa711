#include "signing/certified_key.h"

#include <openssl/asn1.h>

#include <chrono>
#include <ctime>
#include <utility>

namespace director {
namespace {

constexpr long kX509Version3 = 2;
constexpr int kSerialBits = 127;  // fits 16 bytes and stays positive

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

}  // namespace

Result<CertifiedKey> MakeUnsignedCertificate(KeyPtr key, std::string_view common_name,
                                             Timestamp now, int days) {
  CertifiedKey made;
  made.key = std::move(key);
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

bool AddExtension(X509* certificate, X509* issuer, const ExtensionSpec& spec) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, spec.nid, spec.value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SignCertificate(X509* certificate, X509* issuer, EVP_PKEY* issuer_key) {
  return X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
         X509_sign(certificate, issuer_key, EVP_sha256()) > 0;
}

}  // namespace director
