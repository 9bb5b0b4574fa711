#include "signing/certificate.h"

#include "base/text.h"
#include "signing/openssl_ptr.h"

namespace director {
namespace {

constexpr std::size_t kNameTextMaxBytes = 1024;

std::string NameText(const X509_NAME* name) {
  const BioPtr out = WritingBio();
  // UTF-8 as it is: the text goes into JSON.
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return Printable(BioText(out), kNameTextMaxBytes);
}

}  // namespace

Result<CertificateFacts> ReadCertificate(std::string_view der) {
  const OpensslErrorScope errors;
  const BioPtr in = ReadingBio(der);
  const CertificatePtr certificate(d2i_X509_bio(in.get(), nullptr));
  if (!certificate) return FailOpenssl(ErrorKind::kInvalid, "not an X.509 certificate");
  const Result<Timestamp> from = FromAsn1Time(X509_get0_notBefore(certificate.get()));
  const Result<Timestamp> until = FromAsn1Time(X509_get0_notAfter(certificate.get()));
  if (!from || !until) return Fail(ErrorKind::kInvalid, "the certificate's dates cannot be read");
  return CertificateFacts{NameText(X509_get_subject_name(certificate.get())),
                          NameText(X509_get_issuer_name(certificate.get())), *from, *until};
}

}  // namespace director
