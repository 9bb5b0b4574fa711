#include "signing/reply_identity.h"

#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <chrono>

#include "signing/certified_key.h"
#include "signing/openssl_ptr.h"

namespace director {
namespace {

constexpr std::size_t kKeyBits = 2048;
constexpr int kDays = 3651;
/// A Mac's clock may be behind ours.
constexpr Duration kClockMargin = std::chrono::hours(24);
constexpr char kCommonName[] = "Director reply";

bool SignItself(const CertifiedKey& made) {
  X509* certificate = made.certificate.get();
  return AddExtension(certificate, certificate, {NID_basic_constraints, "critical,CA:FALSE"}) &&
         AddExtension(certificate, certificate,
                      {NID_key_usage, "critical,keyEncipherment,dataEncipherment"}) &&
         AddExtension(certificate, certificate, {NID_subject_key_identifier, "hash"}) &&
         SignCertificate(certificate, certificate, made.key.get());
}

Result<CertifiedKey> ReadIdentity(const Secret& identity) {
  CertifiedKey read;
  read.certificate = ReadPemCertificate(ReadingBio(identity.Reveal()));
  read.key = ReadPemKey(identity.Reveal(), Secret()).key;
  if (read.certificate != nullptr && read.key != nullptr) return read;
  return FailOpenssl(ErrorKind::kInvalid, "the key pair for the answer cannot be read");
}

std::string EncodeDer(X509* certificate) {
  const BioPtr out = WritingBio();
  return i2d_X509_bio(out.get(), certificate) == 1 ? BioText(out) : std::string();
}

Result<CmsPtr> ReadEnvelope(std::string_view envelope) {
  if (envelope.empty() || envelope.size() > kReplySizeMaxBytes) {
    return Fail(ErrorKind::kRejected, "the answer is empty or larger than 64 KiB");
  }
  const auto* cursor = reinterpret_cast<const unsigned char*>(envelope.data());
  CmsPtr cms(d2i_CMS_ContentInfo(nullptr, &cursor, static_cast<long>(envelope.size())));
  if (cms == nullptr || OBJ_obj2nid(CMS_get0_type(cms.get())) != NID_pkcs7_enveloped) {
    return FailOpenssl(ErrorKind::kRejected, "the answer is no CMS EnvelopedData");
  }
  return cms;
}

}  // namespace

Result<Secret> MakeReplyIdentity(Timestamp now) {
  const OpensslErrorScope scope;
  const Result<CertifiedKey> made =
      MakeUnsignedCertificate(KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", kKeyBits)),
                              kCommonName, now - kClockMargin, kDays);
  if (!made) return Fail(made.error());
  const BioPtr out = WritingBio();
  const bool written = SignItself(*made) &&
                       PEM_write_bio_PKCS8PrivateKey(out.get(), made->key.get(), nullptr, nullptr,
                                                     0, nullptr, nullptr) == 1 &&
                       PEM_write_bio_X509(out.get(), made->certificate.get()) == 1;
  if (!written) return FailOpenssl(ErrorKind::kUnavailable, "the key pair could not be made");
  return Secret(BioText(out));
}

Result<std::string> ReplyCertificate(const Secret& identity) {
  const OpensslErrorScope scope;
  const Result<CertifiedKey> read = ReadIdentity(identity);
  if (!read) return Fail(read.error());
  std::string der = EncodeDer(read->certificate.get());
  if (!der.empty()) return der;
  return FailOpenssl(ErrorKind::kUnavailable, "the certificate could not be encoded");
}

Result<std::string> EncryptReply(std::string_view certificate, std::string_view content) {
  const OpensslErrorScope scope;
  const BioPtr der = ReadingBio(certificate);
  const CertificatePtr recipient(d2i_X509_bio(der.get(), nullptr));
  const bool is_rsa = recipient != nullptr &&
                      EVP_PKEY_get_base_id(X509_get0_pubkey(recipient.get())) == EVP_PKEY_RSA;
  if (!is_rsa) return FailOpenssl(ErrorKind::kInvalid, "not a certificate with an RSA key");
  const BioPtr in = ReadingBio(content);
  const BioPtr out = WritingBio();
  constexpr unsigned int kFlags = CMS_BINARY | CMS_PARTIAL;
  const CmsPtr cms(CMS_encrypt(nullptr, nullptr, EVP_aes_256_cbc(), kFlags));
  const bool made = cms != nullptr &&
                    CMS_add1_recipient_cert(cms.get(), recipient.get(), 0) != nullptr &&
                    CMS_final(cms.get(), in.get(), nullptr, kFlags) == 1 &&
                    i2d_CMS_bio(out.get(), cms.get()) == 1;
  if (!made) return FailOpenssl(ErrorKind::kUnavailable, "the content could not be encrypted");
  return BioText(out);
}

Result<Secret> OpenReply(const Secret& identity, std::string_view envelope) {
  const OpensslErrorScope scope;
  const Result<CertifiedKey> read = ReadIdentity(identity);
  if (!read) return Fail(read.error());
  const Result<CmsPtr> cms = ReadEnvelope(envelope);
  if (!cms) return Fail(cms.error());
  const BioPtr out = WritingBio();
  // With the certificate the library tells a wrong recipient from a broken content.
  const bool opened = CMS_decrypt(cms->get(), read->key.get(), read->certificate.get(), nullptr,
                                  out.get(), CMS_BINARY) == 1;
  if (!opened) {
    return FailOpenssl(ErrorKind::kRejected, "the answer does not open with its private key");
  }
  return Secret(BioText(out));
}

}  // namespace director
